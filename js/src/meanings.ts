/** What the parts of a frame mean, with the section of the specification that says so. */

const COMMANDS: Record<string, string> = {
  CONNECT: "a client wants to connect (Connecting)",
  STOMP: "a client wants to connect (Connecting)",
  CONNECTED: "the broker lets the client in (Connecting)",
  SEND: "a client sends a message to a destination (SEND)",
  SUBSCRIBE: "a client wants the messages of a destination (SUBSCRIBE)",
  UNSUBSCRIBE: "a client wants no more of them (UNSUBSCRIBE)",
  ACK: "a client has processed a message (ACK)",
  NACK: "a client has not processed a message (NACK)",
  BEGIN: "a transaction begins (BEGIN)",
  COMMIT: "all of a transaction takes effect (COMMIT)",
  ABORT: "nothing of a transaction takes effect (ABORT)",
  DISCONNECT: "a client wants to go (DISCONNECT)",
  MESSAGE: "the broker delivers a message of a subscription (MESSAGE)",
  RECEIPT: "the broker has done what a frame asked for (RECEIPT)",
  ERROR: "the broker refuses, and closes the connection (ERROR)",
};

const HEADERS: Record<string, string> = {
  "accept-version": "the versions that the client speaks (Protocol Negotiation)",
  ack: "what an ACK or NACK of this message names; in SUBSCRIBE, who acknowledges (MESSAGE, SUBSCRIBE)",
  "content-type": "what the body is, as a MIME type (Header content-type)",
  destination: "where the message goes, or came to (SEND, MESSAGE)",
  "heart-beat": "how often each side can send and wants to hear, in ms (Heart-beating)",
  host: "the virtual host (CONNECT or STOMP Frame)",
  id: "which subscription, or which message is answered (SUBSCRIBE, ACK)",
  login: "who connects (CONNECT or STOMP Frame)",
  message: "what went wrong, in short (ERROR)",
  "message-id": "the broker's name for this message (MESSAGE)",
  passcode: "the secret of who connects; it is not shown (CONNECT or STOMP Frame)",
  receipt: "asks the broker to confirm by a RECEIPT with this id (Header receipt)",
  "receipt-id": "the receipt that the confirmed frame asked for (RECEIPT)",
  server: "the software of the broker (CONNECTED Frame)",
  session: "the broker's name for this session (CONNECTED Frame)",
  subscription: "the subscription that the message is for (MESSAGE)",
  transaction: "the transaction that the frame is part of (BEGIN)",
  version: "the version that both sides speak (Protocol Negotiation)",
};

/** Headers that most brokers know, and STOMP does not. */
const CUSTOMS: Record<string, string> = {
  "correlation-id": "which request this answers",
  expires: "when the message is of no use any more",
  persistent: "whether the broker keeps the message on disk",
  priority: "which message goes first",
  redelivered: "whether it was delivered before",
  "reply-to": "where an answer is to go",
  selector: "which messages of the destination are wanted",
  timestamp: "when it was sent, as a rule in ms since 1970",
};

export function explainCommand(command: string): string {
  return own(COMMANDS, command) ?? "a command that STOMP does not have";
}

/** `size` is how many octets the body has in truth. */
export function explainHeader(name: string, value: string, size: number): string {
  if (name !== "content-length") {
    const custom = own(CUSTOMS, name);
    return custom === undefined
      ? (own(HEADERS, name) ?? "a header of the programs' own (SEND)")
      : `${custom}; a custom of brokers, not of STOMP`;
  }
  const truth =
    value === String(size)
      ? `the body has ${octets(size)}`
      : `not true: the body has ${octets(size)}`;
  return `${truth} (Header content-length)`;
}

export function explainBody(here: number, size: number): string {
  const part = here === size ? "" : `the first ${here} of `;
  return `${part}${octets(size)} (Body)`;
}

function octets(n: number): string {
  return `${n} octet${n === 1 ? "" : "s"}`;
}

/** A header may be called "constructor". */
function own(table: Record<string, string>, name: string): string | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

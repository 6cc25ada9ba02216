import { useMemo, useState } from "preact/hooks";
import type { Act, Tell } from "./actions";
import { Button } from "./button";
import { Copies } from "./copies";
import { submitOnEnter } from "./forms";
import { useId } from "./hooks";
import { composeSend, encodeFrame, type Message } from "./octets";
import { isSent, type Sent, type SessionState } from "./protocol";
import { RawFrame } from "./raw";
import { counted, span } from "./text";

interface Props {
  session: SessionState;
  destinations: string[];
  act: Act;
  tell: Tell;
}

/** A message to write and send, with the octets that will go out; also as part of a transaction. */
export function Composer({ session, destinations, act, tell }: Props) {
  const [destination, setDestination] = useState(destinations[0] ?? "");
  const [headerLines, setHeaderLines] = useState("");
  const [body, setBody] = useState("");
  const [wantReceipt, setWantReceipt] = useState(false);
  const [receipt, setReceipt] = useState(newReceipt);
  const [sending, setSending] = useState(false);

  const transaction = session.transaction?.id ?? null;
  const asked = wantReceipt ? receipt : null;
  const version = session.version || "1.2";
  // A large body is not encoded anew whenever a frame comes in.
  const { headers, composed, parts, problem } = useMemo(
    () => preview(headerLines, { destination, body, transaction, receipt: asked, version }),
    [headerLines, destination, body, transaction, asked, version],
  );

  const send = async (event: Event) => {
    event.preventDefault();
    if (sending || problem !== null) {
      return;
    }
    setSending(true);
    const message = {
      destination,
      headers,
      body,
      receipt: asked,
      transaction: transaction !== null,
    };
    const answer = await act("send", message, ({ result }) =>
      outcome(result, destination, transaction),
    );
    setSending(false);
    if (answer !== null) {
      setReceipt(newReceipt());
    }
  };
  const what = composed && { ...composed, body, octets: composed.body };

  return (
    <form class="stompy-composer" aria-label="Send a message" onSubmit={send}>
      <div class="stompy-fields">
        <Destination value={destination} known={destinations} onChange={setDestination} />
        <Lines
          name="headers"
          label="Headers, one a line"
          rows={2}
          placeholder="content-type: application/json"
          value={headerLines}
          onChange={setHeaderLines}
        />
        <Lines name="body" label="Body" rows={4} value={body} onChange={setBody} />
        <div class="stompy-line">
          <label>
            <input
              type="checkbox"
              name="receipt"
              checked={wantReceipt}
              data-lm-suppress-shortcuts="true"
              onChange={(event) => setWantReceipt(event.currentTarget.checked)}
            />{" "}
            Receipt
          </label>
          <Button type="submit" disabled={problem !== null}>
            {transaction === null ? "Send" : "Add to the transaction"}
          </Button>
          <Copies what={what} destination={destination} tell={tell} />
        </div>
        <Transaction session={session} act={act} />
      </div>
      <div class="stompy-preview">
        <p class="stompy-muted">What goes out</p>
        {problem !== null ? (
          <p class="stompy-help">{problem}</p>
        ) : (
          <RawFrame compact parts={parts} note={null} />
        )}
      </div>
    </form>
  );
}

function Destination(props: {
  value: string;
  /** Those that can be chosen. */
  known: string[];
  onChange: (value: string) => void;
}) {
  const id = useId();
  return (
    <>
      <label for={id}>Destination</label>
      <input
        id={id}
        name="destination"
        required
        autocomplete="off"
        spellcheck={false}
        placeholder="/topic/prices"
        list={`${id}-known`}
        data-lm-suppress-shortcuts="true"
        value={props.value}
        onInput={(event) => props.onChange(event.currentTarget.value)}
        onKeyDown={submitOnEnter}
      />
      <datalist id={`${id}-known`}>
        {props.known.map((known) => (
          <option key={known} value={known} />
        ))}
      </datalist>
    </>
  );
}

/** A field of several lines. */
function Lines(props: {
  name: string;
  label: string;
  rows: number;
  placeholder?: string;
  value: string;
  onChange: (value: string) => void;
}) {
  const { name, label, rows, placeholder, value, onChange } = props;
  const id = useId();
  return (
    <>
      <label for={id}>{label}</label>
      <textarea
        {...{ id, name, rows, placeholder, value }}
        spellcheck={false}
        data-lm-suppress-shortcuts="true"
        onInput={(event) => onChange(event.currentTarget.value)}
      />
    </>
  );
}

function Transaction({ session: { transaction }, act }: { session: SessionState; act: Act }) {
  const say = (kind: string, done: string) => () => act(kind, {}, () => done);
  return (
    <div class="stompy-line">
      {transaction === null ? (
        <Button
          onClick={say("begin", "A transaction has begun: what is added to it goes out together.")}
        >
          Begin a transaction
        </Button>
      ) : (
        <>
          <span>
            Transaction {transaction.id}: {counted(transaction.frames, "message")}
          </span>
          <Button onClick={say("commit", "Committed, and confirmed by the broker.")}>Commit</Button>
          <Button onClick={say("abort", "Aborted: nothing of it takes effect.")}>Abort</Button>
        </>
      )}
    </div>
  );
}

type Written = Omit<Message, "headers"> & { version: string };

/** What was written as headers and octets, or what is wrong with it. */
function preview(lines: string, written: Written) {
  const [headers, badLine] = parseHeaders(lines);
  const made = composeSend({ ...written, headers });
  if (badLine !== null || "error" in made) {
    const problem = badLine ?? ("error" in made ? made.error : null);
    return { headers, composed: null, parts: [], problem };
  }
  const parts = encodeFrame("SEND", made.headers, made.body, written.version);
  return { headers, composed: made, parts, problem: null };
}

/** Lines "name: value" as headers, and what is wrong with the first that is none. */
export function parseHeaders(lines: string): [[string, string][], string | null] {
  const headers: [string, string][] = [];
  for (const line of lines.split("\n")) {
    const colon = line.indexOf(":");
    if (line.trim() !== "" && colon < 1) {
      return [headers, `“${line}” is no header: write name: value`];
    }
    if (colon > 0) {
      headers.push([line.slice(0, colon).trim(), line.slice(colon + 1).trim()]);
    }
  }
  return [headers, null];
}

function outcome(result: unknown, destination: string, transaction: string | null): string {
  if (transaction !== null) {
    return "Added to the transaction.";
  }
  const sent: Sent = isSent(result) ? result : { receipt: null, confirmed: null, ms: null };
  if (sent.confirmed === null) {
    return `Sent to ${destination}.`;
  }
  return sent.confirmed
    ? `Sent to ${destination}; the broker has confirmed it after ${span(sent.ms ?? 0)}.`
    : `Sent to ${destination}; the receipt has not come yet.`;
}

function newReceipt(): string {
  return `widget-${Math.random().toString(36).slice(2, 8)}`;
}

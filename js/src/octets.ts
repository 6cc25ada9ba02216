/** The octets of a frame, part by part, as `stompy/wire.py` writes them. No page, no clock. */

import { charsetOf, encodeText, hasLoneSurrogate } from "./charset";
import {
  explainBody,
  explainCommand,
  explainEscape,
  explainHeader,
  explainValue,
  say,
} from "./meanings";
import { visible } from "./visible";

export type Header = [name: string, value: string];

export interface Part {
  name:
    | "command"
    | "line end"
    | "header name"
    | "colon"
    | "header value"
    | "escape"
    | "blanks"
    | "blank line"
    | "body"
    | "NUL";
  octets: Uint8Array;
  /** What it is, in a short sentence for people, with its section in the specification. */
  meaning: string;
  /** The name of the header that it belongs to. */
  header?: string;
}

/** Frames whose headers are never escaped (STOMP 1.2, "Value Encoding"). */
const HANDSHAKE = ["CONNECT", "STOMP", "CONNECTED"];

/** What each version escapes. */
const SPECIAL = new Map([
  ["1.1", /([\\\n:])/],
  ["1.2", /([\\\n:\r])/],
]);

const ESCAPES = new Map([
  ["\\", "\\\\"],
  ["\n", "\\n"],
  [":", "\\c"],
  ["\r", "\\r"],
]);

const utf8 = new TextEncoder();

/**
 * The octets of a frame as consecutive parts (STOMP 1.2, "STOMP Frames" and "Value Encoding").
 * Parts without octets are left out.
 *
 * It shows what is there, whatever that is: whether a version can carry it says `refusal`.
 *
 * `size` is the length of the body when `body` is but its beginning.
 */
export function encodeFrame(
  command: string,
  headers: Header[],
  body: Uint8Array,
  version: string,
  size = body.length,
): Part[] {
  const parts: Part[] = [];
  const add = (
    name: Part["name"],
    octets: Uint8Array | string,
    meaning: string,
    header?: string,
  ) => {
    const made = typeof octets === "string" ? utf8.encode(octets) : octets;
    if (made.length > 0) {
      parts.push({ name, octets: made, meaning, ...(header !== undefined && { header }) });
    }
  };
  const special = specialIn(command, version);
  // The words of versions that do not exist are those of the newest.
  const words = SPECIAL.has(version) || version === "1.0" ? version : "1.2";
  const addText = (name: Part["name"], text: string, means: string, header: string) => {
    const meaning = text.endsWith("\r") && !special?.test("\r") ? endsInCr(means, words) : means;
    const [before, inner, after] = version === "1.0" ? inBlanks(text) : ["", text, ""];
    add("blanks", before, say("blanks", words), header);
    // Every second piece is one that is escaped.
    for (const [i, piece] of (special ? inner.split(special) : [inner]).entries()) {
      const pair = ESCAPES.get(i % 2 === 1 ? piece : "");
      if (pair === undefined) {
        add(name, piece, meaning, header);
      } else {
        add("escape", pair, explainEscape(pair, words), header);
      }
    }
    add("blanks", after, say("blanks", words), header);
  };

  add("command", command, explainCommand(command, words));
  add("line end", "\n", say("command-end", words));
  const seen = new Set<string>();
  for (const [given, worth] of headers) {
    // Blanks that do not count in a version are in no name.
    const [name, value] =
      version === "1.0" ? [inBlanks(given)[1], inBlanks(worth)[1]] : [given, worth];
    const repeated = seen.has(name) ? say("repeated", words, "Repeated Header Entries") : null;
    seen.add(name);
    addText("header name", given, repeated ?? explainHeader(name, command, words), name);
    add("colon", ":", say("colon", words), name);
    const says = repeated ?? explainValue(name, value, command, words, size);
    addText("header value", worth, says, name);
    add("line end", "\n", say("header-end", words), name);
  }
  add("blank line", "\n", say("blank-line", words, "STOMP Frames"));
  add("body", body, explainBody(command, words, body.length, size));
  add("NUL", "\0", say("nul", words, "STOMP Frames"));
  return parts;
}

function endsInCr(means: string, version: string): string {
  return say("cr", version, undefined, { means });
}

/** The blanks before a text, what is in them, and those behind it: STOMP 1.0 takes them away. */
function inBlanks(text: string): [before: string, inner: string, after: string] {
  const isBlank = (at: number) => text[at] === " " || text[at] === "\t";
  let begin = 0;
  while (isBlank(begin)) {
    begin++;
  }
  let end = text.length;
  while (end > begin && isBlank(end - 1)) {
    end--;
  }
  return [text.slice(0, begin), text.slice(begin, end), text.slice(end)];
}

export function toOctets(parts: Part[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.octets.length, 0));
  let at = 0;
  for (const { octets } of parts) {
    whole.set(octets, at);
    at += octets.length;
  }
  return whole;
}

/** Why a version cannot carry these headers; null when it can. */
export function refusal(command: string, headers: Header[], version: string): string | null {
  const unescaped = specialIn(command, version) === undefined;
  const odd = headers.find(
    ([name, value]) => unescaped && (/[:\n]/.test(name) || /\n|\r$/.test(value)),
  );
  if (odd !== undefined) {
    const where = HANDSHAKE.includes(command) ? `a ${command} frame` : `STOMP ${version}`;
    return `header ${quoted(odd[0])} cannot be sent: ${where} has no escapes for line ends and colons`;
  }
  return headers.flat().some(hasLoneSurrogate) ? "a header that UTF-8 cannot hold" : null;
}

function specialIn(command: string, version: string): RegExp | undefined {
  return HANDSHAKE.includes(command) ? undefined : SPECIAL.get(version);
}

export interface Message {
  destination: string;
  headers: Header[];
  body: string;
  /** The id of the receipt that is asked for. */
  receipt: string | null;
  /** The id of the transaction that it is part of. */
  transaction: string | null;
  /** The version agreed on; without one, what a version cannot carry is not looked for. */
  version?: string;
}

/**
 * Headers, in their order, and body of the SEND frame that Python makes of a message: what
 * `STOMPClient.message` does with a text and `stompy/compose.py` with the rest.
 */
export function composeSend(
  message: Message,
): { headers: Header[]; body: Uint8Array } | { error: string } {
  const { destination, body, receipt, transaction, version } = message;
  if (destination === "") {
    return { error: "no destination" };
  }
  // As in a dict, the last of those with one name has the place of the first.
  const fields = new Map(message.headers).set("destination", destination);
  if (transaction !== null) {
    fields.set("transaction", transaction);
  }
  if (receipt) {
    fields.set("receipt", receipt);
  }
  const nameless = fields.get("");
  if (nameless !== undefined) {
    return { error: `a header without a name: its value is ${quoted(nameless)}` };
  }
  const nul = [...fields].find(([name, value]) => `${name}${value}`.includes("\0"));
  if (nul !== undefined) {
    return { error: `header ${quoted(nul[0])} holds a NUL` };
  }
  const type = fields.get("content-type") ?? "text/plain;charset=utf-8";
  fields.set("content-type", type);
  const octets = encodeText(body, charsetOf(type));
  if (typeof octets === "string") {
    return { error: `the text does not go into ${visible(type)}${octets}` };
  }
  fields.delete("content-length");
  fields.set("content-length", String(octets.length));
  const headers = [...fields];
  const error = refusal("SEND", headers, version ?? "1.2");
  return error === null ? { headers, body: octets } : { error };
}

function quoted(text: string): string {
  return `'${visible(text)}'`;
}

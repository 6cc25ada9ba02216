/** A frame as code that sends the same: for a cell, and for Python. */

import { charsetOf, encodeText } from "./charset";
import type { Header } from "./octets";
import { pyBytes, pyCall, pyDict, pyText } from "./python";
import { isVisible } from "./visible";

export interface Copied {
  headers: Header[];
  /** Null where it is no text. */
  body: string | null;
  /** The octets of the body: needed where it is no text, and where it may be in another charset. */
  octets?: Uint8Array;
}

/** What the broker or the client says of one delivery, and would say anew of the next. */
const MADE = new Set([
  ...["ack", "content-length", "destination", "message-id", "passcode", "receipt", "receipt-id"],
  ...["redelivered", "subscription", "transaction"],
]);

const TEXT_TYPE = "text/plain;charset=utf-8";

/**
 * A cell that sends the same body and headers, apart from what the broker makes: with
 * `%%stomp_send` where that can, else in Python. (A text without a content-type goes out with one.)
 */
export function asCell(frame: Copied, destination: string): string {
  const text = textOf(frame);
  const obstacle = obstacleOf(text, frame.headers, destination);
  return obstacle === null
    ? asMagic(frame.headers, text ?? "", destination)
    : `# Only Python can send this: ${obstacle}.\n${asPython(frame, destination)}`;
}

/** A call that sends the same; `session` is what Python calls the session. */
export function asPython(frame: Copied, destination: string, session = "session"): string {
  const headers = kept(frame.headers);
  const args = [pyText(destination), bodyOf(frame)];
  if (headers.length > 0) {
    args.push(`headers=${pyDict(headers)}`);
  }
  return pyCall(`${session}.send`, args);
}

/** The body, if it is the text that becomes the same octets in the charset of the content-type. */
function textOf({ headers, body, octets }: Copied): string | null {
  if (body === null || octets === undefined) {
    return body;
  }
  const made = encodeText(body, charsetOf(typeOf(headers) ?? ""));
  const same =
    typeof made !== "string" &&
    made.length === octets.length &&
    made.every((octet, i) => octet === octets[i]);
  return same ? body : null;
}

function typeOf(headers: Header[]): string | undefined {
  return headers.find(([name]) => name === "content-type")?.[1];
}

/** The headers to send; the content-type that every text gets is not said again. */
function kept(headers: Header[]): Header[] {
  return headers.filter(
    ([name, value]) => !MADE.has(name) && !(name === "content-type" && value === TEXT_TYPE),
  );
}

/** A text without a content-type goes out as octets: else it would get one. */
function bodyOf(frame: Copied): string {
  const text = textOf(frame);
  if (text === null) {
    return pyBytes(frame.octets ?? new Uint8Array());
  }
  if (typeOf(frame.headers) !== undefined) {
    return pyText(text);
  }
  return /^[\n\t -~]*$/.test(text) ? `b${pyText(text)}` : `${pyText(text)}.encode()`;
}

/** Why a magic cannot send it, null when it can. */
function obstacleOf(body: string | null, headers: Header[], destination: string): string | null {
  if (body === null) {
    return "the body is not text";
  }
  if (!isVisible(body, { lines: true })) {
    return "the body has characters that cannot be seen";
  }
  if (!isWritable(destination)) {
    return "a magic cannot have this destination";
  }
  const odd = kept(headers).find(
    ([name, value]) =>
      name.includes(":") ||
      name.trim() !== name ||
      value.trim() !== value ||
      !isWritable(`${name}: ${value}`),
  );
  return odd === undefined ? null : `a magic cannot have the header ${pyText(odd[0])}`;
}

/** Whether a text can be an argument of a magic: on one line, with one kind of quotes around it. */
function isWritable(text: string): boolean {
  return isVisible(text) && !(text.includes("'") && text.includes('"'));
}

function asMagic(headers: Header[], body: string, destination: string): string {
  const json = isPlainJson(headers, body);
  const options = kept(headers)
    .filter(([name]) => !(json && name === "content-type"))
    .map(([name, value]) => ` --header ${quoted(`${name}: ${value}`)}`);
  const target = /^[^\s'"-][^\s'"]*$/.test(destination) ? destination : quoted(destination);
  const line = `%%stomp_send ${target}${json ? " --json" : ""}${options.join("")}`;
  // The line end behind a cell is not sent.
  return `${line}\n${body}${body === "" || body.endsWith("\n") ? "\n" : ""}`;
}

function quoted(text: string): string {
  return text.includes("'") ? `"${text}"` : `'${text}'`;
}

/** Whether `--json` lets it pass: Python reads neither very long numbers nor very deep nesting. */
function isPlainJson(headers: Header[], body: string): boolean {
  const deep = (body.match(/[[{]/g) ?? []).length > 500;
  if (typeOf(headers) !== "application/json" || body.length > 4000 || deep) {
    return false;
  }
  try {
    JSON.parse(body);
    return true;
  } catch {
    return false;
  }
}

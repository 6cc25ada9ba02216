/** What the kernel tells the browser: for each stream its numbers and its newest frames. */

/** One stream: how much came in, and the newest frames as short texts, newest last. */
export interface StreamWindow {
  name: string;
  destination: string;
  received: number;
  dropped: number;
  /** Whether more frames can come. */
  live: boolean;
  error: string | null;
  columns: string[];
  rows: string[][];
}

/** A whole picture, never a change to one: drawing it twice, or missing one, does no harm. */
export interface SessionWindow {
  kind: "window";
  seq: number;
  session: { address: string; state: string };
  streams: StreamWindow[];
}

/** Anything can arrive over the wire, also from a kernel of another release or a saved notebook. */
export function isWindow(value: unknown): value is SessionWindow {
  return (
    isObject(value) &&
    value["kind"] === "window" &&
    isCount(value["seq"]) &&
    isSession(value["session"]) &&
    isArrayOf(value["streams"], isStream)
  );
}

function isSession(value: unknown): boolean {
  return isObject(value) && isText(value["address"]) && isText(value["state"]);
}

function isStream(value: unknown): boolean {
  return (
    isObject(value) &&
    isText(value["name"]) &&
    isText(value["destination"]) &&
    isCount(value["received"]) &&
    isCount(value["dropped"]) &&
    typeof value["live"] === "boolean" &&
    (value["error"] === null || isText(value["error"])) &&
    isArrayOf(value["columns"], isText) &&
    isArrayOf(value["rows"], (row) => isArrayOf(row, isText))
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function isArrayOf(value: unknown, isItem: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(isItem);
}

function isText(value: unknown): boolean {
  return typeof value === "string";
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

/** Texts, octets and numbers as Python writes them. */

import { escaped, visible } from "./visible";

/**
 * A Python literal of a text. It has neither line ends nor anything that cannot be seen, so that
 * what is pasted is what was shown.
 */
export function pyText(text: string): string {
  return inQuotes(text, visible);
}

/** A Python literal of octets. */
export function pyBytes(octets: Uint8Array): string {
  const latin1 = Array.from(octets, (octet) => String.fromCharCode(octet)).join("");
  return `b${inQuotes(latin1, (text) => text.replace(/[^ -~]/g, escaped))}`;
}

function inQuotes(text: string, shown: (text: string) => string): string {
  const quote = text.includes('"') && !text.includes("'") ? "'" : '"';
  const special = quote === "'" ? /\\/g : /["\\]/g;
  return `${quote}${shown(text.replace(special, "\\$&"))}${quote}`;
}

/** Where a call does not fit this many characters, its arguments have a line each. */
const WIDTH = 88;

/** A call such as `f(a, b=c)`. */
export function pyCall(name: string, args: string[]): string {
  const line = `${name}(${args.join(", ")})`;
  return line.length <= WIDTH ? line : `${name}(\n${args.map((arg) => `    ${arg},\n`).join("")})`;
}

export function pyDict(entries: [string, string][]): string {
  return `{${entries.map(([name, value]) => `${pyText(name)}: ${pyText(value)}`).join(", ")}}`;
}

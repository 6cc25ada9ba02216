const HIDDEN = /(?! )[\p{C}\p{Z}]/gu;
const NAMED: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/**
 * A text in which every character can be seen, as Python's `printable` makes it: what cannot be
 * printed (control characters, escape sequences, bidirectional and zero-width marks) becomes an
 * escape such as `\x1b` or `\u202e`.
 *
 * With `lines`, line ends and tabs stay what they are, for a view of several lines.
 */
export function visible(text: string, options: { lines?: boolean } = {}): string {
  return text.replace(HIDDEN, (c) =>
    options.lines && (c === "\n" || c === "\t") ? c : escaped(c),
  );
}

/** Whether `visible` would leave a text as it is. */
export function isVisible(text: string, options: { lines?: boolean } = {}): boolean {
  return visible(text, options) === text;
}

/** The escape of a character, as Python writes it. */
export function escaped(c: string): string {
  const code = c.codePointAt(0) ?? 0;
  const hex = code.toString(16);
  if (code > 0xffff) {
    return `\\U${hex.padStart(8, "0")}`;
  }
  return NAMED[c] ?? (code > 0xff ? `\\u${hex.padStart(4, "0")}` : `\\x${hex.padStart(2, "0")}`);
}

/**
 * Octets as text: what is UTF-8 as it reads, each octet that is none of it as `\xff`. With `lines`,
 * line ends and tabs stay.
 */
export function visibleOctets(octets: Uint8Array, options: { lines?: boolean } = {}): string {
  const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const read = (from: number, to: number) => {
    try {
      return visible(strict.decode(octets.subarray(from, to)), options);
    } catch {
      return null;
    }
  };
  const whole = read(0, octets.length);
  if (whole !== null) {
    return whole;
  }
  const parts: string[] = [];
  for (let at = 0; at < octets.length; ) {
    const lead = octets[at] ?? 0;
    const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    const text = at + length <= octets.length ? read(at, at + length) : null;
    parts.push(text ?? `\\x${lead.toString(16)}`);
    at += text === null ? 1 : length;
  }
  return parts.join("");
}

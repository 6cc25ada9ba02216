/** Text and octets, by the charset of a content-type; the names are those that Python reads. */

/** The charset that a content-type names, else UTF-8 (STOMP 1.2, "Header content-type"). */
export function charsetOf(contentType: string): string {
  for (const parameter of contentType.split(";").slice(1)) {
    const [name = "", ...value] = parameter.split("=");
    if (name.trim().toLowerCase() === "charset") {
      const charset = value
        .join("=")
        .trim()
        .replace(/^"+|"+$/g, "");
      return charset.toLowerCase() || "utf-8";
    }
  }
  return "utf-8";
}

export function hasLoneSurrogate(text: string): boolean {
  return /\p{Cs}/u.test(text);
}

/** A text in a charset; what there is to say where that cannot be, which may be nothing more. */
export function encodeText(text: string, charset: string): Uint8Array | string {
  const name = known(charset);
  if (name === "utf-8") {
    return hasLoneSurrogate(text) ? "" : new TextEncoder().encode(text);
  }
  const most = greatest(name);
  if (most === undefined) {
    return ": this page does not know the charset, Python may";
  }
  const codes = Array.from(text, (c) => c.codePointAt(0) ?? 0);
  return codes.some((code) => code > most) ? "" : Uint8Array.from(codes);
}

/**
 * Octets in a charset as text; null where they are none, or the charset is not known. Without
 * `whole` the last character may be there in part, and is left out.
 */
export function decodeText(octets: Uint8Array, charset: string, whole = true): string | null {
  const name = known(charset);
  const most = greatest(name);
  try {
    if (most === undefined) {
      const decoder = new TextDecoder(name, { fatal: true, ignoreBOM: true });
      return decoder.decode(octets, { stream: !whole });
    }
    // A browser takes both for windows-1252. That has other characters from 0x80 to 0x9f only.
    const text = Array.from(octets, (octet) => String.fromCharCode(octet)).join("");
    return octets.some((octet) => octet > most) ? null : text;
  } catch {
    return null;
  }
}

function known(charset: string): string {
  const name = charset.toLowerCase().replace(/[_ ]/g, "-");
  return /^(utf-?8|u8)$/.test(name) ? "utf-8" : name;
}

/** The greatest character of a charset in which each is one octet, its number. */
function greatest(name: string): number | undefined {
  if (/^(us-)?ascii$/.test(name)) {
    return 0x7f;
  }
  return /^(latin-?1|iso-?8859-1|l1)$/.test(name) ? 0xff : undefined;
}

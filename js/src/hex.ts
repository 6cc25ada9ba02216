const WIDTH = 16;

/** Octets in lines of 16: the offset, each in hex, and those that ASCII can print. */
export function hexLines(octets: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < octets.length; at += WIDTH) {
    const row = Array.from(octets.subarray(at, at + WIDTH));
    const hex = row.map((octet) => octet.toString(16).padStart(2, "0")).join(" ");
    const text = row.map((octet) =>
      octet >= 0x20 && octet < 0x7f ? String.fromCharCode(octet) : ".",
    );
    lines.push(
      `${at.toString(16).padStart(8, "0")}  ${hex.padEnd(3 * WIDTH - 1)}  ${text.join("")}`,
    );
  }
  return lines.join("\n");
}

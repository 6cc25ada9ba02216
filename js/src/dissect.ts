/** Octets as they were on the wire, however wrong, as the parts of a frame. No page, no clock. */

import type { Part } from "./octets";

const [LF, CR, COLON, NUL] = [0x0a, 0x0d, 0x3a, 0x00];

/**
 * The parts of octets that are one frame, a part of one, or none at all (STOMP 1.2, "STOMP
 * Frames"). All octets are in one of them, in their order.
 */
export function dissect(octets: Uint8Array): Part[] {
  const parts: Part[] = [];
  let at = 0;
  const add = (name: Part["name"], end: number, meaning: string) => {
    if (end > at) {
      parts.push({ name, octets: octets.subarray(at, end), meaning });
      at = end;
    }
  };
  const nul = octets.lastIndexOf(NUL);
  const stop = nul < 0 ? octets.length : nul;

  add("line end", endOfLines(octets), "before a frame: a heart-beat, or nothing");
  const [commandEnd, afterCommand] = lineIn(octets, at, stop);
  add("command", commandEnd, "the first line");
  add("line end", afterCommand, "ends the command");
  while (at < stop) {
    const [end, next] = lineIn(octets, at, stop);
    if (end === at) {
      add("blank line", next, "ends the headers; the body begins");
      break;
    }
    const colon = octets.indexOf(COLON, at);
    const nameEnd = colon < 0 || colon > end ? end : colon;
    add("header name", nameEnd, nameEnd === end ? "a header without a colon" : "as it was written");
    add("colon", Math.min(nameEnd + 1, end), "parts the name from the value");
    add("header value", end, "as it was written");
    add("line end", next, "ends the header");
  }
  add("body", stop, "the body");
  add("NUL", Math.min(stop + 1, octets.length), "ends the frame");
  add("line end", octets.length, "behind a frame, where line ends may be");
  return parts;
}

/** Where the line ends that octets begin with have their end. */
function endOfLines(octets: Uint8Array): number {
  const first = octets.findIndex((octet) => octet !== LF && octet !== CR);
  return first < 0 ? octets.length : first;
}

/** The end of a line without its line end, and with it. */
function lineIn(octets: Uint8Array, at: number, stop: number): [end: number, next: number] {
  const feed = octets.indexOf(LF, at);
  if (feed < 0 || feed >= stop) {
    return [stop, stop];
  }
  return [feed > at && octets[feed - 1] === CR ? feed - 1 : feed, feed + 1];
}

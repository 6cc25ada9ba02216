import { expect, test } from "vitest";
import { dissect } from "../src/dissect";
import { toOctets } from "../src/octets";

const utf8 = new TextEncoder();

/** The parts of octets, each as its name and its text. */
function parts(text: string): [string, string][] {
  return dissect(utf8.encode(text)).map(({ name, octets }) => [
    name,
    new TextDecoder().decode(octets),
  ]);
}

test("a frame with CR LF at its line ends has the parts of any other", () => {
  expect(parts("SEND\r\ndestination:/queue/a\r\n\r\nx\ny\0\r\n")).toEqual([
    ["command", "SEND"],
    ["line end", "\r\n"],
    ["header name", "destination"],
    ["colon", ":"],
    ["header value", "/queue/a"],
    ["line end", "\r\n"],
    ["blank line", "\r\n"],
    ["body", "x\ny"],
    ["NUL", "\0"],
    ["line end", "\r\n"],
  ]);
});

test.each([
  ["a heart-beat", "\n", ["line end"]],
  [
    "a frame that broke off in its body",
    "MESSAGE\n\nab",
    ["command", "line end", "blank line", "body"],
  ],
  ["a frame that broke off in a header", "MESSAGE\nde", ["command", "line end", "header name"]],
  [
    "a frame without a blank line",
    "SEND\na:b\0",
    ["command", "line end", "header name", "colon", "header value", "NUL"],
  ],
  [
    "line ends before a frame",
    "\n\nX\n\n\0",
    ["line end", "command", "line end", "blank line", "NUL"],
  ],
  ["a NUL alone", "\0", ["NUL"]],
  ["nothing", "", []],
])("%s is taken apart as far as that goes", (_, text, names) => {
  expect(parts(text).map(([name]) => name)).toEqual(names);
});

test("a NUL within a body is part of it", () => {
  expect(parts("SEND\ncontent-length:3\n\na\0b\0").at(-2)).toEqual(["body", "a\0b"]);
});

test("whatever the octets are, all of them are in the parts", () => {
  let seed = 7;
  const letters = [0x00, 0x0a, 0x0d, 0x3a, 0x41, 0xff];
  for (let run = 0; run < 500; run++) {
    const octets = Uint8Array.from({ length: run % 23 }, () => {
      seed = (seed * 48271) % 2147483647;
      return letters[seed % letters.length] ?? 0;
    });
    expect(toOctets(dissect(octets))).toEqual(octets);
  }
});

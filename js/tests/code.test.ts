import { expect, test } from "vitest";
import { asCell, asPython, type Copied } from "../src/code";
import type { Header } from "../src/octets";
import { pyBytes, pyText } from "../src/python";
import vectors from "./code.json";

test.each(vectors)("code for $body to $destination with $headers", (vector) => {
  const frame: Copied = {
    headers: vector.headers as Header[],
    body: vector.body,
    ...("octets" in vector && {
      octets: Uint8Array.from(vector.octets ?? "", (c) => c.charCodeAt(0)),
    }),
  };
  expect(asCell(frame, vector.destination)).toBe(vector.cell);
  expect(asPython(frame, vector.destination)).toBe(vector.python);
});

test("the session may have another name", () => {
  const frame = { headers: [], body: "x" };
  expect(asPython(frame, "/queue/Q", "mine")).toBe('mine.send("/queue/Q", b"x")');
});

test.each([
  ["plain", '"plain"'],
  ["it's", '"it\'s"'],
  ['say "so"', "'say \"so\"'"],
  [`it's "so"`, String.raw`"it's \"so\""`],
  ["a\\b\n\t\r", String.raw`"a\\b\n\t\r"`],
  ["\u001b\u202e\u{e0001}", String.raw`"\x1b\u202e\U000e0001"`],
  ["grün ☃", '"grün ☃"'],
])("%j is %s in Python", (text, literal) => {
  expect(pyText(text)).toBe(literal);
});

test("octets are what they are in Python", () => {
  expect(pyBytes(Uint8Array.from([0x61, 0x22, 0x5c, 0x0a, 0x00, 0xff]))).toBe(
    String.raw`b'a"\\\n\x00\xff'`,
  );
});

test.each([
  ["latin-1", "a text that its octets are in another charset"],
  ["koi8-r", "a text in a charset that this page cannot write"],
])("octets go out where the body is, for %s, %s", (charset) => {
  const headers: Header[] = [["content-type", `text/plain;charset=${charset}`]];
  const frame = { headers, body: "é", octets: Uint8Array.from([0xc3, 0xa9]) };
  expect(asCell(frame, "/q")).toContain(String.raw`b"\xc3\xa9"`);
  expect(asPython(frame, "/q")).toContain(String.raw`b"\xc3\xa9"`);
});

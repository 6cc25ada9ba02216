import { expect, test } from "vitest";
import { charsetOf, decodeText, encodeText } from "../src/charset";

test.each([
  ["text/plain; charset=latin-1", "latin-1"],
  ["application/json", "utf-8"],
  ['text/plain;x=1; CharSet = "UTF-16"', "utf-16"],
  ["charset=latin-1", "utf-8"],
  ["text/plain;charset=", "utf-8"],
])("the charset of %s is %s", (contentType, charset) => {
  expect(charsetOf(contentType)).toBe(charset);
});

test.each([
  ["utf_8", "grün", [0x67, 0x72, 0xc3, 0xbc, 0x6e]],
  ["Latin-1", "é\u0080", [0xe9, 0x80]],
  ["ascii", "e", [0x65]],
])("%s: text becomes octets and text again", (charset, text, octets) => {
  expect([...encodeText(text, charset)]).toEqual(octets);
  expect(decodeText(Uint8Array.from(octets), charset)).toBe(text);
});

test.each([
  ["utf-8", [0xff]],
  ["ascii", [0xe9]],
  ["nonsense", [0x61]],
])("what is no text in %s is none", (charset, octets) => {
  expect(decodeText(Uint8Array.from(octets), charset)).toBeNull();
});

test("other charsets are read as the browser reads them", () => {
  expect(decodeText(Uint8Array.from([0xc1, 0xc2]), "koi8-r")).toBe("аб");
  expect(encodeText("аб", "koi8-r")).toMatch(/Python may/);
});

test("a character that is cut off at the end is left out", () => {
  const cut = Uint8Array.from([0x61, 0xe2, 0x98]);
  expect(decodeText(cut, "utf-8", false)).toBe("a");
  expect(decodeText(cut, "utf-8")).toBeNull();
});

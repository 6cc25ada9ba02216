import { expect, test } from "vitest";
import { isVisible, visible, visibleOctets } from "../src/visible";

test.each([
  ["\u001b[31mred", "\\x1b[31mred"],
  ["a\nb\r\tc\0", "a\\nb\\r\\tc\\x00"],
  ["\u202eabc\u200b\ufeff", "\\u202eabc\\u200b\\ufeff"],
  ["a\u00a0b\u2028c", "a\\xa0b\\u2028c"],
  ["\u{e0001}x\ud800", "\\U000e0001x\\ud800"],
  ["grün ☃ 😀 \\ <b>", "grün ☃ 😀 \\ <b>"],
])("%j is shown as %s, as Python does", (text, shown) => {
  expect(visible(text)).toBe(shown);
  expect(isVisible(text)).toBe(text === shown);
});

test("line ends and tabs stay where lines are shown", () => {
  expect(visible("a\n\tb\r\n\u001b", { lines: true })).toBe("a\n\tb\\r\n\\x1b");
});

test.each([
  [[0x67, 0xc3, 0xbc, 0x6e], "gün"],
  [[0xff, 0x61, 0xfe], "\\xffa\\xfe"],
  [[0xf0, 0x9f, 0x98, 0x80, 0xf0, 0x9f], "😀\\xf0\\x9f"],
  [[0xc3], "\\xc3"],
  [[0xed, 0xa0, 0x80], "\\xed\\xa0\\x80"],
  [[0xef, 0xbb, 0xbf, 0x61, 0x00], "\\ufeffa\\x00"],
  [[], ""],
])("octets that are no UTF-8 are escaped, the others read: %j", (octets, shown) => {
  expect(visibleOctets(Uint8Array.from(octets))).toBe(shown);
});

import { expect, test } from "vitest";
import { hexLines } from "../src/hex";
import { indentXml } from "../src/xml";

const lines = (text: string) => {
  const result = indentXml(text);
  return "text" in result ? result.text.split("\n") : result.error;
};

test("an element has a line, and what is in it is indented", () => {
  expect(
    lines(
      '<?xml version="1.0"?><a x="1>2"><b>text</b><c/>\n <d><e></e> tail </d><!-- <f> --></a>\n',
    ),
  ).toEqual([
    '<?xml version="1.0"?>',
    '<a x="1>2">',
    "  <b>text</b>",
    "  <c/>",
    "  <d>",
    "    <e></e>",
    "    tail",
    "  </d>",
    "  <!-- <f> -->",
    "</a>",
  ]);
});

test("a document type and CDATA stay as they are", () => {
  const type = '<!DOCTYPE a [<!ENTITY x "y">]>';
  expect(lines(`${type}<a><![CDATA[<b>&x;]]></a>`)).toEqual([
    type,
    "<a>",
    "  <![CDATA[<b>&x;]]>",
    "</a>",
  ]);
});

test.each([
  ["<a><b></a>", "line 1, column 7: </a> where <b> is to end"],
  ["</a>", "line 1, column 1: </a> ends nothing"],
  ["<a>", "<a> has no end"],
  ["<a>\n<b", "line 2, column 1: no tag and no text"],
  ["<a>1 < 2</a>", "line 1, column 6: no tag and no text"],
  ["", "nothing there"],
])("%j is no XML", (text, error) => {
  expect(lines(text)).toBe(error);
});

test("deep nesting makes no long lines, and long texts are left as they are", () => {
  const depth = 20_000;
  const deep = lines("<a>".repeat(depth) + "</a>".repeat(depth));
  expect(deep).toHaveLength(2 * depth - 1);
  expect(Math.max(...[...deep].map((line) => line.length))).toBeLessThan(100);
  expect(lines(`<a>${"x".repeat(2_000_000)}</a>`)).toBe("too long to be put in lines");
});

test("octets are shown 16 a line", () => {
  const octets = Uint8Array.from([...new TextEncoder().encode("Hello, world! \x00\xff"), 0x7e, 10]);
  expect(hexLines(octets).split("\n")).toEqual([
    "00000000  48 65 6c 6c 6f 2c 20 77 6f 72 6c 64 21 20 00 c3  Hello, world! ..",
    "00000010  bf 7e 0a                                         .~.",
  ]);
  expect(hexLines(new Uint8Array())).toBe("");
});

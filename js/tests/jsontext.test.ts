import { describe, expect, test } from "vitest";
import { type Json, type Leaf, linesOf, parseJson } from "../src/jsontext";

function parsed(text: string): Json {
  const result = parseJson(text);
  if ("error" in result) throw new Error(result.error);
  return result.value;
}

/** The same as the built-in parser gives, where that loses nothing. */
function plain(value: Json): unknown {
  if (value.kind === "object") {
    return Object.fromEntries(value.items.map(([key, item]) => [key, plain(item)]));
  }
  if (value.kind === "array") {
    return value.items.map(([, item]) => plain(item));
  }
  return value.kind === "string" ? value.text : JSON.parse((value as Leaf).text);
}

test.each([
  '{"a": [1, -2.5e3, true, false, null, {}], "b": {"c": "d"}, "": []}',
  " [ ] ",
  '"grün \\u263a \\"\\\\\\/\\b\\f\\n\\r\\t 😀"',
  "\t0\r\n",
  '{"__proto__": 1, "constructor": {"a": 2}}',
])("the value is that of JSON.parse: %s", (text) => {
  expect(JSON.stringify(plain(parsed(text)))).toBe(JSON.stringify(JSON.parse(text)));
});

test("numbers stay as they are written, and members that are there twice stay", () => {
  expect(parsed('{"n": 12345678901234567890, "n": 1.0, "2": 1E400}')).toEqual({
    kind: "object",
    items: [
      ["n", { kind: "number", text: "12345678901234567890" }],
      ["n", { kind: "number", text: "1.0" }],
      ["2", { kind: "number", text: "1E400" }],
    ],
  });
});

test.each([
  ["", "line 1, column 1: expected a value, found the end"],
  ["[1,]", 'line 1, column 4: expected a value, found "]"'],
  ['{"a": 1\n "b": 2}', 'line 2, column 2: expected , or }, found "\\""'],
  ["{a: 1}", 'line 1, column 2: expected a name in quotes, found "a"'],
  ['{"a" 1}', 'line 1, column 6: expected :, found "1"'],
  ["[1] x", 'line 1, column 5: expected the end, found "x"'],
  ["01", 'line 1, column 2: expected the end, found "1"'],
  ["[NaN]", 'line 1, column 2: expected a value, found "N"'],
  ["\ufeff1", 'line 1, column 1: expected a value, found "\ufeff"'],
])("%j is no JSON, and where", (text, error) => {
  expect(parseJson(text)).toEqual({ error });
});

test.each(['"open', '"a\nb"', '"\\x"', '"\\'])("%j is no string", (text) => {
  expect(parseJson(text)).toEqual({ error: expect.stringMatching(/^line 1, column 1: a string/) });
});

test("what the built-in parser refuses is refused", () => {
  for (const text of ["-", "1.", ".5", "1e", "+1", "tru", "[1 2]", "{", "[", '{"a":}', "[,1]"]) {
    expect(() => JSON.parse(text)).toThrow();
    expect(parseJson(text)).toHaveProperty("error");
  }
});

test("what is nested deeper than anyone reads is refused, and no stack overflows", () => {
  expect(parseJson("[".repeat(500) + "]".repeat(500))).toHaveProperty("value");
  for (const text of ["[".repeat(1_000_000), '{"a":'.repeat(200_000)]) {
    expect(parseJson(text)).toEqual({ error: expect.stringMatching(/nested too deeply/) });
  }
});

test("a large text is read in little time", () => {
  const text = JSON.stringify(Array.from({ length: 100_000 }, (_, n) => ({ n, text: `"${n}"` })));
  const value = parsed(text);
  expect("items" in value && value.items.length).toBe(100_000);
});

describe("the lines of the tree", () => {
  const value = parsed('{"a": [10, {"b": null}], "c d": "x"}');
  const shown = (open: [string, number][]) =>
    linesOf(value, new Map(open)).map(({ path, level, place, of, open }) =>
      [path, level, place, of, open].join(" "),
    );

  test("are those of containers that are open", () => {
    expect(shown([])).toEqual([" 1 1 1 false"]);
    expect(shown([["$", 200]])).toEqual([
      " 1 1 1 true",
      '["a"] 2 1 2 false',
      '["c d"] 2 2 2 false',
    ]);
    expect(
      shown([
        ["$", 200],
        ["$.0", 200],
      ]),
    ).toEqual([
      " 1 1 1 true",
      '["a"] 2 1 2 true',
      '["a"][0] 3 1 2 false',
      '["a"][1] 3 2 2 false',
      '["c d"] 2 2 2 false',
    ]);
  });

  test("offer the rest of a long container", () => {
    const long = parsed(JSON.stringify(Array.from({ length: 450 }, (_, n) => n)));
    const lines = linesOf(long, new Map([["$", 200]]));
    expect(lines).toHaveLength(202);
    expect(lines.at(-1)).toMatchObject({ value: null, hidden: 250, parent: "$", place: 201 });
    expect(linesOf(long, new Map([["$", 600]]))).toHaveLength(451);
  });
});

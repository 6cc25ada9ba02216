import { describe, expect, test } from "vitest";
import { matches, parseFilter, type Term, toPandas } from "../src/filter";
import vectors from "./filters.json";

interface Table {
  columns: [string, string][];
  rows: { headers: Record<string, string>; body: string }[];
}

const tables = vectors.tables as unknown as Record<string, Table>;

function tableOf(name: string): Table {
  const table = tables[name];
  if (table === undefined) throw new Error(`no table ${name}`);
  return table;
}

test.each(vectors.filters)("$filter finds the same rows of $table as in Python", (vector) => {
  const { columns, rows } = tableOf(vector.table);
  const { terms, error } = parseFilter(vector.filter);
  expect(error).toBeNull();
  expect(terms).toEqual(vector.terms);
  const found = rows.flatMap((row, i) => (matches(terms, row) ? [i] : []));
  expect(found).toEqual(vector.matches);
  expect(toPandas(terms, "prices", columns)).toBe(vector.pandas);
});

const term = (header: string | null, text: string, not = false): Term => ({ header, text, not });

test.each<[string, Term[]]>([
  ["", []],
  ["  \t\n ", []],
  ["word", [term(null, "word")]],
  [" two  words ", [term(null, "two"), term(null, "words")]],
  ["-word", [term(null, "word", true)]],
  ["-", [term(null, "-")]],
  ["--", [term(null, "-", true)]],
  ['"two words"', [term(null, "two words")]],
  ['"-word"', [term(null, "-word")]],
  ['-"two words"', [term(null, "two words", true)]],
  ['""', [term(null, "")]],
  ["name=value", [term("name", "value")]],
  ["name!=value", [term("name", "value", true)]],
  ["-name=value", [term("name", "value", true)]],
  ["-name!=value", [term("name", "value")]],
  ["name=", [term("name", "")]],
  ['name="a b"', [term("name", "a b")]],
  ['"my name"!="a b"', [term("my name", "a b", true)]],
  ['"a=b"=c', [term("a=b", "c")]],
  ["a=b=c", [term("a", "b=c")]],
  ["=x", [term(null, "=x")]],
  ["!=x", [term(null, "!=x")]],
  ["-=x", [term(null, "=x", true)]],
  ['"a=b"', [term(null, "a=b")]],
  [String.raw`\"a`, [term(null, '"a')]],
  [String.raw`"a \"b\" c"`, [term(null, 'a "b" c')]],
  [String.raw`C:\dir\\`, [term(null, "C:\\dir\\")]],
  ['{"a":1}', [term(null, "{a:1}")]],
  ['pre"a b"post', [term(null, "prea bpost")]],
])("%j is read as %j", (text, terms) => {
  expect(parseFilter(text)).toEqual({ terms, error: null });
});

test.each(['"open', 'a "b', String.raw`"a\"`])("%j has a quote without an end", (text) => {
  const { terms, error } = parseFilter(text);
  expect(terms).toEqual([]);
  expect(error).toMatch(/quote/);
});

describe("a header", () => {
  const row = (n: string | null) => ({ headers: { n }, body: "n=5" });
  const equal = (text: string, value: string | null) => matches([term("n", text)], row(value));

  test.each([
    ["5", "5.0"],
    ["05", "5"],
    ["5e-1", "0.50"],
    ["1e3", "1000"],
    ["-0", "0.0"],
    ["12345678901234567890.10", "12345678901234567890.1"],
  ])("that is a number equals it however it is written: %s and %s", (text, value) => {
    expect(equal(text, value)).toBe(true);
    expect(equal(value, text)).toBe(true);
  });

  test.each([
    ["12345678901234567890", "12345678901234567891"],
    ["5", "5 "],
    ["", "0"],
    [".", "0"],
    ["5", "-5"],
    ["0x10", "16"],
    ["+5", "5"],
    [".5", "0.5"],
    ["EUR", "eur"],
    ["5", null],
  ])("%j is not equal to %j", (text, value) => {
    expect(equal(text, value)).toBe(false);
  });

  test("that a stranger calls constructor is no part of the language", () => {
    expect(matches([term("constructor", "x")], row("5"))).toBe(false);
    expect(matches([term("constructor", "x", true)], row("5"))).toBe(true);
  });
});

test("text is looked for in the body and in all headers, whatever its case", () => {
  const row = { headers: { a: "Straße", b: null }, body: "GRÜN" };
  expect(["straß", "grün", "RÜ"].map((text) => matches([term(null, text)], row))).toEqual([
    true,
    true,
    true,
  ]);
  expect(matches([term(null, "null")], row)).toBe(false);
});

test("names and texts cannot end their literals in Python", () => {
  const evil = "\"'] or x #\n\\";
  const literal = String.raw`"\"'] or x #\n\\"`;
  expect(toPandas([term("h", evil)], "prices", [["h", evil]])).toBe(
    `prices.df[lambda df: df[${literal}] == ${literal}]`,
  );
});

/** What somebody types to find frames, and the same for pandas. */

import { pyNumber, sameValue } from "./numbers";
import { pyText } from "./python";

/** All terms of a filter must match. */
export interface Term {
  /** The header that is to equal the text; null: the text is anywhere, whatever its case. */
  header: string | null;
  text: string;
  not: boolean;
}

export interface Searched {
  headers: Record<string, string | null>;
  body: string;
}

/** A character of a word; a plain one may be an operator, others were quoted or escaped. */
type Character = { c: string; plain: boolean };

/**
 * The terms of a text: words, apart by blanks.
 *
 * `word` is anywhere in the body or a header, `name=value` and `name!=value` are about one header,
 * and a `-` in front inverts. Quotes keep blanks, `=` and `-` as they are, anywhere in a word; `\"`
 * is a quote and `\\` a backslash.
 */
export function parseFilter(text: string): { terms: Term[]; error: string | null } {
  const words: Character[][] = [];
  let word: Character[] | null = null;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text.charAt(i);
    const next = text.charAt(i + 1);
    if (!quoted && /\s/.test(c)) {
      word = null;
      continue;
    }
    if (word === null) {
      word = [];
      words.push(word);
    }
    if (c === "\\" && (next === '"' || next === "\\")) {
      word.push({ c: next, plain: false });
      i++;
    } else if (c === '"') {
      quoted = !quoted;
    } else {
      word.push({ c, plain: !quoted });
    }
  }
  return quoted
    ? { terms: [], error: 'a quote has no end: \\" is one to look for' }
    : { terms: words.map(termOf), error: null };
}

function termOf(word: Character[]): Term {
  const isPlain = (at: number, c: string) => word[at]?.plain === true && word[at].c === c;
  const not = word.length > 1 && isPlain(0, "-");
  const start = not ? 1 : 0;
  const equals = word.findIndex((_, at) => isPlain(at, "="));
  const unequal = isPlain(equals - 1, "!");
  const end = unequal ? equals - 1 : equals;
  const text = (from: number, to?: number) =>
    word
      .slice(from, to)
      .map(({ c }) => c)
      .join("");
  if (end <= start) {
    return { header: null, text: text(start), not };
  }
  return { header: text(start, end), text: text(equals + 1), not: not !== unequal };
}

/** Whether a row has all that the terms say. */
export function matches(terms: Term[], row: Searched): boolean {
  return terms.every((term) => has(term, row) !== term.not);
}

function has({ header, text }: Term, row: Searched): boolean {
  if (header === null) {
    const sought = text.toLowerCase();
    return [row.body, ...Object.values(row.headers)].some((value) =>
      value?.toLowerCase().includes(sought),
    );
  }
  const value = Object.hasOwn(row.headers, header) ? row.headers[header] : null;
  return typeof value === "string" && sameValue(value, text);
}

/**
 * A Python expression for the rows of `variable.df` that match, without further imports.
 *
 * The DataFrame is asked for once: that of a live stream is another one a moment later.
 *
 * Text is looked for in what Python makes of a value: of a body that was decoded as JSON that is
 * `{'a': 1}`, and of a number `5.0` as often as `5.00`.
 */
export function toPandas(terms: Term[], variable: string, columns: [string, string][]): string {
  const conditions = terms.map((term) => condition(term, columns));
  const together =
    conditions.length === 1 ? conditions[0] : conditions.map((one) => `(${one})`).join(" & ");
  return terms.length === 0 ? `${variable}.df` : `${variable}.df[lambda df: ${together}]`;
}

function condition({ header, text, not }: Term, columns: [string, string][]): string {
  if (header === null) {
    return `${not ? "~" : ""}${anywhere(text.toLowerCase(), columns)}`;
  }
  const column = columns.find(([name]) => name === header)?.[1];
  return column === undefined ? nowhere(not) : equal(column, text, not);
}

/** The condition for a header that no frame has. */
function nowhere(not: boolean): string {
  return not ? 'df["size"] >= 0' : 'df["size"] < 0';
}

/** `isin` knows no gaps: a row without the header is not equal, and thus unequal. */
function equal(column: string, text: string, not: boolean): string {
  const place = `df[${pyText(column)}]`;
  const number = pyNumber(text);
  const values = number === null ? pyText(text) : `${number}, ${pyText(text)}`;
  const isIn = `${place}.isin([${values}])`;
  if (number !== null && isTime(column)) {
    const time = timeOf(Number(number));
    if (time !== null) {
      return `${not ? "~" : ""}(${isIn} | (${place} == ${pyText(time)}))`;
    }
  }
  return not ? `~${isIn}` : number === null ? `${place} == ${pyText(text)}` : isIn;
}

/** Columns whose epoch milliseconds are times in a DataFrame; `columns.py` decides. */
function isTime(column: string): boolean {
  return column === "expires" || column.toLowerCase().endsWith("timestamp");
}

function timeOf(ms: number): string | null {
  return Number.isInteger(ms) && ms >= 1e11 && ms <= 32_503_680_000_000
    ? new Date(ms).toISOString()
    : null;
}

/** What Python writes for values that are missing: text in there is not to be found. */
const MISSING = ["nan", "nat", "<na>", "none"];

function anywhere(sought: string, columns: [string, string][]): string {
  // Octets of a body read as b'…' in Python, which does no harm to most of what one looks for.
  const plain = /^[ -&(-[\]-~]{2,}$/.test(sought);
  // In a time there are digits to be found, and those of its milliseconds.
  const times = /^[\d :+.-]+$/.test(sought) && columns.some(([, column]) => isTime(column));
  let value = "str(v)";
  if (times) {
    value = `f"{v.timestamp() * 1000:.0f}" if hasattr(v, "timestamp") else ${value}`;
  }
  if (!plain) {
    value = `v.decode(errors="replace") if isinstance(v, bytes) else ${value}`;
  }
  const test = `lambda v: ${pyText(sought)} in ${value === "str(v)" ? value : `(${value})`}.lower()`;
  const everything = `df.drop(columns=["received_at", "size"])`;
  // A time that is missing has no timestamp to be asked for.
  return times || MISSING.some((word) => word.includes(sought))
    ? `${everything}.map(${test}, na_action="ignore").eq(True).any(axis=1)`
    : `${everything}.map(${test}).any(axis=1)`;
}

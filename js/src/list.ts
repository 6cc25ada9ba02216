import type { Term } from "./filter";
import { matches } from "./filter";
import type { Found } from "./protocol";
import type { FrameRow, RowCache } from "./rows";

/** The frames that a table shows, by their numbers, in its order. */
export interface List {
  readonly count: number;
  at(i: number): number;
  /** Where a frame is in the list; -1 when it is not. */
  indexOf(number: number): number;
}

/** All frames from `first` up to, without, `end`, whether they are in this page or not. */
export function all(first: number, end: number): List {
  const count = Math.max(0, end - first);
  return {
    count,
    at: (i) => first + i,
    indexOf: (number) => (number >= first && number < end ? number - first : -1),
  };
}

export function chosen(numbers: number[]): List {
  const places = new Map(numbers.map((number, i) => [number, i]));
  return {
    count: numbers.length,
    at: (i) => numbers[i] ?? -1,
    indexOf: (number) => places.get(number) ?? -1,
  };
}

/**
 * The frames that match, ascending: what the kernel has found, which has whole bodies, and what this
 * page finds among the rows that the kernel has not looked at.
 */
export function matching(
  terms: Term[],
  rows: RowCache,
  found: Found | null,
  first: number,
  end: number,
): number[] {
  const looked = found?.end ?? 0;
  const numbers = (found?.numbers ?? []).filter((number) => number >= first && number < end);
  for (const row of rows.values()) {
    if (row.number >= Math.max(first, looked) && row.number < end && matches(terms, row)) {
      numbers.push(row.number);
    }
  }
  return numbers.sort((a, b) => a - b);
}

/** What a later search has found, put to an earlier one. */
export function joined(before: Found | null, now: Found, limit: number): Found {
  if (before === null || before.stream !== now.stream || now.first > before.end) {
    return now;
  }
  const numbers = [...before.numbers.filter((number) => number < now.first), ...now.numbers];
  return {
    ...now,
    first: before.first,
    total: before.total + now.total,
    numbers: numbers.slice(-limit),
  };
}

export interface Sort {
  column: string;
  descending: boolean;
}

/** Rows in the order of a column: numbers before texts, and what is missing last. */
export function sorted(
  rows: FrameRow[],
  value: (row: FrameRow) => string | number | null,
  descending: boolean,
): number[] {
  const keyed = rows.map((row) => ({ number: row.number, key: keyOf(value(row)) }));
  const direction = descending ? -1 : 1;
  keyed.sort((a, b) => {
    if (a.key === null || b.key === null) {
      return Number(a.key === null) - Number(b.key === null) || a.number - b.number;
    }
    return direction * compare(a.key, b.key) || a.number - b.number;
  });
  return keyed.map((row) => row.number);
}

function keyOf(value: string | number | null): string | number | null {
  return typeof value === "string" && /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value;
}

function compare(a: string | number, b: string | number): number {
  if (typeof a !== typeof b) {
    return typeof a === "number" ? -1 : 1;
  }
  return a < b ? -1 : Number(a > b);
}

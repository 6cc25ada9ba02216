import { describe, expect, test } from "vitest";
import { parseFilter } from "../src/filter";
import { Geometry, ROW, TALLEST } from "../src/geometry";
import { all, chosen, joined, matching, sorted } from "../src/list";
import { RowCache } from "../src/rows";
import { COLUMNS, rowsOf } from "./kernel";

function cache(first: number, end: number): RowCache {
  const rows = new RowCache();
  rows.take(COLUMNS, first, rowsOf(first, end));
  return rows;
}

test("all frames from the oldest that is kept on are a list", () => {
  const list = all(5, 8);
  expect([list.count, list.at(0), list.at(2)]).toEqual([3, 5, 7]);
  expect([list.indexOf(4), list.indexOf(5), list.indexOf(8)]).toEqual([-1, 0, -1]);
});

test("chosen frames keep their order", () => {
  const list = chosen([9, 3, 7]);
  expect([list.count, list.at(1), list.indexOf(7), list.indexOf(4)]).toEqual([3, 3, 2, -1]);
});

describe("matching", () => {
  const { terms } = parseFilter("currency=EUR");

  test("finds among the rows of the page while the kernel has not answered", () => {
    expect(matching(terms, cache(0, 10), null, 2, 8)).toEqual([3, 5, 7]);
  });

  test("takes the kernel's word for what it has looked at", () => {
    const found = { stream: "s1", numbers: [1, 4], total: 2, first: 0, end: 6 };
    expect(matching(terms, cache(0, 10), found, 0, 10)).toEqual([1, 4, 7, 9]);
  });
});

test("what a later search has found is put to the earlier, the newest are kept", () => {
  const before = { stream: "s1", numbers: [1, 4], total: 2, first: 0, end: 6 };
  const now = { stream: "s1", numbers: [6, 8], total: 2, first: 6, end: 9 };
  expect(joined(before, now, 3)).toEqual({
    stream: "s1",
    numbers: [4, 6, 8],
    total: 4,
    first: 0,
    end: 9,
  });
  expect(joined(null, now, 3)).toBe(now);
  expect(joined(before, { ...now, first: 7 }, 3).first).toBe(7);
});

test("rows are sorted as numbers where they are, then as text, what is missing last", () => {
  const rows = [...cache(0, 5).values()];
  const values = ["10", "9", null, "x", "-1.5"];
  const by = (descending: boolean) => sorted(rows, (row) => values[row.number] ?? null, descending);
  expect(by(false)).toEqual([4, 1, 0, 3, 2]);
  expect(by(true)).toEqual([3, 0, 1, 4, 2]);
});

describe("the geometry of a list", () => {
  test("that is short is what it seems", () => {
    const geometry = new Geometry(100, 10 * ROW);
    expect(geometry.height).toBe(100 * ROW);
    expect(geometry.inSight(3 * ROW)).toEqual([3, 13]);
    expect(geometry.place(7, 3 * ROW)).toBe(7 * ROW);
    expect(geometry.reveal(2, 3 * ROW)).toBe(2 * ROW);
    expect(geometry.reveal(20, 3 * ROW)).toBe(11 * ROW);
    expect(geometry.reveal(5, 3 * ROW)).toBe(3 * ROW);
  });

  test("of a million rows is as high as a browser can draw, from the first row to the last", () => {
    const geometry = new Geometry(1_000_000, 10 * ROW);
    expect(geometry.height).toBe(TALLEST);
    expect(geometry.inSight(0)[0]).toBe(0);
    expect(geometry.inSight(geometry.bottom)[1]).toBe(1_000_000);
    const [first, last] = geometry.inSight(TALLEST / 2);
    expect(geometry.place(first, TALLEST / 2)).toBeLessThanOrEqual(TALLEST / 2);
    expect(geometry.place(last, TALLEST / 2)).toBeGreaterThanOrEqual(TALLEST / 2 + 10 * ROW - 1);
    expect(geometry.inSight(geometry.reveal(777_777, 0))).toContain(777_778);
    expect(geometry.reveal(777_777, geometry.moved(0, 777_770))).toBeCloseTo(
      geometry.moved(0, 777_770),
    );
  });

  test("without rows has no height", () => {
    expect(new Geometry(0, 240).inSight(0)).toEqual([0, 0]);
    expect(new Geometry(0, 240).bottom).toBe(0);
  });
});

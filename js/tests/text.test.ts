import { describe, expect, test } from "vitest";
import { frameAt } from "../src/app";
import { framesPerSecond, rate } from "../src/rate";
import { clock, counted, moment, octets, span } from "../src/text";
import { stream } from "./kernel";

test.each([
  [0, "0 frames"],
  [1, "1 frame"],
  [1234, "1,234 frames"],
])("%i frames read as %s", (n, text) => expect(counted(n, "frame")).toBe(text));

test.each([
  [12, "12 B"],
  [999, "999 B"],
  [1000, "0.977 KB"],
  [65_536, "64 KB"],
  [2_400_000, "2.29 MB"],
])("%i octets read as %s", (n, text) => expect(octets(n)).toBe(text));

test.each([
  [3.2, "3 ms"],
  [-20, "-20 ms"],
  [1500, "1.5 s"],
  [600_000, "10 min"],
])("%d ms read as %s", (ms, text) => expect(span(ms)).toBe(text));

test("times are UTC, and one that is none is nothing", () => {
  expect(clock(1_700_000_000_123)).toBe("22:13:20.123");
  expect(moment(1_700_000_000_123)).toBe("2023-11-14 22:13:20.123");
  expect([clock(1e300), moment(Number.NaN)]).toEqual(["", ""]);
});

describe("the rate of a stream", () => {
  const of = (second: number, ...frames: number[]) =>
    stream(
      frames.reduce((sum, n) => sum + n, 0),
      { rate: { second, frames }, octets: 1000 },
    );

  test("is that of the last five whole seconds", () => {
    expect(framesPerSecond(of(105, 90, 10, 10, 10, 10, 10, 7), 105.5)).toBe(10);
  });

  test("of a stream that has just begun is that of its whole seconds", () => {
    expect(framesPerSecond(of(105, 30, 10, 7), 105.5)).toBe(20);
    expect(framesPerSecond(of(105, 7), 105.5)).toBe(0);
  });

  test("falls to nothing when nothing comes", () => {
    expect(framesPerSecond(of(100, 10, 10), 103)).toBe(20 / 4);
    expect(framesPerSecond(of(100, 10, 10), 200)).toBe(0);
    expect(framesPerSecond(stream(0, { rate: { second: 0, frames: [] } }), 200)).toBe(0);
  });

  test("adds up over streams, frames and octets", () => {
    expect(rate([of(104, 10, 10, 10, 10, 10), of(104, 0, 0, 0, 0, 5)], 105)).toEqual([11, 400]);
  });
});

test("a second of the chart leads to its first frame", () => {
  const one = stream(60, { rate: { second: 105, frames: [10, 20, 30] } });
  expect([100, 103, 104, 105, 106].map((second) => frameAt(one, second))).toEqual([
    0, 0, 10, 30, 60,
  ]);
});

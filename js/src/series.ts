/** Frames per second as curves: which seconds, how high, where. Times are seconds since 1970. */

export interface Series {
  id: string;
  name: string;
  /** The second that the last number is for. */
  second: number;
  /** Frames in each second, oldest first. */
  frames: number[];
}

/** Seconds from the first to the last, both included. */
export interface Span {
  from: number;
  to: number;
}

/** So many seconds are known. */
export const KNOWN = 300;

/** A span has so many seconds at the least. */
const SHORTEST = 5;

/** The seconds that can be shown now. */
export function knownSpan(now: number): Span {
  const to = Math.floor(now);
  return { from: to - KNOWN + 1, to };
}

export function lengthOf({ from, to }: Span): number {
  return to - from + 1;
}

/** A span that is long enough and within another, as near to what was wanted as can be. */
export function fitted(wanted: Span, within: Span): Span {
  const length = Math.min(Math.max(lengthOf(wanted), SHORTEST), lengthOf(within));
  const middle = (wanted.from + wanted.to - length + 1) / 2;
  const from = clamp(Math.round(middle), within.from, within.to - length + 1);
  return { from, to: from + length - 1 };
}

/** A span around a second that has `factor` times the length. */
export function scaled(span: Span, around: number, factor: number): Span {
  const length = Math.round(lengthOf(span) * factor);
  const from = around - Math.floor(length / 2);
  return { from, to: from + length - 1 };
}

export function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most);
}

export function framesAt({ second, frames }: Series, at: number): number {
  return frames[frames.length - 1 - (second - at)] ?? 0;
}

export function framesIn(series: Series, { from, to }: Span): number {
  return valuesOf(series, { from, to }).reduce((sum, n) => sum + n, 0);
}

export function peakOf(series: Series, span: Span): number {
  return Math.max(0, ...valuesOf(series, span));
}

function valuesOf(series: Series, span: Span): number[] {
  return Array.from({ length: lengthOf(span) }, (_, i) => framesAt(series, span.from + i));
}

/** Round numbers from 0 to at least `most`: three or four, where frames can be counted so. */
export function ticksUpTo(most: number): number[] {
  let step = 1;
  for (let tens = 1; step * 3 < most; tens *= 10) {
    step = [tens, 2 * tens, 5 * tens].find((round) => round * 3 >= most) ?? step;
  }
  const count = Math.max(1, Math.ceil(most / step));
  return Array.from({ length: count + 1 }, (_, i) => i * step);
}

/** The height of a chart, whatever it has on the screen; its width is the seconds that it shows. */
export const HEIGHT = 100;

/** A series as a path of steps, each as wide as its second. */
export function stepsOf(series: Series, span: Span, top: number): string {
  const heights = valuesOf(series, span).map((n) => HEIGHT - (HEIGHT * n) / top);
  return heights.map((y, i) => `${i === 0 ? "M0 " : "V"}${round(y)}H${i + 1}`).join("");
}

function round(y: number): number {
  return Math.round(y * 100) / 100;
}

/** The series whose curve is nearest to a height, first among those with frames in that second. */
export function nearest(all: Series[], at: number, height: number): Series | undefined {
  const some = all.filter((series) => framesAt(series, at) > 0);
  const far = (series: Series) => Math.abs(framesAt(series, at) - height);
  return (some.length > 0 ? some : all).reduce<Series | undefined>(
    (best, series) => (best === undefined || far(series) < far(best) ? series : best),
    undefined,
  );
}

import type { StreamWindow } from "./protocol";

/** Seconds over which a rate is taken: the last whole ones. */
const SPAN = 5;

/** Frames and octets a second of some streams together; `now` is the kernel's clock, in seconds. */
export function rate(streams: StreamWindow[], now: number): [number, number] {
  let [frames, bytes] = [0, 0];
  for (const stream of streams) {
    const one = framesPerSecond(stream, now);
    frames += one;
    bytes += stream.received > 0 ? (one * stream.octets) / stream.received : 0;
  }
  return [frames, bytes];
}

export function framesPerSecond({ rate: { second, frames } }: StreamWindow, now: number): number {
  const present = Math.floor(now);
  let sum = 0;
  for (let back = 1; back <= SPAN; back++) {
    sum += frames[frames.length - 1 - (second - (present - back))] ?? 0;
  }
  return sum / Math.min(SPAN, Math.max(1, present - second + frames.length - 1));
}

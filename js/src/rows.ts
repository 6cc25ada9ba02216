import type { Column, Row, StreamWindow } from "./protocol";

/** How many rows of a stream a page keeps; older ones are asked for again. */
export const KEPT = 5000;
const SLACK = 500;

/** One frame as a table shows it: short texts in which every character can be seen. */
export interface FrameRow {
  number: number;
  /** When it came, in milliseconds since 1970. */
  received: number;
  /** The octets of its body. */
  size: number;
  body: string;
  headers: Record<string, string | null>;
}

/** The rows of one stream that are in this page, by their numbers. */
export class RowCache {
  /** The DataFrame columns of the headers that occurred, in order of appearance. */
  readonly columns = new Map<string, string>();
  /** Grows when rows come in. */
  version = 0;
  #rows = new Map<number, FrameRow>();
  #centre = Number.MAX_SAFE_INTEGER;

  get size(): number {
    return this.#rows.size;
  }

  get(number: number): FrameRow | undefined {
    return this.#rows.get(number);
  }

  values(): Iterable<FrameRow> {
    return this.#rows.values();
  }

  take(columns: Column[], first: number, rows: Row[]): void {
    for (const [header, column] of columns) {
      this.columns.set(header, column);
    }
    let changed = false;
    for (const [i, row] of rows.entries()) {
      if (!this.#rows.has(first + i)) {
        this.#rows.set(first + i, frameRow(first + i, columns, row));
        changed = true;
      }
    }
    if (changed) {
      this.version++;
      this.#evict();
    }
  }

  /** The numbers from `first` up to, without, `end` that are not here, as one range; else null. */
  missing(first: number, end: number): [number, number] | null {
    const lacks = (number: number) => !this.#rows.has(number);
    let from = first;
    while (from < end && !lacks(from)) {
      from++;
    }
    let to = end;
    while (to > from && !lacks(to - 1)) {
      to--;
    }
    return from < to ? [from, to] : null;
  }

  /** Says where somebody reads: rows far from there go first. */
  lookAt(number: number): void {
    this.#centre = number;
  }

  #evict(): void {
    if (this.#rows.size <= KEPT + SLACK) {
      return;
    }
    const far = (number: number) => Math.abs(number - this.#centre);
    const numbers = [...this.#rows.keys()].sort((a, b) => far(b) - far(a));
    for (const number of numbers.slice(0, numbers.length - KEPT)) {
      this.#rows.delete(number);
    }
  }
}

/** A header may be called like anything that an object has, and thus it has nothing. */
function frameRow(number: number, columns: Column[], row: Row): FrameRow {
  const [received, size, body, ...values] = row;
  const headers: Record<string, string | null> = Object.create(null);
  for (const [i, [header]] of columns.entries()) {
    headers[header] = values[i] ?? null;
  }
  return { number, received, size, body, headers };
}

/** A window with the newest `limit` rows of each stream: what a saved notebook keeps. */
export function withFewRows(stream: StreamWindow, limit: number): StreamWindow {
  const rows = stream.rows.slice(-limit);
  return { ...stream, rows, first: stream.first + stream.rows.length - rows.length };
}

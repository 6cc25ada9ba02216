import type { AnyModel } from "@anywidget/types";
import { act } from "preact/test-utils";
import type { Column, Row, SessionWindow, StreamWindow } from "../src/protocol";
import type { State } from "../src/store";

type Callback = (...args: unknown[]) => void;

export interface Request {
  kind: string;
  id: string;
  [key: string]: unknown;
}

/** A widget model as anywidget shows it: every caller gets a different object in front of it. */
export class FakeModel {
  saved = 0;
  /** What the browser has asked for, the greeting left out. */
  readonly requests: Request[] = [];
  readonly #listeners = new Map<string, Set<Callback>>();
  #snapshot: unknown;

  constructor(snapshot: unknown = null) {
    this.#snapshot = snapshot;
  }

  proxy(): AnyModel<State> {
    return {
      get: () => this.#snapshot,
      set: (_key: string, value: unknown) => this.snapshot(value),
      on: (event: string, callback: Callback) => this.#of(event).add(callback),
      off: (event: string, callback: Callback) => this.#of(event).delete(callback),
      save_changes: () => this.saved++,
      send: (request: Request) => request.kind !== "hello" && this.requests.push(request),
    } as unknown as AnyModel<State>;
  }

  /** The kernel sends a custom message. */
  message(content: unknown, buffers: unknown[] = []): void {
    this.#emit("msg:custom", content, buffers);
  }

  /** The kernel answers the newest request of a kind. */
  async answer(kind: string, result: unknown, octets: Uint8Array = new Uint8Array()) {
    const id = this.requested(kind)?.id;
    await act(async () => this.message({ kind: "reply", id, result }, [octets.slice().buffer]));
  }

  async refuse(kind: string, message: string, hint = "") {
    const id = this.requested(kind)?.id;
    await act(async () => this.message({ kind: "reply", id, error: { message, hint } }));
  }

  requested(kind: string): Request | undefined {
    return this.requests.filter((request) => request.kind === kind).at(-1);
  }

  /** The kernel sends the trait. */
  snapshot(value: unknown): void {
    if (value !== this.#snapshot) {
      this.#snapshot = value;
      this.#emit("change:_snapshot");
    }
  }

  get kept(): unknown {
    return this.#snapshot;
  }

  get listeners(): number {
    return [...this.#listeners.values()].reduce((sum, set) => sum + set.size, 0);
  }

  #of(event: string): Set<Callback> {
    const set = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, set);
    return set;
  }

  #emit(event: string, ...args: unknown[]): void {
    for (const callback of [...this.#of(event)]) {
      callback(...args);
    }
  }
}

export const NOW = Date.UTC(2026, 10, 24, 12, 0, 0);

/** Rows `first` up to, without, `end`, as a kernel sends them: bodies "body 0", "body 1" … */
export function rowsOf(first: number, end: number): Row[] {
  return Array.from({ length: Math.max(0, end - first) }, (_, i) => {
    const n = first + i;
    return [NOW + n, 100 + n, `body ${n}`, "text/plain", n % 2 ? "EUR" : "USD"];
  });
}

export const COLUMNS: Column[] = [
  ["content-type", "content_type"],
  ["currency", "currency"],
];

/** A stream of so many frames, the newest twenty of which come along. */
export function stream(received = 30, changes: Partial<StreamWindow> = {}): StreamWindow {
  const first = Math.max(changes.dropped ?? 0, received - 20);
  return {
    id: "s1",
    name: "ticks",
    destination: "/topic/ticks",
    ack: "auto",
    state: "live",
    error: null,
    received,
    dropped: 0,
    octets: received * 100,
    waiting: 0,
    answers: false,
    tally: null,
    variable: "ticks",
    rate: { second: NOW / 1000, frames: [received] },
    columns: COLUMNS,
    first,
    rows: rowsOf(first, received),
    ...changes,
  };
}

export function sessionWindow(seq: number, ...streams: StreamWindow[]): SessionWindow {
  return {
    kind: "window",
    seq,
    now: NOW,
    session: {
      name: "127.0.0.1:61613",
      address: "127.0.0.1:61613",
      state: "connected",
      server: "RabbitMQ/3.13",
      version: "1.2",
      error: null,
      sent: 0,
      received: 0,
      reconnects: 0,
      passed: 0,
      transaction: null,
      beats: null,
    },
    streams,
    log: [],
  };
}

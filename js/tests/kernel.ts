import type { AnyModel } from "@anywidget/types";
import type { State } from "../src/newest";
import widget from "../src/widget";
import type { SessionWindow, StreamWindow } from "../src/window";

type Callback = (...args: unknown[]) => void;

/** A widget model as anywidget shows it: every caller gets a different object in front of it. */
export class FakeModel {
  sentBack = 0;
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
      save_changes: () => this.sentBack++,
      send: () => this.sentBack++,
    } as unknown as AnyModel<State>;
  }

  /** The kernel sends a custom message. */
  message(content: unknown): void {
    this.#emit("msg:custom", content, []);
  }

  /** The kernel sends the trait. */
  snapshot(value: unknown): void {
    if (value !== this.#snapshot) {
      this.#snapshot = value;
      this.#emit("change:_snapshot");
    }
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

export function stream(changes: Partial<StreamWindow> = {}): StreamWindow {
  return {
    name: "ticks",
    destination: "/topic/ticks",
    received: 1234,
    dropped: 0,
    live: true,
    error: null,
    columns: ["n", "body"],
    rows: [
      ["1", "one"],
      ["2", "two"],
    ],
    ...changes,
  };
}

export function sessionWindow(seq: number, ...streams: StreamWindow[]): SessionWindow {
  return {
    kind: "window",
    seq,
    session: { address: "127.0.0.1:61613", state: "connected" },
    streams: streams.length > 0 ? streams : [stream()],
  };
}

/** Shows one more view of the model, as a notebook does for every cell that displays it. */
export function open(model: FakeModel, signal?: AbortSignal) {
  const el = document.createElement("div");
  document.body.append(el);
  const close = widget.render({ model: model.proxy(), el, ...(signal && { signal }) });
  return { el, close };
}

/** A model whose widget code has run, as it does once before there is any view. */
export function start(snapshot: unknown = null, signal?: AbortSignal) {
  const model = new FakeModel(snapshot);
  const stop = widget.initialize({ model: model.proxy(), ...(signal && { signal }) });
  return { model, stop };
}

export function nextFrame(): Promise<void> {
  return new Promise((resolve) => requestAnimationFrame(() => resolve()));
}

export function texts(el: Element, selector: string): string[] {
  return [...el.querySelectorAll(selector)].map((node) => node.textContent ?? "");
}

import type { AnyModel } from "@anywidget/types";
import { isReply, isRows, isWindow, type SessionWindow } from "./protocol";
import { RowCache, withFewRows } from "./rows";

/** The traits shared with the kernel. What they hold is checked before it is used. */
export interface State {
  _snapshot: unknown;
}

/** A request that the kernel has refused, or could not do. */
export class Refused extends Error {
  readonly hint: string;

  constructor(message: string, hint: string) {
    super(message);
    this.hint = hint;
  }
}

export interface Answer {
  result: unknown;
  octets: Uint8Array;
}

interface Waiting {
  resolve: (answer: Answer) => void;
  reject: (error: Error) => void;
}

/** So many rows are kept in a saved notebook. */
const SAVED_ROWS = 50;
/** So many rows are asked for at a time. */
const PAGE = 200;
/** After so many milliseconds rows are asked for again that did not come. */
const RETRY = 2000;
/** After so many milliseconds an answer is not expected any more. */
const LOST = 30_000;

/**
 * What one widget knows, shared by all its views: the newest window, the rows that are here, and
 * the requests that wait for the kernel.
 *
 * The newest window is kept in the model's `_snapshot`, too, so that a notebook that is saved shows
 * what came last. Nothing here may call `save_changes`: the kernel knows its own windows.
 */
export class Store {
  window: SessionWindow | null = null;
  readonly #model: AnyModel<State>;
  readonly #listeners = new Set<() => void>();
  readonly #caches = new Map<string, RowCache>();
  readonly #waiting = new Map<string, Waiting>();
  readonly #notBefore = new Map<string, number>(); // when a stream's rows may be asked for again
  readonly #page = Math.random().toString(36).slice(2, 10);
  #requests = 0;
  #ahead = 0;

  constructor(model: AnyModel<State>) {
    this.#model = model;
    model.on("msg:custom", this.#takeMessage);
    model.on("change:_snapshot", this.#takeSnapshot);
    this.#takeSnapshot();
    // What the kernel sent before this page listened is lost.
    this.request("hello").catch(() => undefined);
  }

  close(): void {
    this.#model.off("msg:custom", this.#takeMessage);
    this.#model.off("change:_snapshot", this.#takeSnapshot);
    for (const { reject } of this.#waiting.values()) {
      reject(new Refused("the widget was closed", ""));
    }
    this.#waiting.clear();
    this.#listeners.clear();
  }

  /** Has `listener` called after each change; returns the way to stop. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The kernel's clock now, in milliseconds since 1970: the browser's may differ. */
  get now(): number {
    return Date.now() + this.#ahead;
  }

  rows(stream: string): RowCache {
    let cache = this.#caches.get(stream);
    if (cache === undefined) {
      cache = new RowCache();
      this.#caches.set(stream, cache);
    }
    return cache;
  }

  /** Asks the kernel for something; a kernel that is busy answers when it is not. */
  request(kind: string, args: Record<string, unknown> = {}): Promise<Answer> {
    const id = `${this.#page}-${++this.#requests}`;
    return new Promise((resolve, reject) => {
      this.#model.send({ kind, id, ...args });
      this.#waiting.set(id, { resolve, reject }); // not of one that could not be sent
    });
  }

  /** Brings the rows from `first` up to, without, `end` here, unless they are or are on the way. */
  async bring(stream: string, first: number, end: number): Promise<void> {
    const cache = this.rows(stream);
    cache.lookAt((first + end) / 2);
    const missing = cache.missing(first, end);
    if (missing === null || Date.now() < (this.#notBefore.get(stream) ?? 0)) {
      return;
    }
    this.#notBefore.set(stream, Date.now() + LOST); // for as long as the answer may be on its way
    let wait = RETRY;
    try {
      const [from, to] = missing;
      // Where only what comes before is missing, a reader scrolls up: a page that ends there. One
      // that was too large for an answer was cut at its end, and is not asked for again.
      const known = this.window?.streams.find(({ id }) => id === stream);
      const above = Math.max(known?.dropped ?? 0, to - PAGE);
      const start = to < end && cache.get(above) === undefined ? above : from;
      const { result } = await this.request("rows", { stream, first: start, count: PAGE });
      if (isRows(result) && result.rows.length > 0) {
        cache.take(result.columns, result.first, result.rows);
        wait = 0;
      }
    } catch (error) {
      console.warn("stompy: rows that are in sight did not come:", error);
    }
    this.#notBefore.set(stream, Date.now() + wait);
    if (wait === 0) {
      this.#tell();
    }
  }

  #takeMessage = (message: unknown, buffers: unknown) => {
    if (isReply(message)) {
      const waiting = this.#waiting.get(message.id);
      this.#waiting.delete(message.id); // another page's is not in there
      if (message.error) {
        waiting?.reject(new Refused(message.error.message, message.error.hint));
      } else {
        waiting?.resolve({ result: message.result, octets: octetsOf(buffers) });
      }
    } else if (isWindow(message) && this.#isNews(message)) {
      this.#takeWindow(message);
      const streams = message.streams.map((stream) => withFewRows(stream, SAVED_ROWS));
      this.#model.set("_snapshot", { ...message, streams });
    }
  };

  #takeSnapshot = () => {
    const snapshot = this.#model.get("_snapshot");
    if (isWindow(snapshot) && this.#isNews(snapshot)) {
      this.#takeWindow(snapshot);
    } else if (this.window !== null && snapshot !== this.window) {
      // The kernel took this snapshot before it sent the message that came in first.
      this.#model.set("_snapshot", this.window);
    }
  };

  #isNews(window: SessionWindow): boolean {
    return window.seq >= (this.window?.seq ?? 0);
  }

  #takeWindow(window: SessionWindow): void {
    this.window = window;
    this.#ahead = window.now - Date.now();
    const ids = new Set(window.streams.map(({ id }) => id));
    for (const id of [...this.#caches.keys()].filter((id) => !ids.has(id))) {
      this.#caches.delete(id);
    }
    for (const stream of window.streams) {
      this.rows(stream.id).take(stream.columns, stream.first, stream.rows);
    }
    this.#tell();
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) {
      listener();
    }
  }
}

/** Hosts differ in what they make of a buffer. */
function octetsOf(buffers: unknown): Uint8Array {
  const buffer: unknown = Array.isArray(buffers) ? buffers[0] : undefined;
  // It may be one of another frame's, which is no instance of this one's class.
  if (Object.prototype.toString.call(buffer) === "[object ArrayBuffer]") {
    return new Uint8Array(buffer as ArrayBuffer);
  }
  if (ArrayBuffer.isView(buffer)) {
    return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  }
  return new Uint8Array();
}

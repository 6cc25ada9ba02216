import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Store } from "./store";

/** An id for an element. Preact's own are the same in all widgets of a page. */
export function useId(): string {
  return useState(() => `stompy-${Math.random().toString(36).slice(2)}`)[0];
}

/** What a value was when this was drawn last; at first, what it is. */
export function usePrevious<Kind>(value: Kind): Kind {
  const before = useRef(value);
  const previous = before.current;
  before.current = value;
  return previous;
}

/** Draws again after each change of the store, once per refresh of the screen at the most. */
export function useChanges(store: Store): void {
  const [, draw] = useState(0);
  useEffect(() => {
    let frame = 0;
    const schedule = () => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        draw((n) => n + 1);
      });
    };
    const stop = store.listen(schedule);
    schedule(); // something may have changed before this listened
    return () => {
      stop();
      cancelAnimationFrame(frame);
    };
  }, [store]);
}

/** Calls `tick` in each interval (milliseconds), always the newest one. */
export function useInterval(interval: number, tick: () => void): void {
  const newest = useRef(tick);
  useLayoutEffect(() => {
    newest.current = tick;
  });
  useEffect(() => {
    const timer = setInterval(() => newest.current(), interval);
    return () => clearInterval(timer);
  }, [interval]);
}

/** Draws again once a second: what is told as "2 s ago" grows old without news. */
export function useSeconds(): void {
  const [, draw] = useState(0);
  useInterval(1000, () => draw((n) => n + 1));
}

import { type ComponentChild, render } from "preact";
import { act } from "preact/test-utils";
import { afterEach } from "vitest";

/** A place in the page in which a test draws; it is empty again after each test. */
export function screen() {
  const el = document.createElement("div");

  afterEach(() => {
    act(() => render(null, el));
    el.remove();
  });

  return {
    el,
    draw(content: ComponentChild): void {
      document.body.append(el);
      act(() => render(content, el));
    },
    all<Found extends HTMLElement>(selector: string): Found[] {
      return [...el.querySelectorAll<Found>(selector)];
    },
    texts(selector: string): string[] {
      return [...el.querySelectorAll(selector)].map((node) => node.textContent ?? "");
    },
    /** What has the focus gets the key; whether that was used is returned. */
    press(key: string, init: KeyboardEventInit = {}): boolean {
      const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...init });
      fire(document.activeElement, event);
      return event.defaultPrevented;
    },
  };
}

export function fire(node: Element | null | undefined, event: Event): void {
  if (!node) {
    throw new Error(`nothing there for ${event.type}`);
  }
  act(() => {
    node.dispatchEvent(event);
  });
}

export function click(node: Element | null | undefined): void {
  fire(node, new MouseEvent("click", { bubbles: true, cancelable: true }));
}

export function focus(node: HTMLElement | null | undefined): void {
  act(() => node?.focus());
}

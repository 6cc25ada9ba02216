import { act } from "preact/test-utils";
import type { SessionWindow } from "../src/protocol";
import widget from "../src/widget";
import { FakeModel } from "./kernel";

const opened: (() => void)[] = [];

/** Closes all views, as a page does that is left. */
export function leave(): void {
  for (const close of opened.splice(0)) {
    close();
  }
  document.body.replaceChildren();
}

/** A model whose widget code has run, as it does once before there is any view. */
export function start(snapshot: unknown = null, signal?: AbortSignal) {
  const model = new FakeModel(snapshot);
  const made = widget();
  const signals = signal && { signal };
  const stop = made.initialize({ model: model.proxy(), ...signals });

  /** Shows one more view of the model, as a notebook does for every cell that displays it. */
  const open = async () => {
    const el = document.createElement("div");
    document.body.append(el);
    let close = () => {};
    await act(() => {
      close = made.render({ model: model.proxy(), el, ...signals });
    });
    opened.push(close);
    return { el, close };
  };
  return { model, stop, open };
}

/** The kernel sends windows, and the screen is refreshed. */
export async function news(model: FakeModel, ...windows: SessionWindow[]) {
  await act(async () => {
    for (const window of windows) {
      model.message(window);
    }
    await new Promise((resolve) => requestAnimationFrame(resolve));
  });
}

export function texts(el: Element, selector: string): string[] {
  return [...el.querySelectorAll(selector)].map((node) => node.textContent ?? "");
}

export function find<Kind extends HTMLElement = HTMLElement>(el: Element, selector: string): Kind {
  const found = el.querySelector<Kind>(selector);
  if (found === null) {
    throw new Error(`no ${selector} in ${el.textContent}`);
  }
  return found;
}

export function button(el: Element, text: string): HTMLButtonElement {
  const found = [...el.querySelectorAll("button")].find((node) => node.textContent?.includes(text));
  if (found === undefined) {
    throw new Error(`no button ${text} in ${el.textContent}`);
  }
  return found;
}

export async function click(node: HTMLElement) {
  await act(() => node.click());
}

export async function press(node: Element, key: string, more: KeyboardEventInit = {}) {
  await act(() => {
    node.dispatchEvent(
      new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }),
    );
  });
}

export async function type(node: HTMLInputElement | HTMLTextAreaElement, text: string) {
  await act(() => {
    node.value = text;
    node.dispatchEvent(new Event("input", { bubbles: true }));
  });
}

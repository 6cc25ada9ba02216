import { keepShortcutsOut, make, sameTexts, setText } from "./dom";
import { StreamView } from "./stream";
import type { SessionWindow } from "./window";

/** The whole widget: one line about the connection, then the streams. */
export class SessionView {
  readonly root: HTMLElement;
  readonly #session = make("p", "stompy-session");
  readonly #sign = make("span", "stompy-sign");
  readonly #state = make("span", "stompy-state");
  readonly #address = make("span", "stompy-address");
  #streams = new Map<string, StreamView>();

  constructor() {
    this.#sign.setAttribute("aria-hidden", "true");
    this.#session.append(this.#sign, this.#state, this.#address);
    this.#session.hidden = true;
    this.root = make("div", "stompy", this.#session);
    keepShortcutsOut(this.root);
  }

  draw(window: SessionWindow): void {
    const { state, address } = window.session;
    this.#session.hidden = false;
    this.#session.dataset["state"] = state;
    setText(this.#sign, state === "connected" ? "●" : "○");
    setText(this.#state, state);
    setText(this.#address, address);
    this.#arrange(window.streams.map((stream) => stream.name));
    for (const stream of window.streams) {
      this.#streams.get(stream.name)?.draw(stream);
    }
  }

  /** One section per name, in this order. A section that stays is not moved: it may be scrolled. */
  #arrange(names: string[]): void {
    if (sameTexts(names, [...this.#streams.keys()])) {
      return;
    }
    const before = this.#streams;
    this.#streams = new Map();
    for (const name of names) {
      this.#streams.set(name, before.get(name) ?? new StreamView(name));
    }
    const sections = [...this.#streams.values()].map((view) => view.root);
    this.root.replaceChildren(this.#session, ...sections);
  }
}

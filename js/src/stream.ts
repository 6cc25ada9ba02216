import { count, make, setText, showText } from "./dom";
import { FrameTable } from "./table";
import type { StreamWindow } from "./window";

/** One stream: its name and numbers, what went wrong, and its newest frames. */
export class StreamView {
  readonly root: HTMLElement;
  readonly #name = make("span", "stompy-name");
  readonly #destination = make("span", "stompy-destination");
  readonly #ended = make("span", "stompy-ended");
  readonly #dropped = make("span", "stompy-dropped");
  readonly #count = make("span", "stompy-count");
  readonly #error = make("p", "stompy-error");
  readonly #help = make("p", "stompy-help");
  readonly #frames = new FrameTable();

  constructor(name: string) {
    this.#error.setAttribute("role", "alert");
    // The count stays where it is when others turn up beside it.
    const numbers = make("span", "stompy-numbers", this.#ended, this.#dropped, this.#count);
    this.root = make(
      "section",
      "stompy-stream",
      make("div", "stompy-head", this.#name, this.#destination, numbers),
      this.#error,
      this.#help,
      this.#frames.root,
    );
    this.root.dataset["stream"] = name;
    this.root.setAttribute("aria-label", name);
  }

  draw(stream: StreamWindow): void {
    const { name, destination, received, dropped, live, error, columns, rows } = stream;
    showText(this.#name, name === destination ? null : name);
    setText(this.#destination, destination);
    showText(this.#ended, live ? null : "ended");
    showText(this.#dropped, dropped > 0 ? `${count(dropped)} dropped` : null);
    setText(this.#count, received === 1 ? "1 frame" : `${count(received)} frames`);
    showText(this.#error, error);
    this.#frames.draw(destination, columns, rows);
    const silent = live && received === 0 && rows.length === 0;
    showText(
      this.#help,
      silent ? `No frames yet on ${destination}. Try: %%stomp_send ${destination}` : null,
    );
  }
}

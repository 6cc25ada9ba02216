import { keepShortcutsOut, make, sameTexts, setText } from "./dom";

/** The newest frames of one stream, one per row, newest last. */
export class FrameTable {
  readonly root: HTMLElement;
  readonly #caption = make("caption", "stompy-hidden");
  readonly #head = make("tr");
  readonly #body = make("tbody");
  readonly #table: HTMLTableElement;
  #columns: string[] = [];

  constructor() {
    const head = make("thead", "", this.#head);
    this.#table = make("table", "stompy-frames", this.#caption, head, this.#body);
    this.root = make("div", "stompy-scroll", this.#table);
    // In a narrow cell this scrolls sideways, and browsers let the keyboard in (not the mouse, and
    // thus Ctrl+S after a click is still the notebook's) to do so with the arrow keys.
    this.root.setAttribute("role", "group");
    keepShortcutsOut(this.root);
  }

  draw(destination: string, columns: string[], rows: string[][]): void {
    this.root.hidden = rows.length === 0;
    this.root.setAttribute("aria-label", `Frames on ${destination}`);
    setText(this.#caption, `The newest frames on ${destination}, newest last`);
    this.#drawHead(columns);
    while (this.#body.rows.length > rows.length) {
      this.#body.deleteRow(-1);
    }
    for (const [i, row] of rows.entries()) {
      this.#drawRow(this.#body.rows[i] ?? this.#body.insertRow(), row);
    }
  }

  #drawHead(columns: string[]): void {
    if (sameTexts(columns, this.#columns)) {
      return;
    }
    this.#columns = columns;
    this.#head.replaceChildren(
      ...columns.map((column) => {
        const cell = make("th");
        cell.scope = "col";
        fill(cell, column);
        return cell;
      }),
    );
    this.#body.replaceChildren();
  }

  #drawRow(line: HTMLTableRowElement, row: string[]): void {
    for (const i of this.#columns.keys()) {
      fill(line.cells[i] ?? line.insertCell(), row[i] ?? "");
    }
  }
}

/** A cell shows as much of its text as there is room for, and all of it to a pointer that rests. */
function fill(cell: HTMLTableCellElement, text: string): void {
  setText(cell, text);
  cell.title = text;
}

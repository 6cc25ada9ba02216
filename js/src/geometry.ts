/**
 * Where the rows of a long list are, when only those in sight are drawn.
 *
 * A browser cannot show an element that is tens of millions of pixels high. Beyond `TALLEST` the
 * scroll bar moves over the list faster than the list is high; single rows are where they should be.
 */
export const ROW = 24;
export const TALLEST = 8_000_000;

export class Geometry {
  readonly count: number;
  /** The height that is in sight, in pixels. */
  readonly view: number;
  readonly height: number;
  readonly #scale: number;

  constructor(count: number, view: number) {
    this.count = count;
    this.view = view;
    const full = count * ROW;
    this.height = Math.min(full, TALLEST);
    const [most, shown] = [full - view, this.height - view];
    this.#scale = shown > 0 && most > shown ? most / shown : 1;
  }

  /** The farthest that it scrolls. */
  get bottom(): number {
    return Math.max(0, this.height - this.view);
  }

  /** The first row in sight, and one behind the last. */
  inSight(scrollTop: number): [number, number] {
    const top = (scrollTop * this.#scale) / ROW;
    return [Math.max(0, Math.floor(top)), Math.min(this.count, Math.ceil(top + this.view / ROW))];
  }

  /** Where row `i` is in the scrolled element. */
  place(i: number, scrollTop: number): number {
    return i * ROW - scrollTop * this.#scale + scrollTop;
  }

  /** The scroll position that is `rows` further on. */
  moved(scrollTop: number, rows: number): number {
    return scrollTop + (rows * ROW) / this.#scale;
  }

  /** The nearest scroll position at which row `i` is in sight. */
  reveal(i: number, scrollTop: number): number {
    const top = scrollTop * this.#scale;
    if (i * ROW < top) {
      return (i * ROW) / this.#scale;
    }
    if ((i + 1) * ROW > top + this.view) {
      return ((i + 1) * ROW - this.view) / this.#scale;
    }
    return scrollTop;
  }
}

/**
 * JSON as it is written: numbers keep all their digits, members their order, and those that are
 * there twice are. The built-in parser would lose all of that.
 */

export type Json = Container | Leaf;

export interface Container {
  kind: "object" | "array";
  /** Members have names, items their places. */
  items: [key: string | number, value: Json][];
}

export interface Leaf {
  kind: "string" | "number" | "literal";
  /** What a string says; of others, how they are written. */
  text: string;
}

/** Python gives up at about twice that; nobody reads it. */
const DEEPEST = 500;

class JsonError extends Error {
  readonly at: number;

  constructor(at: number, reason: string) {
    super(reason);
    this.at = at;
  }
}

/** The value that a text is the JSON of, or where and why it is none. */
export function parseJson(text: string): { value: Json } | { error: string } {
  try {
    const parser = new Parser(text);
    const value = parser.value(0);
    parser.end();
    return { value };
  } catch (error) {
    if (error instanceof JsonError) {
      return { error: `${placeIn(text, error.at)}: ${error.message}` };
    }
    throw error;
  }
}

/** "line 2, column 5" */
export function placeIn(text: string, at: number): string {
  const before = text.slice(0, at).split("\n");
  return `line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}`;
}

class Parser {
  readonly #blank = /[ \t\n\r]*/y;
  readonly #number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
  readonly #literal = /true|false|null/y;
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  value(depth: number): Json {
    this.#match(this.#blank);
    const first = this.#text[this.#at];
    if (first === "{" || first === "[") {
      return this.#container(first === "{", depth + 1);
    }
    if (first === '"') {
      return { kind: "string", text: this.#string() };
    }
    const number = this.#match(this.#number);
    if (number !== "") {
      return { kind: "number", text: number };
    }
    const literal = this.#match(this.#literal);
    return literal === "" ? this.#fail("a value") : { kind: "literal", text: literal };
  }

  end(): void {
    this.#match(this.#blank);
    if (this.#at < this.#text.length) {
      this.#fail("the end");
    }
  }

  #container(isObject: boolean, depth: number): Container {
    if (depth > DEEPEST) {
      throw new JsonError(this.#at, "nested too deeply to be shown");
    }
    const items: Container["items"] = [];
    const close = isObject ? "}" : "]";
    this.#at++;
    if (!this.#takes(close)) {
      do {
        const key = isObject ? this.#name() : items.length;
        items.push([key, this.value(depth)]);
      } while (this.#takes(","));
      if (!this.#takes(close)) {
        this.#fail(`, or ${close}`);
      }
    }
    return { kind: isObject ? "object" : "array", items };
  }

  #name(): string {
    this.#match(this.#blank);
    if (this.#text[this.#at] !== '"') {
      this.#fail("a name in quotes");
    }
    const name = this.#string();
    if (!this.#takes(":")) {
      this.#fail(":");
    }
    return name;
  }

  #string(): string {
    const start = this.#at;
    let end = start + 1;
    while (end < this.#text.length && this.#text[end] !== '"') {
      end += this.#text[end] === "\\" ? 2 : 1;
    }
    this.#at = end + 1;
    try {
      return JSON.parse(this.#text.slice(start, end + 1)) as string;
    } catch {
      throw new JsonError(start, "a string with a wrong escape, a control character or no end");
    }
  }

  #takes(c: string): boolean {
    this.#match(this.#blank);
    const there = this.#text[this.#at] === c;
    this.#at += there ? 1 : 0;
    return there;
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0] ?? "";
    this.#at += found.length;
    return found;
  }

  #fail(expected: string): never {
    const there = this.#text.slice(this.#at, this.#at + 1);
    throw new JsonError(
      this.#at,
      `expected ${expected}, found ${there === "" ? "the end" : JSON.stringify(there)}`,
    );
  }
}

/** A line of the tree: a value, or the offer to show more of a container. */
export interface Line {
  /** By the places on the way to it: it is the same in the next frame of the same shape. */
  id: string;
  /** How Python and JavaScript reach it: `["a"][0]`. */
  path: string;
  level: number;
  /** Its place among the values beside it, from 1, and how many these are. */
  place: number;
  of: number;
  key: string | number | null;
  /** Null: so many more are not shown, see `hidden`. */
  value: Json | null;
  open: boolean;
  hidden: number;
  /** The id of the container that it is in. */
  parent: string;
}

/** So many values of a container are shown at first, and with each wish for more. */
export const STEP = 200;

/** The lines of a tree in which containers are open as far as `open` says. */
export function linesOf(root: Json, open: ReadonlyMap<string, number>): Line[] {
  const lines: Line[] = [];
  const add = (value: Json, line: Omit<Line, "open" | "value" | "hidden">) => {
    const shown = "items" in value ? (open.get(line.id) ?? 0) : 0;
    lines.push({ ...line, value, open: shown > 0, hidden: 0 });
    if (!("items" in value) || shown === 0) {
      return;
    }
    const { id, path, level } = line;
    const of = value.items.length;
    const inside = { level: level + 1, of, parent: id };
    for (const [i, [key, item]] of value.items.slice(0, shown).entries()) {
      const place = { id: `${id}.${i}`, path: `${path}[${JSON.stringify(key)}]`, place: i + 1 };
      add(item, { ...inside, ...place, key });
    }
    if (of > shown) {
      const more = {
        id: `${id}.more`,
        path,
        place: shown + 1,
        key: null,
        value: null,
        open: false,
      };
      lines.push({ ...inside, ...more, hidden: of - shown });
    }
  };
  add(root, { id: "$", path: "", level: 1, place: 1, of: 1, key: null, parent: "" });
  return lines;
}

import { describe, expect, test } from "vitest";
import { encodeFrame, type Header } from "../src/octets";
import { RawFrame } from "../src/raw";
import { fire, focus, screen } from "./screen";

const { el, draw, all, texts, press } = screen();

function show(headers: Header[], body: Uint8Array | string, more = {}): void {
  const octets = typeof body === "string" ? new TextEncoder().encode(body) : body;
  draw(<RawFrame parts={encodeFrame("SEND", headers, octets, "1.2")} note={null} {...more} />);
}

const text = () => texts("pre")[0];
const tokens = () => all("pre .stompy-token");
const rows = () => all<HTMLTableRowElement>("tbody tr");
const cells = (row: number) => [...(rows()[row]?.cells ?? [])].map((cell) => cell.textContent);
const marked = () =>
  [...tokens(), ...rows()].flatMap((node, i) => (node.dataset["marked"] === "true" ? [i] : []));

test("the text shows line ends, NUL and what cannot be seen", () => {
  const body = Uint8Array.from([0x61, 0x0a, 0xff, 0x1b, 0x00]);
  show([["a", "\u202ex:y"]], body);
  expect(text()).toBe("SEND⏎\na:\\u202ex\\cy⏎\n⏎\na⏎\n\\xff\\x1b\\x00^@");
});

test("the table says of each part where it is, its octets, its text and what it is", () => {
  show([["a:b", "c"]], "hello, a body of 26 octets");
  expect(rows()).toHaveLength(tokens().length);
  expect(cells(0)).toEqual([
    "0",
    "53 45 4e 44",
    "SEND",
    "command: a client sends a message to a destination (SEND)",
  ]);
  expect(cells(3)).toEqual([
    "6",
    "5c 63",
    "\\c",
    "escape: \\c stands for a colon (Value Encoding)",
  ]);
  const body = cells(9);
  expect(body[1]).toBe("68 65 6c 6c 6f 2c 20 61 20 62 6f 64 79 20 6f 66 … 10 more");
  expect(body[3]).toBe("body: 26 octets (Body)");
  expect(cells(10)).toEqual(["39", "00", "^@", "NUL: ends the frame (STOMP Frames)"]);
});

test("a legend names the kinds of parts that occur", () => {
  show([["a", "b"]], "");
  expect(texts(".stompy-raw-legend li")).toEqual([
    "command",
    "line end",
    "header name",
    "colon",
    "header value",
    "blank line",
    "NUL",
  ]);
});

describe("a part is marked in the text and in the table", () => {
  test("when the pointer is on its token", () => {
    show([["a", "b"]], "");
    fire(tokens()[2], new MouseEvent("mouseenter"));
    expect(marked()).toEqual([2, tokens().length + 2]);
    fire(tokens()[2], new MouseEvent("mouseleave"));
    expect(marked()).toEqual([]);
  });

  test("when the pointer is on its row, and when the row has the focus", () => {
    show([["a", "b"]], "");
    fire(rows()[3], new MouseEvent("mouseenter"));
    expect(marked()).toEqual([3, tokens().length + 3]);
    focus(rows()[1]);
    expect(marked()).toEqual([1, tokens().length + 1]);
    fire(rows()[1], new FocusEvent("blur"));
    expect(marked()).toEqual([]);
  });
});

test("the table is one tab stop in which arrows, Home and End move", () => {
  show([["a", "b"]], "x");
  const stops = () => rows().flatMap((row, i) => (row.tabIndex === 0 ? [i] : []));
  const last = rows().length - 1;
  expect(stops()).toEqual([0]);
  focus(rows()[0]);
  const keys = ["ArrowDown", "ArrowDown", "ArrowUp", "End", "ArrowDown", "Home", "ArrowUp"];
  const places = keys.map((key) => {
    press(key);
    expect(document.activeElement).toBe(rows()[stops()[0] ?? -1]);
    return stops()[0];
  });
  expect(places).toEqual([1, 2, 1, last, last, 0, 0]);
  for (const row of rows()) {
    expect(row.dataset["lmSuppressShortcuts"]).toBe("true");
  }
});

test("fewer parts than before still have a tab stop", () => {
  show([["a", "b"]], "x");
  focus(rows().at(-1));
  show([], "");
  expect(rows().at(-1)?.tabIndex).toBe(0);
});

test("so many parts are listed, and how many more there are", () => {
  show(
    Array.from({ length: 100 }, (_, i) => [`name-${i}`, "x"]),
    "",
  );
  expect(rows()).toHaveLength(300);
  expect(tokens()).toHaveLength(300);
  expect(text()).toMatch(/… and 104 more$/);
  expect(texts(".stompy-raw-parts p")).toEqual(["… and 104 more"]);
});

test("of a large body the beginning is shown, with whole characters", () => {
  show([], `${"x".repeat(4095)}☃${"y".repeat(10)}`);
  expect(tokens().at(-2)?.textContent).toBe(`${"x".repeat(4095)} … 12 more octets`);
});

test("compact, there is no table; a note is shown", () => {
  show([], "x", { compact: true, note: "rebuilt" });
  expect(el.querySelector("table")).toBeNull();
  expect(text()).toContain("SEND");
  expect(texts(".stompy-raw-note")).toEqual(["rebuilt"]);
});

test("whatever a stranger sends stays text", () => {
  const markup = "<img src=x onerror=alert(1)>";
  show([[markup, markup]], markup);
  expect(el.querySelector("img")).toBeNull();
  expect(text()?.split(markup)).toHaveLength(4);
});

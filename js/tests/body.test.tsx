import { afterEach, describe, expect, test, vi } from "vitest";
import { Body } from "../src/body";
import { click, focus, screen } from "./screen";

const { el, draw, all, texts, press } = screen();

afterEach(() => {
  vi.unstubAllGlobals();
});

const octetsOf = (text: string) => new TextEncoder().encode(text);

function show(body: Uint8Array | string, contentType: string | null = null, more = {}): void {
  const octets = typeof body === "string" ? octetsOf(body) : body;
  const rest = { size: octets.length, more: null, loading: false, ...more };
  draw(<Body octets={octets} contentType={contentType} {...rest} />);
}

const view = () => texts('[role="tab"][aria-selected="true"]')[0];
const choose = (label: string) =>
  click(all('[role="tab"]').find((tab) => tab.textContent === label));
const notes = () => texts(".stompy-body-note");
const text = () => texts(".stompy-body-text")[0];
const lines = () => texts('[role="treeitem"]').map((line) => line.replace(/^[▸▾]/, ""));
const at = (line: number) => all('[role="treeitem"]')[line];

describe("the first view is what the body seems to be", () => {
  test.each([
    ["application/json", '{"a": 1}', "JSON"],
    ["application/problem+json;charset=utf-8", "1", "JSON"],
    [null, ' {"a": 1}', "JSON"],
    ["text/plain", "[1]", "JSON"],
    ["text/plain", "[INFO] a line of a log", "Text"],
    ["application/json", "no JSON", "Text"],
    ["application/xml", "<a/>", "XML"],
    ["image/svg+xml", "<a/>", "XML"],
    [null, "<a><b/></a>", "XML"],
    [null, "<a> is no XML", "Text"],
    ["text/plain", "hello", "Text"],
    [null, "", "Text"],
    ["application/octet-stream", "a\0b", "Hex"],
  ])("%s, %j: %s", (contentType, body, label) => {
    show(body, contentType);
    expect(view()).toBe(label);
  });

  test("octets that are no text: hex, and the other views say why", () => {
    show(Uint8Array.from([0xff, 0x00]), "application/json");
    expect(view()).toBe("Hex");
    expect(text()).toMatch(/^00000000 {2}ff 00 +\.\.$/);
    choose("JSON");
    expect(notes()).toEqual(["The body is no text in utf-8."]);
    expect(text()).toMatch(/^00000000 {2}ff 00/);
  });
});

test("text is read by the charset of the content-type", () => {
  show(Uint8Array.from([0xe9]), "text/plain;charset=latin-1");
  expect(text()).toBe("é");
});

test("what cannot be seen is shown by escapes; line ends and tabs stay", () => {
  show("a\tb\r\n\u001b[31m\u202e");
  expect(text()).toBe("a\tb\\r\n\\x1b[31m\\u202e");
});

test("a view that was chosen stays for the next body", () => {
  show('{"a": 1}');
  choose("Hex");
  show('{"a": 2}');
  expect(view()).toBe("Hex");
});

test("tabs move by arrow keys", () => {
  show("hello");
  focus(all('[role="tab"][aria-selected="true"]')[0]);
  press("ArrowRight");
  expect(view()).toBe("Hex");
  press("Home");
  expect(view()).toBe("JSON");
  expect(notes()).toEqual(['No JSON: line 1, column 1: expected a value, found "h".']);
  expect(text()).toBe("hello");
});

test("XML is indented, or its mistake is told and the text shown", () => {
  show("<a><b>1</b></a>", "text/xml");
  expect(text()).toBe("<a>\n  <b>1</b>\n</a>");
  show("<a><b>", "text/xml");
  choose("XML");
  expect(notes()).toEqual(["No XML: <b> has no end."]);
  expect(text()).toBe("<a><b>");
});

describe("the rest of a body", () => {
  test("can be loaded, and how much is here is told", () => {
    const more = vi.fn();
    show("x".repeat(65_536), "application/json", { size: 2_400_000, more });
    expect(texts('[role="status"]')).toEqual(["64 KB of 2.29 MB are here"]);
    expect(view()).toBe("Text");
    click(all("button").find((button) => button.textContent === "Load more"));
    expect(more).toHaveBeenCalledTimes(1);
  });

  test("is not asked for twice", () => {
    const more = vi.fn();
    show("x", null, { size: 10, more, loading: true });
    expect(texts('[role="status"]')).toEqual(["Loading…"]);
    click(all('button[aria-disabled="true"]')[0]);
    expect(more).not.toHaveBeenCalled();
  });

  test("may not be to be had", () => {
    show("x", null, { size: 10 });
    expect(texts('[role="status"]')).toEqual(["1 B of 10 B are here"]);
    expect(texts("button")).not.toContain("Load more");
  });

  test("does not make half a character a mistake", () => {
    show(Uint8Array.from([0x61, 0xe2, 0x98]), null, { size: 4 });
    expect(text()).toBe("a");
  });
});

test("a long text is shown page by page", () => {
  show("x".repeat(100_000));
  expect(text()).toHaveLength(65_536);
  click(all("button").find((button) => button.textContent === "Show more of 34,464 characters"));
  expect(text()).toHaveLength(100_000);
  choose("Hex");
  expect(text()?.split("\n")).toHaveLength(256);
  expect(texts("button").at(-1)).toBe("Show more of 95,904 octets");
});

describe("the tree of JSON", () => {
  const value = '{"n": 12345678901234567890, "f": 1.0, "list": [true, null, {}], "s": "a\\u001bb"}';

  test("shows the first level, numbers as they are written, no control characters", () => {
    show(value);
    expect(lines()).toEqual([
      "{…} 4 members",
      "n: 12345678901234567890",
      "f: 1.0",
      "list: […] 3 items",
      's: "a\\x1bb"',
    ]);
    const kinds = all(".stompy-json-value").map((node) => node.dataset["kind"]);
    expect(kinds).toEqual(["object", "number", "number", "array", "string"]);
  });

  test("opens and closes by clicks", () => {
    show(value);
    click(at(3));
    expect(lines().slice(3, 7)).toEqual(["list: […] 3 items", "0: true", "1: null", "2: {}"]);
    expect(at(3)?.getAttribute("aria-expanded")).toBe("true");
    click(at(3));
    expect(lines()).toHaveLength(5);
    expect(at(1)?.hasAttribute("aria-expanded")).toBe(false);
  });

  test("is one tab stop and has the keys of a tree", () => {
    show(value);
    focus(at(0));
    const walk = (...keys: string[]) =>
      keys.map((key) => {
        press(key);
        return document.activeElement?.textContent?.replace(/^[▸▾]/, "");
      });
    expect(walk("ArrowDown", "End", "ArrowUp", "ArrowRight", "ArrowRight", "ArrowRight")).toEqual([
      "n: 12345678901234567890",
      's: "a\\x1bb"',
      "list: […] 3 items",
      "list: […] 3 items",
      "0: true",
      "0: true",
    ]);
    expect(walk("ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowLeft", "Enter", "Enter")).toEqual([
      "list: […] 3 items",
      "list: […] 3 items",
      "{…} 4 members",
      "{…} 4 members",
      "{…} 4 members",
      "{…} 4 members",
    ]);
    expect(all('[role="treeitem"][tabindex="0"]')).toHaveLength(1);
    expect(press("x")).toBe(false);
    for (const line of all('[role="treeitem"]')) {
      expect(line.dataset["lmSuppressShortcuts"]).toBe("true");
    }
  });

  test("says level and place of each line", () => {
    show(value);
    click(at(3));
    const said = ["aria-level", "aria-posinset", "aria-setsize"].map((name) =>
      at(5)?.getAttribute(name),
    );
    expect(said).toEqual(["3", "2", "3"]);
  });

  test("draws 200 items at a time", () => {
    show(JSON.stringify(Array.from({ length: 450 }, (_, n) => n)));
    expect(lines()).toHaveLength(202);
    focus(at(201));
    press("Enter");
    expect(lines()).toHaveLength(402);
    expect(document.activeElement?.textContent).toBe("200: 200");
    click(at(401));
    expect(lines()).toHaveLength(451);
  });

  test("stays as open as it was for the next frame", () => {
    show('{"a": [1]}');
    click(at(1));
    show('{"a": [2]}');
    expect(lines()).toEqual(["{…} 1 member", "a: […] 1 item", "0: 2"]);
  });

  test("gives the chosen value as code", async () => {
    const writeText = vi.fn(() => Promise.resolve());
    vi.stubGlobal("navigator", { clipboard: { writeText } });
    show('{"a": [1]}');
    expect(texts(".stompy-json-path code")).toEqual(["frame.json"]);
    click(at(1));
    focus(at(2));
    expect(texts(".stompy-json-path code")).toEqual(['frame.json["a"][0]']);
    click(all(".stompy-json-path button")[0]);
    expect(writeText).toHaveBeenCalledWith('frame.json["a"][0]');
    await vi.waitFor(() => expect(texts(".stompy-json-path button")).toEqual(["Copied"]));
  });

  test("shortens a long string", () => {
    show(JSON.stringify(["x".repeat(3000)]));
    expect(lines()[1]).toBe(`0: "${"x".repeat(2000)}" … 1,000 more`);
  });
});

test("whatever a stranger sends stays text", () => {
  const markup = "<img src=x onerror=alert(1)>";
  for (const body of [markup, JSON.stringify({ [markup]: markup }), `<a>${markup}</a>`]) {
    show(body);
    for (const label of ["JSON", "XML", "Text", "Hex"]) {
      choose(label);
      expect(el.querySelector("img")).toBeNull();
    }
  }
});

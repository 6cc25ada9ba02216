import { beforeEach, describe, expect, test } from "vitest";
import { SessionView } from "../src/view";
import type { StreamWindow } from "../src/window";
import { sessionWindow, stream, texts } from "./kernel";

let view: SessionView;

beforeEach(() => {
  view = new SessionView();
});

function draw(...streams: StreamWindow[]): HTMLElement {
  view.draw(sessionWindow(1, ...streams));
  return view.root;
}

function visible(selector: string): HTMLElement[] {
  return [...view.root.querySelectorAll<HTMLElement>(selector)].filter((node) => !node.hidden);
}

test("the notebook's keyboard shortcuts are kept out of all that can have the focus", () => {
  expect(view.root.className).toBe("stompy");
  for (const node of [view.root, ...draw().querySelectorAll(".stompy-scroll, [tabindex]")]) {
    expect(node.getAttribute("data-lm-suppress-shortcuts")).toBe("true");
  }
});

test.each([
  ["connected", "●"],
  ["disconnected", "○"],
])("a session that is %s says so in words and with %s", (state, sign) => {
  view.draw({ ...sessionWindow(1), session: { address: "broker:61613", state } });
  expect(texts(view.root, ".stompy-session span")).toEqual([sign, state, "broker:61613"]);
});

describe("the head line", () => {
  test("has the name and the destination", () => {
    expect(texts(draw(), ".stompy-name, .stompy-destination")).toEqual(["ticks", "/topic/ticks"]);
  });

  test("leaves out a name that says the same", () => {
    draw(stream({ name: "/topic/ticks" }));
    expect(visible(".stompy-name")).toEqual([]);
    expect(view.root.querySelector("section")?.dataset["stream"]).toBe("/topic/ticks");
  });

  test.each([
    [0, "0 frames"],
    [1, "1 frame"],
    [1234567, "1,234,567 frames"],
  ])("%i received reads as %s", (received, text) => {
    expect(texts(draw(stream({ received })), ".stompy-count")).toEqual([text]);
  });

  test("speaks of dropped frames only when there are any", () => {
    draw();
    expect(visible(".stompy-dropped")).toEqual([]);
    draw(stream({ dropped: 4321 }));
    expect(visible(".stompy-dropped").map((node) => node.textContent)).toEqual(["4,321 dropped"]);
  });

  test("says when no more can come, and then asks for none", () => {
    draw();
    expect(visible(".stompy-ended")).toEqual([]);
    draw(stream({ live: false, received: 0, rows: [] }));
    expect(visible(".stompy-ended").map((node) => node.textContent)).toEqual(["ended"]);
    expect(visible(".stompy-help")).toEqual([]);
  });
});

test("an error is an alert while it lasts", () => {
  draw(stream({ error: "the broker said no" }));
  expect(visible('[role="alert"]').map((node) => node.textContent)).toEqual(["the broker said no"]);
  draw();
  expect(visible('[role="alert"]')).toEqual([]);
});

test("a stream without frames says what to try", () => {
  draw(stream({ received: 0, rows: [] }));
  expect(visible(".stompy-help").map((node) => node.textContent)).toEqual([
    "No frames yet on /topic/ticks. Try: %%stomp_send /topic/ticks",
  ]);
  expect(visible(".stompy-scroll")).toEqual([]);
  draw();
  expect(visible(".stompy-help")).toEqual([]);
});

describe("the table", () => {
  test("has a head row and the frames, newest last", () => {
    draw();
    expect(texts(view.root, 'th[scope="col"]')).toEqual(["n", "body"]);
    expect(texts(view.root, "tbody tr")).toEqual(["1one", "2two"]);
    expect(texts(view.root, "caption")).toEqual(["The newest frames on /topic/ticks, newest last"]);
  });

  test("follows: fewer rows, other columns, a row that is too short or too long", () => {
    draw(stream({ rows: [["9", "nine"]] }));
    expect(texts(view.root, "td")).toEqual(["9", "nine"]);
    draw(stream({ columns: ["a", "b", "c"], rows: [["1"], ["1", "2", "3", "4"]] }));
    expect(texts(view.root, "th")).toEqual(["a", "b", "c"]);
    expect(texts(view.root, "td")).toEqual(["1", "", "", "1", "2", "3"]);
  });
});

test("streams come, go and change places; one that stays keeps its elements", () => {
  const [a, b, c] = ["a", "b", "c"].map((name) => stream({ name }));
  if (!a || !b || !c) throw new Error("three streams");
  const shown = () =>
    [...view.root.querySelectorAll<HTMLElement>("section")].map((node) => node.dataset["stream"]);
  draw(a, b);
  const sectionOfB = view.root.querySelector('[data-stream="b"]');
  draw(c, b);
  expect(shown()).toEqual(["c", "b"]);
  expect(view.root.querySelector('[data-stream="b"]')).toBe(sectionOfB);
  draw(b);
  expect(shown()).toEqual(["b"]);
});

test("whatever a stranger sends stays text", () => {
  const markup = "<img src=x onerror=alert(1)><script>alert(2)</script>";
  view.draw({
    ...sessionWindow(
      1,
      stream({
        name: markup,
        destination: `/topic/${markup}`,
        error: markup,
        columns: [markup],
        rows: [[markup]],
      }),
      stream({ name: `empty ${markup}`, destination: markup, received: 0, rows: [] }),
    ),
    session: { address: markup, state: markup },
  });
  expect(view.root.querySelector("img, script")).toBeNull();
  for (const place of [
    ".stompy-state",
    ".stompy-address",
    ".stompy-name",
    ".stompy-destination",
    ".stompy-error",
    ".stompy-help",
    "caption",
    "th",
    "td",
  ]) {
    const found = texts(view.root, place).filter((text) => text.includes(markup));
    expect(found.length, place).toBeGreaterThan(0);
  }
});

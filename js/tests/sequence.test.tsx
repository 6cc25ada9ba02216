import { act } from "preact/test-utils";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Line, SessionWindow } from "../src/protocol";
import type { FakeModel } from "./kernel";
import { NOW, sessionWindow, stream } from "./kernel";
import { click, find, leave, press, start, texts } from "./page";

const TIMERS = [
  ...["setInterval", "clearInterval", "requestAnimationFrame", "cancelAnimationFrame"],
] as ["setInterval", "clearInterval"];

beforeEach(() => {
  vi.useFakeTimers({ toFake: TIMERS });
  vi.spyOn(Date, "now").mockReturnValue(NOW);
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  leave();
});

function line(number: number, command: string, changes: Partial<Line> = {}): Line {
  return {
    kind: "frame",
    number,
    time: NOW + number,
    sent: !["MESSAGE", "RECEIPT", "ERROR", "CONNECTED"].includes(command),
    command,
    label: `of ${number}`,
    answers: [],
    answered: [],
    receipt: "",
    transaction: null,
    outcome: null,
    ...changes,
  };
}

const LINES = [
  line(0, "SEND", { answered: [[4, 4]], receipt: "came" }),
  line(1, "MESSAGE", { answered: [[3, 3]] }),
  line(2, "MESSAGE", { answered: [[3, 3]] }),
  line(3, "ACK", { answers: [[1, 2]] }),
  line(4, "RECEIPT", { answers: [[0, 0]] }),
  line(5, "2 heart-beats in 10 s", { kind: "heart-beats" }),
];

/** A window after so much has passed. */
function passed(seq: number, count: number, state = "connected"): SessionWindow {
  const window = sessionWindow(seq, stream());
  return { ...window, session: { ...window.session, passed: count, state } };
}

async function opened(lines: Line[] = LINES) {
  const { model, open } = start(passed(1, 1));
  const { el } = await open();
  await click(find(el, '[data-tab="sequence"]'));
  await model.answer("sequence", { passed: 1, replay: false, lines });
  return { model, el };
}

async function news(model: FakeModel, ...windows: SessionWindow[]) {
  await act(async () => {
    for (const window of windows) {
      model.message(window);
    }
  });
  await pass(20); // the screen is refreshed
}

async function pass(ms: number) {
  await act(async () => {
    vi.advanceTimersByTime(ms);
  });
}

const asked = (model: FakeModel) => model.requests.filter(({ kind }) => kind === "sequence").length;
const row = (el: Element, number: number) => find(el, `[role=option][data-number="${number}"]`);
const current = (el: Element) => find(el, '[role=option][tabindex="0"]').dataset["number"];
const marks = (el: Element, mark: string) =>
  [...el.querySelectorAll<HTMLElement>(`[data-mark="${mark}"]`)].map(
    (node) => node.dataset["number"],
  );

describe("the lines are asked for", () => {
  test("when the tab is opened, and not before", async () => {
    const { model, open } = start(passed(1, 1));
    const { el } = await open();
    await news(model, passed(2, 2));
    await pass(3000);
    expect(asked(model)).toBe(0);
    await click(find(el, '[data-tab="sequence"]'));
    expect(model.requested("sequence")).toMatchObject({ last: 200 });
  });

  test("again once a second, when something has passed or the session has changed", async () => {
    const { model } = await opened();
    await pass(5000);
    expect(asked(model)).toBe(1);
    await news(model, passed(2, 2), passed(3, 3));
    expect(asked(model)).toBe(1);
    await pass(1000);
    expect(asked(model)).toBe(2);
    await model.answer("sequence", { passed: 3, replay: false, lines: LINES });
    await news(model, passed(4, 3, "lost"));
    await pass(1000);
    expect(asked(model)).toBe(3);
  });

  test("not while another tab is in sight, and not while an answer is on its way", async () => {
    const { model, el } = await opened();
    await click(find(el, '[data-tab="log"]'));
    await news(model, passed(2, 2));
    await pass(3000);
    expect(asked(model)).toBe(1);
    await click(find(el, '[data-tab="sequence"]'));
    expect(asked(model)).toBe(2);
    await news(model, passed(3, 3));
    await pass(5000);
    expect(asked(model)).toBe(2);
    await pass(30_000); // it is lost
    expect(asked(model)).toBe(3);
  });

  test("and a refusal is said, until there are some", async () => {
    const { model, open } = start(passed(1, 1));
    const { el } = await open();
    await click(find(el, '[data-tab="sequence"]'));
    await model.refuse("sequence", "the session is gone from the kernel");
    expect(find(el, ".stompy-help").textContent).toContain("is gone");
    await news(model, passed(2, 2));
    await pass(1000);
    await model.answer("sequence", { passed: 2, replay: false, lines: LINES });
    expect(el.querySelectorAll("[role=option]")).toHaveLength(LINES.length);
    expect(el.querySelector(".stompy-error")).toBeNull();
  });
});

test("where there is nothing to see it says so", async () => {
  const { el } = await opened([]);
  expect(find(el, ".stompy-help").textContent).toBe("Nothing has passed yet.");
});

test("a replay has no wire", async () => {
  const { model, open } = start(passed(1, 0));
  const { el } = await open();
  await click(find(el, '[data-tab="sequence"]'));
  await model.answer("sequence", { passed: 0, replay: true, lines: [] });
  expect(find(el, ".stompy-help").textContent).toContain("A replay reads a file");
});

test("a kernel of an older release, which tells of nothing that passes, is asked all the same", async () => {
  const { model, open } = start(sessionWindow(1, stream()));
  const { passed: _, ...session } = sessionWindow(2).session;
  const { el } = await open();
  await news(model, { ...sessionWindow(2, stream()), session });
  await click(find(el, '[data-tab="sequence"]'));
  await model.refuse("sequence", "bad request: there is no such kind of request");
  expect(find(el, ".stompy-help").textContent).toContain("no such kind");
});

test("an answer of another shape is not taken", async () => {
  const { model, open } = start(passed(1, 1));
  const { el } = await open();
  await click(find(el, '[data-tab="sequence"]'));
  await model.answer("sequence", { passed: 1, replay: false, lines: [{ number: "x" }] });
  expect(find(el, ".stompy-help").textContent).toContain("Waiting");
});

describe("a line", () => {
  test("says in words which way it went and what belongs to it", async () => {
    const { el } = await opened();
    const words = texts(el, "[role=option] .stompy-hidden");
    expect(words).toEqual([
      ...["to the broker", "answered by 4", "from the broker", "answered by 3"],
      ...["from the broker", "answered by 3", "to the broker", "answers 1–2"],
      ...["from the broker", "answers 0", ""],
    ]);
    expect(texts(row(el, 3), ".stompy-joins")).toEqual(["↳ 1–2"]);
  });

  test("without its receipt says so", async () => {
    const { el } = await opened([
      line(0, "SEND", { receipt: "open" }),
      line(1, "SEND", { receipt: "none" }),
    ]);
    expect(texts(el, ".stompy-joins")).toEqual(["no receipt yet", "no receipt"]);
  });

  test("shows what strangers sent as text", async () => {
    const { el } = await opened([line(0, "SEND", { label: "<img src=x> & </div>" })]);
    expect(row(el, 0).querySelector("img")).toBeNull();
    expect(row(el, 0).textContent).toContain("<img src=x> & </div>");
  });

  test("marks its partners while it is pointed to, or has the focus", async () => {
    const { el } = await opened();
    await act(() => row(el, 3).focus());
    expect(marks(el, "self")).toEqual(["3"]);
    expect(marks(el, "partner")).toEqual(["1", "2"]);
    await act(() => {
      row(el, 0).dispatchEvent(new MouseEvent("mouseenter"));
    });
    expect(marks(el, "partner")).toEqual(["4"]);
    await act(() => row(el, 3).blur());
    expect(marks(el, "self")).toEqual([]);
  });
});

test("a transaction is a box, and what was aborted is struck", async () => {
  const inside = { transaction: "t1", outcome: "aborted" };
  const { el } = await opened([
    line(0, "BEGIN", inside),
    line(1, "SEND", inside),
    line(2, "SEND"),
    line(3, "ABORT", inside),
  ]);
  const boxes = [0, 1, 2, 3].map((number) => row(el, number).dataset["box"]);
  expect(boxes).toEqual(["begins", "ends", undefined, "begins ends"]);
  expect(texts(el, ".stompy-box-name")).toEqual([
    "transaction t1 (aborted)",
    "transaction t1 (aborted, goes on)",
  ]);
  expect(row(el, 1).dataset["aborted"]).toBe("true");
  expect(row(el, 2).dataset["aborted"]).toBe("false");
});

describe("the keyboard", () => {
  test("moves among the lines, of which one is a tab stop", async () => {
    const { el } = await opened();
    expect(current(el)).toBe("5");
    const list = find(el, "[role=listbox]");
    for (const [key, number] of [
      ["ArrowUp", "4"],
      ["Home", "0"],
      ["ArrowUp", "0"],
      ["ArrowDown", "1"],
      ["End", "5"],
    ] as const) {
      await press(list, key);
      expect(current(el)).toBe(number);
      expect((document.activeElement as HTMLElement).dataset["number"]).toBe(number);
    }
    expect(el.querySelector(".stompy-passage")).toBeNull();
  });

  test("opens the octets of a line, and goes back to it", async () => {
    const { model, el } = await opened();
    const list = find(el, "[role=listbox]");
    await press(list, "Home");
    await press(list, "Enter");
    expect(model.requested("passage")).toMatchObject({ number: 0 });
    await press(list, "ArrowDown"); // the octets follow
    expect(model.requested("passage")).toMatchObject({ number: 1 });
    await press(find(el, ".stompy-passage"), "Escape");
    expect(el.querySelector(".stompy-passage")).toBeNull();
    expect((document.activeElement as HTMLElement).dataset["number"]).toBe("1");
  });
});

test("the list leaves the newest line when another is chosen, and can be brought back", async () => {
  const { el } = await opened();
  expect(el.querySelector(".stompy-lanes button")).toBeNull();
  await click(row(el, 1));
  expect(row(el, 1).getAttribute("aria-selected")).toBe("true");
  await click(find(el, ".stompy-lanes button"));
  expect(current(el)).toBe("5");
  expect(el.querySelector(".stompy-lanes button")).toBeNull();
});

describe("the octets", () => {
  const PASSAGE = {
    number: 0,
    time: NOW,
    sent: true,
    command: "SEND",
    note: "",
    size: 34,
    parts: [
      ["command", 4, "a client sends"],
      ["line end", 1, "ends the command"],
      ["undefined escape", 2, "stands for nothing"],
    ],
  };

  async function inspected(passage: unknown, octets: string) {
    const { model, el } = await opened();
    await click(row(el, 0));
    await model.answer("passage", passage, new TextEncoder().encode(octets));
    return { model, el };
  }

  test("are those that Python has taken apart, with its words", async () => {
    const { el } = await inspected({ ...PASSAGE, size: 7 }, "SEND\n\\q");
    expect(texts(el, ".stompy-raw-text .stompy-token")).toEqual(["SEND", "⏎\n", "\\q"]);
    expect(texts(el, ".stompy-raw-parts tbody td:last-child")).toEqual([
      "command: a client sends",
      "line end: ends the command",
      "undefined escape: stands for nothing",
    ]);
    expect(find(el, ".stompy-passage").textContent).toContain("to the broker");
    expect(el.querySelector(".stompy-raw-note")).toBeNull();
  });

  test("that are no whole frame, or not all there, are said to be that", async () => {
    const { el } = await inspected({ ...PASSAGE, note: "It is cut off.", size: 99 }, "SEND\n\\q");
    expect(find(el, ".stompy-raw-note").textContent).toBe(
      "It is cut off. Only the beginning is here.",
    );
  });

  test("in another shape than is known are not shown", async () => {
    const { el } = await inspected({ ...PASSAGE, parts: [["command", -1, ""]] }, "SEND");
    expect(el.querySelector(".stompy-raw-text")).toBeNull();
  });

  test("that are gone leave a reason", async () => {
    const { model, el } = await opened();
    await click(row(el, 0));
    await model.refuse("passage", "there is no frame 0 in the trace");
    expect(find(el, ".stompy-passage [role=alert]").textContent).toContain("no frame 0");
  });
});

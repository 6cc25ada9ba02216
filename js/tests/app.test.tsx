import { act } from "preact/test-utils";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { SessionState } from "../src/protocol";
import { NOW, sessionWindow, stream } from "./kernel";
import { button, click, find, leave, news, press, start, texts, type } from "./page";

beforeEach(() => {
  vi.spyOn(Date, "now").mockReturnValue(NOW);
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  leave();
});

const TIMERS = [
  ...["setInterval", "clearInterval", "requestAnimationFrame", "cancelAnimationFrame"],
] as ["setInterval", "clearInterval"];

/** So many milliseconds go by. */
async function pass(ms: number) {
  await act(() => {
    vi.advanceTimersByTime(ms);
  });
}

async function show(...streams: ReturnType<typeof stream>[]) {
  const { model, open } = start(sessionWindow(1, ...streams));
  return { model, ...(await open()) };
}

async function showSession(changes: Partial<SessionState>) {
  const window = sessionWindow(1, stream());
  const { model, open } = start({ ...window, session: { ...window.session, ...changes } });
  return { model, ...(await open()) };
}

const tab = (el: Element, name: string) => find(el, `[data-tab="${name}"]`);
const numbers = (el: Element) =>
  [...el.querySelectorAll<HTMLElement>("[data-number]")].map((row) =>
    Number(row.dataset["number"]),
  );

test("the notebook's keyboard shortcuts are kept out of all that can have the focus", async () => {
  const { el } = await show(stream());
  await click(find(el, '[data-number="29"] [role=gridcell]'));
  for (const name of ["frames", "rate", "send", "log"]) {
    await click(tab(el, name));
    for (const node of el.querySelectorAll(
      "button, input, select, textarea, summary, [tabindex]",
    )) {
      if (node.getAttribute("role") !== "row") {
        expect(node.getAttribute("data-lm-suppress-shortcuts"), node.className).toBe("true");
      }
    }
  }
});

describe("the head", () => {
  test.each([
    ["connected", "●", "Disconnect"],
    ["reconnecting", "◌", "Disconnect"],
    ["disconnected", "○", "Connect"],
    ["lost", "✕", "Connect"],
  ])(
    "of a session that is %s says so in words and with %s, and offers to %s",
    async (state, sign, offer) => {
      const { el } = await showSession({ state });
      expect(texts(el, ".stompy-sign")).toEqual([sign]);
      expect(find(el, ".stompy-head").textContent).toContain(state);
      expect(texts(el, ".stompy-head button")).toEqual([offer]);
    },
  );

  test("has address, broker, version, reconnects and the rate", async () => {
    const { el } = await showSession({ reconnects: 2 });
    const head = find(el, ".stompy-head").textContent;
    for (const text of ["127.0.0.1:61613", "RabbitMQ/3.13", "STOMP 1.2", "2 reconnects", "/s"]) {
      expect(head).toContain(text);
    }
  });

  test("has a light for the heart-beats of each way that was agreed", async () => {
    const { el } = await showSession({ beats: { out: [0, 0], in: [1000, 400] } });
    const [light, ...others] = el.querySelectorAll(".stompy-beat");
    expect(others).toEqual([]);
    expect(light?.getAttribute("aria-label")).toBe(
      "heart-beats received every 1 s, the last sign 400 ms ago",
    );
    expect(light?.className).not.toContain("late");
  });

  test("shows a heart-beat that is late as that", async () => {
    const { el } = await showSession({ beats: { out: [1000, 0], in: [1000, 4500] } });
    expect(texts(el, ".stompy-beat")).toEqual(["♥↑", "♡↓"]);
  });

  test("says when there is no news from the kernel", async () => {
    const { el } = await showSession({ beats: { out: [1000, 0], in: [1000, 0] } });
    expect(find(el, ".stompy-head").textContent).not.toContain("no news");
    vi.spyOn(Date, "now").mockReturnValue(NOW + 9000);
    await click(tab(el, "log"));
    expect(find(el, ".stompy-head").textContent).toContain("no news from the kernel for 9 s");
    expect(texts(el, ".stompy-beat")).toEqual(["♡↑", "♡↓"]);
  });

  test("disconnects, and says what the kernel says", async () => {
    const { el, model } = await show(stream());
    await click(button(el, "Disconnect"));
    await model.answer("disconnect", {});
    expect(find(el, "[role=status]").textContent).toBe("Disconnected.");
    await click(button(el, "Disconnect"));
    await model.refuse("disconnect", "no", "try again");
    expect(find(el, "[role=status]").textContent).toBe("no (try again)");
  });
});

describe("the streams", () => {
  test("are to be chosen from; the first is at the beginning", async () => {
    const { el } = await show(stream(), stream(7, { id: "s2", name: "tocks", destination: "/t" }));
    expect(texts(el, "[aria-pressed=true] .stompy-name")).toEqual(["ticks"]);
    await click(find(el, '[data-stream="tocks"]'));
    expect(texts(el, "[aria-pressed=true] .stompy-name")).toEqual(["tocks"]);
    expect(numbers(el)).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  test.each([
    [0, "0 frames"],
    [1, "1 frame"],
    [1234567, "1,234,567 frames"],
  ])("of %i frames say %s", async (received, text) => {
    expect(texts((await show(stream(received))).el, ".stompy-count")).toEqual([text]);
  });

  test("say their state, what was dropped and what waits, when there is any", async () => {
    const { el, model } = await show(stream());
    expect(find(el, ".stompy-streams").textContent).not.toMatch(/dropped|unack|ended/);
    const changes = { dropped: 25, waiting: 3, state: "ended", error: "it broke" };
    await news(model, sessionWindow(2, stream(30, changes)));
    for (const text of ["25 dropped", "3 unacknowledged", "ended"]) {
      expect(find(el, ".stompy-streams").textContent).toContain(text);
    }
    expect(texts(el, "[role=alert]")).toEqual(["it broke"]);
  });

  test("are paused, resumed and ended by buttons", async () => {
    const { el, model } = await show(stream());
    await click(button(el, "Pause subscription"));
    await model.answer("pause", {});
    expect(model.requested("pause")).toMatchObject({ stream: "s1" });
    await news(model, sessionWindow(2, stream(30, { state: "paused" })));
    await click(button(el, "Resume subscription"));
    await click(button(el, "Unsubscribe"));
    expect(model.requests.map(({ kind }) => kind)).toEqual(["pause", "resume", "unsubscribe"]);
  });

  test("get another one by the form, which is chosen then", async () => {
    const { el, model } = await show(stream());
    await click(button(el, "+ Subscribe"));
    await type(find(el, "[name=destination]"), "/queue/q");
    await press(find(el, "[name=destination]"), "Enter");
    expect(model.requested("subscribe")).toMatchObject({ destination: "/queue/q", ack: "auto" });
    await model.answer("subscribe", { stream: "s2" });
    await news(model, sessionWindow(2, stream(), stream(3, { id: "s2", name: "q" })));
    expect(texts(el, "[aria-pressed=true] .stompy-name")).toEqual(["q"]);
  });
});

test("a session without streams, and a stream without frames, say what to try", async () => {
  const { el, model } = await show();
  expect(texts(el, ".stompy-help").join()).toContain("%stomp_subscribe /topic/prices --as prices");
  await news(model, sessionWindow(2, stream(0)));
  expect(texts(el, ".stompy-help").join()).toContain("%stomp_send /topic/ticks hello");
  await news(model, sessionWindow(3, stream(0, { state: "ended" })));
  expect(texts(el, ".stompy-help").join()).toContain("the stream has ended");
});

describe("the list of frames", () => {
  test("is a grid with all frames, of which those in sight are drawn, the newest last", async () => {
    const { el } = await show(stream(1000));
    const grid = find(el, "[role=grid]");
    expect(grid.getAttribute("aria-rowcount")).toBe("1001");
    expect(texts(el, "[role=columnheader]")).toEqual([
      ...["frame", "received (UTC)", "content-type", "size", "body"],
    ]);
    expect(numbers(el).slice(-2)).toEqual([998, 999]);
    expect(texts(el, '[data-number="999"] [role=gridcell]')).toEqual([
      ...["999", "12:00:00.999", "text/plain", "1,099", "body 999"],
    ]);
  });

  test("has one tab stop, and arrows, pages, Home and End move it", async () => {
    const { el } = await show(stream(20));
    const stop = () => {
      const stops = el.querySelectorAll<HTMLElement>('[role=grid] [tabindex="0"]');
      expect(stops.length).toBe(1);
      return [
        stops[0]?.closest<HTMLElement>("[data-number]")?.dataset["number"],
        stops[0]?.textContent,
      ];
    };
    expect(stop()).toEqual(["19", "19"]);
    const grid = find(el, "[role=grid]");
    const steps = [
      ["ArrowUp", ["18", "18"]],
      ["ArrowRight", ["18", "12:00:00.018"]],
      ["PageUp", ["7", "12:00:00.007"]],
      ["Home", ["0", "12:00:00.000"]],
      ["ArrowUp", [undefined, "received (UTC)"]],
      ["ArrowDown", ["0", "12:00:00.000"]],
      ["End", ["19", "12:00:00.019"]],
      ["ArrowLeft", ["19", "19"]],
      ["ArrowLeft", ["19", "19"]],
      ["ArrowDown", ["19", "19"]],
    ] as const;
    for (const [key, at] of steps) {
      await press(grid, key);
      expect(stop(), key).toEqual(at);
      expect(document.activeElement?.textContent, key).toBe(at[1]);
    }
  });

  test("asks for rows that are in sight and not here", async () => {
    const { el, model } = await show(stream(1000));
    await press(find(el, "[role=grid]"), "Home");
    expect(texts(el, '[data-number="5"]')).toEqual(["5…………"]);
    expect(model.requested("rows")).toMatchObject({ stream: "s1", first: 0, count: 200 });
  });

  test("stays where the reader is, and counts what is new", async () => {
    const { el, model } = await show(stream(30));
    await press(find(el, "[role=grid]"), "Home");
    await news(model, sessionWindow(2, stream(45)));
    expect(numbers(el)).not.toContain(44);
    await click(button(el, "15 new"));
    expect(numbers(el)).toContain(44);
    expect(texts(el, ".stompy-badge")).toEqual([]);
  });

  test("pauses by Space in this page alone, while the stream goes on", async () => {
    const { el, model } = await show(stream(30));
    await press(find(el, '[role=grid] [tabindex="0"]'), " ");
    await news(model, sessionWindow(2, stream(45)));
    expect(find(el, "[role=grid]").getAttribute("aria-rowcount")).toBe("31");
    expect(texts(el, ".stompy-count")).toEqual(["45 frames"]);
    expect(texts(el, ".stompy-badge")).toEqual(["15 new ↓"]);
    expect(model.requests).toEqual([]);
    await press(find(el, '[role=grid] [tabindex="0"]'), " ");
    expect(find(el, "[role=grid]").getAttribute("aria-rowcount")).toBe("46");
  });

  test("is narrowed by a filter that / leads to; the kernel looks at all frames", async () => {
    vi.useFakeTimers({ toFake: TIMERS });
    const { el, model } = await show(stream(30));
    await press(find(el, '[role=grid] [tabindex="0"]'), "/");
    const filter = find<HTMLInputElement>(el, "[type=search]");
    expect(document.activeElement).toBe(filter);
    await type(filter, "currency=EUR");
    expect(numbers(el)).toEqual([11, 13, 15, 17, 19, 21, 23, 25, 27, 29]);
    await pass(1000);
    expect(model.requested("find")).toMatchObject({
      stream: "s1",
      terms: [{ header: "currency", text: "EUR", not: false }],
      first: 0,
    });
    await model.answer("find", { stream: "s1", numbers: [1, 3], total: 2, first: 0, end: 30 });
    await pass(20);
    expect(numbers(el)).toEqual([1, 3]);
    expect(find(el, ".stompy-toolbar").textContent).toContain("2 of 30 frames match");
    await press(filter, "Escape");
    expect(numbers(el).length).toBeGreaterThan(2);
  });

  test("is sorted by the head of a column: up, down, not", async () => {
    const { el } = await show(stream(12));
    const head = () => find(el, '[role=columnheader][aria-colindex="4"]');
    for (const [order, first] of [
      ["ascending", 0],
      ["descending", 11],
      ["none", 0],
    ] as const) {
      await click(head());
      expect(head().getAttribute("aria-sort")).toBe(order);
      expect(numbers(el)[0]).toBe(first);
    }
  });

  test("has the columns that are chosen among the headers that occur", async () => {
    const { el } = await show(stream());
    await click(button(el, "Columns"));
    expect(texts(el, ".stompy-choice label")).toContain("currency");
    await click(find(el, ".stompy-choice label:nth-of-type(4) input"));
    expect(texts(el, "[role=columnheader]")).toContain("currency");
  });

  test("says nothing odd when all that it was paused at has been dropped", async () => {
    const { el, model } = await show(stream(30));
    await press(find(el, '[role=grid] [tabindex="0"]'), " ");
    await news(model, sessionWindow(2, stream(100, { dropped: 60 })));
    expect(find(el, ".stompy-toolbar").textContent).toContain("0 frames");
    await click(button(el, "70 new"));
    expect(numbers(el)).toContain(99);
  });

  test("stays where it is when a filter is taken away", async () => {
    const { el, model } = await show(stream(3000, { dropped: 2000, first: 2980 }));
    await press(find(el, '[role=grid] [tabindex="0"]'), "ArrowUp");
    await type(find(el, "[type=search]"), "body");
    await news(model, sessionWindow(2, stream(3100, { dropped: 2100 })));
    await type(find(el, "[type=search]"), "");
    expect(numbers(el)).toContain(2997);
    expect(numbers(el)).toContain(2990);
  });

  test("keeps the rows in place when the oldest are dropped", async () => {
    const { el, model } = await show(stream(40));
    await press(find(el, "[role=grid]"), "Home");
    await press(find(el, "[role=grid]"), "PageDown");
    await press(find(el, "[role=grid]"), "PageDown");
    const before = numbers(el)[0];
    await news(model, sessionWindow(2, stream(45, { dropped: 5 })));
    await news(model);
    expect(numbers(el)[0]).toBe(before);
  });
});

describe("the inspector", () => {
  const frame = {
    ...{
      stream: "s1",
      number: 29,
      received: NOW + 1500,
      command: "MESSAGE",
      whole: true,
      cut: false,
    },
    ...{ size: 5, offset: 0, version: "1.2", answerable: true },
    headers: [
      ["destination", "/topic/ticks"],
      ["timestamp", String(NOW)],
      ["odd:name", "a\u202eb"],
    ],
  };

  async function inspect(changes = {}) {
    const { el, model } = await show(stream(30, changes));
    await press(find(el, '[role=grid] [tabindex="0"]'), "Enter");
    await model.answer("frame", frame, new TextEncoder().encode("hello"));
    return { el, model };
  }

  test("is entered by Enter and left by Escape", async () => {
    const { el, model } = await inspect();
    expect(model.requested("frame")).toMatchObject({ stream: "s1", number: 29, offset: 0 });
    expect(document.activeElement?.textContent).toBe("Headers");
    await press(document.activeElement ?? el, "Escape");
    expect(el.querySelector(".stompy-inspector")).toBeNull();
    expect(document.activeElement?.getAttribute("role")).toBe("gridcell");
  });

  test("shows the headers, every character of them, and the lag", async () => {
    const { el } = await inspect();
    expect(texts(el, ".stompy-inspector tbody tr")).toEqual([
      "destination/topic/ticks",
      `timestamp${NOW}`,
      "odd:namea\\u202eb",
    ]);
    expect(find(el, ".stompy-inspector").textContent).toContain("lag 1.5 s");
  });

  test("shows the body, and the raw frame with its parts", async () => {
    const { el } = await inspect();
    await click(tab(find(el, ".stompy-inspector"), "body"));
    expect(find(el, ".stompy-inspector").textContent).toContain("hello");
    await click(tab(find(el, ".stompy-inspector"), "raw"));
    const names = texts(el, ".stompy-inspector table tbody tr").join("\n");
    for (const part of ["command", "escape", "blank line", "body", "NUL"]) {
      expect(names).toContain(part);
    }
  });

  test("acknowledges where that can be done", async () => {
    const { el, model } = await inspect({ answers: true, ack: "client-individual" });
    await click(button(el, "Ack"));
    await model.answer("ack", { number: 29 });
    await news(model);
    expect(model.requested("ack")).toMatchObject({ stream: "s1", number: 29 });
    expect(find(el, "[role=status]").textContent).toBe("Frame 29 is acknowledged.");
    expect(model.requests.filter(({ kind }) => kind === "frame").length).toBe(2);
  });

  test("keeps the focus when the button that has it goes", async () => {
    const { el, model } = await inspect({ answers: true, ack: "client-individual" });
    button(el, "Ack").focus();
    await click(button(el, "Ack"));
    await model.answer("ack", { number: 29 });
    await news(model);
    await model.answer("frame", { ...frame, answerable: false });
    expect(texts(el, ".stompy-inspector button")).not.toContain("Ack");
    expect(document.activeElement?.closest(".stompy-inspector")).not.toBeNull();
  });

  test("does not offer what cannot be done", async () => {
    const { el } = await inspect();
    expect(texts(el, ".stompy-inspector button")).not.toContain("Ack");
  });

  test("says when a frame is gone, and shows no other one's headers", async () => {
    const { el, model } = await inspect();
    await click(find(el, '[data-number="20"] [role=gridcell]'));
    await model.refuse("frame", "frame 20 is not kept any more");
    expect(texts(el, "[role=alert]")).toEqual(["frame 20 is not kept any more"]);
    expect(texts(el, ".stompy-inspector tbody tr")).toEqual([]);
  });
});

describe("the composer", () => {
  async function compose(changes: Partial<SessionState> = {}) {
    const { el, model } = await showSession(changes);
    await click(tab(el, "send"));
    const form = find<HTMLFormElement>(el, ".stompy-composer");
    const field = (name: string) => find<HTMLInputElement>(form, `[name=${name}]`);
    return { el, model, form, field };
  }

  test("sends what the preview shows", async () => {
    const { el, model, form, field } = await compose();
    expect(field("destination").value).toBe("/topic/ticks");
    await type(field("headers"), "currency: EUR\n\nempty:");
    await type(field("body"), "42");
    expect(find(form, ".stompy-preview").textContent).toContain("currency:EUR");
    await click(button(form, "Send"));
    expect(model.requested("send")).toMatchObject({
      destination: "/topic/ticks",
      headers: [
        ["currency", "EUR"],
        ["empty", ""],
      ],
      body: "42",
      receipt: null,
      transaction: false,
    });
    await model.answer("send", { receipt: null, confirmed: null, ms: null });
    expect(find(el, "[role=status]").textContent).toBe("Sent to /topic/ticks.");
  });

  test("asks for the receipt that the preview names, and tells of it", async () => {
    const { el, model, form, field } = await compose();
    await click(field("receipt"));
    await click(button(form, "Send"));
    const receipt = String(model.requested("send")?.["receipt"]);
    expect(receipt).toMatch(/^widget-/);
    await model.answer("send", { receipt, confirmed: true, ms: 3 });
    expect(find(el, "[role=status]").textContent).toContain("confirmed it after 3 ms");
  });

  test("sends once, however often one asks while the answer is on its way", async () => {
    const { model, form } = await compose();
    await click(button(form, "Send"));
    await click(button(form, "Send"));
    expect(model.requests.filter(({ kind }) => kind === "send").length).toBe(1);
    await model.answer("send", { receipt: null, confirmed: null, ms: null });
    await click(button(form, "Send"));
    expect(model.requests.filter(({ kind }) => kind === "send").length).toBe(2);
  });

  test("does not send what cannot be sent, and says why", async () => {
    const { form, field } = await compose();
    await type(field("headers"), "no header");
    expect(find(form, ".stompy-preview").textContent).toContain("is no header");
    expect(button(form, "Send").disabled).toBe(true);
  });

  test("adds to a transaction, and ends it", async () => {
    const { model, form } = await compose({ transaction: { id: "t7", frames: 1 } });
    expect(form.textContent).toContain("Transaction t7: 1 message");
    expect(find(form, ".stompy-preview").textContent).toContain("transaction:t7");
    await click(button(form, "Add to the transaction"));
    expect(model.requested("send")).toMatchObject({ transaction: true });
    await click(button(form, "Commit"));
    await click(button(form, "Abort"));
    expect(model.requests.map(({ kind }) => kind)).toEqual(["send", "commit", "abort"]);
  });
});

test("the log has what happened, newest first, and what became of all frames", async () => {
  const window = sessionWindow(1, stream(1000, { dropped: 100 }));
  const log = [
    { n: 1, time: NOW, kind: "connected", text: "to 127.0.0.1" },
    { n: 2, time: NOW + 5, kind: "error", text: "bad\nthing" },
  ];
  const { el } = await start({ ...window, log }).open();
  await click(tab(el, "log"));
  expect(texts(el, ".stompy-entries li")).toEqual([
    "12:00:00.005⚠ errorbad\nthing",
    "12:00:00.000● connectedto 127.0.0.1",
  ]);
  expect(texts(el, ".stompy-log tbody td")).toEqual(["1,000", "100", "900", "20"]);
});

test("what was done in a tab is there when one comes back to it", async () => {
  const { el } = await show(stream(30));
  await type(find(el, "[type=search]"), "currency=EUR");
  await press(find(el, '[role=grid] [tabindex="0"]'), " ");
  await click(tab(el, "send"));
  await type(find<HTMLTextAreaElement>(el, "[name=body]"), "half a message");
  expect(find(el, "[role=grid]").closest<HTMLElement>("[role=tabpanel]")?.hidden).toBe(true);
  await click(tab(el, "frames"));
  expect(find<HTMLInputElement>(el, "[type=search]").value).toBe("currency=EUR");
  expect(button(find(el, ".stompy-toolbar"), "Pause").getAttribute("aria-pressed")).toBe("true");
  await click(tab(el, "send"));
  expect(find<HTMLTextAreaElement>(el, "[name=body]").value).toBe("half a message");
});

test("a click in the chart goes to the frames of that second", async () => {
  const rate = { second: NOW / 1000, frames: [400, 300, 300] };
  const { el, model } = await show(stream(1000, { rate }));
  await type(find(el, "[type=search]"), "nothing like it");
  await click(tab(el, "rate"));
  const plot = find(el, '.stompy-chart [tabindex="0"]');
  await press(plot, "ArrowLeft");
  await press(plot, "Enter");
  expect(find(el, "[aria-selected=true][role=tab]").textContent).toBe("Frames");
  expect(numbers(el)).toContain(400);
  expect(model.requested("frame")).toMatchObject({ number: 400 });
  expect(document.activeElement?.getAttribute("role")).toBe("gridcell");
  expect(model.requested("rows")).toMatchObject({ stream: "s1" });
});

test("new frames are told of to those who hear the page, from time to time", async () => {
  vi.useFakeTimers({ toFake: TIMERS });
  const { el, model } = await show(stream(30));
  model.message(sessionWindow(2, stream(55)));
  await pass(4000);
  expect(texts(el, "[aria-live=polite]")).toEqual([""]);
  await pass(1000);
  expect(texts(el, "[aria-live=polite]")).toEqual(["25 new frames on ticks"]);
});

test("whatever a stranger sends stays text", async () => {
  const markup = "<img src=x onerror=alert(1)><script>alert(2)</script>";
  const window = sessionWindow(
    1,
    stream(1, {
      name: markup,
      destination: `/topic/${markup}`,
      error: markup,
      columns: [[markup, markup]],
      rows: [[NOW, 1, markup, markup]],
      first: 0,
    }),
  );
  window.session = {
    ...window.session,
    address: markup,
    state: markup,
    server: markup,
    error: markup,
  };
  window.log = [{ n: 1, time: NOW, kind: markup, text: markup }];
  const { model, open } = start(window);
  const { el } = await open();
  await click(button(el, "Columns"));
  for (const box of el.querySelectorAll<HTMLInputElement>(".stompy-choice input:not(:checked)")) {
    await click(box);
  }
  await click(find(el, '[data-number="0"] [role=gridcell]'));
  const hostile = {
    ...{ stream: "s1", number: 0, received: NOW, command: markup, whole: false, cut: true },
    ...{ size: markup.length, offset: 0, version: "1.2", answerable: false },
    headers: [[markup, markup]],
  };
  await model.answer("frame", hostile, new TextEncoder().encode(markup));
  for (const name of ["headers", "body", "raw", "rate", "send", "log"]) {
    await click(tab(el, name));
    expect(el.textContent).toContain("<img");
    expect(el.querySelector("img, script")).toBeNull();
    if (name === "raw") {
      await click(tab(el, "frames"));
    }
  }
});

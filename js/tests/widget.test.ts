import { afterEach, expect, test, vi } from "vitest";
import { sessionWindow, stream } from "./kernel";
import { leave, news, start, texts } from "./page";

afterEach(() => {
  vi.restoreAllMocks();
  leave();
});

const counted = (seq: number, received: number) => sessionWindow(seq, stream(received));

test("a view shows the snapshot at once", async () => {
  const { open } = start(counted(1, 1234));
  expect(texts((await open()).el, ".stompy-count")).toEqual(["1,234 frames"]);
});

test("a message changes what is shown", async () => {
  const { model, open } = start(counted(1, 10));
  const { el } = await open();
  await news(model, counted(2, 5000));
  expect(texts(el, ".stompy-count")).toEqual(["5,000 frames"]);
});

test("a message older than the one shown is ignored", async () => {
  const { model, open } = start(counted(5, 50));
  const { el } = await open();
  await news(model, counted(4, 40));
  expect(texts(el, ".stompy-count")).toEqual(["50 frames"]);
});

test("a snapshot that a message overtook is ignored, by views to come as well", async () => {
  const { model, open } = start(counted(1, 10));
  const { el } = await open();
  await news(model, counted(3, 30));
  model.snapshot(counted(2, 20));
  await news(model);
  expect(texts(el, ".stompy-count")).toEqual(["30 frames"]);
  expect(texts((await open()).el, ".stompy-count")).toEqual(["30 frames"]);
});

test("two views of one model show the same, and so does one that comes late", async () => {
  const { model, open } = start(counted(1, 10));
  const [first, second] = [await open(), await open()];
  await news(model, counted(2, 20));
  for (const { el } of [first, second, await open()]) {
    expect(texts(el, ".stompy-count")).toEqual(["20 frames"]);
  }
});

test("messages that came before the first view are not lost", async () => {
  const { model, open } = start(null);
  await news(model, counted(7, 70));
  expect(texts((await open()).el, ".stompy-count")).toEqual(["70 frames"]);
});

test("what is saved with the notebook is the newest window, with few rows", async () => {
  const { model } = start(counted(1, 10));
  const rows = Array.from({ length: 100 }, (_, i) => [i, 1, `body ${i}`]);
  const many = stream(100, { columns: [], first: 0, rows: rows as never });
  await news(model, sessionWindow(2, many));
  const kept = model.kept as ReturnType<typeof sessionWindow>;
  expect(kept.seq).toBe(2);
  expect(kept.streams[0]?.first).toBe(50);
  expect(kept.streams[0]?.rows.length).toBe(50);
  expect(model.saved).toBe(0);
});

test.each([
  ["another kind", { ...sessionWindow(9), kind: "error" }],
  ["no object", "window"],
  ["null", null],
  ["a stream without rows", { ...sessionWindow(9), streams: [{ name: "x" }] }],
  ["a cell that is no text", sessionWindow(9, stream(1, { rows: [[1, 1, 1 as never]] }))],
  ["a negative count", sessionWindow(9, stream(1, { received: -1 }))],
  ["a log entry without a text", { ...sessionWindow(9), log: [{ n: 1, time: 1, kind: "x" }] }],
  ["an answer to nothing", { kind: "reply", id: "x-1", result: {} }],
])("ignored: %s", async (_, message) => {
  const { model, open } = start(counted(1, 10));
  const { el } = await open();
  model.message(message);
  model.snapshot(message);
  await news(model);
  expect(texts(el, ".stompy-count")).toEqual(["10 frames"]);
});

test("without a valid snapshot there is no error, and it says what it waits for", async () => {
  const { el } = await start("nonsense").open();
  expect(el.textContent).toBe("Waiting for the kernel …");
});

test("many messages are drawn once", async () => {
  const { model, open } = start(counted(0, 0));
  const { el } = await open();
  await news(model);
  const request = vi.spyOn(globalThis, "requestAnimationFrame");
  for (let seq = 1; seq <= 100; seq++) {
    model.message(counted(seq, seq));
  }
  expect(request).toHaveBeenCalledTimes(1);
  expect(texts(el, ".stompy-count")).toEqual(["0 frames"]);
  await news(model);
  expect(texts(el, ".stompy-count")).toEqual(["100 frames"]);
});

test("the returned functions clean up", async () => {
  const { model, stop, open } = start(counted(1, 10));
  const { el, close } = await open();
  model.message(counted(2, 20));
  close();
  expect(el.childElementCount).toBe(0);
  stop();
  expect(model.listeners).toBe(0);
});

test("an aborted signal cleans up, also together with the returned functions", async () => {
  const controller = new AbortController();
  const { model, stop, open } = start(counted(1, 10), controller.signal);
  const { el, close } = await open();
  controller.abort();
  expect(el.childElementCount).toBe(0);
  expect(model.listeners).toBe(0);
  close();
  stop();
});

test("closing one view leaves the other", async () => {
  const { model, open } = start(counted(1, 10));
  const [first, second] = [await open(), await open()];
  first.close();
  await news(model, counted(2, 20));
  expect(texts(second.el, ".stompy-count")).toEqual(["20 frames"]);
});

test("no two elements of a page have one id, however many widgets it has", async () => {
  for (const { open } of [start(counted(1, 10)), start(counted(1, 10))]) {
    await open();
    await open();
  }
  const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
  expect(ids.length).toBeGreaterThan(4);
  expect(new Set(ids).size).toBe(ids.length);
});

test("two widgets of one page know nothing of each other", async () => {
  const one = start(counted(1, 10));
  const other = start(counted(1, 10));
  const [a, b] = [await one.open(), await other.open()];
  await news(one.model, counted(2, 20));
  expect(texts(a.el, ".stompy-count")).toEqual(["20 frames"]);
  expect(texts(b.el, ".stompy-count")).toEqual(["10 frames"]);
});

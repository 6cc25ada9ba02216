import { afterEach, expect, test, vi } from "vitest";
import { nextFrame, open, sessionWindow, start, stream, texts } from "./kernel";

afterEach(() => {
  vi.restoreAllMocks();
  document.body.replaceChildren();
});

const counted = (seq: number, received: number) => sessionWindow(seq, stream({ received }));

test("a view shows the snapshot at once", () => {
  const { model } = start(sessionWindow(1));
  expect(texts(open(model).el, ".stompy-count")).toEqual(["1,234 frames"]);
});

test("a message changes what is shown", async () => {
  const { model } = start(sessionWindow(1));
  const { el } = open(model);
  model.message(counted(2, 5000));
  await nextFrame();
  expect(texts(el, ".stompy-count")).toEqual(["5,000 frames"]);
});

test("a message older than the one shown is ignored", async () => {
  const { model } = start(counted(5, 50));
  const { el } = open(model);
  model.message(counted(4, 40));
  await nextFrame();
  expect(texts(el, ".stompy-count")).toEqual(["50 frames"]);
});

test("a snapshot that a message overtook is ignored, by views to come as well", async () => {
  const { model } = start(counted(1, 10));
  const { el } = open(model);
  model.message(counted(3, 30));
  model.snapshot(counted(2, 20));
  await nextFrame();
  expect(texts(el, ".stompy-count")).toEqual(["30 frames"]);
  expect(texts(open(model).el, ".stompy-count")).toEqual(["30 frames"]);
});

test("two views of one model show the same, and so does one that comes late", async () => {
  const { model } = start(counted(1, 10));
  const first = open(model);
  const second = open(model);
  model.message(counted(2, 20));
  await nextFrame();
  const late = open(model);
  for (const { el } of [first, second, late]) {
    expect(texts(el, ".stompy-count")).toEqual(["20 frames"]);
  }
});

test("messages that came before the first view are not lost", () => {
  const { model } = start(null);
  model.message(counted(7, 70));
  expect(texts(open(model).el, ".stompy-count")).toEqual(["70 frames"]);
});

test.each([
  ["another kind", { ...sessionWindow(9), kind: "error" }],
  ["no object", "window"],
  ["null", null],
  ["a stream without rows", { ...sessionWindow(9), streams: [{ name: "x" }] }],
  ["a cell that is no text", sessionWindow(9, stream({ rows: [[1 as unknown as string]] }))],
  ["a negative count", counted(9, -1)],
])("ignored: %s", async (_, message) => {
  const { model } = start(counted(1, 10));
  const { el } = open(model);
  model.message(message);
  model.snapshot(message);
  await nextFrame();
  expect(texts(el, ".stompy-count")).toEqual(["10 frames"]);
});

test("without a valid snapshot there is nothing to see, and no error", () => {
  const { el } = open(start("nonsense").model);
  expect(el.textContent).toBe("");
});

test("many messages are drawn once", async () => {
  const { model } = start(counted(0, 0));
  const { el } = open(model);
  const request = vi.spyOn(globalThis, "requestAnimationFrame");
  for (let seq = 1; seq <= 100; seq++) {
    model.message(counted(seq, seq));
  }
  expect(request).toHaveBeenCalledTimes(1);
  expect(texts(el, ".stompy-count")).toEqual(["0 frames"]);
  await nextFrame();
  expect(texts(el, ".stompy-count")).toEqual(["100 frames"]);
});

test("nothing is sent to the kernel", async () => {
  const { model } = start(counted(1, 10));
  open(model);
  model.message(counted(2, 20));
  await nextFrame();
  expect(model.sentBack).toBe(0);
});

test("the returned functions clean up", async () => {
  const { model, stop } = start(counted(1, 10));
  const { el, close } = open(model);
  model.message(counted(2, 20));
  close();
  await nextFrame();
  expect(el.childElementCount).toBe(0);
  stop();
  expect(model.listeners).toBe(0);
});

test("an aborted signal cleans up, also together with the returned functions", () => {
  const controller = new AbortController();
  const { model, stop } = start(counted(1, 10), controller.signal);
  const { el, close } = open(model, controller.signal);
  controller.abort();
  expect(el.childElementCount).toBe(0);
  expect(model.listeners).toBe(0);
  close();
  stop();
});

test("closing one view leaves the other", async () => {
  const { model } = start(counted(1, 10));
  const first = open(model);
  const second = open(model);
  first.close();
  model.message(counted(2, 20));
  await nextFrame();
  expect(texts(second.el, ".stompy-count")).toEqual(["20 frames"]);
});

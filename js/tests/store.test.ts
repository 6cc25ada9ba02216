import { expect, test, vi } from "vitest";
import { KEPT } from "../src/rows";
import { Refused, Store } from "../src/store";
import { COLUMNS, FakeModel, NOW, rowsOf, sessionWindow, stream } from "./kernel";

function begin(received = 1000) {
  const model = new FakeModel(sessionWindow(1, stream(received)));
  return { model, store: new Store(model.proxy()) };
}

const page = (first: number, end: number) => ({
  ...{ stream: "s1", columns: COLUMNS, first, received: 1000, dropped: 0 },
  rows: rowsOf(first, end),
});

test("a request is answered by the reply with its id, whatever comes in between", async () => {
  const { model, store } = begin();
  const [one, other] = [store.request("begin"), store.request("abort")];
  const [first, second] = model.requests.map(({ id }) => id);
  expect(first).not.toBe(second);
  model.message({ kind: "reply", id: second, result: { frames: 2 } });
  model.message({ kind: "reply", id: first, result: { id: "t1" } }, [
    new Uint8Array([1, 2]).buffer,
  ]);
  expect((await other).result).toEqual({ frames: 2 });
  expect(await one).toEqual({ result: { id: "t1" }, octets: new Uint8Array([1, 2]) });
});

test("a buffer may be a view on a larger one", async () => {
  const { model, store } = begin();
  const answer = store.request("frame");
  const view = new DataView(new Uint8Array([0, 7, 8, 0]).buffer, 1, 2);
  model.message({ kind: "reply", id: model.requested("frame")?.id, result: {} }, [view]);
  expect((await answer).octets).toEqual(new Uint8Array([7, 8]));
});

test("a refusal says what was wrong, and what to try", async () => {
  const { model, store } = begin();
  const answer = store.request("send");
  await model.refuse("send", "not connected", "connect first");
  await expect(answer).rejects.toEqual(new Refused("not connected", "connect first"));
});

test("who still waits when the widget is closed is told", async () => {
  const { store } = begin();
  const answer = store.request("send");
  store.close();
  await expect(answer).rejects.toThrow("the widget was closed");
});

test("a kernel that cannot be reached is an error of the request", async () => {
  const { model } = begin();
  const proxy = model.proxy();
  proxy.send = () => {
    throw new Error("no comm");
  };
  await expect(new Store(proxy).request("send")).rejects.toThrow("no comm");
});

test("rows that are missing are asked for as a page, once at a time", async () => {
  const { model, store } = begin();
  const brought = store.bring("s1", 500, 512);
  void store.bring("s1", 500, 512);
  expect(model.requests).toMatchObject([{ kind: "rows", stream: "s1", first: 500, count: 200 }]);
  await model.answer("rows", page(500, 700));
  await brought;
  expect(store.rows("s1").get(511)?.body).toBe("body 511");
  await store.bring("s1", 500, 512);
  expect(model.requests.length).toBe(1);
});

test("rows that do not come are asked for again, but not at once", async () => {
  const warn = vi.spyOn(console, "warn").mockReturnValue();
  const { model, store } = begin();
  const asked = () => model.requests.length;
  const refused = store.bring("s1", 500, 512);
  await model.refuse("rows", "the stream is gone");
  await refused;
  await store.bring("s1", 500, 512);
  expect(asked()).toBe(1);
  vi.spyOn(Date, "now").mockReturnValue(Date.now() + 3000);
  const empty = store.bring("s1", 500, 512);
  await model.answer("rows", page(500, 500));
  await empty;
  await store.bring("s1", 500, 512);
  expect(asked()).toBe(2);
  expect(warn).toHaveBeenCalledTimes(1);
  vi.restoreAllMocks();
});

test("who scrolls up gets the page before", async () => {
  const { model, store } = begin();
  void store.bring("s1", 975, 985); // 980 up to 1000 are here
  expect(model.requested("rows")).toMatchObject({ first: 780, count: 200 });
});

test("a page that was cut because it was too large is gone on with, not asked for again", async () => {
  const { model, store } = begin();
  const brought = store.bring("s1", 975, 985);
  await model.answer("rows", page(780, 800));
  await brought;
  void store.bring("s1", 975, 985);
  expect(model.requested("rows")).toMatchObject({ first: 975 });
});

test("five thousand rows are kept, those that are read and what is next to them", () => {
  const { model, store } = begin();
  for (let seq = 2; seq < 400; seq++) {
    model.message(sessionWindow(seq, stream(1000 + seq * 20)));
  }
  const rows = store.rows("s1");
  expect(rows.size).toBeLessThanOrEqual(KEPT + 500);
  expect(rows.size).toBeGreaterThanOrEqual(KEPT - 20);
  expect(rows.get(1000 + 399 * 20 - 21)).toBeDefined();
  expect(rows.get(985)).toBeUndefined();
});

test("the kernel's clock counts", () => {
  const { store } = begin();
  expect(Math.abs(store.now - NOW)).toBeLessThan(1000);
});

test("a header may be called like what objects have", () => {
  const columns: [string, string][] = [
    ["__proto__", "__proto__"],
    ["constructor", "constructor"],
  ];
  const rows = [[NOW, 1, "b", "x", null]];
  const model = new FakeModel(
    sessionWindow(1, stream(1, { columns, first: 0, rows: rows as never })),
  );
  const headers = new Store(model.proxy()).rows("s1").get(0)?.headers;
  expect(Object.entries(headers ?? {})[0]).toEqual(["__proto__", "x"]);
  expect(headers?.["constructor"]).toBeNull();
  expect(headers?.["toString"]).toBeUndefined();
});

import { afterEach, expect, test } from "vitest";
import { isWindow, type TallyWindow } from "../src/protocol";
import { sessionWindow, stream } from "./kernel";
import { find, leave, news, start, texts } from "./page";

afterEach(leave);

const GOOD: TallyWindow = {
  expected: 20,
  arrived: 20,
  lost: 0,
  doubled: 0,
  redelivered: 0,
  unexpected: 0,
  coming: 0,
  complete: true,
};

async function show(tally: TallyWindow | null) {
  const { model, open } = start(sessionWindow(1, stream(30, { tally })));
  const { el } = await open();
  return { model, el };
}

const line = (el: Element) => find(el, ".stompy-tally").textContent;
const wrong = (el: Element) => texts(el, ".stompy-tally .stompy-bad");

test("a stream without a tally has no line", async () => {
  const { el } = await show(null);
  expect(texts(el, ".stompy-tally")).toEqual([]);
});

test("where all has come once the line is green, and says so by a sign as well", async () => {
  const { el } = await show(GOOD);
  expect(line(el)).toBe("expected 20 · arrived 20 · ✓ lost 0 · ✓ doubled 0 · on their way 0");
  expect(wrong(el)).toEqual([]);
  expect(texts(el, ".stompy-good")).toEqual(["✓ lost 0", "✓ doubled 0"]);
});

test("what is lost or doubled is red and has another sign", async () => {
  const { el } = await show({ ...GOOD, arrived: 1022, lost: 1, doubled: 1003 });
  expect(line(el)).toContain("arrived 1,022");
  expect(wrong(el)).toEqual(["✗ lost 1", "✗ doubled 1,003"]);
});

test("what is on its way becomes lost, and that is read aloud", async () => {
  const { el, model } = await show({ ...GOOD, arrived: 19, coming: 1 });
  const aloud = find(el, ".stompy-tally [aria-live=polite]");
  expect(line(el)).toContain("on their way 1");
  await news(model, sessionWindow(2, stream(30, { tally: { ...GOOD, arrived: 19, lost: 1 } })));
  expect(aloud.isConnected).toBe(true);
  expect(aloud.textContent).toBe("✗ lost 1 · ✓ doubled 0");
  expect(line(el)).toContain("on their way 0");
});

test("what nobody has sent is counted apart", async () => {
  const { el } = await show({ ...GOOD, unexpected: 3 });
  expect(line(el)).toContain("· unexpected 3");
  expect(wrong(el)).toEqual([]);
});

test("where frames were not seen, nothing is said of losses", async () => {
  const { el } = await show({ ...GOOD, complete: false });
  expect(line(el)).toContain("lost ?");
  expect(line(el)).toContain("⚠ incomplete");
});

test.each([undefined, 1, {}, { ...GOOD, lost: -1 }, { ...GOOD, complete: "yes" }])(
  "%o is no tally",
  (tally) => {
    const window = sessionWindow(1, stream(30, { tally: tally as unknown as TallyWindow }));
    expect(isWindow(window)).toBe(false);
    expect(isWindow(sessionWindow(1, stream(30, { tally: GOOD })))).toBe(true);
  },
);

import { beforeEach, describe, expect, test, vi } from "vitest";
import { RateChart } from "../src/chart";
import { fitted, knownSpan, nearest, type Series, scaled, stepsOf, ticksUpTo } from "../src/series";
import { click, fire, focus, screen } from "./screen";

const { el, draw, all, texts, press } = screen();

/** 22:18:20 UTC. */
const NOW = 1_700_000_300;
const FIRST = NOW - 299;

let onRow: ReturnType<typeof vi.fn<(id: string, second: number) => void>>;

beforeEach(() => {
  onRow = vi.fn();
});

function series(name: string, frames: number[], second = NOW): Series {
  return { id: `id of ${name}`, name, second, frames };
}

function show(...streams: Series[]): void {
  draw(<RateChart streams={streams} now={NOW + 0.7} onRow={onRow} />);
  const box = { left: 100, top: 50, width: 600, height: 200 };
  vi.spyOn(plot(), "getBoundingClientRect").mockReturnValue(box as DOMRect);
}

function plot(): HTMLElement {
  const [found] = all('[role="slider"]');
  if (found === undefined) throw new Error("no plot");
  return found;
}

const reading = () => texts(".stompy-chart-reading")[0];
const value = () => Number(plot().getAttribute("aria-valuenow"));
const range = () =>
  ["aria-valuemin", "aria-valuemax"].map((name) => Number(plot().getAttribute(name)) - FIRST);
const button = (name: string) =>
  all("button").find((node) => (node.getAttribute("aria-label") ?? node.textContent) === name);
const pointer = (type: string, x: number, y = 150) =>
  fire(plot(), new MouseEvent(`pointer${type}`, { clientX: x, clientY: y, bubbles: true }));

/** A frame in each second, and in the last but one of them ten. */
const prices = series("prices", [...Array(298).fill(1), 10, 2]);
const orders = series("orders", [5, 0, 3], NOW - 10);

test("without frames it says so", () => {
  draw(<RateChart streams={[series("a", [])]} now={NOW} onRow={onRow} />);
  expect(el.textContent).toBe("No frames in the last five minutes.");
  draw(<RateChart streams={[series("a", [7], NOW - 300)]} now={NOW} onRow={onRow} />);
  expect(el.textContent).toBe("No frames in the last five minutes.");
  draw(<RateChart streams={[]} now={NOW} onRow={onRow} />);
  expect(el.textContent).toBe("No frames in the last five minutes.");
});

describe("the numbers are also there as text", () => {
  test("in the legend", () => {
    show(prices, orders);
    expect(texts(".stompy-chart-legend li")).toEqual([
      "prices10 now, 10 at most",
      "orders0 now, 5 at most",
    ]);
  });

  test("in the name of the plot, and where its cursor is", () => {
    show(prices, orders);
    expect(plot().getAttribute("aria-label")).toBe(
      "Frames per second in the last five minutes. prices: 10 now, 10 at most. " +
        "orders: 0 now, 5 at most.",
    );
    expect(plot().getAttribute("aria-valuetext")).toBe("22:18:20 UTC: prices 2, orders 0");
  });

  test("in a table with a row for each 30 seconds", () => {
    show(prices, orders);
    expect(texts("details thead th")).toEqual(["from (UTC)", "prices", "orders"]);
    expect(texts("details tbody tr")).toHaveLength(10);
    expect(texts("details tbody tr")[0]).toBe("22:13:21300");
    expect(texts("details tbody tr").at(-1)).toBe("22:17:51408");
  });
});

test("the axes have round numbers and the span", () => {
  show(prices);
  expect(texts(".stompy-chart-y span")).toEqual(["0", "5", "10"]);
  expect(texts(".stompy-chart-x span")).toEqual(["5 min ago", "now"]);
});

test("each stream has dashes and colours of its own", () => {
  show(...Array.from({ length: 12 }, (_, i) => series(`s${i}`, [1, 1])));
  const looks = all(".stompy-chart-plot .stompy-chart-line").map(
    ({ dataset }) => `${dataset["dash"]} ${dataset["colour"]}`,
  );
  expect(new Set(looks).size).toBe(12);
  const inLegend = all(".stompy-chart-legend .stompy-chart-line").map(
    ({ dataset }) => `${dataset["dash"]} ${dataset["colour"]}`,
  );
  expect(inLegend).toEqual(looks);
});

test("a stream alone is an area", () => {
  show(prices, orders);
  expect(all(".stompy-chart-area")).toHaveLength(0);
  show(prices);
  expect(all(".stompy-chart-area")).toHaveLength(1);
});

describe("by keyboard", () => {
  test("arrows, pages, Home and End move the cursor", () => {
    show(prices);
    focus(plot());
    const keys = [
      "ArrowLeft",
      "ArrowRight",
      "ArrowRight",
      "PageUp",
      "PageDown",
      "Home",
      "ArrowLeft",
    ];
    const places = keys.map((key) => {
      expect(press(key)).toBe(true);
      return value() - FIRST;
    });
    expect(places).toEqual([298, 299, 299, 269, 299, 0, 0]);
    press("End");
    expect(reading()).toBe("22:18:20 UTC: prices 2");
  });

  test("Shift and arrows choose a span, and it is counted", () => {
    show(prices);
    focus(plot());
    press("ArrowLeft");
    press("ArrowLeft", { shiftKey: true });
    press("ArrowLeft", { shiftKey: true });
    expect(reading()).toBe("22:18:17 to 22:18:19 UTC: prices 12");
    expect(all(".stompy-chart-selected")).toHaveLength(1);
    press("Escape");
    expect(all(".stompy-chart-selected")).toHaveLength(0);
  });

  test("Enter goes to the frames of the second, or of the first of the span", () => {
    show(prices, orders);
    focus(plot());
    press("ArrowLeft");
    press("Enter");
    expect(onRow).toHaveBeenLastCalledWith("id of prices", NOW - 1);
    press("ArrowLeft", { shiftKey: true });
    press("Enter");
    expect(onRow).toHaveBeenLastCalledWith("id of prices", NOW - 2);
  });

  test("up and down choose the stream that Enter goes to", () => {
    show(prices, orders);
    focus(plot());
    press("ArrowDown");
    expect(reading()).toBe("22:18:20 UTC: orders 0, prices 2");
    press("Enter");
    expect(onRow).toHaveBeenLastCalledWith("id of orders", NOW);
    press("ArrowDown");
    press("Enter");
    expect(onRow).toHaveBeenLastCalledWith("id of prices", NOW);
  });

  test("plus and minus zoom, to the span that is chosen if there is one", () => {
    show(prices);
    focus(plot());
    press("+");
    expect(range()).toEqual([150, 299]);
    press("Home");
    for (let i = 0; i < 9; i++) {
      press("ArrowRight", { shiftKey: true });
    }
    press("+");
    expect(range()).toEqual([150, 159]);
    expect(texts(".stompy-chart-x span")).toEqual(["22:15:51", "22:16:00"]);
    press("+");
    press("+");
    expect(range().reduce((from, to) => to - from)).toBe(4);
    for (let i = 0; i < 8; i++) {
      press("-");
    }
    expect(range()).toEqual([0, 299]);
  });

  test("Escape goes back to the whole, and is left to others when there is nothing to leave", () => {
    show(prices);
    focus(plot());
    press("+");
    expect(press("Escape")).toBe(true);
    expect(range()).toEqual([0, 299]);
    expect(press("Escape")).toBe(false);
    expect(press("ArrowLeft", { ctrlKey: true })).toBe(false);
    expect(press("x")).toBe(false);
  });

  test("all that can have the focus keeps the notebook's shortcuts out", () => {
    show(prices);
    for (const node of all("button, summary, [tabindex]")) {
      expect(node.dataset["lmSuppressShortcuts"]).toBe("true");
    }
  });
});

describe("by pointer", () => {
  // Two pixels are a second.
  test("a click goes to the nearest stream of that second", () => {
    show(prices, orders);
    pointer("down", 100 + 2 * 289, 245);
    pointer("up", 100 + 2 * 289 + 1, 245);
    expect(onRow).toHaveBeenLastCalledWith("id of prices", NOW - 10);
    pointer("down", 100 + 2 * 289, 190);
    pointer("up", 100 + 2 * 289, 190);
    expect(onRow).toHaveBeenLastCalledWith("id of orders", NOW - 10);
    expect(range()).toEqual([0, 299]);
  });

  test("a drag zooms in either direction, and is no click", () => {
    show(prices);
    pointer("down", 300);
    pointer("move", 200);
    expect(all(".stompy-chart-selected")).toHaveLength(1);
    pointer("up", 200);
    expect(range()).toEqual([50, 100]);
    expect(onRow).not.toHaveBeenCalled();
    click(button("Whole span"));
    expect(range()).toEqual([0, 299]);
  });

  test("outside of the plot it is at its edge", () => {
    show(prices);
    pointer("down", 600);
    pointer("up", 5000);
    expect(range()).toEqual([250, 299]);
  });

  test("a drag that is broken off chooses nothing", () => {
    show(prices);
    pointer("down", 300);
    pointer("move", 200);
    pointer("cancel", 200);
    pointer("up", 200);
    expect(all(".stompy-chart-selected")).toHaveLength(0);
    expect(range()).toEqual([0, 299]);
  });

  test("the cursor follows, and tells what is there", () => {
    show(prices, orders);
    pointer("move", 100 + 2 * 298);
    expect(reading()).toBe("22:18:19 UTC: prices 10, orders 0");
  });

  test("buttons zoom", () => {
    show(prices);
    click(button("Zoom in"));
    expect(range()).toEqual([150, 299]);
    expect(button("Whole span")?.getAttribute("aria-disabled")).toBe("false");
    click(button("Zoom out"));
    expect(range()).toEqual([0, 299]);
    expect(button("Whole span")?.getAttribute("aria-disabled")).toBe("true");
  });
});

test("what is zoomed to moves on when it is no longer known", () => {
  show(prices);
  focus(plot());
  press("Home");
  press("+");
  expect(range()).toEqual([0, 149]);
  draw(<RateChart streams={[prices]} now={NOW + 100} onRow={onRow} />);
  expect(range()).toEqual([100, 249]);
});

describe("the curves", () => {
  test("are steps of a second", () => {
    const curve = stepsOf(series("a", [1, 0, 4]), { from: NOW - 3, to: NOW }, 4);
    expect(curve).toBe("M0 100H1V75H2V100H3V0H4");
  });

  test("know the seconds that are not there", () => {
    expect(stepsOf(series("a", [2], NOW - 1), { from: NOW - 2, to: NOW }, 2)).toBe(
      "M0 100H1V0H2V100H3",
    );
  });

  test.each([
    [1, [0, 1]],
    [2, [0, 1, 2]],
    [3, [0, 1, 2, 3]],
    [4, [0, 2, 4]],
    [10, [0, 5, 10]],
    [42, [0, 20, 40, 60]],
    [100, [0, 50, 100]],
    [101, [0, 50, 100, 150]],
    [28_000, [0, 10_000, 20_000, 30_000]],
  ])("up to %i have the ticks %j", (most, ticks) => {
    expect(ticksUpTo(most)).toEqual(ticks);
  });

  test("are of some seconds at the least, and of what is known", () => {
    const known = knownSpan(NOW);
    expect(known).toEqual({ from: FIRST, to: NOW });
    expect(fitted({ from: NOW, to: NOW }, known)).toEqual({ from: NOW - 4, to: NOW });
    expect(fitted({ from: 0, to: 2 * NOW }, known)).toEqual(known);
    expect(fitted(scaled({ from: 11, to: 20 }, 15, 2), { from: 0, to: 100 })).toEqual({
      from: 5,
      to: 24,
    });
  });

  test("of streams without frames in a second are not the nearest", () => {
    expect(nearest([orders, prices], NOW, 0)?.name).toBe("prices");
    expect(nearest([orders], NOW, 0)?.name).toBe("orders");
    expect(nearest([], NOW, 0)).toBeUndefined();
  });
});

test("whatever a stranger sends stays text", () => {
  show(series("<img src=x onerror=alert(1)>\u202e", [1]));
  expect(el.querySelector("img")).toBeNull();
  expect(texts(".stompy-chart-legend li")[0]).toContain("<img src=x onerror=alert(1)>\\u202e");
});

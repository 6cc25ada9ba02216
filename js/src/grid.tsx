import { useCallback, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Geometry, ROW } from "./geometry";
import { usePrevious } from "./hooks";
import type { List, Sort } from "./list";
import type { FrameRow } from "./rows";

/** A column of the table: what it is called, how wide it is, what it shows of a row. */
export interface GridColumn {
  name: string;
  label: string;
  /** Its width in em; what is left is for the last one. */
  width: number;
  numeric?: boolean;
  text: (row: FrameRow) => string;
  /** What it is sorted by. */
  value: (row: FrameRow) => string | number | null;
}

interface Props {
  label: string;
  list: List;
  /** The number of the oldest frame that there is. When it goes, the others stay where they are. */
  oldest: number;
  /** Whether the list has all frames, in their order, from the oldest on. */
  whole: boolean;
  row: (number: number) => FrameRow | undefined;
  columns: GridColumn[];
  sort: Sort | null;
  onSort: (column: string) => void;
  /** Whether the newest frame is to be in sight. */
  follow: boolean;
  onFollow: (follow: boolean) => void;
  /** The frame that is looked into. */
  inspected: number | null;
  /** A frame to bring in sight, once. */
  goal: { number: number } | null;
  /** A frame was clicked, or the focus has come to it, or it was entered by the keyboard. */
  onChoose: (number: number, how: "click" | "move" | "enter") => void;
  /** Tells which rows are in sight, `from` up to, without, `to`. */
  onSight: (from: number, to: number) => void;
}

/** The number that stands for the row of column headers. */
const HEAD = -1;

interface Place {
  number: number;
  column: number;
}

/**
 * The frames as a grid by the pattern of the ARIA practices: one tab stop, arrows move the focus
 * from cell to cell. Of a list of any length the rows in sight are drawn, and the focused one.
 */
export function Grid(props: Props) {
  const { list, columns, follow, onFollow, onSight } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const scrolled = useRef(-1); // where this has scrolled to itself
  const wantFocus = useRef(false);
  const position = useRef(0);
  const [, redraw] = useState(0);
  const [view, setView] = useState(12 * ROW);
  const [active, setActive] = useState<Place | null>(null);

  const geometry = new Geometry(list.count, view);
  const gone = Math.max(0, props.oldest - usePrevious(props.oldest));
  if (props.whole) {
    position.current = geometry.moved(position.current, -gone); // rows stay where they are
  }
  const reveal = (number: number) => {
    const place = list.indexOf(number);
    position.current = place < 0 ? position.current : geometry.reveal(place, position.current);
  };
  if (usePrevious(props.goal) !== props.goal && props.goal !== null) {
    reveal(props.goal.number);
  }
  if (usePrevious(props.whole) !== props.whole && active !== null) {
    reveal(active.number); // places of another list mean nothing in this one
  }
  if (usePrevious(view) !== view && props.inspected !== null) {
    reveal(props.inspected); // what it is shown in has taken its place
  }
  const top = follow ? geometry.bottom : Math.max(0, Math.min(position.current, geometry.bottom));
  position.current = top;
  const [from, to] = geometry.inSight(top);

  useHeight(scroller, setView);
  useLayoutEffect(() => {
    const node = scroller.current;
    if (node !== null && Math.abs(node.scrollTop - top) >= 1) {
      node.scrollTop = top;
      scrolled.current = node.scrollTop;
    }
    onSight(from, to);
  });

  const tabStop = stopOf(active, list, columns.length, from, to);
  useLayoutEffect(() => {
    if (wantFocus.current) {
      wantFocus.current = false;
      const cell = scroller.current?.querySelector<HTMLElement>('[tabindex="0"]');
      cell?.focus({ preventScroll: true });
      cell?.scrollIntoView?.({ block: "nearest", inline: "nearest" });
    }
  });

  const onScroll = () => {
    const now = scroller.current?.scrollTop ?? 0;
    if (Math.abs(now - scrolled.current) < 1) {
      return; // this was no reader
    }
    scrolled.current = -1;
    position.current = now;
    redraw(now);
    onFollow(now >= geometry.bottom - 2);
  };

  const goTo = (i: number, column: number) => {
    wantFocus.current = true;
    setActive({ number: i < 0 ? HEAD : list.at(i), column });
    if (i >= 0) {
      position.current = geometry.reveal(i, top);
      onFollow(i === list.count - 1);
      props.onChoose(list.at(i), "move");
    }
  };

  const onKeyDown = (event: KeyboardEvent) => {
    const { number, column } = tabStop ?? { number: HEAD, column: 0 };
    const i = number === HEAD ? -1 : list.indexOf(number);
    const page = Math.max(1, Math.floor(view / ROW) - 1);
    const place = moved(event.key, [i, column], [list.count, columns.length], page);
    if (event.altKey || event.metaKey || (place === null && event.key !== "Enter")) {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    if (place === null) {
      choose({ number, column }, "enter");
    } else {
      goTo(...place);
    }
  };

  const choose = ({ number, column }: Place, how: "click" | "enter") => {
    if (number !== HEAD) {
      props.onChoose(number, how);
    } else {
      props.onSort(columns[column]?.name ?? "");
    }
  };

  const onClick = (place: Place) => {
    setActive(place);
    choose(place, "click");
  };

  const rows = drawnRows(list, from, to, tabStop);
  const widths = columns.map(({ width }) => `${width}em`);
  const whole = columns.reduce((sum, { width }) => sum + width, 0);
  return (
    // biome-ignore lint/a11y/useSemanticElements: a table whose rows are not all there
    <div
      class="stompy-grid"
      role="grid"
      aria-label={props.label}
      aria-rowcount={list.count + 1}
      aria-colcount={columns.length}
      aria-readonly="true"
      ref={scroller}
      style={{
        "--stompy-columns": [...widths.slice(0, -1), "1fr"].join(" "),
        "--stompy-width": `${whole}em`,
      }}
      onScroll={onScroll}
      onKeyDown={onKeyDown}
    >
      <Head {...props} tabStop={tabStop} onClick={onClick} />
      {/* biome-ignore lint/a11y/useSemanticElements: as above */}
      <div class="stompy-rows" role="rowgroup" style={{ height: `${geometry.height}px` }}>
        {rows.map((i) => (
          <Line
            key={list.at(i)}
            i={i}
            number={list.at(i)}
            row={props.row(list.at(i))}
            columns={columns}
            top={geometry.place(i, top)}
            tabStop={tabStop}
            inspected={props.inspected === list.at(i)}
            onClick={onClick}
          />
        ))}
      </div>
    </div>
  );
}

function Head(props: Props & { tabStop: Place | null; onClick: (place: Place) => void }) {
  const { columns, sort, tabStop, onClick } = props;
  return (
    // biome-ignore lint/a11y/useSemanticElements: a row of a grid
    <div class="stompy-row stompy-headrow" role="row" aria-rowindex={1} tabIndex={-1}>
      {columns.map((column, i) => {
        const sorting = sort?.column === column.name ? sort : null;
        const order = sorting ? (sorting.descending ? "descending" : "ascending") : "none";
        return (
          // biome-ignore lint/a11y/useSemanticElements: a cell of a grid
          // biome-ignore lint/a11y/useKeyWithClickEvents: the grid has the keys
          <div
            key={column.name}
            role="columnheader"
            aria-colindex={i + 1}
            aria-sort={order}
            tabIndex={tabStop?.number === HEAD && tabStop.column === i ? 0 : -1}
            data-lm-suppress-shortcuts="true"
            class={column.numeric ? "stompy-numeric" : undefined}
            title={`Sort by ${column.label}`}
            onClick={() => onClick({ number: HEAD, column: i })}
          >
            {column.label}
            <span aria-hidden="true">{sorting ? (sorting.descending ? " ▾" : " ▴") : ""}</span>
          </div>
        );
      })}
    </div>
  );
}

function Line(props: {
  i: number;
  number: number;
  row: FrameRow | undefined;
  columns: GridColumn[];
  top: number;
  tabStop: Place | null;
  inspected: boolean;
  onClick: (place: Place) => void;
}) {
  const { i, number, row, columns, top, tabStop, inspected, onClick } = props;
  return (
    // biome-ignore lint/a11y/useSemanticElements: a row of a grid
    <div
      class={`stompy-row${i % 2 ? " stompy-odd" : ""}${row ? "" : " stompy-absent"}`}
      role="row"
      aria-rowindex={i + 2}
      aria-selected={inspected}
      data-number={number}
      tabIndex={-1}
      style={{ transform: `translateY(${top}px)` }}
    >
      {columns.map((column, c) => {
        const text = row ? column.text(row) : c === 0 ? String(number) : "…";
        return (
          // biome-ignore lint/a11y/useSemanticElements: a cell of a grid
          // biome-ignore lint/a11y/useKeyWithClickEvents: the grid has the keys
          <div
            key={column.name}
            role="gridcell"
            aria-colindex={c + 1}
            tabIndex={tabStop?.number === number && tabStop.column === c ? 0 : -1}
            data-lm-suppress-shortcuts="true"
            class={column.numeric ? "stompy-numeric" : undefined}
            title={text}
            onClick={() => onClick({ number, column: c })}
          >
            {text}
          </div>
        );
      })}
    </div>
  );
}

/** Where a key leads from row `i` (the head is -1) and a column; null where it leads nowhere. */
function moved(
  key: string,
  [i, column]: [number, number],
  [rows, columns]: [number, number],
  page: number,
): [number, number] | null {
  const last = rows - 1;
  const places: Record<string, [number, number]> = {
    ArrowUp: [i - 1, column],
    ArrowDown: [i + 1, column],
    PageUp: [Math.max(0, i - page), column],
    PageDown: [i + page, column],
    Home: [0, column],
    End: [last, column],
    ArrowLeft: [i, Math.max(0, column - 1)],
    ArrowRight: [i, Math.min(columns - 1, column + 1)],
  };
  const place = Object.hasOwn(places, key) ? places[key] : undefined;
  return place === undefined ? null : [Math.max(-1, Math.min(place[0], last)), place[1]];
}

/** The one cell that Tab leads to: the active one, else the newest in sight. */
function stopOf(
  active: Place | null,
  list: List,
  columns: number,
  from: number,
  to: number,
): Place | null {
  const column = Math.min(active?.column ?? 0, columns - 1);
  if (active !== null && (active.number === HEAD || list.indexOf(active.number) >= 0)) {
    return { number: active.number, column };
  }
  return to > from ? { number: list.at(to - 1), column } : { number: HEAD, column };
}

/** The rows in sight, and the one with the tab stop: it may have the focus, which must not go. */
function drawnRows(list: List, from: number, to: number, tabStop: Place | null): number[] {
  const rows = Array.from({ length: to - from }, (_, i) => from + i);
  const stop = tabStop === null ? -1 : list.indexOf(tabStop.number);
  return stop >= 0 && (stop < from || stop >= to) ? [...rows, stop] : rows;
}

function useHeight(node: { current: HTMLElement | null }, set: (height: number) => void): void {
  const measure = useCallback(() => {
    const height = (node.current?.clientHeight ?? 0) - ROW;
    if (height > 0) {
      set(height);
    }
  }, [node, set]);
  useLayoutEffect(() => {
    measure();
    if (node.current === null || typeof ResizeObserver === "undefined") {
      return;
    }
    const observer = new ResizeObserver(measure);
    observer.observe(node.current);
    return () => observer.disconnect();
  }, [node, measure]);
}

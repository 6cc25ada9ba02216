import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Act, Tell } from "./actions";
import { copy } from "./clipboard";
import { columnsOf, USUAL } from "./columns";
import { toPandas } from "./filter";
import { Grid } from "./grid";
import { Inspector } from "./inspector";
import type { List, Sort } from "./list";
import { shown, useFilter, useFound, useList } from "./narrowed";
import type { StreamWindow } from "./protocol";
import type { RowCache } from "./rows";
import type { Store } from "./store";
import { Toolbar } from "./toolbar";

/** A frame to go to, from elsewhere. */
export interface Pin {
  stream: string;
  number: number;
}

/** Where the keyboard goes. */
const GRID = '[role=grid] [tabindex="0"]';
const INSPECTOR = '.stompy-inspector [role=tab][tabindex="0"]';

interface Props {
  store: Store;
  stream: StreamWindow;
  act: Act;
  tell: Tell;
  pin: Pin | null;
}

/** The frames of one stream: the list, what it is narrowed by, and the one that is looked into. */
export function Frames({ store, stream, act, tell, pin }: Props) {
  const rows = store.rows(stream.id);
  const [columnNames, setColumnNames] = useState(USUAL);
  const [filter, setFilter] = useState("");
  const [sort, setSort] = useState<Sort | null>(null);
  const [pausedAt, setPausedAt] = useState<number | null>(null);
  const [follow, setFollow] = useState(true);
  const [inspected, setInspected] = useState<number | null>(null);
  const [goal, setGoal] = useState<{ number: number } | null>(null);
  const root = useRef<HTMLDivElement>(null);
  const wantFocus = useFocus(root);

  const end = pausedAt ?? stream.received;
  const seen = useSeen(end, follow && pausedAt === null);
  const { terms, error } = useFilter(filter);
  const found = useFound(store, stream, terms, end);
  const columns = columnsOf(rows);
  const list = useList({ rows, stream, end, terms, found, sort, columns });
  usePin(pin, (number) => {
    setGoal({ number });
    setPausedAt(null);
    setFollow(false);
    setFilter("");
    setSort(null);
    setInspected(number);
    wantFocus.current = GRID; // what was clicked or entered is out of sight now
  });

  const toggle = () => setPausedAt(pausedAt === null ? stream.received : null);
  const toNewest = () => {
    setPausedAt(null);
    setSort(null);
    setFollow(true);
  };
  const choose = (number: number, how: "click" | "move" | "enter") => {
    if (how !== "move" || inspected !== null) {
      setInspected(number);
      setFollow(false);
      wantFocus.current = how === "enter" ? INSPECTOR : null;
    }
  };
  const focus = (place: string) => root.current?.querySelector<HTMLElement>(place)?.focus();
  const leave = () => {
    setInspected(null);
    focus(GRID);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const on = event.target as Element;
    const typing = on.closest("input, textarea, select") !== null;
    if (typing || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    if (event.key === "/") {
      focus("[type=search]");
    } else if (event.key === "Escape" && inspected !== null) {
      leave();
    } else if (event.key === " " && on.closest("[role=grid]") !== null) {
      toggle();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  };
  const copyExpression = async () => {
    const expression = toPandas(terms, stream.variable, [...rows.columns]);
    const copied = await copy(expression);
    tell(copied ? `Copied: ${expression}` : expression);
  };

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: keys for all that is in it
    <div class="stompy-frames" ref={root} onKeyDown={onKeyDown}>
      <Toolbar
        paused={pausedAt !== null}
        onPause={toggle}
        filter={filter}
        onFilter={setFilter}
        onLeave={() => focus(GRID)}
        bad={error !== null}
        onCopy={terms.length > 0 ? copyExpression : null}
        columns={columns}
        chosen={columnNames}
        onColumns={setColumnNames}
        news={stream.received - seen}
        onNewest={toNewest}
        note={error ?? shown(list, terms, sort, rows, found, Math.max(0, end - stream.dropped))}
      />
      {stream.received === 0 ? (
        <Empty stream={stream} />
      ) : (
        <div class="stompy-split">
          <Grid
            label={`Frames of ${stream.name}`}
            list={list}
            oldest={stream.dropped}
            whole={terms.length === 0 && sort === null}
            row={(number) => rows.get(number)}
            columns={columns.filter(({ name }) => columnNames.has(name))}
            sort={sort}
            onSort={(column) => setSort(nextSort(sort, column))}
            follow={follow && sort === null}
            onFollow={setFollow}
            inspected={inspected}
            goal={goal}
            onChoose={choose}
            onSight={(from, to) => bringInSight(store, stream.id, rows, list, from, to)}
          />
          {inspected !== null && (
            <Inspector
              store={store}
              stream={stream}
              number={inspected}
              act={act}
              tell={tell}
              onClose={leave}
            />
          )}
        </div>
      )}
    </div>
  );
}

function Empty({ stream: { destination, state } }: { stream: StreamWindow }) {
  return state === "ended" ? (
    <p class="stompy-help">No frame has come on {destination}, and the stream has ended.</p>
  ) : (
    <p class="stompy-help">
      No frames yet on {destination}. Send one by the tab “Send”, or in a cell:{" "}
      <code>%stomp_send {destination} hello</code>
    </p>
  );
}

function nextSort(sort: Sort | null, column: string): Sort | null {
  if (sort?.column !== column) {
    return { column, descending: false };
  }
  return sort.descending ? null : { column, descending: true };
}

/** How many frames had come when the newest was last in sight. */
function useSeen(end: number, newest: boolean): number {
  const seen = useRef(end);
  if (newest || seen.current > end) {
    seen.current = end;
  }
  return seen.current;
}

/** A place that is to have the focus once it is drawn: put it into what this returns. */
function useFocus(root: { current: HTMLElement | null }): { current: string | null } {
  const place = useRef<string | null>(null);
  useLayoutEffect(() => {
    if (place.current !== null) {
      root.current?.querySelector<HTMLElement>(place.current)?.focus();
      place.current = null;
    }
  });
  return place;
}

function usePin(pin: Pin | null, go: (number: number) => void): void {
  const done = useRef<Pin | null>(null);
  useEffect(() => {
    if (pin !== null && pin !== done.current) {
      done.current = pin;
      go(pin.number);
    }
  });
}

/** Asks for rows that are in sight and not in this page, in runs of numbers that follow. */
function bringInSight(
  store: Store,
  stream: string,
  rows: RowCache,
  list: List,
  from: number,
  to: number,
): void {
  for (let i = from; i < to; i++) {
    const number = list.at(i);
    if (rows.get(number) === undefined) {
      let end = i;
      while (end < to && list.at(end) - list.at(i) === end - i) {
        end++;
      }
      void store.bring(stream, number, list.at(end - 1) + 1);
      return;
    }
  }
  if (to > from) {
    rows.lookAt(list.at(from));
  }
}

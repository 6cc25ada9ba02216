import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { type Act, reason } from "./actions";
import { Button } from "./button";
import { copy } from "./clipboard";
import { ColumnChoice, columnsOf, USUAL } from "./columns";
import { parseFilter, type Term, toPandas } from "./filter";
import { Grid, type GridColumn } from "./grid";
import { useId, useInterval } from "./hooks";
import { Inspector } from "./inspector";
import { all, chosen, joined, type List, matching, type Sort, sorted } from "./list";
import { type Found, isFound, type StreamWindow } from "./protocol";
import type { FrameRow, RowCache } from "./rows";
import type { Store } from "./store";
import { count, counted } from "./text";

/** A frame to go to, from elsewhere. */
export interface Pin {
  stream: string;
  number: number;
}

/** How often the kernel is asked what else matches, in milliseconds. */
const SEARCH = 1000;
/** So many matches are kept, the newest. */
const MOST_FOUND = 2000;

const FILTER_HELP =
  "All have to match: a word in the body or a header's value; header=value; header!=value; " +
  '-word, which is not there; "two words"; \\" for a quote';

interface Props {
  store: Store;
  stream: StreamWindow;
  act: Act;
  tell: (text: string, bad?: boolean) => void;
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
  const root = useRef<HTMLDivElement>(null);
  const filterId = useId();

  const end = pausedAt ?? stream.received;
  const seen = useSeen(end, follow && pausedAt === null);
  const { terms, error } = useFilter(filter);
  const found = useFound(store, stream, terms, end);
  const columns = columnsOf(rows);
  const list = useList({ rows, stream, end, terms, found, sort, columns });
  usePin(pin, (number) => {
    setFollow(false);
    setFilter("");
    setSort(null);
    setInspected(number);
  });

  const toggle = () => setPausedAt(pausedAt === null ? stream.received : null);
  const toNewest = () => {
    setPausedAt(null);
    setSort(null);
    setFollow(true);
  };
  const enter = useRef(false);
  const choose = (number: number, how: "click" | "move" | "enter") => {
    if (how === "move" && inspected === null) {
      return;
    }
    setInspected(number);
    setFollow(false);
    enter.current = how === "enter";
  };
  useLayoutEffect(() => {
    if (enter.current) {
      enter.current = false;
      root.current
        ?.querySelector<HTMLElement>(".stompy-inspector [role=tab][tabindex='0']")
        ?.focus();
    }
  });
  const focusGrid = () =>
    root.current?.querySelector<HTMLElement>('[role=grid] [tabindex="0"]')?.focus();
  const leave = () => {
    setInspected(null);
    focusGrid();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const on = event.target as Element;
    const typing = on.closest("input, textarea, select") !== null;
    if (typing || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    if (event.key === "/") {
      root.current?.querySelector<HTMLElement>("[type=search]")?.focus();
    } else if (event.key === "Escape" && inspected !== null) {
      leave();
    } else if (event.key === " " && on.closest("button, summary, [role=treeitem]") === null) {
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

  const news = stream.received - seen;
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: keys for all that is in it
    <div class="stompy-frames" ref={root} onKeyDown={onKeyDown}>
      {/* biome-ignore lint/a11y/useSemanticElements: a group of controls */}
      <div class="stompy-line stompy-toolbar" role="group" aria-label="View">
        <Button
          aria-pressed={pausedAt !== null}
          title="Pauses this view alone; frames go on into the table (Space)"
          onClick={toggle}
        >
          {pausedAt === null ? "Pause" : "Paused"}
        </Button>
        <label class="stompy-hidden" for={filterId}>
          Filter
        </label>
        <input
          id={filterId}
          type="search"
          class="stompy-filter"
          placeholder="Filter: text, header=value, -not  ( / )"
          title={FILTER_HELP}
          autocomplete="off"
          spellcheck={false}
          aria-invalid={error !== null}
          data-lm-suppress-shortcuts="true"
          value={filter}
          onInput={(event) => setFilter(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Escape" || event.key === "Enter") {
              event.preventDefault();
              event.stopPropagation();
              if (event.key === "Escape") {
                setFilter("");
              }
              focusGrid();
            }
          }}
        />
        {terms.length > 0 && <Button onClick={copyExpression}>Copy as pandas</Button>}
        <ColumnChoice columns={columns} chosen={columnNames} onChoose={setColumnNames} />
        {news > 0 && (
          <Button class="stompy-badge" title="To the newest frame" onClick={toNewest}>
            {count(news)} new ↓
          </Button>
        )}
        <span class="stompy-numbers stompy-muted">
          {error ?? shown(list, terms, sort, rows, found, end - stream.dropped)}
        </span>
      </div>
      {stream.received === 0 ? (
        <Empty stream={stream} />
      ) : (
        <div class="stompy-split">
          <Grid
            label={`Frames of ${stream.name}`}
            list={list}
            oldest={terms.length === 0 && sort === null ? stream.dropped : 0}
            row={(number) => rows.get(number)}
            columns={columns.filter(({ name }) => columnNames.has(name))}
            sort={sort}
            onSort={(column) => setSort(nextSort(sort, column))}
            follow={follow && sort === null}
            onFollow={setFollow}
            inspected={inspected}
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

function shown(
  list: List,
  terms: Term[],
  sort: Sort | null,
  rows: RowCache,
  found: Found | null,
  kept: number,
): string {
  if (sort !== null) {
    return `${counted(list.count, "frame")} sorted, of ${count(rows.size)} in this page`;
  }
  if (terms.length === 0) {
    return counted(list.count, "frame");
  }
  const more = found !== null && found.total > found.numbers.length;
  const total = more
    ? `the newest ${count(list.count)} of ${count(found.total)}`
    : count(list.count);
  return `${total} of ${counted(kept, "frame")} match`;
}

function nextSort(sort: Sort | null, column: string): Sort | null {
  if (sort?.column !== column) {
    return { column, descending: false };
  }
  return sort.descending ? null : { column, descending: true };
}

/** What a filter says; while it is being typed and says nothing, what it has said before. */
function useFilter(filter: string): { terms: Term[]; error: string | null } {
  const parsed = useMemo(() => parseFilter(filter), [filter]);
  const good = useRef(parsed.terms);
  if (parsed.error === null) {
    good.current = parsed.terms;
  }
  return { terms: good.current, error: parsed.error };
}

/** How many frames had come when the newest was last in sight. */
function useSeen(end: number, newest: boolean): number {
  const seen = useRef(end);
  if (newest || seen.current > end) {
    seen.current = end;
  }
  return seen.current;
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

interface ListOf {
  rows: RowCache;
  stream: StreamWindow;
  end: number;
  terms: Term[];
  found: Found | null;
  sort: Sort | null;
  columns: GridColumn[];
}

function useList({ rows, stream, end, terms, found, sort, columns }: ListOf): List {
  const first = stream.dropped;
  const value = columns.find(({ name }) => name === sort?.column)?.value;
  // `version` says when `rows` has changed.
  return useMemo(() => {
    const plain = all(first, end);
    if (terms.length === 0 && value === undefined) {
      return plain;
    }
    const numbers = terms.length > 0 ? matching(terms, rows, found, first, end) : null;
    if (value === undefined) {
      return chosen(numbers ?? []);
    }
    const here = numbers?.map((number) => rows.get(number)) ?? [...rows.values()];
    const those = here.filter(
      (row): row is FrameRow => row !== undefined && plain.indexOf(row.number) >= 0,
    );
    return chosen(sorted(those, value, sort?.descending ?? false));
  }, [rows, rows.version, first, end, terms, found, sort?.column, sort?.descending]);
}

/** What the kernel has found: it looks at all frames it keeps, and at whole bodies. */
function useFound(store: Store, stream: StreamWindow, terms: Term[], end: number): Found | null {
  const [found, setFound] = useState<{ terms: Term[]; found: Found } | null>(null);
  const asking = useRef<Term[] | null>(null);
  const current = found?.terms === terms ? found.found : null;
  useInterval(SEARCH, () => {
    const from = current?.end ?? 0;
    if (terms.length === 0 || asking.current === terms || from >= end) {
      return;
    }
    asking.current = terms;
    store
      .request("find", { stream: stream.id, terms, first: from })
      .then(({ result }) => {
        if (isFound(result)) {
          setFound({ terms, found: joined(current, result, MOST_FOUND) });
        }
      })
      .catch((error) => console.warn(`stompy: the kernel does not search: ${reason(error)}`))
      .finally(() => {
        asking.current = null;
      });
  });
  return current;
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

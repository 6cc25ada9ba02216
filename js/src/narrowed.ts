import { useMemo, useRef, useState } from "preact/hooks";
import { reason } from "./actions";
import { parseFilter, type Term } from "./filter";
import type { GridColumn } from "./grid";
import { useInterval } from "./hooks";
import { all, chosen, joined, type List, matching, type Sort, sorted } from "./list";
import { type Found, isFound, type StreamWindow } from "./protocol";
import type { FrameRow, RowCache } from "./rows";
import type { Store } from "./store";
import { count, counted } from "./text";

/** How often the kernel is asked what else matches, in milliseconds. */
const SEARCH = 1000;
/** After so many milliseconds the kernel is asked again that has refused, or has not answered. */
const LOST = 30_000;
/** So many matches are kept, the newest. */
const MOST_FOUND = 2000;

/** What a filter says; while it is being typed and says nothing, what it has said before. */
export function useFilter(filter: string): { terms: Term[]; error: string | null } {
  const parsed = useMemo(() => parseFilter(filter), [filter]);
  const good = useRef(parsed.terms);
  if (parsed.error === null) {
    good.current = parsed.terms;
  }
  return { terms: good.current, error: parsed.error };
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

/** The frames that are left of a stream, in the order that is asked for. */
export function useList({ rows, stream, end, terms, found, sort, columns }: ListOf): List {
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
export function useFound(
  store: Store,
  stream: StreamWindow,
  terms: Term[],
  end: number,
): Found | null {
  const [found, setFound] = useState<{ terms: Term[]; found: Found } | null>(null);
  const asked = useRef<{ terms: Term[]; until: number } | null>(null);
  const newest = useRef(terms);
  newest.current = terms;
  const current = found?.terms === terms ? found.found : null;
  useInterval(SEARCH, () => {
    const from = current?.end ?? 0;
    const waits = asked.current?.terms === terms && Date.now() < asked.current.until;
    if (terms.length === 0 || waits || from >= end) {
      return;
    }
    asked.current = { terms, until: Date.now() + LOST };
    store
      .request("find", { stream: stream.id, terms, first: from })
      .then(({ result }) => {
        if (isFound(result) && newest.current === terms) {
          setFound({ terms, found: joined(current, result, MOST_FOUND) });
          asked.current = null;
        }
      })
      .catch((error) => console.warn(`stompy: the kernel does not search: ${reason(error)}`));
  });
  return current;
}

/** How many frames a list shows, and of how many. */
export function shown(
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
  if (found === null) {
    return `${count(list.count)} match so far`; // of those in this page
  }
  const newest = found.total > found.numbers.length ? "the newest " : "";
  return `${newest}${count(list.count)} of ${counted(kept, "frame")} match`;
}

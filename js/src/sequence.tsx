import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { reason } from "./actions";
import { Button } from "./button";
import { useInterval } from "./hooks";
import { PassageView } from "./passage";
import { isSequence, type Line, type SessionState, type Span } from "./protocol";
import type { Store } from "./store";
import { clock } from "./text";

/** So many lines are shown, the newest. */
const LINES = 200;
/** How often new ones are asked for at the most, in milliseconds. */
const PACE = 1000;
/** So many times it is waited for an answer before another is asked for. */
const PATIENCE = 30;

const CURRENT = '[role=option][tabindex="0"]';

interface Props {
  store: Store;
  session: SessionState;
  /** Whether it is in sight. */
  shown: boolean;
}

/** What passes between this client and its broker, line by line, and what belongs together. */
export function Sequence({ store, session, shown }: Props) {
  const [lines, replay, error] = useLines(store, session, shown);
  const [active, setActive] = useState<string | null>(null);
  const [pointed, point] = useState<string | null>(null);
  const [opened, open] = useState<number | null>(null);
  const [follow, setFollow] = useState(true);
  const list = useRef<HTMLDivElement>(null);
  const wantFocus = useRef(false);

  // Not whenever it is drawn: to point at a line must not move the list.
  useLayoutEffect(() => {
    if (list.current !== null && follow) {
      list.current.scrollTop = list.current.scrollHeight;
    }
  }, [lines, follow, shown, opened !== null]);
  useLayoutEffect(() => {
    if (wantFocus.current) {
      wantFocus.current = false;
      list.current?.querySelector<HTMLElement>(CURRENT)?.focus();
    }
  });

  if (lines === null || lines.length === 0) {
    return (
      <p class={error === null ? "stompy-help" : "stompy-help stompy-error"}>
        {error ?? (lines === null ? "Waiting for the kernel …" : emptiness(replay))}
      </p>
    );
  }

  const newest = lines.length - 1;
  const place = lines.findIndex((line) => keyOf(line) === active);
  const stop = place < 0 ? newest : place;
  const choose = (line: Line) => {
    if (line.kind !== "connection") {
      open(line.number);
    }
  };
  const goTo = (to: number) => {
    const line = lines[Math.max(0, Math.min(to, newest))];
    if (line !== undefined) {
      wantFocus.current = true;
      setActive(keyOf(line));
      setFollow(to >= newest);
      if (opened !== null) {
        choose(line);
      }
    }
  };
  const close = () => {
    open(null);
    list.current?.querySelector<HTMLElement>(CURRENT)?.focus();
  };
  const onListKey = (event: KeyboardEvent) => {
    const to = { ArrowUp: stop - 1, ArrowDown: stop + 1, Home: 0, End: newest }[event.key];
    const line = lines[stop];
    if (event.altKey || event.metaKey || event.ctrlKey) {
      return;
    }
    if (to !== undefined) {
      goTo(to);
    } else if (event.key === "Enter" && line !== undefined) {
      setActive(keyOf(line));
      setFollow(false);
      choose(line);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Escape" && opened !== null) {
      close();
      event.preventDefault();
      event.stopPropagation();
    }
  };
  const onScroll = () => {
    const node = list.current;
    if (node !== null) {
      setFollow(node.scrollTop + node.clientHeight >= node.scrollHeight - 4);
    }
  };
  const marked = lines.find((line) => keyOf(line) === pointed);

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: keys for all that is in it
    <div class="stompy-sequence" onKeyDown={onKeyDown}>
      <div class="stompy-lanes">
        <span>client</span>
        <span>broker</span>
        <span>
          {!follow && (
            <Button title="To the newest line, and on with it" onClick={() => goTo(newest)}>
              Newest ↓
            </Button>
          )}
        </span>
      </div>
      {error !== null && <p class="stompy-error">{error}</p>}
      <div
        class="stompy-sequence-lines"
        role="listbox"
        aria-label="Frames in their sequence"
        ref={list}
        onKeyDown={onListKey}
        onScroll={onScroll}
        onMouseLeave={() => point(null)}
      >
        {lines.map((line, i) => (
          <LineView
            key={keyOf(line)}
            line={line}
            before={lines[i - 1]}
            after={lines[i + 1]}
            current={i === stop}
            opened={opened === line.number && line.kind !== "connection"}
            mark={markOf(line, marked)}
            onPoint={() => point(keyOf(line))}
            onLeave={() => point(null)}
            onClick={() => {
              setActive(keyOf(line));
              setFollow(false);
              choose(line);
            }}
          />
        ))}
      </div>
      {opened !== null && <PassageView store={store} number={opened} onClose={close} />}
    </div>
  );
}

function emptiness(replay: boolean): string {
  return replay
    ? "A replay reads a file: nothing passes between a client and a broker."
    : "Nothing has passed yet.";
}

function keyOf({ kind, number }: Line): string {
  return `${kind} ${number}`;
}

interface LineProps {
  line: Line;
  before: Line | undefined;
  after: Line | undefined;
  current: boolean;
  opened: boolean;
  mark: "self" | "partner" | null;
  onPoint: () => void;
  onLeave: () => void;
  onClick: () => void;
}

function LineView({ line, before, after, current, opened, mark, ...on }: LineProps) {
  const { kind, number, time, command, label, transaction, outcome } = line;
  const begins = transaction !== null && before?.transaction !== transaction;
  const ends = transaction !== null && after?.transaction !== transaction;
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the list has the keys
    <div
      role="option"
      class="stompy-sequence-line"
      aria-selected={opened}
      tabIndex={current ? 0 : -1}
      data-lm-suppress-shortcuts="true"
      data-kind={kind}
      data-command={command}
      data-number={number}
      data-way={line.sent ? "out" : "in"}
      data-aborted={isAborted(line)}
      data-mark={mark}
      data-box={
        transaction === null ? null : [begins && "begins", ends && "ends"].filter(Boolean).join(" ")
      }
      onMouseEnter={on.onPoint}
      onFocus={on.onPoint}
      onBlur={on.onLeave}
      onClick={on.onClick}
    >
      {begins && (
        <span class="stompy-box-name">
          transaction {transaction} ({outcome}
          {command === "BEGIN" ? "" : ", goes on"})
        </span>
      )}
      <span class="stompy-muted stompy-numeric">{kind === "connection" ? "" : number}</span>
      <time class="stompy-muted">{clock(time)}</time>
      {isArrow(line) && (
        <span class="stompy-hidden">{line.sent ? "to the broker" : "from the broker"}</span>
      )}
      <span class="stompy-between">
        <span class="stompy-arrow">
          <span class="stompy-arrow-text" title={`${command} ${label}`}>
            <strong>{command}</strong> {label}
          </span>
        </span>
      </span>
      <span class="stompy-muted stompy-joins" aria-hidden="true">
        {joinsOf(line)}
      </span>
      <span class="stompy-hidden">{said(line)}</span>
    </div>
  );
}

/** Whether a line is the one that is pointed to, or belongs to it. */
function markOf(line: Line, marked: Line | undefined): "self" | "partner" | null {
  if (marked === undefined) {
    return null;
  }
  if (keyOf(marked) === keyOf(line)) {
    return "self";
  }
  const spans = marked.kind === "frame" ? [...marked.answers, ...marked.answered] : [];
  const joined = spans.some(([first, last]) => first <= line.number && line.number <= last);
  return line.kind === "frame" && joined ? "partner" : null;
}

const RECEIPTS: Record<string, string> = { open: "no receipt yet", none: "no receipt" };

function joinsOf({ answers, answered, receipt }: Line): string {
  const joins = [
    answers.length > 0 ? `↳ ${inWords(answers)}` : "",
    answered.length > 0 ? `→ ${inWords(answered)}` : "",
    RECEIPTS[receipt] ?? "",
  ];
  return joins.filter((join) => join !== "").join(", ");
}

function inWords(spans: Span[]): string {
  return spans.map(([a, b]) => (a === b ? `${a}` : `${a}–${b}`)).join(", ");
}

function isAborted({ outcome }: Line): boolean {
  return outcome === "aborted" || outcome === "refused" || outcome === "lost";
}

function isArrow({ kind }: Line): boolean {
  return kind === "frame" || kind === "no frame";
}

/** What belongs to a line, for those who hear it. */
function said({ answers, answered, receipt, transaction, outcome }: Line): string {
  const parts = [
    answers.length > 0 ? `answers ${inWords(answers)}` : "",
    answered.length > 0 ? `answered by ${inWords(answered)}` : "",
    RECEIPTS[receipt] ?? "",
    transaction === null ? "" : `in transaction ${transaction}, ${outcome}`,
  ];
  return parts.filter((part) => part !== "").join(", ");
}

/**
 * The newest lines, asked for while they are in sight and something has passed; whether it is a
 * replay; and why there are none.
 */
function useLines(
  store: Store,
  session: SessionState,
  shown: boolean,
): [Line[] | null, boolean, string | null] {
  const [picture, setPicture] = useState<{ lines: Line[]; replay: boolean } | null>(null);
  const [error, setError] = useState<string | null>(null);
  const asked = useRef({ for: "", waited: PATIENCE });
  const news = `${session.passed} ${session.state}`;

  const ask = async () => {
    const { current } = asked;
    current.waited++;
    if (!shown || current.for === news || current.waited < PATIENCE) {
      return;
    }
    asked.current = { for: news, waited: 0 };
    try {
      const { result } = await store.request("sequence", { last: LINES });
      if (isSequence(result)) {
        setPicture(result);
        setError(null);
      }
    } catch (failure) {
      setError(reason(failure));
    }
    asked.current.waited = PATIENCE;
  };
  useInterval(PACE, () => void ask());
  useEffect(() => void ask(), [shown]); // at once when it comes in sight
  return [picture?.lines ?? null, picture?.replay ?? false, error];
}

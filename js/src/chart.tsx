import { useRef, useState } from "preact/hooks";
import { Button } from "./button";
import {
  clamp,
  fitted,
  framesAt,
  framesIn,
  HEIGHT,
  knownSpan,
  lengthOf,
  nearest,
  peakOf,
  type Series,
  type Span,
  scaled,
  stepsOf,
  ticksUpTo,
} from "./series";
import { clock as clockOf, count } from "./text";
import { visible } from "./visible";

interface Props {
  streams: Series[];
  /** The kernel's clock, in seconds. */
  now: number;
  /** Somebody wants to see the frames of that second. */
  onRow: (streamId: string, second: number) => void;
}

/** What was chosen in the chart, as long as it lies in what is shown. */
interface Chosen {
  cursor: number | null;
  /** Where the span that is chosen begins, which ends at the cursor; null: none is. */
  anchor: number | null;
  /** Which stream Enter goes to. */
  stream: number;
  /** What is zoomed to; null: all that is known. */
  zoom: Span | null;
}

/** Frames per second of the last five minutes. */
export function RateChart({ streams, now, onRow }: Props) {
  const [chosen, setChosen] = useState<Chosen>({
    cursor: null,
    anchor: null,
    stream: 0,
    zoom: null,
  });
  const known = knownSpan(now);
  if (streams.every((series) => peakOf(series, known) === 0)) {
    return <p class="stompy-chart-empty">No frames in the last five minutes.</p>;
  }
  const span = chosen.zoom === null ? known : fitted(chosen.zoom, known);
  const cursor = clamp(chosen.cursor ?? span.to, span.from, span.to);
  const anchor = chosen.anchor === null ? null : clamp(chosen.anchor, span.from, span.to);
  const state = { ...chosen, cursor, anchor, stream: Math.min(chosen.stream, streams.length - 1) };
  const change = (changes: Partial<Chosen>) => setChosen((before) => ({ ...before, ...changes }));
  const zoomTo = (wanted: Span) => {
    const zoom = fitted(wanted, known);
    change({ zoom: lengthOf(zoom) === lengthOf(known) ? null : zoom, anchor: null });
  };
  const zoomIn = () => zoomTo(selected(state) ?? scaled(span, cursor, 1 / 2));
  const zoomOut = () => zoomTo(scaled(span, cursor, 2));
  const whole = () => change({ zoom: null, anchor: null });

  return (
    <div class="stompy-chart">
      <div class="stompy-chart-bar">
        <Legend streams={streams} known={known} />
        <Buttons zoomed={chosen.zoom !== null} zoomIn={zoomIn} zoomOut={zoomOut} whole={whole} />
      </div>
      <Plot
        {...{ streams, span, known, state, change, zoomTo, zoomIn, zoomOut, whole, onRow }}
        zoomed={chosen.zoom !== null}
      />
      <Readout streams={streams} state={state} />
      <AsTable streams={streams} known={known} />
    </div>
  );
}

/** What is chosen, with a cursor that is there. */
type State = Chosen & { cursor: number };

function selected({ anchor, cursor }: State): Span | null {
  return anchor === null ? null : { from: Math.min(anchor, cursor), to: Math.max(anchor, cursor) };
}

function Buttons(props: {
  zoomed: boolean;
  zoomIn: () => void;
  zoomOut: () => void;
  whole: () => void;
}) {
  const { zoomed, zoomIn, zoomOut, whole } = props;
  return (
    <span class="stompy-chart-buttons">
      <Button aria-label="Zoom in" onClick={zoomIn}>
        +
      </Button>
      <Button aria-label="Zoom out" aria-disabled={!zoomed} onClick={zoomOut}>
        −
      </Button>
      <Button aria-disabled={!zoomed} onClick={whole}>
        Whole span
      </Button>
    </span>
  );
}

/** Which line is which, by its dashes and its colour: there are 25 of both together. */
function looks(i: number): { "data-dash": number; "data-colour": number } {
  return { "data-dash": i % 5, "data-colour": (i + Math.floor(i / 5)) % 5 };
}

function Legend({ streams, known }: { streams: Series[]; known: Span }) {
  return (
    <ul class="stompy-chart-legend" aria-label="Streams">
      {streams.map((series, i) => (
        <li key={series.id}>
          <svg viewBox="0 0 28 4" aria-hidden="true">
            <path class="stompy-chart-line" d="M0 2H28" {...looks(i)} />
          </svg>
          {visible(series.name)}
          <span class="stompy-chart-rate">{rates(series, known)}</span>
        </li>
      ))}
    </ul>
  );
}

/** The second that is going on is not over: the one before it says more. */
function rates(series: Series, known: Span): string {
  const [current, peak] = [framesAt(series, known.to - 1), peakOf(series, known)];
  return `${count(current)} now, ${count(peak)} at most`;
}

interface PlotProps {
  streams: Series[];
  span: Span;
  known: Span;
  state: State;
  zoomed: boolean;
  change: (changes: Partial<Chosen>) => void;
  zoomTo: (wanted: Span) => void;
  zoomIn: () => void;
  zoomOut: () => void;
  whole: () => void;
  onRow: Props["onRow"];
}

/** A press of so many pixels to the side is a drag. */
const DRAG = 4;

function Plot(props: PlotProps) {
  const { streams, span, known, state, zoomed, change, zoomTo, onRow } = props;
  const pressed = useRef<{ x: number; second: number } | null>(null);
  const plot = useRef<HTMLDivElement>(null);
  const ticks = ticksUpTo(Math.max(...streams.map((series) => peakOf(series, span))));
  const top = ticks.at(-1) ?? 1;

  /** Second and height under the pointer. */
  const under = (event: PointerEvent): [number, number] => {
    const box = plot.current?.getBoundingClientRect() ?? new DOMRect();
    const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    const second = span.from + Math.floor(x * lengthOf(span));
    return [clamp(second, span.from, span.to), (1 - y) * top];
  };
  const press = (event: PointerEvent) => {
    if (event.button === 0) {
      const [second] = under(event);
      pressed.current = { x: event.clientX, second };
      plot.current?.setPointerCapture?.(event.pointerId);
      change({ cursor: second, anchor: null });
    }
  };
  const moveTo = (event: PointerEvent) => {
    const start = pressed.current;
    const [cursor] = under(event);
    if (start !== null && Math.abs(event.clientX - start.x) >= DRAG) {
      change({ cursor, anchor: start.second });
    } else if (start === null && state.anchor === null) {
      change({ cursor });
    }
  };
  const release = (event: PointerEvent) => {
    const start = pressed.current;
    pressed.current = null;
    if (start === null) {
      return;
    }
    const [second, height] = under(event);
    if (Math.abs(event.clientX - start.x) >= DRAG) {
      zoomTo({ from: Math.min(start.second, second), to: Math.max(start.second, second) });
    } else {
      const series = nearest(streams, second, height);
      if (series !== undefined) {
        onRow(series.id, second);
      }
    }
  };

  return (
    <div class="stompy-chart-box">
      <Scale ticks={ticks} />
      <div
        ref={plot}
        class="stompy-chart-plot"
        role="slider"
        tabIndex={0}
        data-lm-suppress-shortcuts="true"
        aria-label={labelOf(streams, known)}
        aria-valuemin={span.from}
        aria-valuemax={span.to}
        aria-valuenow={state.cursor}
        aria-valuetext={readingOf(streams, state)}
        onKeyDown={(event) => pressKey(event, props)}
        onPointerDown={press}
        onPointerMove={moveTo}
        onPointerUp={release}
        onPointerCancel={() => {
          pressed.current = null;
          change({ anchor: null });
        }}
      >
        <Curves streams={streams} span={span} ticks={ticks} state={state} />
      </div>
      <div class="stompy-chart-x" aria-hidden="true">
        <span>{zoomed ? clock(span.from) : "5 min ago"}</span>
        <span>{zoomed ? clock(span.to) : "now"}</span>
      </div>
    </div>
  );
}

function Scale({ ticks }: { ticks: number[] }) {
  const top = ticks.at(-1) ?? 1;
  return (
    <div class="stompy-chart-y" aria-hidden="true">
      {ticks.map((tick) => (
        <span key={tick} style={{ bottom: `${(100 * tick) / top}%` }}>
          {count(tick)}
        </span>
      ))}
    </div>
  );
}

function Curves(props: { streams: Series[]; span: Span; ticks: number[]; state: State }) {
  const { streams, span, ticks, state } = props;
  const top = ticks.at(-1) ?? 1;
  const width = lengthOf(span);
  const marked = selected(state);
  const bar = (at: number, seconds: number, name: string) => (
    <rect class={name} x={at - span.from} y={0} width={seconds} height={HEIGHT} />
  );
  return (
    <svg viewBox={`0 0 ${width} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      {ticks.map((tick) => (
        <path
          key={tick}
          class="stompy-chart-grid"
          d={`M0 ${HEIGHT - (HEIGHT * tick) / top}H${width}`}
        />
      ))}
      {marked !== null && bar(marked.from, lengthOf(marked), "stompy-chart-selected")}
      {bar(state.cursor, 1, "stompy-chart-cursor")}
      {streams.map((series, i) => {
        const steps = stepsOf(series, span, top);
        return (
          <g key={series.id}>
            {streams.length === 1 && <path class="stompy-chart-area" d={`${steps}V${HEIGHT}H0Z`} />}
            <path class="stompy-chart-line" d={steps} {...looks(i)} />
          </g>
        );
      })}
    </svg>
  );
}

/** Left and right move the cursor, with Shift they choose a span; up and down choose a stream. */
function pressKey(event: KeyboardEvent, props: PlotProps): void {
  if (event.ctrlKey || event.metaKey || event.altKey) {
    return;
  }
  const { streams, span, state, zoomed, change } = props;
  const { cursor, anchor, stream } = state;
  const go = (to: number) =>
    change({
      cursor: clamp(to, span.from, span.to),
      anchor: event.shiftKey ? (anchor ?? cursor) : null,
    });
  const choose = (step: number) =>
    change({ stream: (stream + step + streams.length) % streams.length });
  const actions: Record<string, (() => void) | undefined> = {
    ArrowLeft: () => go(cursor - 1),
    ArrowRight: () => go(cursor + 1),
    PageUp: () => go(cursor - 30),
    PageDown: () => go(cursor + 30),
    Home: () => go(span.from),
    End: () => go(span.to),
    ArrowUp: () => choose(-1),
    ArrowDown: () => choose(1),
    Enter: () => props.onRow(streams[stream]?.id ?? "", selected(state)?.from ?? cursor),
    "+": props.zoomIn,
    "=": props.zoomIn,
    "-": props.zoomOut,
    Escape: anchor !== null ? () => change({ anchor: null }) : zoomed ? props.whole : undefined,
  };
  const action = Object.hasOwn(actions, event.key) ? actions[event.key] : undefined;
  if (action !== undefined) {
    event.preventDefault();
    event.stopPropagation();
    action();
  }
}

function labelOf(streams: Series[], known: Span): string {
  const said = streams.map((series) => `${visible(series.name)}: ${rates(series, known)}.`);
  return ["Frames per second in the last five minutes.", ...said].join(" ");
}

/** What the cursor is at: the frames of a second, or of a span. The first stream is Enter's. */
function readingOf(streams: Series[], state: State): string {
  const span = selected(state);
  const when = span === null ? clock(state.cursor) : `${clock(span.from)} to ${clock(span.to)}`;
  const first = streams.slice(state.stream).concat(streams.slice(0, state.stream));
  const said = first.map((series) => {
    const n = span === null ? framesAt(series, state.cursor) : framesIn(series, span);
    return `${visible(series.name)} ${count(n)}`;
  });
  return `${when} UTC: ${said.join(", ")}`;
}

function Readout({ streams, state }: { streams: Series[]; state: State }) {
  return (
    <p class="stompy-chart-reading" aria-hidden="true">
      {readingOf(streams, state)}
    </p>
  );
}

function clock(second: number): string {
  return clockOf(second * 1000).slice(0, 8);
}

/** Seconds that a row of the table has. */
const ROW = 30;

function AsTable({ streams, known }: { streams: Series[]; known: Span }) {
  const rows = Array.from({ length: lengthOf(known) / ROW }, (_, i) => {
    const from = known.from + i * ROW;
    return { from, to: from + ROW - 1 };
  });
  return (
    <details class="stompy-chart-table">
      <summary data-lm-suppress-shortcuts="true">As a table</summary>
      <table>
        <caption>Frames in {ROW} seconds</caption>
        <thead>
          <tr>
            <th scope="col">from (UTC)</th>
            {streams.map((series) => (
              <th scope="col" key={series.id}>
                {visible(series.name)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((span) => (
            <tr key={span.from}>
              <th scope="row">{clock(span.from)}</th>
              {streams.map((series) => (
                <td key={series.id}>{count(framesIn(series, span))}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}

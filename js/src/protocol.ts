/**
 * What the kernel and the browser say to each other; `stompy_jupyter/widget.py` and `actions.py`
 * are the other side. A window is a whole picture, never a change to one: drawing it twice, or
 * missing one, does no harm.
 */

export interface SessionWindow {
  kind: "window";
  seq: number;
  /** The kernel's clock, in milliseconds since 1970. */
  now: number;
  session: SessionState;
  streams: StreamWindow[];
  /** What happened, newest last. */
  log: LogEntry[];
}

export interface SessionState {
  name: string;
  address: string;
  state: string;
  server: string;
  version: string;
  error: string | null;
  sent: number;
  received: number;
  reconnects: number;
  /** Grows with whatever passes on the wire; older kernels do not tell. */
  passed?: number;
  transaction: { id: string; frames: number } | null;
  beats: { out: Beat; in: Beat } | null;
}

/** The agreed interval (0 is never), and how long ago octets went that way, in milliseconds. */
export type Beat = [number, number];

export interface LogEntry {
  n: number;
  time: number;
  kind: string;
  text: string;
}

export interface StreamWindow {
  id: string;
  name: string;
  destination: string;
  ack: string;
  state: string;
  error: string | null;
  received: number;
  dropped: number;
  octets: number;
  waiting: number;
  /** Whether ACK and NACK by hand are possible. */
  answers: boolean;
  /** What was sent against what has come; null where nobody counts. */
  tally: TallyWindow | null;
  /** What Python calls it. */
  variable: string;
  rate: { second: number; frames: number[] };
  /** The headers that occur, each with its column in the DataFrame. */
  columns: Column[];
  first: number;
  rows: Row[];
}

export interface TallyWindow {
  expected: number;
  arrived: number;
  lost: number;
  doubled: number;
  redelivered: number;
  unexpected: number;
  /** Sent a moment ago, and not there yet. */
  coming: number;
  /** Whether all frames were seen: otherwise nothing can be said of what is lost. */
  complete: boolean;
}

export type Column = [header: string, column: string];

/** When it came (ms), the octets of its body, the body, and a value for each column. */
export type Row = [number, number, string, ...(string | null)[]];

export interface Rows {
  stream: string;
  columns: Column[];
  first: number;
  rows: Row[];
  received: number;
  dropped: number;
}

/** A frame as it is, with a part of its body in a buffer. Its texts are as strangers sent them. */
export interface Frame {
  stream: string;
  number: number;
  received: number;
  command: string;
  headers: [string, string][];
  /** Whether all headers are there, in their order. */
  whole: boolean;
  cut: boolean;
  size: number;
  offset: number;
  version: string;
  answerable: boolean;
}

export interface Found {
  stream: string;
  numbers: number[];
  total: number;
  first: number;
  end: number;
}

export interface Sent {
  receipt: string | null;
  /** Null where no receipt was asked for; false where it did not come in time. */
  confirmed: boolean | null;
  ms: number | null;
}

/** The first and the last of numbers that follow each other. */
export type Span = [number, number];

/** One line of a sequence: a frame, a run of heart-beats, a new connection, or no whole frame. */
export interface Line {
  kind: string;
  /** In the trace; of heart-beats that of the first, of a connection that of what comes next. */
  number: number;
  time: number;
  sent: boolean;
  command: string;
  label: string;
  /** The frames that it answers, and those that answer it. */
  answers: Span[];
  answered: Span[];
  /** "", "open", "came", or "none". */
  receipt: string;
  transaction: string | null;
  outcome: string | null;
}

export interface SequenceLines {
  passed: number;
  replay: boolean;
  lines: Line[];
}

/** What has passed, with its octets, or the first of them, in a buffer. */
export interface Passage {
  number: number;
  time: number;
  sent: boolean;
  command: string;
  /** What there is to know about the octets as a whole; empty if nothing is. */
  note: string;
  size: number;
  /** The kind of each part, how many octets it has, what it means. */
  parts: [string, number, string][];
}

export interface Reply {
  kind: "reply";
  id: string;
  result?: unknown;
  error?: { message: string; hint: string };
}

/** Anything can arrive over the wire, also from a kernel of another release or a saved notebook. */
type Check = (value: unknown) => boolean;

const isText: Check = (value) => typeof value === "string";
const isFlag: Check = (value) => typeof value === "boolean";
const isNumber: Check = (value) => typeof value === "number" && Number.isFinite(value);
const isCount: Check = (value) => Number.isSafeInteger(value) && Number(value) >= 0;

const orNull =
  (check: Check): Check =>
  (value) =>
    value === null || check(value);

const arrayOf =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);

const shape =
  (checks: Record<string, Check>): Check =>
  (value) =>
    typeof value === "object" &&
    value !== null &&
    Object.entries(checks).every(([key, check]) => check((value as Record<string, unknown>)[key]));

const isBeat: Check = (value) => arrayOf(isNumber)(value) && (value as Beat).length === 2;
const isColumns = arrayOf((value) => arrayOf(isText)(value) && (value as Column).length === 2);

const isRow: Check = (value) => {
  if (!Array.isArray(value)) {
    return false;
  }
  const [received, size, body, ...values] = value;
  return isNumber(received) && isCount(size) && isText(body) && values.every(orNull(isText));
};

const isTally = shape({
  expected: isCount,
  arrived: isCount,
  lost: isCount,
  doubled: isCount,
  redelivered: isCount,
  unexpected: isCount,
  coming: isCount,
  complete: isFlag,
});

const isStream = shape({
  id: isText,
  name: isText,
  destination: isText,
  ack: isText,
  state: isText,
  error: orNull(isText),
  received: isCount,
  dropped: isCount,
  octets: isCount,
  waiting: isCount,
  answers: isFlag,
  tally: orNull(isTally),
  variable: isText,
  rate: shape({ second: isCount, frames: arrayOf(isCount) }),
  columns: isColumns,
  first: isCount,
  rows: arrayOf(isRow),
});

/** A check that TypeScript believes. */
const guard =
  <Kind>(check: Check) =>
  (value: unknown): value is Kind =>
    check(value);

const isError = shape({ message: isText, hint: isText });

export const isReply = guard<Reply>(
  shape({
    kind: (value) => value === "reply",
    id: isText,
    error: (value) => value === undefined || isError(value),
  }),
);

export const isWindow = guard<SessionWindow>(
  shape({
    kind: (value) => value === "window",
    seq: isCount,
    now: isNumber,
    session: shape({
      name: isText,
      address: isText,
      state: isText,
      server: isText,
      version: isText,
      error: orNull(isText),
      sent: isCount,
      received: isCount,
      reconnects: isCount,
      passed: (value) => value === undefined || isCount(value),
      transaction: orNull(shape({ id: isText, frames: isCount })),
      beats: orNull(shape({ out: isBeat, in: isBeat })),
    }),
    streams: arrayOf(isStream),
    log: arrayOf(shape({ n: isCount, time: isNumber, kind: isText, text: isText })),
  }),
);

export const isRows = guard<Rows>(
  shape({
    stream: isText,
    columns: isColumns,
    first: isCount,
    rows: arrayOf(isRow),
    received: isCount,
    dropped: isCount,
  }),
);

export const isFrame = guard<Frame>(
  shape({
    stream: isText,
    number: isCount,
    received: isNumber,
    command: isText,
    headers: isColumns,
    whole: isFlag,
    cut: isFlag,
    size: isCount,
    offset: isCount,
    version: isText,
    answerable: isFlag,
  }),
);

const isSpan: Check = (value) => arrayOf(isCount)(value) && (value as Span).length === 2;

export const isSequence = guard<SequenceLines>(
  shape({
    passed: isCount,
    replay: isFlag,
    lines: arrayOf(
      shape({
        kind: isText,
        number: isCount,
        time: isNumber,
        sent: isFlag,
        command: isText,
        label: isText,
        answers: arrayOf(isSpan),
        answered: arrayOf(isSpan),
        receipt: isText,
        transaction: orNull(isText),
        outcome: orNull(isText),
      }),
    ),
  }),
);

const isPassagePart: Check = (value) =>
  Array.isArray(value) &&
  value.length === 3 &&
  isText(value[0]) &&
  isCount(value[1]) &&
  isText(value[2]);

export const isPassage = guard<Passage>(
  shape({
    number: isCount,
    time: isNumber,
    sent: isFlag,
    command: isText,
    note: isText,
    size: isCount,
    parts: arrayOf(isPassagePart),
  }),
);

export const isFound = guard<Found>(
  shape({
    stream: isText,
    numbers: arrayOf(isCount),
    total: isCount,
    first: isCount,
    end: isCount,
  }),
);

export const isSent = guard<Sent>(
  shape({
    receipt: orNull(isText),
    confirmed: orNull(isFlag),
    ms: orNull(isNumber),
  }),
);

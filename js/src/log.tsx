import type { LogEntry, SessionWindow, StreamWindow } from "./protocol";
import type { Store } from "./store";
import { clock, count } from "./text";

const SIGNS: Record<string, string> = {
  connected: "●",
  disconnected: "○",
  reconnecting: "◌",
  lost: "✕",
  error: "⚠",
  refused: "⚠",
  full: "⚠",
  receipt: "✓",
};

/** What happened to the connection, newest first, and what became of all frames. */
export function Log({ store, window }: { store: Store; window: SessionWindow }) {
  return (
    <section
      class="stompy-log"
      aria-label="Log"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and a keyboard has to get in
      tabIndex={0}
      data-lm-suppress-shortcuts="true"
    >
      {window.streams.length > 0 && <Numbers store={store} streams={window.streams} />}
      {window.log.length === 0 && <p class="stompy-help">Nothing has happened yet.</p>}
      <ol class="stompy-entries" reversed>
        {[...window.log].reverse().map((entry) => (
          <Entry key={entry.n} entry={entry} />
        ))}
      </ol>
    </section>
  );
}

function Entry({ entry: { time, kind, text } }: { entry: LogEntry }) {
  return (
    <li data-kind={kind}>
      <time class="stompy-muted">{clock(time)}</time>
      <span class="stompy-kind">
        <span aria-hidden="true">{SIGNS[kind] ?? "·"}</span> {kind}
      </span>
      <span class="stompy-text">{text}</span>
    </li>
  );
}

function Numbers({ store, streams }: { store: Store; streams: StreamWindow[] }) {
  return (
    <table class="stompy-table">
      <caption class="stompy-hidden">What became of the frames of each stream</caption>
      <thead>
        <tr>
          <th scope="col">stream</th>
          <th scope="col">received</th>
          <th scope="col">dropped from the table</th>
          <th scope="col">in the table</th>
          <th scope="col">in this page</th>
        </tr>
      </thead>
      <tbody>
        {streams.map(({ id, name, received, dropped }) => (
          <tr key={id}>
            <th scope="row">{name}</th>
            <td>{count(received)}</td>
            <td>{count(dropped)}</td>
            <td>{count(received - dropped)}</td>
            <td>{count(store.rows(id).size)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

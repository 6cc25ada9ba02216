import type { TallyWindow } from "./protocol";
import { count } from "./text";

/**
 * What was sent against what has come, in a line: what is lost or doubled is red and has a sign.
 *
 * That alone is read aloud when it changes: the other numbers do so all the time.
 */
export function TallyLine({ tally }: { tally: TallyWindow }) {
  const { expected, arrived, lost, doubled, unexpected, coming, complete } = tally;
  return (
    <p class="stompy-tally">
      expected {count(expected)} · arrived {count(arrived)} ·{" "}
      <span aria-live="polite" aria-atomic="true">
        {complete ? <Wrong what="lost" n={lost} /> : "lost ?"} ·{" "}
        <Wrong what="doubled" n={doubled} />
        {!complete && <span class="stompy-warn"> · ⚠ incomplete: frames were not seen</span>}
      </span>{" "}
      · on their way {count(coming)}
      {unexpected > 0 && ` · unexpected ${count(unexpected)}`}
    </p>
  );
}

function Wrong({ what, n }: { what: string; n: number }) {
  return (
    <span class={n > 0 ? "stompy-bad" : "stompy-good"}>
      <span aria-hidden="true">{n > 0 ? "✗" : "✓"}</span> {what} {count(n)}
    </span>
  );
}

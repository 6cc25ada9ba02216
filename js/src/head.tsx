import type { Act } from "./actions";
import { Button } from "./button";
import type { Beat, SessionWindow } from "./protocol";
import { rate } from "./rate";
import { counted, octets, perSecond, span } from "./text";

const SIGNS: Record<string, string> = { connected: "●", reconnecting: "◌", lost: "✕" };

/** One line about the connection: how it is, with whom, how much comes, whether both are alive. */
export function Head({ window, now, act }: { window: SessionWindow; now: number; act: Act }) {
  const { address, state, server, version, reconnects, error } = window.session;
  const over = window.streams.length > 0 && window.streams.every((s) => s.state === "ended");
  const beats = over ? null : window.session.beats; // of what has ended there are no news
  const open = state === "connected" || state === "reconnecting";
  const [frames, bytes] = rate(window.streams, now);
  const since = Math.max(0, 1000 * now - window.now);
  const toggle = () =>
    act(open ? "disconnect" : "connect", {}, () => (open ? "Disconnected." : "Connected."));
  return (
    <section class="stompy-head" aria-label="Connection">
      <div class="stompy-line" data-state={state}>
        <span class="stompy-sign" aria-hidden="true">
          {SIGNS[state] ?? "○"}
        </span>
        <strong>{state}</strong>
        <span class="stompy-code">{address}</span>
        {server !== "" && <span class="stompy-muted">{server}</span>}
        {version !== "" && <span class="stompy-muted">STOMP {version}</span>}
        {beats !== null && <Light way="out" beat={beats.out} since={since} />}
        {beats !== null && <Light way="in" beat={beats.in} since={since} />}
        {beats !== null && since > patience(beats) && (
          <span class="stompy-warn">no news from the kernel for {span(since)}</span>
        )}
        <span class="stompy-numbers">
          {reconnects > 0 && <span>{counted(reconnects, "reconnect")}</span>}
          <span>{perSecond(frames)} frames/s</span>
          <span>{octets(bytes)}/s</span>
          <Button onClick={toggle}>{open ? "Disconnect" : "Connect"}</Button>
        </span>
      </div>
      {error !== null && state !== "connected" && (
        <p class="stompy-error" role="alert">
          {error}
        </p>
      )}
    </section>
  );
}

/** Milliseconds in which there would be news of the beats at least, or the kernel is gone. */
function patience({ out, in: into }: { out: Beat; in: Beat }): number {
  const intervals = [out[0], into[0]].filter((interval) => interval > 0);
  return intervals.length > 0 ? 3 * Math.max(...intervals) + 5000 : Number.POSITIVE_INFINITY;
}

/** The heart-beats of one way: lit as long as they come when they should. */
function Light(props: {
  way: "out" | "in";
  beat: Beat;
  /** How long ago that was told, in milliseconds. */
  since: number;
}) {
  const { way, since } = props;
  const [interval, told] = props.beat;
  const ago = told + since;
  if (interval === 0) {
    return null;
  }
  const late = ago > 2 * interval + 2000;
  const what = way === "out" ? "sent" : "received";
  const text = `heart-beats ${what} every ${span(interval)}, the last sign ${span(ago)} ago`;
  return (
    <span
      class={late ? "stompy-beat stompy-late" : "stompy-beat"}
      role="img"
      aria-label={text}
      title={text}
    >
      <span aria-hidden="true">
        {late ? "♡" : "♥"}
        {way === "out" ? "↑" : "↓"}
      </span>
    </span>
  );
}

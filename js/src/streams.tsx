import { useRef, useState } from "preact/hooks";
import type { Act } from "./actions";
import { Button } from "./button";
import { submitOnEnter } from "./forms";
import { useId } from "./hooks";
import type { SessionWindow, StreamWindow } from "./protocol";
import { framesPerSecond } from "./rate";
import { TallyLine } from "./tally";
import { count, counted, perSecond } from "./text";

const MODES = ["auto", "client", "client-individual"];

/** The streams to choose from, what can be done with the chosen one, and the form for another. */
export function Streams(props: {
  window: SessionWindow;
  now: number;
  chosen: StreamWindow | undefined;
  onChoose: (id: string) => void;
  act: Act;
}) {
  const { window, now, chosen, onChoose, act } = props;
  return (
    <section class="stompy-streams" aria-label="Streams">
      {window.streams.map((stream) => (
        <Button
          key={stream.id}
          class="stompy-chip"
          data-stream={stream.name}
          aria-pressed={stream === chosen}
          title={stream.destination}
          onClick={() => onChoose(stream.id)}
        >
          <span class="stompy-name">{stream.name}</span>
          <span class="stompy-count">{counted(stream.received, "frame")}</span>
          {stream.state !== "live" && <span class="stompy-state">{stream.state}</span>}
        </Button>
      ))}
      <Subscribe act={act} onChoose={onChoose} />
      {chosen !== undefined && <Chosen stream={chosen} now={now} act={act} />}
    </section>
  );
}

/** What there is to know of the chosen stream, and what can be done with its subscription. */
function Chosen({ stream, now, act }: { stream: StreamWindow; now: number; act: Act }) {
  const { id, name, destination, ack, state, error, dropped, waiting, tally } = stream;
  const say = (kind: string, done: string) => () =>
    act(kind, { stream: id }, () => `${name}: ${done}.`);
  return (
    <div class="stompy-line stompy-chosen">
      <span class="stompy-code">{destination}</span>
      <span class="stompy-muted">ack: {ack}</span>
      {waiting > 0 && <span class="stompy-warn">{count(waiting)} unacknowledged</span>}
      {dropped > 0 && (
        <span class="stompy-warn" title="The table is full: the oldest frames go first.">
          {count(dropped)} dropped
        </span>
      )}
      <span class="stompy-numbers">{perSecond(framesPerSecond(stream, now))}/s</span>
      {state === "paused" && (
        <Button onClick={say("resume", "resumed")}>Resume subscription</Button>
      )}
      {state === "live" && <Button onClick={say("pause", "paused")}>Pause subscription</Button>}
      {state !== "ended" && (
        <Button onClick={say("unsubscribe", "unsubscribed; its frames stay")}>Unsubscribe</Button>
      )}
      {tally !== null && <TallyLine tally={tally} />}
      {error !== null && (
        <p class="stompy-error" role="alert">
          {error}
        </p>
      )}
    </div>
  );
}

function Subscribe({ act, onChoose }: { act: Act; onChoose: (id: string) => void }) {
  const [open, setOpen] = useState(false);
  const [destination, setDestination] = useState("");
  const [ack, setAck] = useState("auto");
  const opener = useRef<HTMLButtonElement>(null);
  const id = useId();

  const close = () => {
    setOpen(false);
    opener.current?.focus();
  };
  const onSubmit = async (event: Event) => {
    event.preventDefault();
    const answer = await act(
      "subscribe",
      { destination, ack },
      () => `Subscribed to ${destination}.`,
    );
    if (answer !== null) {
      onChoose(String((answer.result as { stream?: unknown } | null)?.stream ?? ""));
      setDestination("");
      close();
    }
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      close();
    }
  };

  return (
    <>
      <Button ref={opener} aria-expanded={open} aria-controls={id} onClick={() => setOpen(!open)}>
        + Subscribe
      </Button>
      <form
        id={id}
        class="stompy-line stompy-form"
        hidden={!open}
        onSubmit={onSubmit}
        onKeyDown={onKeyDown}
      >
        <label>
          Destination{" "}
          <input
            name="destination"
            required
            autocomplete="off"
            spellcheck={false}
            placeholder="/topic/prices"
            data-lm-suppress-shortcuts="true"
            value={destination}
            onInput={(event) => setDestination(event.currentTarget.value)}
            onKeyDown={submitOnEnter}
          />
        </label>
        <label>
          Ack{" "}
          <select
            name="ack"
            data-lm-suppress-shortcuts="true"
            value={ack}
            onChange={(event) => setAck(event.currentTarget.value)}
          >
            {MODES.map((mode) => (
              <option key={mode}>{mode}</option>
            ))}
          </select>
        </label>
        <Button type="submit">Subscribe</Button>
      </form>
    </>
  );
}

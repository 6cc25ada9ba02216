import { useRef, useState } from "preact/hooks";
import { type Act, type Tell, useActions } from "./actions";
import { RateChart } from "./chart";
import { Composer } from "./composer";
import { Frames, type Pin } from "./frames";
import { Head } from "./head";
import { useChanges, useInterval, useSeconds } from "./hooks";
import { Log } from "./log";
import type { SessionWindow, StreamWindow } from "./protocol";
import { Sequence } from "./sequence";
import type { Store } from "./store";
import { Streams } from "./streams";
import { Tabs } from "./tabs";
import { counted } from "./text";

/** How often a screen reader is told of new frames at the most, in milliseconds. */
const NEWS = 5000;

/** The whole widget: the connection, its streams, and what is to be seen and done with them. */
export function App({ store }: { store: Store }) {
  useChanges(store);
  useSeconds();
  const [act, outcome, tell] = useActions(store);
  const window = store.window;
  return (
    <div class="stompy-app" data-lm-suppress-shortcuts="true">
      {window === null ? (
        <p class="stompy-help">Waiting for the kernel …</p>
      ) : (
        <Whole store={store} window={window} act={act} tell={tell} />
      )}
      <p class={outcome.bad ? "stompy-outcome stompy-bad" : "stompy-outcome"} role="status">
        {outcome.text}
      </p>
    </div>
  );
}

interface WholeProps {
  store: Store;
  window: SessionWindow;
  act: Act;
  tell: Tell;
}

function Whole({ store, window, act, tell }: WholeProps) {
  const [selected, select] = useState<{ id: string; name: string | undefined } | null>(null);
  const [tab, setTab] = useState("frames");
  const [pin, setPin] = useState<Pin | null>(null);
  const stream =
    window.streams.find(({ id }) => id === selected?.id) ??
    window.streams.find(({ name }) => name === selected?.name) ?? // it was replaced
    window.streams[0];
  const now = store.now / 1000;

  const choose = (id: string) => {
    select({ id, name: window.streams.find((known) => known.id === id)?.name });
    setPin(null);
  };
  const goTo = (id: string, second: number) => {
    const target = window.streams.find((known) => known.id === id);
    if (target !== undefined) {
      choose(id);
      setPin({ stream: id, number: frameAt(target, second) });
      setTab("frames");
    }
  };

  const tabs = [
    {
      name: "frames",
      label: "Frames",
      content: () =>
        stream === undefined ? (
          <p class="stompy-help">
            No stream yet. Subscribe above, or in a cell:{" "}
            <code>%stomp_subscribe /topic/prices --as prices</code>
          </p>
        ) : (
          <Frames key={stream.id} store={store} stream={stream} act={act} tell={tell} pin={pin} />
        ),
    },
    {
      name: "rate",
      label: "Rate",
      content: () => <RateChart streams={window.streams.map(rateOf)} now={now} onRow={goTo} />,
    },
    {
      name: "send",
      label: "Send",
      content: () => (
        <Composer
          session={window.session}
          destinations={window.streams.map(({ destination }) => destination)}
          act={act}
          tell={tell}
        />
      ),
    },
    { name: "log", label: "Log", content: () => <Log store={store} window={window} /> },
    {
      name: "sequence",
      label: "Sequence",
      content: () => <Sequence store={store} session={window.session} shown={tab === "sequence"} />,
    },
  ];

  return (
    <>
      <Head window={window} now={now} act={act} />
      <Streams window={window} now={now} chosen={stream} onChoose={choose} act={act} />
      <Tabs keep label="Parts" tabs={tabs} chosen={tab} onChoose={setTab} />
      <News streams={window.streams} />
    </>
  );
}

function rateOf({ id, name, rate }: StreamWindow) {
  return { id, name, second: rate.second, frames: rate.frames };
}

/** The first frame that came in a second of the rate's, or later. */
export function frameAt({ received, dropped, rate }: StreamWindow, second: number): number {
  const later = rate.frames.slice(Math.max(0, rate.frames.length - (rate.second - second) - 1));
  const behind = second > rate.second ? 0 : later.reduce((sum, n) => sum + n, 0);
  return Math.max(dropped, received - behind);
}

/** Tells those who hear the page how many frames have come, from time to time. */
function News({ streams }: { streams: StreamWindow[] }) {
  const [text, setText] = useState("");
  const told = useRef(new Map(streams.map(({ id, received }) => [id, received])));
  useInterval(NEWS, () => {
    const news = streams.map(({ id, name, received }) => {
      const more = received - (told.current.get(id) ?? 0);
      return more > 0 ? `${counted(more, "new frame")} on ${name}` : "";
    });
    told.current = new Map(streams.map(({ id, received }) => [id, received]));
    setText(news.filter((one) => one !== "").join(", "));
  });
  return (
    <p class="stompy-hidden" aria-live="polite">
      {text}
    </p>
  );
}

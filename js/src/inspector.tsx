import { useEffect, useMemo, useState } from "preact/hooks";
import { type Act, reason, type Tell } from "./actions";
import { Body } from "./body";
import { Button } from "./button";
import { charsetOf, decodeText } from "./charset";
import type { Copied } from "./code";
import { Copies } from "./copies";
import { REBUILT } from "./meanings";
import { encodeFrame } from "./octets";
import { type Frame, isFrame, type StreamWindow } from "./protocol";
import { RawFrame } from "./raw";
import type { Store } from "./store";
import { Tabs } from "./tabs";
import { moment, octets, span } from "./text";
import { visible } from "./visible";

interface Props {
  store: Store;
  stream: StreamWindow;
  number: number;
  act: Act;
  tell: Tell;
  onClose: () => void;
}

/** A frame with as much of its body as is here. */
interface Whole {
  frame: Frame;
  body: Uint8Array;
}

/** So much of a body is brought here at the most; Python has the rest. */
const LARGEST = 8 * 1024 * 1024;

/** One frame: its headers, its body, its octets, and what can be done with it. */
export function Inspector({ store, stream, number, act, tell, onClose }: Props) {
  const [tab, setTab] = useState("headers");
  const [answered, setAnswered] = useState(0);
  const [whole, error, load] = useFrame(store, stream.id, number, answered);
  const parts = useMemo(
    () =>
      whole === null
        ? []
        : encodeFrame(
            whole.frame.command,
            whole.frame.headers,
            whole.body,
            whole.frame.version,
            whole.frame.size,
          ),
    [whole],
  );
  const here = whole !== null && whole.frame.number === number;

  return (
    <section class="stompy-inspector" aria-label={`Frame ${number}`} aria-busy={!here}>
      <div class="stompy-line">
        <strong>Frame {number}</strong>
        {here && <Facts frame={whole.frame} />}
        <span class="stompy-numbers">
          {here && (
            <Answers
              frame={whole.frame}
              stream={stream}
              act={act}
              onDone={() => setAnswered(answered + 1)}
            />
          )}
          {here && (
            <Copies
              what={copied(whole)}
              destination={headerOf(whole.frame, "destination") ?? ""}
              tell={tell}
            />
          )}
          <Button aria-label="Close" title="Close (Escape)" onClick={onClose}>
            ✕
          </Button>
        </span>
      </div>
      {error !== null && (
        <p class="stompy-error" role="alert">
          {error}
        </p>
      )}
      <Tabs
        label="Parts of the frame"
        chosen={tab}
        onChoose={setTab}
        tabs={[
          {
            name: "headers",
            label: "Headers",
            content: () => whole && <Headers frame={whole.frame} />,
          },
          {
            name: "body",
            label: "Body",
            content: () =>
              whole && (
                <Body
                  octets={whole.body}
                  size={whole.frame.size}
                  contentType={headerOf(whole.frame, "content-type")}
                  more={load.more}
                  loading={load.loading}
                />
              ),
          },
          {
            name: "raw",
            label: "Raw",
            content: () => whole && <RawFrame parts={parts} note={noteOn(whole)} />,
          },
        ]}
      />
    </section>
  );
}

function Facts({ frame }: { frame: Frame }) {
  const lag = lagOf(frame);
  return (
    <>
      <span class="stompy-muted">{moment(frame.received)} UTC</span>
      <span class="stompy-muted">{octets(frame.size)}</span>
      {lag !== null && (
        <span class="stompy-muted" title="from its timestamp header to its arrival">
          lag {span(lag)}
        </span>
      )}
    </>
  );
}

function Answers(props: { frame: Frame; stream: StreamWindow; act: Act; onDone: () => void }) {
  const { frame, stream, act, onDone } = props;
  if (!(stream.answers && frame.answerable)) {
    return null;
  }
  const say = (kind: "ack" | "nack") => async () => {
    const done = kind === "ack" ? "acknowledged" : "refused";
    const what = { stream: stream.id, number: frame.number };
    await act(kind, what, () => `Frame ${frame.number} is ${done}.`);
    onDone();
  };
  return (
    <>
      <Button onClick={say("ack")}>Ack</Button>
      <Button onClick={say("nack")}>Nack</Button>
    </>
  );
}

function Headers({ frame }: { frame: Frame }) {
  return (
    <>
      <table class="stompy-table">
        <caption class="stompy-hidden">Headers of the {visible(frame.command)} frame</caption>
        <thead>
          <tr>
            <th scope="col">header</th>
            <th scope="col">value</th>
          </tr>
        </thead>
        <tbody>
          {frame.headers.map(([name, value]) => (
            <tr key={name}>
              <th scope="row">{visible(name)}</th>
              <td>{visible(value)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {frame.cut && <p class="stompy-help">There are more headers: Python has all of them.</p>}
      {!frame.whole && <p class="stompy-help">{REBUILT}</p>}
    </>
  );
}

function noteOn({ frame, body }: Whole): string | null {
  const notes = [
    frame.whole ? "" : REBUILT,
    frame.cut ? "There are more headers than are shown." : "",
    body.length < frame.size ? "Of the body only the beginning is here." : "",
  ].filter((note) => note !== "");
  return notes.length > 0 ? notes.join(" ") : null;
}

/** Milliseconds from a frame's timestamp, which brokers give in milliseconds or in seconds. */
export function lagOf(frame: Frame): number | null {
  const timestamp = headerOf(frame, "timestamp") ?? "";
  if (/^\d{12,14}$/.test(timestamp)) {
    return frame.received - Number(timestamp);
  }
  return /^\d{9,10}$/.test(timestamp) ? frame.received - 1000 * Number(timestamp) : null;
}

function headerOf(frame: Frame, name: string): string | null {
  return frame.headers.find(([known]) => known === name)?.[1] ?? null;
}

/** A frame as it can be sent again; null where a part of it is not here. */
function copied({ frame, body }: Whole): Copied | null {
  const text = decodeText(body, charsetOf(headerOf(frame, "content-type") ?? ""));
  const whole = body.length === frame.size;
  return whole ? { headers: frame.headers, body: text, octets: body } : null;
}

interface Load {
  /** Brings more of the body; null when there is no more, or it is too much for a page. */
  more: (() => void) | null;
  loading: boolean;
}

/**
 * The frame of a number. The one before stays until it is here: nothing flickers. It is asked for
 * again when `answered` grows: it may wait for no acknowledgement any more.
 */
function useFrame(
  store: Store,
  stream: string,
  number: number,
  answered: number,
): [Whole | null, string | null, Load] {
  const [whole, setWhole] = useState<Whole | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [loading, setLoading] = useState(false);

  useEffect(() => {
    let wanted = true;
    setError(null);
    const ask = async () => {
      try {
        const answer = await store.request("frame", { stream, number, offset: 0 });
        const { result: frame, octets: body } = answer;
        if (wanted && isFrame(frame)) {
          // Of one that is asked for again there may be more here.
          setWhole((now) => ({
            frame,
            body: now?.frame.number === number && now.body.length > body.length ? now.body : body,
          }));
        }
      } catch (failure) {
        if (wanted) {
          setWhole(null);
          setError(reason(failure));
        }
      }
    };
    void ask();
    return () => {
      wanted = false;
    };
  }, [store, stream, number, answered]);

  const here = whole?.body.length ?? 0;
  const lacks = whole !== null && here < Math.min(whole.frame.size, LARGEST);
  const more = async () => {
    if (whole === null || loading) {
      return;
    }
    setLoading(true);
    try {
      const answer = await store.request("frame", {
        ...{ stream, offset: here },
        number: whole.frame.number,
      });
      // Unless another frame is looked at by now.
      setWhole((now) =>
        now === whole ? { ...whole, body: appended(whole.body, answer.octets) } : now,
      );
    } catch (failure) {
      setError(reason(failure));
    } finally {
      setLoading(false);
    }
  };
  return [whole, error, { more: lacks ? more : null, loading }];
}

function appended(a: Uint8Array, b: Uint8Array): Uint8Array {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}

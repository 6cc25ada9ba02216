import { useEffect, useMemo, useState } from "preact/hooks";
import { reason } from "./actions";
import { Button } from "./button";
import { dissect } from "./dissect";
import { encodeFrame, type Part } from "./octets";
import { isPassage, type Passage } from "./protocol";
import { RawFrame } from "./raw";
import type { Store } from "./store";
import { moment, octets as sizeOf } from "./text";

interface Props {
  store: Store;
  number: number;
  onClose: () => void;
}

interface Passed {
  passage: Passage;
  octets: Uint8Array;
}

/** What has passed under a number, octet by octet. */
export function PassageView({ store, number, onClose }: Props) {
  const [passed, error] = usePassage(store, number);
  const parts = useMemo(() => (passed === null ? [] : partsOf(passed)), [passed]);
  const here = passed?.passage.number === number;
  return (
    <section class="stompy-passage" aria-label={`Octets of ${number}`} aria-busy={!here}>
      <div class="stompy-line">
        <strong>Frame {number}</strong>
        {here && (
          <>
            <span>{passed.passage.sent ? "to the broker" : "from the broker"}</span>
            <span class="stompy-muted">{moment(passed.passage.time)} UTC</span>
            <span class="stompy-muted">{sizeOf(passed.passage.size)}</span>
          </>
        )}
        <span class="stompy-numbers">
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
      {passed !== null && <RawFrame parts={parts} note={noteOn(passed)} />}
    </section>
  );
}

function partsOf({ passage, octets }: Passed): Part[] {
  if (passage.body === null) {
    return dissect(octets);
  }
  const [begin, end] = passage.body;
  const body = octets.subarray(begin, end);
  return encodeFrame(passage.command, passage.headers, body, passage.version, end - begin);
}

function noteOn({ passage, octets }: Passed): string | null {
  const notes = [
    passage.headers.length === 0 && passage.command === "no frame" ? "This is no whole frame." : "",
    octets.length < passage.size ? "Only the beginning is here." : "",
  ].filter((note) => note !== "");
  return notes.length > 0 ? notes.join(" ") : null;
}

/** What has passed under a number. What was there before stays until it is here. */
function usePassage(store: Store, number: number): [Passed | null, string | null] {
  const [passed, setPassed] = useState<Passed | null>(null);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    let wanted = true;
    setError(null);
    const ask = async () => {
      try {
        const { result, octets } = await store.request("passage", { number });
        if (wanted && isPassage(result)) {
          setPassed({ passage: result, octets });
        }
      } catch (failure) {
        if (wanted) {
          setPassed(null);
          setError(reason(failure));
        }
      }
    };
    void ask();
    return () => {
      wanted = false;
    };
  }, [store, number]);
  return [passed, error];
}

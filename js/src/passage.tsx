import { useEffect, useMemo, useState } from "preact/hooks";
import { reason } from "./actions";
import { Button } from "./button";
import { isPassage, type Passage } from "./protocol";
import { RawFrame, type ShownPart } from "./raw";
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

function partsOf({ passage, octets }: Passed): ShownPart[] {
  let at = 0;
  return passage.parts.map(([name, length, meaning]) => {
    at += length;
    return { name, octets: octets.subarray(at - length, at), meaning };
  });
}

function noteOn({ passage, octets }: Passed): string | null {
  const beginning = octets.length < passage.size ? "Only the beginning is here." : "";
  return [passage.note, beginning].filter((note) => note !== "").join(" ") || null;
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

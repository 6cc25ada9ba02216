import { useCallback, useState } from "preact/hooks";
import { type Answer, Refused, type Store } from "./store";

/** What came of the last thing that was asked for. */
export interface Outcome {
  text: string;
  bad: boolean;
}

/**
 * Asks the kernel for something that a person wants done; null when it was refused. What came of it
 * is told below the widget.
 */
export type Act = (
  kind: string,
  args: Record<string, unknown>,
  done: (answer: Answer) => string,
) => Promise<Answer | null>;

/** Tells something below the widget. */
export type Tell = (text: string, bad?: boolean) => void;

/** After so many milliseconds without an answer it is said why there may be none. */
const PATIENCE = 1500;

/** The way to act, what came of it, and the way to tell something oneself. */
export function useActions(store: Store): [Act, Outcome, Tell] {
  const [outcome, setOutcome] = useState<Outcome>({ text: "", bad: false });
  const tell = useCallback<Tell>((text, bad = false) => setOutcome({ text, bad }), []);
  const act = useCallback<Act>(
    async (kind, args, done) => {
      const busy = setTimeout(
        () => tell("No answer yet. While a cell runs, the kernel may answer when that has ended."),
        PATIENCE,
      );
      try {
        const answer = await store.request(kind, args);
        tell(done(answer));
        return answer;
      } catch (error) {
        tell(reason(error), true);
        return null;
      } finally {
        clearTimeout(busy);
      }
    },
    [store, tell],
  );
  return [act, outcome, tell];
}

export function reason(error: unknown): string {
  if (error instanceof Refused) {
    return error.hint === "" ? error.message : `${error.message} (${error.hint})`;
  }
  return "The kernel cannot be reached.";
}

import type { Tell } from "./actions";
import { Button } from "./button";
import { copy } from "./clipboard";
import { asCell, asPython, type Copied } from "./code";

/** Buttons that copy a message as code which sends it; what cannot be copied is told. */
export function Copies(props: {
  /** Null where there is nothing that can be sent. */
  what: Copied | null;
  destination: string;
  tell: Tell;
}) {
  const { what, destination, tell } = props;
  const give = async (text: string) => {
    tell((await copy(text)) ? "Copied." : text);
  };
  return (
    <>
      <Button disabled={what === null} onClick={() => what && give(asCell(what, destination))}>
        Copy as %%stomp_send
      </Button>
      <Button disabled={what === null} onClick={() => what && give(asPython(what, destination))}>
        Copy as Python
      </Button>
    </>
  );
}

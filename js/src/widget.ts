import type { AnyModel, AnyWidget } from "@anywidget/types";
import { keepNewest, type State } from "./newest";
import { SessionView } from "./view";
import { isWindow } from "./window";

interface Props {
  model: AnyModel<State>;
  signal?: AbortSignal;
}

function initialize({ model, signal }: Props): () => void {
  return atEnd(signal, keepNewest(model));
}

function render({ model, el, signal }: Props & { el: HTMLElement }): () => void {
  const view = new SessionView();
  let frame = 0;

  const draw = () => {
    frame = 0;
    const snapshot = model.get("_snapshot");
    if (isWindow(snapshot)) {
      view.draw(snapshot);
    }
  };
  // However many windows arrive, the screen shows one per refresh.
  const schedule = () => {
    frame ||= requestAnimationFrame(draw);
  };

  model.on("change:_snapshot", schedule);
  el.append(view.root);
  draw();
  return atEnd(signal, () => {
    model.off("change:_snapshot", schedule);
    cancelAnimationFrame(frame);
    view.root.remove();
  });
}

/** anywidget 0.11 aborts a signal, 0.10 calls what was returned; `cleanup` may run twice. */
function atEnd(signal: AbortSignal | undefined, cleanup: () => void): () => void {
  signal?.addEventListener("abort", cleanup);
  return cleanup;
}

export default { initialize, render } satisfies AnyWidget<State>;

import type { AnyModel } from "@anywidget/types";
import { isWindow, type SessionWindow } from "./window";

/** The traits shared with the kernel. What they hold is checked before it is used. */
export interface State {
  _snapshot: unknown;
}

/**
 * Keeps the newest window in the model's `_snapshot`, and returns the way to stop.
 *
 * The model is the one thing that all views share: anywidget hands each of them, and
 * `initialize`, a different object in front of it. A view made later, and a notebook that is
 * saved, therefore show what came last. Nothing here may call `save_changes`: the kernel knows
 * its own windows.
 */
export function keepNewest(model: AnyModel<State>): () => void {
  let newest: SessionWindow | undefined;

  const isNews = (message: unknown): message is SessionWindow =>
    isWindow(message) && message.seq >= (newest?.seq ?? 0);

  const takeMessage = (message: unknown) => {
    if (isNews(message)) {
      newest = message;
      model.set("_snapshot", message);
    }
  };

  const takeSnapshot = () => {
    const snapshot = model.get("_snapshot");
    if (isNews(snapshot)) {
      newest = snapshot;
    } else if (newest !== undefined) {
      // The kernel took this snapshot before it sent the message that came in first.
      model.set("_snapshot", newest);
    }
  };

  takeSnapshot();
  model.on("msg:custom", takeMessage);
  model.on("change:_snapshot", takeSnapshot);
  return () => {
    model.off("msg:custom", takeMessage);
    model.off("change:_snapshot", takeSnapshot);
  };
}

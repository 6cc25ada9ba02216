import type { AnyModel, AnyWidget } from "@anywidget/types";
import { render as draw } from "preact";
import { App } from "./app";
import { keepFocus } from "./focus";
import { type State, Store } from "./store";
import { themeOf, watchTheme } from "./theme";

interface Props {
  model: AnyModel<State>;
  signal?: AbortSignal;
}

/** Made anew for each widget: all its views share one store, and no other widget has it. */
function widget() {
  let store: Store | null = null;

  function initialize({ model, signal }: Props): () => void {
    const made = new Store(model);
    store = made;
    return atEnd(signal, () => made.close());
  }

  function render({ model, el, signal }: Props & { el: HTMLElement }): () => void {
    store ??= new Store(model); // a host may have no initialize
    const root = document.createElement("div");
    root.className = "stompy";
    const dress = () => {
      root.dataset["theme"] = themeOf(el);
    };
    dress();
    el.append(root);
    draw(<App store={store} />, root);
    const stops = [watchTheme(el, dress), keepFocus(root)];
    return atEnd(signal, () => {
      for (const stop of stops) {
        stop();
      }
      draw(null, root);
      root.remove();
    });
  }

  return { initialize, render } satisfies AnyWidget<State>;
}

/** anywidget 0.11 aborts a signal, 0.10 calls what was returned; `cleanup` may run twice. */
function atEnd(signal: AbortSignal | undefined, cleanup: () => void): () => void {
  signal?.addEventListener("abort", cleanup);
  return cleanup;
}

export default widget;

const FOCUSABLE = 'button:not([tabindex="-1"]), input, select, textarea, summary, [tabindex="0"]';

/**
 * Keeps the keyboard in the widget when what has the focus goes: a button that has done its work, a
 * row that was dropped. Otherwise the page would have it, and a notebook's own shortcuts with it.
 * What is next in what is left around it gets the focus. Returns the way to stop.
 */
export function keepFocus(root: HTMLElement): () => void {
  let path: HTMLElement[] = []; // what has the focus, and what is around it

  const active = () => (root.getRootNode() as Document | ShadowRoot).activeElement;
  const onFocus = (event: FocusEvent) => {
    path = pathOf(event.target as HTMLElement, root);
  };
  const onBlur = () => {
    queueMicrotask(() => {
      if (isThere(path[0]) && !root.contains(active())) {
        path = []; // somebody has left
      }
    });
  };
  const observer = new MutationObserver(() => {
    const lost = active() === null || active() === root.ownerDocument.body;
    if (lost && path.length > 0 && !isThere(path[0])) {
      next(path)?.focus({ preventScroll: true });
    }
  });

  root.addEventListener("focusin", onFocus);
  root.addEventListener("focusout", onBlur);
  observer.observe(root, { attributeFilter: ["hidden"], childList: true, subtree: true });
  return () => observer.disconnect();
}

function pathOf(node: HTMLElement, root: HTMLElement): HTMLElement[] {
  const path: HTMLElement[] = [];
  for (let place: HTMLElement | null = node; place !== null; place = place.parentElement) {
    path.push(place);
    if (place === root) {
      break;
    }
  }
  return path;
}

function next(path: HTMLElement[]): HTMLElement | undefined {
  for (const place of path.filter(isThere)) {
    const found = [...place.querySelectorAll<HTMLElement>(FOCUSABLE)].find(isThere);
    if (found !== undefined) {
      return found;
    }
  }
  return undefined;
}

function isThere(node: HTMLElement | undefined): boolean {
  return node?.isConnected === true && node.closest("[hidden]") === null;
}

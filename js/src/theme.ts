export type Theme = "light" | "dark";

/**
 * The theme of the page that the widget is in. Hosts say it in different places, and VS Code shows
 * widgets in a frame within a frame, so that the pages around this one are asked, too.
 */
export function themeOf(node: Element): Theme {
  for (const page of pages(node.ownerDocument)) {
    const said = themeSaidBy(page);
    if (said !== null) {
      return said;
    }
  }
  const dark = node.ownerDocument.defaultView?.matchMedia?.("(prefers-color-scheme: dark)");
  return dark?.matches ? "dark" : "light";
}

/** Calls `changed` when the theme may be another; returns the way to stop. */
export function watchTheme(node: Element, changed: () => void): () => void {
  const observer = new MutationObserver(changed);
  for (const page of pages(node.ownerDocument)) {
    for (const place of [page.documentElement, page.body]) {
      if (place !== null) {
        observer.observe(place, { attributes: true });
      }
    }
  }
  const dark = node.ownerDocument.defaultView?.matchMedia?.("(prefers-color-scheme: dark)");
  dark?.addEventListener?.("change", changed);
  return () => {
    observer.disconnect();
    dark?.removeEventListener?.("change", changed);
  };
}

function themeSaidBy({ body, documentElement: root }: Document): Theme | null {
  const lab = body?.dataset["jpThemeLight"];
  if (lab === "true" || lab === "false") {
    return lab === "true" ? "light" : "dark";
  }
  const named = [
    body?.dataset["vscodeThemeKind"],
    body?.dataset["theme"],
    root.dataset["theme"],
    root.getAttribute("theme"), // Colab
    ...(body?.classList ?? []),
    ...root.classList,
  ];
  for (const name of named) {
    if (name === "vscode-high-contrast") {
      return "dark"; // the other one says that it is light
    }
    const word = name?.toLowerCase().match(/(?:^|[-_\s])(light|dark)(?:$|[-_\s])/)?.[1];
    if (word === "light" || word === "dark") {
      return word;
    }
  }
  return null;
}

function pages(page: Document): Document[] {
  const found = [page];
  let view = page.defaultView;
  try {
    while (view !== null && view.parent !== view) {
      view = view.parent as Window & typeof globalThis;
      found.push(view.document);
    }
  } catch {
    // A page of another origin: it says nothing.
  }
  return found;
}

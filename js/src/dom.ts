/** The few ways in which text reaches the page: none of them can make markup of it. */

export function make<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  className = "",
  ...children: Node[]
): HTMLElementTagNameMap[Tag] {
  const node = document.createElement(tag);
  if (className !== "") {
    node.className = className;
  }
  node.append(...children);
  return node;
}

/** Text that stays the same is left alone: a selection in it survives, an alert is read once. */
export function setText(node: HTMLElement, text: string): void {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}

/** Shows `text`, or hides the element when there is none. */
export function showText(node: HTMLElement, text: string | null): void {
  node.hidden = text === null;
  setText(node, text ?? "");
}

const english = new Intl.NumberFormat("en");

/** A number for people: "1,234". */
export function count(n: number): string {
  return english.format(n);
}

export function sameTexts(a: string[], b: string[]): boolean {
  return a.length === b.length && a.every((text, i) => text === b[i]);
}

/**
 * Keeps JupyterLab's shortcuts away: "d d" typed in here would delete the notebook cell.
 * The shortcuts of its command mode are bound to the focused element, so that this is needed on
 * everything that can have the focus, and not on the root alone.
 */
export function keepShortcutsOut(node: HTMLElement): void {
  node.dataset["lmSuppressShortcuts"] = "true";
}

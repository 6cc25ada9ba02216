import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { Button } from "./button";
import { copy } from "./clipboard";
import { type Json, type Line, linesOf, STEP } from "./jsontext";
import { count } from "./text";
import { visible } from "./visible";

/** So much of a string is shown; the text view has all of it. */
const MOST = 2000;

/** A value as a tree, by the pattern of the ARIA practices: one tab stop, and arrows move in it. */
export function JsonTree({ value }: { value: Json }) {
  const [open, setOpen] = useState<ReadonlyMap<string, number>>(new Map([["$", STEP]]));
  const [current, setCurrent] = useState("$");
  const tree = useRef<HTMLDivElement>(null);
  const follow = useRef(false);
  const lines = linesOf(value, open);
  const at = Math.max(
    lines.findIndex((line) => line.id === current),
    0,
  );
  const here = lines[at];

  useLayoutEffect(() => {
    if (follow.current) {
      follow.current = false;
      tree.current?.querySelector<HTMLElement>('[tabindex="0"]')?.focus();
    }
  });

  const go = (id: string | undefined) => {
    if (id !== undefined) {
      follow.current = true;
      setCurrent(id);
    }
  };
  const toggle = ({ id, value: chosen, parent, place, open: isOpen }: Line) => {
    if (chosen === null) {
      setOpen(new Map(open).set(parent, place - 1 + STEP));
      go(`${parent}.${place - 1}`);
    } else if ("items" in chosen) {
      setOpen(new Map(open).set(id, isOpen ? 0 : STEP));
      go(id);
    }
  };
  const press = (event: KeyboardEvent) => {
    const action = here && actionOf(event.key, here);
    if (action) {
      event.preventDefault();
      if (action === "toggle") {
        toggle(here);
      } else if (action === "parent") {
        go(here.parent || undefined);
      } else {
        const to = { up: at - 1, down: at + 1, first: 0, last: lines.length - 1 }[action];
        go(lines[to]?.id);
      }
    }
  };

  return (
    <div class="stompy-json">
      <div role="tree" aria-label="JSON" ref={tree} onKeyDown={press}>
        {lines.map((line) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the tree has the keys
          <div
            key={line.id}
            role="treeitem"
            class="stompy-json-line"
            style={{ "--stompy-level": Math.min(line.level, 40) }}
            tabIndex={line === here ? 0 : -1}
            aria-level={line.level}
            aria-posinset={line.place}
            aria-setsize={line.of}
            {...(isContainer(line) && { "aria-expanded": line.open })}
            data-lm-suppress-shortcuts="true"
            onClick={() => (line.value === null || isContainer(line) ? toggle(line) : go(line.id))}
            onFocus={() => setCurrent(line.id)}
          >
            <Content line={line} />
          </div>
        ))}
      </div>
      {here && <Path path={here.path} />}
    </div>
  );
}

type Action = "up" | "down" | "first" | "last" | "parent" | "toggle";

function actionOf(key: string, line: Line): Action | undefined {
  const keys: Record<string, Action> = {
    ArrowUp: "up",
    ArrowDown: "down",
    Home: "first",
    End: "last",
    Enter: "toggle",
    " ": "toggle",
    ArrowLeft: line.open ? "toggle" : "parent",
    ...(isContainer(line) && { ArrowRight: line.open ? "down" : "toggle" }),
  };
  return Object.hasOwn(keys, key) ? keys[key] : undefined;
}

/** Whether there is something in it to be shown. */
function isContainer({ value }: Line): boolean {
  return value !== null && "items" in value && value.items.length > 0;
}

function Content({ line }: { line: Line }) {
  const { key, value, hidden } = line;
  if (value === null) {
    return <span class="stompy-json-more">{`Show more of ${count(hidden)}`}</span>;
  }
  return (
    <>
      <span class="stompy-json-sign" aria-hidden="true">
        {isContainer(line) ? (line.open ? "▾" : "▸") : ""}
      </span>
      {key !== null && <span class="stompy-json-key">{`${visible(String(key))}: `}</span>}
      <span class="stompy-json-value" data-kind={value.kind}>
        {textOf(value)}
      </span>
    </>
  );
}

function textOf(value: Json): string {
  if ("items" in value) {
    const [n, things] = [value.items.length, value.kind === "object" ? "member" : "item"];
    const signs = value.kind === "object" ? "{…}" : "[…]";
    return n === 0 ? signs.replace("…", "") : `${signs} ${count(n)} ${things}${n === 1 ? "" : "s"}`;
  }
  const rest = value.text.length - MOST;
  const shown = visible(value.text.slice(0, MOST));
  const text = value.kind === "string" ? `"${shown}"` : shown;
  return rest > 0 ? `${text} … ${count(rest)} more` : text;
}

/** The chosen value as code; it can be selected where copying is not allowed. */
function Path({ path }: { path: string }) {
  const [copied, setCopied] = useState("");
  const code = `frame.json${path}`;
  return (
    <p class="stompy-json-path">
      <code>{visible(code)}</code>
      <Button onClick={async () => setCopied((await copy(code)) ? code : "")}>
        {copied === code ? "Copied" : "Copy"}
      </Button>
    </p>
  );
}

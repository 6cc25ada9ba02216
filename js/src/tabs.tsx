import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import { Button } from "./button";
import { useId } from "./hooks";

export interface Tab {
  name: string;
  label: string;
  content: () => ComponentChildren;
}

/** Tabs by the pattern of the ARIA practices: one tab stop, and arrows move among them. */
export function Tabs(props: {
  label: string;
  tabs: Tab[];
  chosen: string;
  onChoose: (name: string) => void;
  /** Whether what was shown before stays as it was, out of sight. */
  keep?: boolean;
}) {
  const { label, tabs, chosen, onChoose, keep = false } = props;
  const seen = useRef(new Set<string>());
  const list = useRef<HTMLDivElement>(null);
  const id = useId();
  const current = tabs.find((tab) => tab.name === chosen) ?? tabs[0];

  if (current !== undefined) {
    seen.current.add(current.name);
  }

  const move = (event: KeyboardEvent) => {
    const place = current === undefined ? -1 : tabs.indexOf(current);
    const to = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: tabs.length - 1 }[
      event.key
    ];
    const next = to === undefined ? undefined : tabs[(to + tabs.length) % tabs.length];
    if (next !== undefined) {
      event.preventDefault();
      onChoose(next.name);
      list.current?.querySelector<HTMLElement>(`[data-tab="${next.name}"]`)?.focus();
    }
  };

  return (
    <div class="stompy-tabs">
      <div class="stompy-tabbar">
        <div role="tablist" aria-label={label} ref={list} onKeyDown={move}>
          {tabs.map((tab) => (
            <Button
              role="tab"
              key={tab.name}
              id={`${id}-${tab.name}`}
              data-tab={tab.name}
              aria-selected={tab === current}
              aria-controls={`${id}-${tab.name}-panel`}
              tabIndex={tab === current ? 0 : -1}
              onClick={() => onChoose(tab.name)}
            >
              {tab.label}
            </Button>
          ))}
        </div>
      </div>
      {tabs.map((tab) => (
        <div
          role="tabpanel"
          key={tab.name}
          id={`${id}-${tab.name}-panel`}
          aria-labelledby={`${id}-${tab.name}`}
          class="stompy-panel"
          hidden={tab !== current}
        >
          {(tab === current || (keep && seen.current.has(tab.name))) && tab.content()}
        </div>
      ))}
    </div>
  );
}

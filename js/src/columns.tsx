import { useRef, useState } from "preact/hooks";
import { Button } from "./button";
import type { GridColumn } from "./grid";
import { useId } from "./hooks";
import type { RowCache } from "./rows";
import { clock, count } from "./text";

const BEFORE: GridColumn[] = [
  {
    name: "frame",
    label: "frame",
    width: 6,
    numeric: true,
    text: (row) => count(row.number),
    value: (row) => row.number,
  },
  {
    name: "received",
    label: "received (UTC)",
    width: 10,
    text: (row) => clock(row.received),
    value: (row) => row.received,
  },
];
const BEHIND: GridColumn[] = [
  {
    name: "size",
    label: "size",
    width: 6,
    numeric: true,
    text: (row) => count(row.size),
    value: (row) => row.size,
  },
  {
    name: "body",
    label: "body",
    width: 12,
    text: (row) => row.body,
    value: (row) => row.body,
  },
];

/** What is shown before anybody has chosen. */
export const USUAL: ReadonlySet<string> = new Set([
  ...["frame", "received", "size", "body"],
  nameOf("content-type"),
]);

/** All columns that there are: number and time, each header that has come, size and body. */
export function columnsOf(rows: RowCache): GridColumn[] {
  return [...BEFORE, ...[...rows.columns.keys()].map(headerColumn), ...BEHIND];
}

/** A header may be called like a column that is none. */
function nameOf(header: string): string {
  return `header ${header}`;
}

function headerColumn(header: string): GridColumn {
  return {
    name: nameOf(header),
    label: header,
    width: 12,
    text: (row) => row.headers[header] ?? "",
    value: (row) => row.headers[header] ?? null,
  };
}

/** A button that opens the list of columns to choose from. */
export function ColumnChoice(props: {
  columns: GridColumn[];
  chosen: ReadonlySet<string>;
  onChoose: (chosen: ReadonlySet<string>) => void;
}) {
  const { columns, chosen, onChoose } = props;
  const [open, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const id = useId();

  const toggle = (name: string) => {
    const next = new Set(chosen);
    if (!next.delete(name)) {
      next.add(name);
    }
    if (next.size > 0) {
      onChoose(next);
    }
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Escape" && open) {
      event.stopPropagation();
      setOpen(false);
      button.current?.focus();
    }
  };

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: Escape closes what is in it
    <div class="stompy-choice" onKeyDown={onKeyDown}>
      <Button ref={button} aria-expanded={open} aria-controls={id} onClick={() => setOpen(!open)}>
        Columns
      </Button>
      <fieldset id={id} hidden={!open}>
        <legend class="stompy-hidden">Columns</legend>
        {columns.map(({ name, label }) => (
          <label key={name}>
            <input
              type="checkbox"
              checked={chosen.has(name)}
              data-lm-suppress-shortcuts="true"
              onChange={() => toggle(name)}
            />
            <span>{label}</span>
          </label>
        ))}
      </fieldset>
    </div>
  );
}

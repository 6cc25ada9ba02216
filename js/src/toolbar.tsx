import { Button } from "./button";
import { ColumnChoice } from "./columns";
import type { GridColumn } from "./grid";
import { useId } from "./hooks";
import { count } from "./text";

const FILTER_HELP =
  "All have to match: a word in the body or a header's value; header=value; header!=value; " +
  '-word, which is not there; "two words"; \\" for a quote';

interface Props {
  paused: boolean;
  onPause: () => void;
  filter: string;
  onFilter: (filter: string) => void;
  /** The keyboard leaves the filter. */
  onLeave: () => void;
  /** Whether the filter says nothing. */
  bad: boolean;
  /** Copies the filter as code; null where there is none. */
  onCopy: (() => void) | null;
  columns: GridColumn[];
  chosen: ReadonlySet<string>;
  onColumns: (chosen: ReadonlySet<string>) => void;
  /** How many frames have come that were not in sight. */
  news: number;
  onNewest: () => void;
  note: string;
}

/** What the list of frames is narrowed by, and how it goes on. */
export function Toolbar(props: Props) {
  const { paused, filter, onFilter, onLeave, bad, onCopy, news, note } = props;
  const id = useId();
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Escape" || event.key === "Enter") {
      event.preventDefault();
      event.stopPropagation();
      if (event.key === "Escape") {
        onFilter("");
      }
      onLeave();
    }
  };
  return (
    // biome-ignore lint/a11y/useSemanticElements: a group of controls
    <div class="stompy-line stompy-toolbar" role="group" aria-label="View">
      <Button
        aria-pressed={paused}
        title="Pauses this view alone; frames go on into the table (Space)"
        onClick={props.onPause}
      >
        {paused ? "Paused" : "Pause"}
      </Button>
      <label class="stompy-hidden" for={id}>
        Filter
      </label>
      <input
        id={id}
        type="search"
        class="stompy-filter"
        placeholder="Filter: text, header=value, -not  ( / )"
        title={FILTER_HELP}
        autocomplete="off"
        spellcheck={false}
        aria-invalid={bad}
        aria-describedby={`${id}-note`}
        data-lm-suppress-shortcuts="true"
        value={filter}
        onInput={(event) => onFilter(event.currentTarget.value)}
        onKeyDown={onKeyDown}
      />
      {onCopy !== null && <Button onClick={onCopy}>Copy as pandas</Button>}
      <ColumnChoice columns={props.columns} chosen={props.chosen} onChoose={props.onColumns} />
      {news > 0 && (
        <Button class="stompy-badge" title="To the newest frame" onClick={props.onNewest}>
          {count(news)} new ↓
        </Button>
      )}
      <span id={`${id}-note`} class="stompy-numbers stompy-muted">
        {note}
      </span>
    </div>
  );
}

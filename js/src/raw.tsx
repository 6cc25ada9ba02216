import { useRef, useState } from "preact/hooks";
import { count } from "./text";
import { visible, visibleOctets } from "./visible";

/** A part of a frame, or of what is none; `octets.ts` makes those of frames that are right. */
export interface ShownPart {
  /** Its kind. */
  name: string;
  octets: Uint8Array;
  meaning: string;
}

interface Props {
  parts: ShownPart[];
  /** What there is to know about these octets as a whole. */
  note: string | null;
  /** Without the table of the parts. */
  compact?: boolean;
}

const MOST_PARTS = 300;

/** So many octets of a part are shown as text, and so many in the table. */
const MOST_SHOWN = 4096;
const MOST_IN_TABLE = 16;

/**
 * The octets of a frame, as text and as a table with what each part is. The part that is pointed to
 * in one of them, or that has the focus, is marked in both.
 */
export function RawFrame({ parts, note, compact = false }: Props) {
  const [marked, mark] = useState<number | null>(null);
  const listed = parts.slice(0, MOST_PARTS);
  const rest = parts.length - listed.length;
  return (
    <div class="stompy-raw">
      {note !== null && <p class="stompy-raw-note">{note}</p>}
      <Legend parts={listed} />
      <pre class="stompy-raw-text">
        {listed.map((part, i) => (
          // biome-ignore lint/a11y/noStaticElementInteractions: the rows do the same by keyboard
          <span
            key={i}
            class="stompy-token"
            data-part={part.name}
            data-marked={marked === i}
            title={`${part.name}: ${visible(part.meaning)}`}
            onMouseEnter={() => mark(i)}
            onMouseLeave={() => mark(null)}
          >
            {asText(part)}
          </span>
        ))}
        {rest > 0 && `… and ${count(rest)} more`}
      </pre>
      {!compact && <Parts parts={listed} rest={rest} marked={marked} mark={mark} />}
    </div>
  );
}

/** The kinds of parts that occur, each as it looks in the text. */
function Legend({ parts }: { parts: ShownPart[] }) {
  return (
    <ul class="stompy-raw-legend" aria-label="Kinds of parts">
      {[...new Set(parts.map(({ name }) => name))].map((name) => (
        <li key={name}>
          <span class="stompy-token" data-part={name}>
            {name}
          </span>
        </li>
      ))}
    </ul>
  );
}

interface PartsProps {
  parts: ShownPart[];
  rest: number;
  marked: number | null;
  mark: (place: number | null) => void;
}

/** One tab stop; arrows, Home and End move among the rows. */
function Parts({ parts, rest, marked, mark }: PartsProps) {
  const [current, setCurrent] = useState(0);
  const body = useRef<HTMLTableSectionElement>(null);
  const stop = Math.min(current, parts.length - 1);
  const offsets = offsetsOf(parts);

  const move = (event: KeyboardEvent) => {
    const to = { ArrowUp: stop - 1, ArrowDown: stop + 1, Home: 0, End: parts.length - 1 }[
      event.key
    ];
    if (to !== undefined) {
      event.preventDefault();
      body.current?.rows[Math.min(Math.max(to, 0), parts.length - 1)]?.focus();
    }
  };

  return (
    <div class="stompy-raw-parts">
      {/* biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: its rows have the focus */}
      <table role="grid" aria-label="Parts of the frame" aria-rowcount={parts.length + rest + 1}>
        <thead>
          <tr>
            <th scope="col">offset</th>
            <th scope="col">octets</th>
            <th scope="col">text</th>
            <th scope="col">what it is</th>
          </tr>
        </thead>
        <tbody ref={body} onKeyDown={move}>
          {parts.map((part, i) => (
            <tr
              key={i}
              tabIndex={i === stop ? 0 : -1}
              data-marked={marked === i}
              data-lm-suppress-shortcuts="true"
              onFocus={() => {
                setCurrent(i);
                mark(i);
              }}
              onBlur={() => mark(null)}
              onMouseEnter={() => mark(i)}
              onMouseLeave={() => mark(null)}
            >
              <td>{offsets[i]}</td>
              <td>{inHex(part.octets)}</td>
              <td>
                <span class="stompy-token" data-part={part.name}>
                  {inCell(part)}
                </span>
              </td>
              <td>
                <strong>{part.name}</strong>: {visible(part.meaning)}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {rest > 0 && <p class="stompy-raw-note">… and {count(rest)} more</p>}
    </div>
  );
}

function offsetsOf(parts: ShownPart[]): number[] {
  let at = 0;
  return parts.map(({ octets }) => {
    at += octets.length;
    return at - octets.length;
  });
}

function asText({ name, octets }: ShownPart): string {
  if (name === "NUL") {
    return "^@";
  }
  const text = visibleOctets(beginning(octets, MOST_SHOWN), { lines: true });
  return text.replaceAll("\n", "⏎\n") + more(octets, MOST_SHOWN, "octet");
}

function inCell({ name, octets }: ShownPart): string {
  if (name === "NUL") {
    return "^@";
  }
  const text = visibleOctets(beginning(octets, MOST_IN_TABLE * 4), { lines: true });
  return text.replaceAll("\n", "⏎") + (octets.length > MOST_IN_TABLE * 4 ? "…" : "");
}

function inHex(octets: Uint8Array): string {
  const shown = Array.from(octets.subarray(0, MOST_IN_TABLE), (octet) =>
    octet.toString(16).padStart(2, "0"),
  );
  return shown.join(" ") + more(octets, MOST_IN_TABLE, "");
}

function more(octets: Uint8Array, most: number, thing: string): string {
  const rest = octets.length - most;
  return rest > 0 ? ` … ${count(rest)} more${thing && ` ${thing}${rest === 1 ? "" : "s"}`}` : "";
}

/** The first octets, so many or a few less: no character of UTF-8 is cut in two. */
function beginning(octets: Uint8Array, most: number): Uint8Array {
  let end = most;
  while (end > most - 3 && ((octets[end] ?? 0) & 0xc0) === 0x80) {
    end--;
  }
  return octets.subarray(0, end);
}

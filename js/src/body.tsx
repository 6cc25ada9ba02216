import type { ComponentChildren } from "preact";
import { useMemo, useState } from "preact/hooks";
import { Button } from "./button";
import { charsetOf, decodeText } from "./charset";
import { hexLines } from "./hex";
import { JsonTree } from "./json";
import { parseJson } from "./jsontext";
import { Tabs } from "./tabs";
import { count, octets as inOctets } from "./text";
import { visible } from "./visible";
import { indentXml } from "./xml";

interface Props {
  /** What is here of the body: its beginning. */
  octets: Uint8Array;
  /** How many octets the body has. */
  size: number;
  contentType: string | null;
  /** Brings more of it; null when there is no more to be had. */
  more: (() => void) | null;
  loading: boolean;
}

type View = "json" | "xml" | "text" | "hex";

/** A body as a tree, in lines, as text and in hex; first as what it seems to be. */
export function Body({ octets, size, contentType, more, loading }: Props) {
  const [chosen, choose] = useState<View | null>(null);
  const charset = charsetOf(contentType ?? "");
  const whole = octets.length >= size;
  const text = useMemo(() => decodeText(octets, charset, whole), [octets, charset, whole]);
  const best = useMemo(() => bestView(text, contentType, whole), [text, contentType, whole]);
  const hex = () => (
    <Pages
      label="Body in hex"
      thing="octets"
      width={16}
      length={octets.length}
      part={hexOf(octets)}
    />
  );
  const asText = (view: (text: string) => ComponentChildren) => () =>
    text === null ? (
      <>
        <Note>The body is no text in {visible(charset)}.</Note>
        {hex()}
      </>
    ) : (
      view(text)
    );

  return (
    <div class="stompy-body">
      {!whole && <Rest here={octets.length} size={size} more={more} loading={loading} />}
      <Tabs
        label="Views of the body"
        chosen={chosen ?? best}
        onChoose={(name) => choose(name as View)}
        tabs={[
          { name: "json", label: "JSON", content: asText((said) => <JsonView text={said} />) },
          { name: "xml", label: "XML", content: asText((said) => <XmlView text={said} />) },
          { name: "text", label: "Text", content: asText((said) => <TextView text={said} />) },
          { name: "hex", label: "Hex", content: hex },
        ]}
      />
    </div>
  );
}

/** What a body is shown as unless somebody chooses: by its content-type and how it begins. */
function bestView(text: string | null, contentType: string | null, whole: boolean): View {
  if (text === null || text.includes("\0")) {
    return "hex";
  }
  const type = (contentType ?? "").split(";")[0] ?? "";
  if (/json/i.test(type) || /^\s*[[{]/.test(text)) {
    return whole && "value" in parseJson(text) ? "json" : "text";
  }
  if (/[/+](xml|html)/i.test(type) || /^\s*</.test(text)) {
    return whole && "text" in indentXml(text) ? "xml" : "text";
  }
  return "text";
}

function Rest({
  here,
  size,
  more,
  loading,
}: Omit<Props, "octets" | "contentType"> & { here: number }) {
  return (
    <p class="stompy-body-rest">
      <span role="status">
        {loading ? "Loading…" : `${inOctets(here)} of ${inOctets(size)} are here`}
      </span>
      {more !== null && (
        <Button
          aria-disabled={loading}
          onClick={() => {
            if (!loading) {
              more();
            }
          }}
        >
          Load more
        </Button>
      )}
    </p>
  );
}

function JsonView({ text }: { text: string }) {
  const parsed = useMemo(() => parseJson(text), [text]);
  return "value" in parsed ? (
    <JsonTree value={parsed.value} />
  ) : (
    <>
      <Note>No JSON: {parsed.error}.</Note>
      <TextView text={text} />
    </>
  );
}

function XmlView({ text }: { text: string }) {
  const lines = useMemo(() => indentXml(text), [text]);
  return (
    <>
      {"error" in lines && <Note>No XML: {visible(lines.error)}.</Note>}
      <TextView text={"error" in lines ? text : lines.text} />
    </>
  );
}

function TextView({ text }: { text: string }) {
  const part = (length: number) => visible(text.slice(0, length), { lines: true });
  return <Pages label="Body" thing="characters" width={1} length={text.length} part={part} />;
}

function hexOf(octets: Uint8Array): (length: number) => string {
  return (length) => hexLines(octets.subarray(0, length));
}

/** A page of text has so many characters: with many more, browsers take their time. */
const PAGE = 65_536;

interface PagesProps {
  label: string;
  /** What is counted, and how many characters about one of it takes. */
  thing: string;
  width: number;
  length: number;
  part: (length: number) => string;
}

/** As much of a long text as was asked for. */
function Pages({ label, thing, width, length, part }: PagesProps) {
  const [pages, setPages] = useState(1);
  const shown = (pages * PAGE) / width;
  return (
    <>
      {/* biome-ignore lint/a11y/useSemanticElements: there are no fields in it */}
      <pre
        class="stompy-body-text"
        aria-label={label}
        data-lm-suppress-shortcuts="true"
        role="group"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard scrolls it
        tabIndex={0}
      >
        {part(shown)}
      </pre>
      {length > shown && (
        <Button onClick={() => setPages(pages + 1)}>
          {`Show more of ${count(length - shown)} ${thing}`}
        </Button>
      )}
    </>
  );
}

function Note({ children }: { children: ComponentChildren }) {
  return <p class="stompy-body-note">{children}</p>;
}

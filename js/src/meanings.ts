/**
 * What the parts of a frame mean, with the section of the specification that says so. The words are
 * Python's, and it makes the same sentences of them, in `stompy_jupyter/meanings.py`.
 */

import WORDS from "../../stompy_jupyter/meanings.json";

interface Entry {
  means: string;
  section: string;
  /** The commands that it is for, and the versions; without them all are. */
  in?: string[] | undefined;
  versions?: string[] | undefined;
  value?: string | undefined;
}

interface Custom {
  means: string;
  by?: string | undefined;
}

type Word = keyof typeof WORDS.words;

const COMMANDS: Record<string, Entry> = WORDS.commands;
const HEADERS: Record<string, Entry[]> = WORDS.headers;
const CUSTOMS: Record<string, Custom> = WORDS.customs;
const VALUES: Record<string, Entry[]> = WORDS.values;
const ESCAPES: Record<string, string> = WORDS.escapes;
const FIRST: Record<string, string> = WORDS.first;

/** What is to be said of a frame that was made from a row of a table. */
export const REBUILT = WORDS.words.rebuilt;

const VERSIONS = ["1.0", "1.1", "1.2"];
const WITH_BODY = ["SEND", "MESSAGE", "ERROR"];

/** Frames with headers of the programs' own: the broker hands them on. */
const HEADERS_PASS = ["SEND", "MESSAGE"];

const VERSION_LIST = /^[0-9]{1,4}\.[0-9]{1,4}(?:,[0-9]{1,4}\.[0-9]{1,4}){0,9}$/;

/** A sentence of the table, with its section of the specification of that version behind. */
export function say(
  word: Word,
  version: string,
  section?: string,
  fields: Record<string, string> = {},
): string {
  return inSection(filled(WORDS.words[word], fields), version, section);
}

function filled(sentence: string, fields: Record<string, string>): string {
  return sentence.replace(/\{(\w+)\}/g, (braces, name) => own(fields, name) ?? braces);
}

function inSection(sentence: string, version: string, section?: string): string {
  if (section === undefined) {
    return sentence;
  }
  return `${sentence} (${version === "1.0" ? (own(FIRST, section) ?? section) : section})`;
}

export function explainCommand(command: string, version: string): string {
  const known = own(COMMANDS, command);
  return known === undefined ? say("no-command", version) : asOf(version, known);
}

/** What something is for, and that a version does not have it where it does not. */
function asOf(version: string, known: Entry): string {
  const versions = known.versions ?? VERSIONS;
  if (!versions.includes(version)) {
    const fields = { version, versions: listed(versions), means: known.means };
    return `${say("other-version", version, undefined, fields)} (${known.section})`;
  }
  return inSection(filled(known.means, { version }), version, known.section);
}

export function explainHeader(name: string, command: string, version: string): string {
  const entries = own(HEADERS, name)?.filter((entry) => entry.in?.includes(command) ?? true);
  const fitting = entries?.find((entry) => entry.versions?.includes(version) ?? true);
  if (fitting !== undefined) {
    return asOf(version, fitting);
  }
  const custom = own(CUSTOMS, name);
  if (custom !== undefined) {
    const by = custom.by ?? WORDS.words.brokers;
    return say("custom", version, undefined, { means: custom.means, by });
  }
  if (entries?.[0] !== undefined) {
    return asOf(version, entries[0]);
  }
  return HEADERS_PASS.includes(command) ? say("own", version, command) : say("no-header", version);
}

/**
 * What a header says with this value; where there is no more to say, what it is for. `size` is how
 * many octets the body has in truth.
 */
export function explainValue(
  name: string,
  value: string,
  command: string,
  version: string,
  size: number,
): string {
  if (name === "content-length") {
    return explainLength(value, version, size);
  }
  const fits = (entry: Entry) =>
    (entry.in?.includes(command) ?? true) && (entry.versions?.includes(version) ?? true);
  if (own(HEADERS, name)?.some(fits)) {
    if (name === "heart-beat") {
      return explainBeats(value, command, version);
    }
    if (name === "accept-version") {
      return explainVersions(value, version);
    }
    const said = own(VALUES, name)?.find(
      (entry) => fits(entry) && (entry.value ?? value) === value,
    );
    if (said !== undefined) {
      return asOf(version, said);
    }
  }
  return explainHeader(name, command, version);
}

function explainLength(value: string, version: string, size: number): string {
  const section = "Header content-length";
  const fields = { octets: octets(size) };
  if (!/^[0-9]+$/.test(value)) {
    return say("length-no-number", version, section, fields);
  }
  const isTrue = value.replace(/^0+/, "") === String(size).replace(/^0+/, "");
  return say(isTrue ? "length" : "length-wrong", version, section, fields);
}

function explainBeats(value: string, command: string, version: string): string {
  const section = "Heart-beating";
  const [, sends, wants] = /^([0-9]{1,9}),([0-9]{1,9})$/.exec(value)?.map(Number) ?? [];
  if (sends === undefined || wants === undefined) {
    return say("no-beats", version, section);
  }
  const side = command === "CONNECTED" ? "broker" : "client";
  const first = { side, ms: String(sends) };
  const second = { ms: String(wants) };
  return inSection(
    `${say(sends > 0 ? "can-send" : "sends-none", version, undefined, first)}, ${say(
      wants > 0 ? "wants" : "wants-none",
      version,
      undefined,
      second,
    )}`,
    version,
    section,
  );
}

function explainVersions(value: string, version: string): string {
  const section = "Protocol Negotiation";
  if (!VERSION_LIST.test(value)) {
    return say("no-versions", version, section);
  }
  const versions = value.split(",");
  const word = versions.length === 1 ? "version" : "versions";
  return say(word, version, section, { versions: listed(versions) });
}

export function explainBody(command: string, version: string, here: number, size: number): string {
  const fields = { octets: octets(size), here: String(here), command };
  if (here !== size) {
    return say("body-part", version, "Body", fields);
  }
  const none =
    own(COMMANDS, command) !== undefined && !WITH_BODY.includes(command) && version !== "1.0";
  return say(none ? "no-body" : "body", version, "Body", fields);
}

/** What an escape stands for. */
export function explainEscape(pair: string, version: string): string {
  return say("escape", version, "Value Encoding", { pair, char: own(ESCAPES, pair) ?? "" });
}

function octets(n: number): string {
  return n === 1 ? WORDS.words.octet : filled(WORDS.words.octets, { n: String(n) });
}

/** Versions as one says them: 1.0, 1.1 and 1.2. */
function listed(versions: string[]): string {
  return [versions.slice(0, -1).join(", "), ...versions.slice(-1)].filter(Boolean).join(" and ");
}

/** A header may be called "constructor". */
function own<T>(table: Record<string, T>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

/** XML with an element a line, indented. It is read as text: nothing in it is ever resolved. */

import { placeIn } from "./jsontext";

/** Longer texts are shown as they are. */
const LONGEST = 2_000_000;

/** A deeper element is indented no further. */
const DEEPEST = 40;

const TOKEN = new RegExp(
  [
    "<!--[^]*?-->",
    "<!\\[CDATA\\[[^]*?\\]\\]>",
    "<\\?[^]*?\\?>",
    "<!DOCTYPE(?:\\[[^\\]]*\\]|[^\\[>])*>",
    "<(?<end>/?)(?<name>[^\\s<>/!?\"'=]+)(?:\"[^\"]*\"|'[^']*'|[^<>\"'])*>",
    "(?<text>[^<]+)",
  ].join("|"),
  "gy",
);

/** The text in lines, or where and why it is no XML. */
export function indentXml(text: string): { text: string } | { error: string } {
  if (text.length > LONGEST) {
    return { error: "too long to be put in lines" };
  }
  const lines: string[] = [];
  const open: string[] = [];
  let at = 0;
  let begun = false; // the last line is a start tag, perhaps with text
  const add = (line: string) => lines.push("  ".repeat(Math.min(open.length, DEEPEST)) + line);
  const join = (more: string) => lines.push(`${lines.pop() ?? ""}${more}`);

  for (const token of text.matchAll(TOKEN)) {
    const { end, name, text: between } = token.groups ?? {};
    const [whole] = token;
    if (between !== undefined) {
      if (between.trim() !== "") {
        begun ? join(between.trim()) : add(between.trim());
      }
    } else if (name === undefined || whole.endsWith("/>")) {
      add(whole);
      begun = false;
    } else if (end === "") {
      add(whole);
      open.push(name);
      begun = true;
    } else {
      const opened = open.pop();
      if (opened !== name) {
        return { error: `${placeIn(text, at)}: ${ends(name, opened)}` };
      }
      begun ? join(whole) : add(whole);
      begun = false;
    }
    at += whole.length;
  }
  if (at < text.length) {
    return { error: `${placeIn(text, at)}: no tag and no text` };
  }
  if (open.length > 0 || lines.length === 0) {
    return { error: open.length > 0 ? `<${open.pop()}> has no end` : "nothing there" };
  }
  return { text: lines.join("\n") };
}

function ends(name: string, opened: string | undefined): string {
  return opened === undefined
    ? `</${name}> ends nothing`
    : `</${name}> where <${opened}> is to end`;
}

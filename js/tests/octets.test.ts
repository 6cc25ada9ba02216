import { describe, expect, test } from "vitest";
import { explainHeader, explainValue } from "../src/meanings";
import { composeSend, encodeFrame, type Header, refusal, toOctets } from "../src/octets";
import vectors from "./frames.json";

const octets = (latin1: string) => Uint8Array.from(latin1, (c) => c.charCodeAt(0));
const latin1 = (octets: Uint8Array) => String.fromCharCode(...octets);
const shown = (headers: Header[], body = "", version = "1.2", command = "SEND") =>
  encodeFrame(command, headers, octets(body), version).map(({ name, octets }) => [
    name,
    latin1(octets),
  ]);

test.each(vectors.encode)("the octets are those of Python: $command $headers", (vector) => {
  const { command, version } = vector;
  const headers = vector.headers as Header[];
  const error = refusal(command, headers, version);
  if ("error" in vector) {
    expect(error).toContain(vector.error);
  } else {
    expect(error).toBeNull();
    const parts = encodeFrame(command, headers, octets(vector.body), version);
    expect(latin1(toOctets(parts))).toBe(vector.octets);
  }
});

test.each(vectors.compose)("a message is sent as Python sends it: %o", (vector) => {
  const { destination, body, receipt, transaction } = vector;
  const headers = vector.headers as Header[];
  const made = composeSend({ destination, headers, body, receipt, transaction });
  if ("error" in made) {
    expect(made.error).toContain(vector.error ?? "no error");
  } else {
    expect(made.headers).toEqual(vector.sent?.headers);
    expect(latin1(made.body)).toBe(vector.sent?.body);
  }
});

test("the parts follow one another, each escape is one, and parts without octets are left out", () => {
  expect(
    shown([
      ["a:b", ":c\\"],
      ["empty", ""],
    ]),
  ).toEqual([
    ["command", "SEND"],
    ["line end", "\n"],
    ["header name", "a"],
    ["escape", "\\c"],
    ["header name", "b"],
    ["colon", ":"],
    ["escape", "\\c"],
    ["header value", "c"],
    ["escape", "\\\\"],
    ["line end", "\n"],
    ["header name", "empty"],
    ["colon", ":"],
    ["line end", "\n"],
    ["blank line", "\n"],
    ["NUL", "\0"],
  ]);
});

test("where there are no escapes, a value is one part", () => {
  expect(shown([["login", "a:b\\c"]], "", "1.2", "CONNECT")[4]).toEqual(["header value", "a:b\\c"]);
  expect(shown([["a", "b:c\\"]], "", "1.0")[4]).toEqual(["header value", "b:c\\"]);
  expect(shown([["a", "b\rc"]], "", "1.1")[4]).toEqual(["header value", "b\rc"]);
});

test("a frame that its version cannot carry is shown all the same", () => {
  expect(shown([["a", "b\r"]], "", "1.0")[4]).toEqual(["header value", "b\r"]);
  expect(shown([["constructor", "x"]], "", "constructor")[2]).toEqual([
    "header name",
    "constructor",
  ]);
});

describe("the meaning", () => {
  const meanings = (headers: Header[], body = "", size?: number) =>
    encodeFrame("SEND", headers, octets(body), "1.2", size).map((part) => part.meaning);

  test("of an escape says what it stands for", () => {
    expect(meanings([["a", ":\n\r\\"]]).slice(4, 8)).toEqual([
      "\\c stands for a colon (Value Encoding)",
      "\\n stands for a line feed (Value Encoding)",
      "\\r stands for a carriage return (Value Encoding)",
      "\\\\ stands for a backslash (Value Encoding)",
    ]);
  });

  test("of content-length says whether it is true", () => {
    expect(meanings([["content-length", "1"]], "x")[4]).toBe(
      "the body has 1 octet (Header content-length)",
    );
    expect(meanings([["content-length", "7"]], "hello")[4]).toBe(
      "not true: the body has 5 octets (Header content-length)",
    );
    expect(meanings([["content-length", "70"]], "hello", 70)[4]).toBe(
      "the body has 70 octets (Header content-length)",
    );
  });

  test("of a body that is not here as a whole says so", () => {
    expect(meanings([], "hello", 70)).toContain("the first 5 of 70 octets (Body)");
  });

  test("of a repeated header says that it does not count", () => {
    const said = meanings([
      ["a", "1"],
      ["a", "2"],
    ]);
    expect(said.filter((text) => text.includes("Repeated Header Entries"))).toHaveLength(2);
  });

  test("of a stranger's header is not taken from the language's own names", () => {
    expect(meanings([["toString", "1"]])[2]).toBe("a header of the programs' own (SEND)");
    const [command] = encodeFrame("constructor", [], octets(""), "1.2");
    expect(command?.meaning).toBe("a command that STOMP does not have");
  });
});

test("all parts of a header know its name", () => {
  const parts = encodeFrame("SEND", [["a:b", "c:d"]], octets("x"), "1.2");
  expect(new Set(parts.slice(2, 10).map((part) => part.header))).toEqual(new Set(["a:b"]));
  expect(parts.filter((part) => "header" in part)).toHaveLength(8);
});

test("a message knows what the version that was agreed on cannot carry", () => {
  const message = { destination: "/q", headers: [["a:b", "c"]] as Header[], body: "" };
  const made = (version: string) =>
    composeSend({ ...message, receipt: null, transaction: null, version });
  expect(made("1.0")).toEqual({
    error: "header 'a:b' cannot be sent: STOMP 1.0 has no escapes for line ends and colons",
  });
  expect(made("1.1")).not.toHaveProperty("error");
});

test("half a character is refused: UTF-8 cannot hold it", () => {
  const none = { receipt: null, transaction: null, destination: "/q" };
  expect(composeSend({ ...none, headers: [], body: "\ud800" })).toEqual({
    error: "the text does not go into text/plain;charset=utf-8",
  });
  expect(composeSend({ ...none, headers: [["a", "\udc00"]], body: "" })).toEqual({
    error: "a header that UTF-8 cannot hold",
  });
});

test.each(vectors.parts)("the parts are those of Python: $command, STOMP $version", (vector) => {
  const { command, headers, body, version } = vector;
  const parts = encodeFrame(command, headers as Header[], octets(body), version);
  expect(
    parts.map((part) => [part.name, latin1(part.octets), part.meaning, part.header ?? null]),
  ).toEqual(vector.parts);
});

test("a header means what Python says", () => {
  type Meaning = [string, string, string, string, number, string, string];
  for (const [
    name,
    value,
    command,
    version,
    size,
    ofHeader,
    ofValue,
  ] of vectors.meanings as Meaning[]) {
    expect(explainHeader(name, command, version)).toBe(ofHeader);
    expect(explainValue(name, value, command, version, size)).toBe(ofValue);
  }
});

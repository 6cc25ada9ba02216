"""The rules of the linter: what each says, and on which section of the specification it rests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

Severity = Literal["error", "warning"]

_INTRODUCTION = "introduction"
"""What comes before the first heading of STOMP 1.0, and has its grammar in words."""


class Rule(NamedTuple):
    """A rule. In braces stand words that the frame gives.

    Attributes:
        message: the sentence, in our words.
        section: of STOMP 1.1 and 1.2.
        hint: what to write instead.
        first: the section of STOMP 1.0, where it is another.
        severity: ``"error"``: the frame breaks the specification; ``"warning"``: it means
            something else than it seems to, or brokers disagree.
    """

    message: str
    section: str
    hint: str
    first: str = ""
    severity: Severity = "error"


RULES: Mapping[str, Rule] = {
    # -- the command
    "empty": Rule(
        "there is no frame: one begins with a command",
        "STOMP Frames",
        "type a command, headers, a blank line, a body; line ends alone are a heart-beat",
        _INTRODUCTION,
    ),
    "unknown-command": Rule("there is no such command", "Augmented BNF", "one of {known}"),
    "lower-case": Rule(
        "commands are case sensitive, and in capitals",
        "STOMP Frames",
        "write {command}",
        "Augmented BNF",
    ),
    "blank-before-command": Rule(
        "a frame begins with its command, without a blank",
        "STOMP Frames",
        "take the blanks away",
        _INTRODUCTION,
    ),
    "behind-command": Rule(
        "right behind the command its line ends",
        "STOMP Frames",
        "no blanks there; each header has a line of its own",
        _INTRODUCTION,
    ),
    "server-command": Rule(
        "{command} is a frame of the server: a client sends none",
        "Server Frames",
        "a client sends one of {known}",
    ),
    "not-in-version": Rule(
        "STOMP {version} has no {command}",
        "Augmented BNF",
        "{instead}; {command} came with STOMP 1.1",
    ),
    "connected-already": Rule(
        "a connection begins with CONNECT, and this one has begun",
        "Connecting",
        "send it on a new connection",
        _INTRODUCTION,
    ),
    "not-connected": Rule(
        "the first frame of a connection is CONNECT",
        "Connecting",
        "CONNECT first, and wait for CONNECTED",
        _INTRODUCTION,
    ),
    # -- the lines
    "cr-line-end": Rule(
        "in STOMP {version} lines end with LF alone: the CR belongs to the line",
        "Augmented BNF",
        "end lines with LF; CR LF came with STOMP 1.2",
    ),
    "no-blank-line": Rule(
        "a blank line ends the headers, also where there is no body",
        "STOMP Frames",
        "a line with nothing in it, not even blanks, then the body, then ^@ (in a notebook a "
        "blank line that is the last of a cell is not seen)",
        _INTRODUCTION,
    ),
    "no-colon": Rule(
        "a header line is a name, a colon and a value",
        "STOMP Frames",
        "write name:value; a body comes behind a blank line",
        _INTRODUCTION,
    ),
    "empty-name": Rule(
        "the name of a header has a character at the least",
        "Augmented BNF",
        "write a name before the colon",
    ),
    "not-utf-8": Rule(
        "headers are encoded in UTF-8, and this is none",
        "Value Encoding",
        "leave it out; a body may hold any octets",
        "Augmented BNF",
    ),
    "undefined-escape": Rule(
        "a backslash begins an escape, and STOMP {version} has no other than {escapes}",
        "Value Encoding",
        "a backslash itself is written \\\\",
    ),
    "raw-cr": Rule("a CR in a header is escaped", "Value Encoding", "write \\r"),
    "raw-colon": Rule(
        "a colon in a value is escaped; brokers mostly take it as it is",
        "Value Encoding",
        "write \\c",
        severity="warning",
    ),
    "blank-in-name": Rule(
        "blanks are not trimmed: this one belongs to the name",
        "Value Encoding",
        "take it away",
    ),
    "blank-in-value": Rule(
        "blanks are not trimmed: this one belongs to the value",
        "Value Encoding",
        "take it away, unless it is meant",
        severity="warning",
    ),
    "empty-value": Rule(
        "in STOMP 1.0 a value has a character at the least",
        "Augmented BNF",
        "leave the header out; empty values came with STOMP 1.1",
        severity="warning",
    ),
    "not-ascii": Rule(
        "in STOMP 1.0 headers are ASCII",
        "Augmented BNF",
        "UTF-8 came with STOMP 1.1",
        severity="warning",
    ),
    "repeated-header": Rule(
        "{name} is there already: of a repeated header the first counts",
        "Repeated Header Entries",
        "keep one of them",
        severity="warning",
    ),
    # -- what a command demands
    "missing-header": Rule("{command} needs the header {name}", "{section}", "{add}"),
    "header-case": Rule(
        "the names of headers are case sensitive", "STOMP Frames", "write {name}", "{section}"
    ),
    "ack-mode": Rule(
        "SUBSCRIBE knows no such way to acknowledge",
        "SUBSCRIBE ack Header",
        "one of {modes}",
        "SUBSCRIBE",
    ),
    "receipt-of-connect": Rule(
        "any frame may ask for a receipt but {command}",
        "Header receipt",
        "leave it out: CONNECTED is the answer",
        "Receipt",
    ),
    "heart-beat": Rule(
        "heart-beat is two numbers of milliseconds with a comma between",
        "Heart-beating",
        "e.g. heart-beat:0,10000: sends none, wants one each 10 s",
    ),
    "accept-version": Rule(
        "accept-version is a list of versions with commas between",
        "Protocol Negotiation",
        "e.g. accept-version:1.1,1.2",
    ),
    "version-order": Rule(
        "the versions of accept-version come in increasing order",
        "Protocol Negotiation",
        "put the lower one first",
        severity="warning",
    ),
    # -- the body
    "content-length": Rule(
        "content-length is a number: of the octets of the body",
        "Header content-length",
        "write digits alone",
        "SEND",
    ),
    "content-length-short": Rule(
        "content-length says {said} octets, the body has {true}: behind the first {said} is no NUL",
        "Header content-length",
        "write content-length:{true}, or leave it out",
        "SEND",
    ),
    "content-length-long": Rule(
        "content-length says {said} octets, the body has {true}: the broker waits for more",
        "Header content-length",
        "write content-length:{true}, or leave it out",
        "SEND",
    ),
    "body": Rule(
        "{command} has no body: only SEND, MESSAGE and ERROR have one",
        "Body",
        "^@ comes right behind the blank line",
    ),
    "no-nul": Rule("a frame ends with a NUL", "STOMP Frames", "add ^@", _INTRODUCTION),
    "nul-in-body": Rule(
        "a body that holds a NUL needs a content-length: without one it ends here",
        "Header content-length",
        "add the header content-length:{true}",
        "SEND",
    ),
    "behind-nul": Rule(
        "the frame has ended at the NUL: behind it there may be line ends, or another frame",
        "STOMP Frames",
        "take it away, or give the frame a content-length",
        _INTRODUCTION,
    ),
    "second-frame": Rule(
        "another frame begins here; it is sent as well, and is not looked at",
        "STOMP Frames",
        "one frame at a time",
        _INTRODUCTION,
        "warning",
    ),
}
"""By their names, which findings bear."""

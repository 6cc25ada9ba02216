"""A linter for frames that a client sends: what in them breaks the specification, and where."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stompy.wire import CLIENT_COMMANDS, SERVER_COMMANDS, VERSIONS
from stompy_jupyter.demands import check_demands
from stompy_jupyter.draft import BLANKS, Draft, Fields, Finding

if TYPE_CHECKING:
    from stompy_jupyter.draft import Line
    from stompy_jupyter.typed import Typed

_KNOWN = frozenset((*CLIENT_COMMANDS, *SERVER_COMMANDS))
_OF_LATER = {"NACK": "there is ACK alone", "STOMP": "write CONNECT"}
"""What STOMP 1.0 does not have, and what to do without."""
_MAY_HAVE_BODY = frozenset({"SEND", ""})
"""Of a client's commands; of others nothing is said."""
_ESCAPED = {"1.1": "nc\\", "1.2": "rnc\\"}
_ESCAPE = re.compile(r"\\(?:.|\Z)", re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


def lint(
    frame: str | bytes | Typed, version: str = "1.2", *, connected: bool | None = None
) -> list[Finding]:
    """What is wrong with a frame of a client, in the order of where it is.

    Args:
        frame: its text, in which ``^@`` is NUL (one is added at the end if there is none); or its
            octets; or what was made of either.
        version: of STOMP: ``"1.0"``, ``"1.1"`` or ``"1.2"``.
        connected: whether there has been a CONNECT on this connection; None if that is not known.

    Raises:
        ValueError: there is no such version.

    Example:
        >>> for finding in lint("SEND\\ndestination:/queue/a\\\\tb\\n\\nhello"):
        ...     print(finding)
        >>> [found] = lint("ACK\\nmessage-id:7\\n\\n")
        >>> found.line, found.column, found.rule, found.section
        (3, 1, 'missing-header', 'ACK')
    """
    if version not in VERSIONS:
        raise ValueError(f"there is no STOMP {version!r}; there are: {', '.join(VERSIONS)}")
    draft = Draft(frame, version)
    if draft.command is None:
        draft.note("empty", 0)
        return draft.findings
    command = _check_command(draft, draft.command)
    if command is not None:
        _check_when(draft, command, connected)
        _check_line_ends(draft)
        fields = _check_lines(draft)
        if draft.body is not None:
            if fields.whole:
                check_demands(draft, command, fields)
            _check_body(draft, command, fields, draft.body)
        _warn_of_blanks(draft)
    return sorted(draft.findings, key=lambda found: (found.line, found.column))


def is_wrong(findings: list[Finding]) -> bool:
    """Whether there is an error among what was found."""
    return any(found.severity == "error" for found in findings)


# -- the command -----------------------------------------------------------------------------


def _check_command(draft: Draft, line: Line) -> str | None:
    """The command that is meant; ``""`` where nothing can be said of its headers, None where
    nothing can be said of the rest."""
    begun = line.text.lstrip(BLANKS)
    lead = len(line.text) - len(begun)
    word = draft.word
    command = word.upper()
    first = draft.version == "1.0"
    known = ", ".join(name for name in CLIENT_COMMANDS if not (first and name in _OF_LATER))
    start = draft.offset(line, lead)
    if command not in _KNOWN:
        draft.note("unknown-command", start, known=known)
        return None
    if lead:
        draft.note("blank-before-command", line.start)
    if word != begun:
        draft.note("behind-command", draft.offset(line, lead + len(word)))
    if word != command:
        small = next(i for i, char in enumerate(word) if char != char.upper())
        draft.note("lower-case", draft.offset(line, lead + small), command=command)
    if command in SERVER_COMMANDS:
        draft.note("server-command", start, command=command, known=known)
    elif first and command in _OF_LATER:
        draft.note("not-in-version", start, command=command, instead=_OF_LATER[command])
    else:
        return command
    return ""


def _check_when(draft: Draft, command: str, connected: bool | None) -> None:
    """CONNECT is the first frame of a connection, and comes once."""
    if command and connected is not None:
        greets = command in ("CONNECT", "STOMP")
        start = draft.command.start if draft.command else 0
        if connected and greets:
            draft.note("connected-already", start)
        elif not connected and not greets:
            draft.note("not-connected", start)


# -- the lines -------------------------------------------------------------------------------


def _check_line_ends(draft: Draft) -> None:
    """Before 1.2 a line ends with LF alone; a CR is one more character of it."""
    command = draft.command
    if draft.version != "1.2" and command is not None and command.ends_in_cr:
        draft.note("cr-line-end", draft.offset(command, len(command.text)))


def _check_lines(draft: Draft) -> Fields:
    """Read the header lines, and say what is wrong with each."""
    fields = Fields()
    for line in draft.lines:
        if line.colon < 0 and draft.body is None:  # the first line of a body, as it seems
            draft.note("no-blank-line", line.start)
            return fields
        if not _is_header(draft, line):
            fields.whole = False
            continue
        _check_octets(draft, line)
        name = _meant(draft, line.name)
        if name in fields.lines and draft.version != "1.0":  # which says nothing of it
            draft.note("repeated-header", line.start, name=name)
        fields.lines.setdefault(name, line)
    if draft.body is None:
        draft.note("no-blank-line", draft.head_end)
    return fields


def _is_header(draft: Draft, line: Line) -> bool:
    """Whether a line is a header that can be read; else what is wrong with it is noted."""
    text = line.text
    if found := _SURROGATE.search(text):
        draft.note_in("not-utf-8", line, found.start())
    elif line.colon < 0:
        blank = re.search("[ \t]", text.rstrip(BLANKS))
        draft.note_in("no-colon", line, blank.start() if blank else len(text))
    elif line.colon == 0:
        draft.note_in("empty-name", line, 0)
    elif draft.escapes and (at := _undefined_escape(draft, line)) is not None:
        escapes = " ".join(f"\\{letter}" for letter in _ESCAPED[draft.version])
        draft.note_in("undefined-escape", line, at, escapes=escapes)
    else:
        return True
    return False


def _undefined_escape(draft: Draft, line: Line) -> int | None:
    """Where the first undefined escape is. One ends with its name or value, and is none then."""
    for begin, part in ((0, line.name), (line.colon + 1, line.value)):
        for pair in _ESCAPE.finditer(part):
            if pair[0][1:] not in tuple(_ESCAPED[draft.version]):
                return begin + pair.start()
    return None


def _meant(draft: Draft, name: str) -> str:
    """What a name says, without its escapes and the blanks that have been found wrong."""
    if draft.escapes:
        pairs = {"\\n": "\n", "\\r": "\r", "\\c": ":", "\\\\": "\\"}
        name = _ESCAPE.sub(lambda pair: pairs[pair[0]], name)
    return name.strip(BLANKS)


def _check_octets(draft: Draft, line: Line) -> None:
    """Characters that a header may not have, or that mean something unexpected."""
    name, text = line.name, line.text
    if draft.version == "1.0":
        if not line.value:
            draft.note("empty-value", draft.offset(line, len(text)))
        if foreign := re.search(r"[^\x00-\x7f]", text):
            draft.note("not-ascii", draft.offset(line, foreign.start()))
        return
    if draft.version == "1.2" and draft.escapes and "\r" in text:
        draft.note_in("raw-cr", line, text.index("\r"))
    if name != name.strip(BLANKS):
        draft.note_in("blank-in-name", line, _outer_blank(name))
    if draft.escapes and (at := text.find(":", line.colon + 1)) >= 0:
        draft.note("raw-colon", draft.offset(line, at))


def _outer_blank(text: str) -> int:
    """The first blank at the beginning of a text, else the first of those at its end."""
    return 0 if text[0] in BLANKS else len(text.rstrip(BLANKS))


def _warn_of_blanks(draft: Draft) -> None:
    """Blanks around a value count since 1.1; where that was an error it has been said."""
    for line in draft.lines:
        value = line.value
        padded = line.colon > 0 and value != value.strip(BLANKS)
        if padded and draft.version != "1.0" and line.start not in draft.flawed:
            at = line.colon + 1 + _outer_blank(value)
            draft.note("blank-in-value", draft.offset(line, at))


# -- the body --------------------------------------------------------------------------------


def _check_body(draft: Draft, command: str, fields: Fields, begin: int) -> None:
    """Where the body ends, whether there may be one, and what is behind it."""
    length = fields.lines.get("content-length")
    end = _end_by_nul(draft, begin) if length is None else _end_by_length(draft, length, begin)
    if end is None:
        return
    if end > begin and draft.version != "1.0" and command not in _MAY_HAVE_BODY:
        draft.note("body", begin, command=command)
    behind = draft.octets[end + 1 :]
    more = behind.lstrip(b"\r\n")
    if more:
        rule = "second-frame" if _begins_frame(more) else "behind-nul"
        draft.note(rule, len(draft.octets) - len(more))


def _end_by_nul(draft: Draft, begin: int) -> int | None:
    """Where the first NUL is; None where that is an error."""
    octets = draft.octets
    end = octets.find(b"\0", begin)
    if end < 0:
        draft.note("no-nul", len(octets))
        return None
    behind = octets[end + 1 :]
    if b"\0" in behind and not _begins_frame(behind):
        draft.note("nul-in-body", end, true=octets.rindex(b"\0") - begin)
        return None
    return end


def _begins_frame(octets: bytes) -> bool:
    line = octets.lstrip(b"\r\n").partition(b"\n")[0].rstrip(b"\r")
    return line.decode("latin-1") in _KNOWN


def _end_by_length(draft: Draft, line: Line, begin: int) -> int | None:
    """Where the body ends by its content-length; None where that is wrong, and noted."""
    if line.start in draft.flawed:
        return None
    first, value = draft.value(line)
    digits = re.match("[0-9]*", value)
    assert digits is not None
    if not value or digits[0] != value:
        draft.note_in("content-length", line, first + digits.end())
        return None
    octets = draft.octets
    end = begin + (int(value) if len(value) < 16 else len(octets))
    if octets[end : end + 1] == b"\0":
        return end
    last = octets.rfind(b"\0", begin)
    if last < 0 and end == len(octets):
        draft.note("no-nul", end)
        return None
    true = (last if last >= 0 else len(octets)) - begin
    rule = "content-length-short" if end < begin + true else "content-length-long"
    draft.note_in(rule, line, first, said=value[:20], true=true)
    return None

"""The exercises of ``12-headers-and-bodies.ipynb``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stompy_jupyter.exercises import exercise, expect
from stompy_jupyter.lessons.predicting import as_said

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stompy_jupyter.exercises import Evidence, Outcome, Step

LESSON = "12-headers-and-bodies"

LENGTHS, OCTETS, NOTES = "/queue/lengths", "/queue/octets", "/queue/notes"


@exercise(
    "content-lengths",
    lesson=LESSON,
    task="Say the content-length of the bodies tea, Grüße and 5€.",
    hint="content-length counts octets, not characters. In UTF-8 a letter of English has one, "
    "ü and ß have two, € has three.",
    solution="""
%%stomp_predict content-lengths
3, 7, 4
""",
    predicted="three numbers: the content-length of each body, in their order",
)
def content_lengths(evidence: Evidence) -> Iterator[Outcome]:
    """What the frames say; a body that was sent twice is counted once."""
    sent = {step.body: step for step in evidence.sent("SEND", destination=LENGTHS)}
    steps = list(sent.values())
    yield expect(
        f"the bodies went to {LENGTHS}",
        steps,
        "since your prediction nothing went there: run the cell below it",
    )
    yield as_said(
        "their content-lengths are those that you have predicted",
        evidence,
        [step.get("content-length") or str(len(_octets(step))) for step in steps],
        steps,
        remark="It counts the octets of the body, of which UTF-8 has several for ü, ß and €.",
    )


@exercise(
    "nul-in-body",
    lesson=LESSON,
    task=f"Send a message with a NUL in the middle of its body to {OCTETS}, and receive it whole.",
    hint='In Python a body may be octets: `b"one\\0two"`. In %%stomp_raw you type the NUL as ^@, '
    "and have to say by a header where the body ends. Receive it with "
    f"`%stomp_subscribe {OCTETS}`.",
    solution=f"""
%stomp_subscribe {OCTETS} --as octets --no-widget
session.send("{OCTETS}", b"one\\0two")
%stomp_wait octets --timeout 10s
""",
)
def nul_in_body(evidence: Evidence) -> Iterator[Outcome]:
    """A SEND whose body goes on behind a NUL, and a MESSAGE with the same octets."""
    sends = evidence.sent("SEND", destination=OCTETS)
    right = [step for step in sends if b"\0" in _octets(step).strip(b"\0")]
    yield expect(
        f"a message with a NUL in the middle of its body went to {OCTETS}",
        right,
        _why_no_nul(sends),
    )
    bodies = [_octets(step) for step in right]
    came = evidence.came("MESSAGE", destination=OCTETS)
    yield expect(
        "it came as a MESSAGE, with the same octets",
        [step for step in came if _octets(step) in bodies],
        "no message with a NUL was sent there"
        if not right
        else "what came has other octets"
        if came
        else f"nobody has received it: subscribe to {OCTETS}",
    )


def _why_no_nul(sends: Sequence[Step]) -> str:
    if not sends:
        return "nothing went there"
    newest = sends[-1]
    if b"\0" in newest.entry.octets.rstrip(b"\0\r\n"):
        return (
            "the newest has a NUL, but no content-length that reaches beyond it: so its body ends "
            "there, and the rest is no part of the frame"
        )
    if b"^@" in _octets(newest):
        return (
            "the newest has the two characters ^ and @. They mean NUL in %%stomp_raw alone; in "
            'Python a NUL is written "\\0"'
        )
    if b"\0" in _octets(newest):
        return "the newest has its NUL at an end of the body, not in the middle"
    return "there is no NUL in the body of the newest"


@exercise(
    "two-lines-in-a-header",
    lesson=LESSON,
    task=f"Send a message to {NOTES} with a header `note` whose value has two lines, each with a "
    "colon: `to: Ada` and `re: tea`.",
    hint='In Python the value is `"to: Ada\\nre: tea"`, and `headers={…}` takes it: the client '
    "escapes it for you. By hand you write `\\c` for a colon, and `\\n` for a line end.",
    solution=f"""
session.send("{NOTES}", "see the note", headers={{"note": "to: Ada\\nre: tea"}})
""",
)
def two_lines_in_a_header(evidence: Evidence) -> Iterator[Outcome]:
    """The header has a colon and a line end as it is read, and none of them as it was sent."""
    sends = evidence.sent("SEND", destination=NOTES)
    noted = [step for step in sends if step.get("note") is not None]
    yield expect(
        f"a message with a header `note` went to {NOTES}",
        noted,
        "it has no header note" if sends else "nothing went there",
    )
    lines = [step for step in noted if "\n" in (step.get("note") or "")]
    yield expect("its value has two lines", lines, _why_one_line(noted))
    right = [step for step in lines or noted if _colons_escaped(_line_of(step, b"note"))]
    yield expect(
        "the colons in it are escaped",
        right,
        "a colon in the value was sent as it is. Brokers mostly take it; the specification wants "
        "an escape"
        if any(":" in (step.get("note") or "") for step in noted)
        else "there is no colon in the value"
        if noted
        else "there is no header note yet",
    )


def _why_one_line(noted: Sequence[Step]) -> str:
    if not noted:
        return "there is no header note yet"
    if any(rb"\\n" in _line_of(step, b"note") for step in noted):
        return (
            "the value has a backslash and an n, and the client has escaped the backslash: in "
            r'Python write "\n", not r"\n" or "\\n"'
        )
    if any(step.get("re") is not None for step in noted):
        return (
            "a line end that is sent as it is ends the header: what was to be the second line has "
            "become a header `re`"
        )
    return "there is no line end in it"


def _colons_escaped(line: bytes) -> bool:
    """Whether a header line has colons in its value, and none of them as it is."""
    value = line.partition(b":")[2]
    return rb"\c" in value and b":" not in value


def _line_of(step: Step, name: bytes) -> bytes:
    """The first line of a frame with this header, as it was on the wire."""
    head = step.entry.octets.partition(b"\n\n")[0]
    lines = (line for line in head.split(b"\n") if line.startswith(name + b":"))
    return next(lines, b"")


def _octets(step: Step) -> bytes:
    """The body as octets."""
    return step.entry.frame.Body if step.entry.frame is not None else b""

"""What each command demands of its headers, by version (STOMP 1.2, "Frames and Headers")."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stompy_jupyter.draft import Draft, Fields

_ALWAYS: Mapping[str, Sequence[str]] = {
    "SEND": ("destination",),
    **dict.fromkeys(("BEGIN", "COMMIT", "ABORT"), ("transaction",)),
}
_GREETING: Mapping[str, Sequence[str]] = dict.fromkeys(
    ("CONNECT", "STOMP"), ("accept-version", "host")
)
_SINCE_11 = {"SUBSCRIBE": ("destination", "id"), "UNSUBSCRIBE": ("id",)}

REQUIRED: Mapping[str, Mapping[str, Sequence[str]]] = {
    "1.0": {**_ALWAYS, "SUBSCRIBE": ("destination",), "ACK": ("message-id",)},
    "1.1": {
        **_ALWAYS,
        **_GREETING,
        **_SINCE_11,
        **dict.fromkeys(("ACK", "NACK"), ("message-id", "subscription")),
    },
    "1.2": {**_ALWAYS, **_GREETING, **_SINCE_11, **dict.fromkeys(("ACK", "NACK"), ("id",))},
}
"""The headers that a frame has to have. UNSUBSCRIBE of 1.0 has one of two, and is not here."""

_LATER_MODES = ("auto", "client", "client-individual")
ACK_MODES = {"1.0": ("auto", "client"), "1.1": _LATER_MODES, "1.2": _LATER_MODES}
"""What the header ack of SUBSCRIBE may be."""

_SECTIONS: Mapping[str | tuple[str, str], str] = {
    "CONNECT": "CONNECT or STOMP Frame",
    "STOMP": "CONNECT or STOMP Frame",
    ("SUBSCRIBE", "id"): "SUBSCRIBE id Header",
}
"""Where it is not that of the command's own name."""

_ACK_ID = "add id: and what the header ack of the MESSAGE says"
_HINTS: Mapping[str | tuple[str, str], str] = {
    "accept-version": "add accept-version:1.2; without it a client speaks STOMP 1.0 alone",
    "host": "add host:/, or the name of a virtual host",
    "destination": "add a destination, e.g. destination:/queue/a",
    "id": "add id: and that of the SUBSCRIBE",
    "message-id": "add message-id: and that of the MESSAGE",
    "subscription": "add subscription: and the id of the SUBSCRIBE",
    "transaction": "add transaction: and the name of one",
    ("SUBSCRIBE", "id"): "add id: and a name of your own, e.g. id:1",
    ("UNSUBSCRIBE", "destination"): "add the destination of the SUBSCRIBE, or its id",
    ("ACK", "id"): _ACK_ID,
    ("NACK", "id"): _ACK_ID,
}

_VERSIONS = re.compile(r"(?:[0-9]+\.[0-9]+,)*[0-9]+\.[0-9]+")
_VERSIONS_BEGUN = re.compile(r"(?:[0-9]+\.[0-9]+,)*(?:[0-9]+\.?[0-9]*)?")
_BEATS = re.compile(r"[0-9]+,[0-9]+")
_BEATS_BEGUN = re.compile(r"(?:[0-9]+(?:,[0-9]*)?)?")


def check_demands(draft: Draft, command: str, fields: Fields) -> None:
    """Note what is missing or malformed in the headers of a frame that has this command."""
    for name in REQUIRED[draft.version].get(command, ()):
        if name not in fields.lines:
            _miss(draft, command, name, fields)
    first = draft.version == "1.0"
    if first and command == "UNSUBSCRIBE" and not {"id", "destination"} & set(fields.lines):
        _miss(draft, command, "destination", fields)
    if command == "SUBSCRIBE" and "ack" in fields.lines:
        line = fields.lines["ack"]
        begin, value = draft.value(line)
        modes = ACK_MODES[draft.version]
        if value not in modes:
            draft.note_in("ack-mode", line, begin, modes=", ".join(modes))
    if command in ("CONNECT", "STOMP"):
        _check_greeting(draft, command, fields)


def _miss(draft: Draft, command: str, name: str, fields: Fields) -> None:
    """Note that a header is missing, or that its name is not quite right."""
    section = _SECTIONS.get((command, name)) or _SECTIONS.get(command, command)
    for known, line in fields.lines.items():
        if known.lower() == name:
            wrong = next(i for i, char in enumerate(line.text) if char != char.lower())
            draft.note_in("header-case", line, wrong, name=name, section=section)
            return
    add = _HINTS.get((command, name)) or _HINTS[name]
    if command in ("ACK", "NACK") and "message-id" in fields.lines:
        add += "; message-id was the way of STOMP 1.1"
    draft.note(
        "missing-header", draft.head_end, command=command, name=name, section=section, add=add
    )


def _check_greeting(draft: Draft, command: str, fields: Fields) -> None:
    """The headers of CONNECT: which versions, which heart-beats, and no receipt."""
    if receipt := fields.lines.get("receipt"):
        draft.note_in("receipt-of-connect", receipt, 0, command=command)
    if draft.version == "1.0":  # whose CONNECT has neither of these
        return
    if beats := fields.lines.get("heart-beat"):
        begin, value = draft.value(beats)
        if not _BEATS.fullmatch(value):
            draft.note_in("heart-beat", beats, begin + _good(_BEATS_BEGUN, value))
    if versions := fields.lines.get("accept-version"):
        begin, value = draft.value(versions)
        if not _VERSIONS.fullmatch(value):
            draft.note_in("accept-version", versions, begin + _good(_VERSIONS_BEGUN, value))
        elif (at := _disorder(value)) is not None:
            draft.note("version-order", draft.offset(versions, begin + at))


def _good(pattern: re.Pattern[str], value: str) -> int:
    """How many characters of a value are as they should be."""
    found = pattern.match(value)
    return found.end() if found else 0


def _disorder(value: str) -> int | None:
    """Where in a list of versions the first is that is lower than the one before it."""
    place, before = 0, (0, 0)
    for version in value.split(","):
        major, _, minor = version.partition(".")
        number = (int(major), int(minor))
        if number < before:
            return place
        place, before = place + len(version) + 1, number
    return None

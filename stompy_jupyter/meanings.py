"""What the parts of a frame mean, with the section of the specification that says so.

The words are in ``meanings.json``; the widget makes the same sentences of them, in
``js/src/meanings.ts``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stompy.wire import VERSIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

_TABLE: dict[str, Any] = json.loads(Path(__file__).with_name("meanings.json").read_bytes())

COMMANDS: dict[str, dict[str, Any]] = _TABLE["commands"]
ESCAPES: dict[str, str] = _TABLE["escapes"]
_WORDS: dict[str, str] = _TABLE["words"]

_WITH_BODY = ("SEND", "MESSAGE", "ERROR")
_HEADERS_PASS = ("SEND", "MESSAGE")
"""Frames with headers of the programs' own: the broker hands them on."""

_LENGTH = re.compile(r"[0-9]+")
_BEATS = re.compile(r"([0-9]{1,9}),([0-9]{1,9})")
_VERSION_LIST = re.compile(r"[0-9]{1,4}\.[0-9]{1,4}(?:,[0-9]{1,4}\.[0-9]{1,4}){0,9}")


def say(word: str, version: str, section: str | None = None, /, **fields: str) -> str:
    """A sentence of the table, with its section of the specification of that version behind.

    Example:
        >>> say("nul", "1.2", "STOMP Frames"), say("nul", "1.0", "STOMP Frames")
        ('ends the frame (STOMP Frames)', 'ends the frame (introduction)')
    """
    return _in_section(_WORDS[word].format_map(fields), version, section)


def _in_section(sentence: str, version: str, section: str | None) -> str:
    if section is None:
        return sentence
    return f"{sentence} ({_TABLE['first'].get(section, section) if version == '1.0' else section})"


def of_command(command: str, version: str) -> str:
    """What a command is for.

    Example:
        >>> of_command("NACK", "1.0")
        'not of STOMP 1.0; in STOMP 1.1 and 1.2: a client has not processed a message (NACK)'
    """
    known = COMMANDS.get(command)
    return say("no-command", version) if known is None else _as_of(version, known)


def _as_of(version: str, known: dict[str, Any]) -> str:
    """What something is for, and that a version does not have it where it does not."""
    versions = known.get("versions", VERSIONS)
    means = known["means"]
    if version not in versions:
        means = say(
            "other-version", version, version=version, versions=_listed(versions), means=means
        )
        return f"{means} ({known['section']})"
    return _in_section(means.replace("{version}", version), version, known["section"])


def of_header(name: str, command: str, version: str) -> str:
    """What a header is for, in this command and version.

    Example:
        >>> of_header("ack", "SUBSCRIBE", "1.2")
        'how the messages are acknowledged; without it, auto (SUBSCRIBE ack Header)'
    """
    entries = [e for e in _TABLE["headers"].get(name, ()) if command in e.get("in", (command,))]
    fitting = [e for e in entries if version in e.get("versions", VERSIONS)]
    if fitting:
        return _as_of(version, fitting[0])
    if name in _TABLE["customs"]:
        custom = _TABLE["customs"][name]
        by = custom.get("by", _WORDS["brokers"])
        return say("custom", version, means=custom["means"], by=by)
    if entries:
        return _as_of(version, entries[0])
    if command in _HEADERS_PASS:
        return say("own", version, command)
    return say("no-header", version)


def of_value(name: str, value: str, command: str, version: str, size: int | None) -> str:
    """What a header says with this value; where there is no more to say, what it is for.

    Args:
        size: how many octets the body has in truth; None: not all of it is there.

    Example:
        >>> of_value("content-length", "7", "SEND", "1.2", 5)
        'not true: the body has 5 octets (Header content-length)'
    """
    means = of_header(name, command, version)
    if name == "content-length":
        return _of_length(value, version, size)
    entries = _TABLE["headers"].get(name, ())
    if not any(_fits(entry, command, version) for entry in entries):
        return means
    if name == "heart-beat":
        return _of_beats(value, command, version)
    if name == "accept-version":
        return _of_versions(value, version)
    for entry in _TABLE["values"].get(name, ()):
        if _fits(entry, command, version) and entry.get("value", value) == value:
            return _as_of(version, entry)
    return means


def _fits(entry: dict[str, Any], command: str, version: str) -> bool:
    return command in entry.get("in", (command,)) and version in entry.get("versions", VERSIONS)


def _of_length(value: str, version: str, size: int | None) -> str:
    section = "Header content-length"
    if size is None:
        return say("length-unknown", version, section)
    if not _LENGTH.fullmatch(value):
        return say("length-no-number", version, section, octets=_octets(size))
    true = value.lstrip("0") == str(size).lstrip("0")
    return say("length" if true else "length-wrong", version, section, octets=_octets(size))


def _of_beats(value: str, command: str, version: str) -> str:
    beats = _BEATS.fullmatch(value)
    if beats is None:
        return say("no-beats", version, "Heart-beating")
    sends, wants = int(beats[1]), int(beats[2])
    side = "broker" if command == "CONNECTED" else "client"
    first = say("can-send" if sends else "sends-none", version, side=side, ms=str(sends))
    second = say("wants" if wants else "wants-none", version, ms=str(wants))
    return _in_section(f"{first}, {second}", version, "Heart-beating")


def _of_versions(value: str, version: str) -> str:
    section = "Protocol Negotiation"
    if not _VERSION_LIST.fullmatch(value):
        return say("no-versions", version, section)
    versions = value.split(",")
    word = "version" if len(versions) == 1 else "versions"
    return say(word, version, section, versions=_listed(versions))


def of_body(command: str, version: str, here: int, size: int | None = None) -> str:
    """What there is to say of a body of which so many octets are here.

    Args:
        size: how many it has; None: as many as are here.
    """
    total = here if size is None else size
    if here != total:
        return say("body-part", version, "Body", here=str(here), octets=_octets(total))
    if command in COMMANDS and command not in _WITH_BODY and version != "1.0":
        return say("no-body", version, "Body", octets=_octets(total), command=command)
    return say("body", version, "Body", octets=_octets(total))


def _octets(n: int) -> str:
    return _WORDS["octet"] if n == 1 else _WORDS["octets"].format(n=n)


def _listed(versions: Sequence[str]) -> str:
    """Versions as one says them: 1.0, 1.1 and 1.2."""
    return " and ".join(filter(None, (", ".join(versions[:-1]), versions[-1])))

"""Octets of frames, as they were on the line and as the widget shows them."""

from __future__ import annotations


def frame_with(word: str, command: str, line: bytes | bytearray) -> bytes:
    """The one frame of a command on a line that has a word in it, NUL included.

    For frames without a NUL in their bodies.
    """
    frames = [frame.lstrip(b"\n") + b"\0" for frame in bytes(line).split(b"\0")]
    found = [f for f in frames if f.startswith(f"{command}\n".encode()) and word.encode() in f]
    assert len(found) == 1, found
    return found[0]


def as_shown(frame: bytes) -> str:
    """What the widget makes of the octets of a frame in which all else can be seen."""
    return frame.decode().replace("\n", "⏎\n").replace("\0", "^@")

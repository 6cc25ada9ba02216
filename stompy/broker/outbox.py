"""What waits to be sent to one client, in pieces."""

from __future__ import annotations

from collections import deque

SHARED_SIZE = 64 * 1024
"""Octets from which on a body is not copied for each of its receivers."""


class Outbox:
    """Octets for one client, first in, first out.

    A piece in bytes is a whole frame, or a heart-beat. Of a frame with a large body, head, body
    and end are pieces, unless whole frames are wanted; the body is a memoryview, shared by all
    its receivers.

    Attributes:
        size: octets that are in it.
        whole_frames: whether each piece has to be a whole frame.
    """

    def __init__(self, whole_frames: bool = False) -> None:
        self.size = 0
        self.whole_frames = whole_frames
        self._pieces: deque[bytes | memoryview] = deque()

    def put(self, octets: bytes) -> None:
        """Add a frame, or a heart-beat."""
        self._pieces.append(octets)
        self.size += len(octets)

    def put_frame(self, head: bytes, body: bytes) -> None:
        """Add a frame; the head has its blank line."""
        if len(body) < SHARED_SIZE or self.whole_frames:
            octets = b"%b%b\0" % (head, body)
            self._pieces.append(octets)
            self.size += len(octets)
            return
        self._pieces.extend((head, memoryview(body), b"\0"))
        self.size += len(head) + len(body) + 1

    def take(self, limit: int) -> list[bytes | memoryview]:
        """The next pieces: as many as have `limit` octets, or a few more, or all that there are."""
        taken: list[bytes | memoryview] = []
        size = 0
        while self._pieces and size < limit:
            piece = self._pieces.popleft()
            if isinstance(piece, memoryview) and len(piece) > limit - size:
                self._pieces.appendleft(piece[limit - size :])
                piece = piece[: limit - size]
            taken.append(piece)
            size += len(piece)
        self.size -= size
        return taken

    def make_whole(self) -> list[bytes | memoryview]:
        """Make whole frames of all pieces; returns the rest of one that is sent in part."""
        pieces, self._pieces = self._pieces, deque()
        begun: list[bytes | memoryview] = []
        if pieces and isinstance(pieces[0], memoryview):
            begun = [pieces.popleft(), pieces.popleft()]
        elif pieces and pieces[0] == b"\0":
            begun = [pieces.popleft()]
        self.size -= sum(map(len, begun))
        while pieces:
            piece = pieces.popleft()
            if pieces and isinstance(pieces[0], memoryview):
                piece = b"".join((piece, pieces.popleft(), pieces.popleft()))
            self._pieces.append(piece)
        return begun

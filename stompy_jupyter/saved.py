"""What a notebook that is saved keeps of a session: a table of each stream, small and static."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stompy_jupyter.display import MAX_FRAMES, MAX_HTML

if TYPE_CHECKING:
    from stompy_jupyter.session import StompSession


def session_html(session: StompSession, frames: int = MAX_FRAMES, limit: int = MAX_HTML) -> str:
    """A session and its streams as HTML: so many frames in all, and no more octets than `limit`.

    Streams that do not fit are counted, the oldest first.
    """
    head = f"<p>{session._repr_html_()}</p>"
    streams = list(session.streams.values())
    shown = streams[: -frames - 1 : -1]  # the newest first
    left = limit - len(head.encode()) - len(_others(len(streams)))
    tables: list[str] = []
    for stream in shown:
        table = stream._repr_html_(frames // len(shown), left // (len(shown) - len(tables)))
        left -= len(table.encode())
        if left < 0:
            break
        tables.append(table)
    others = len(streams) - len(tables)
    return head + "".join(reversed(tables)) + (_others(others) if others else "")


def _others(count: int) -> str:
    return f"<p>{count:,} more streams are not shown</p>"

"""stompy_jupyter: STOMP messages stream into DataFrames while the notebook goes on.

In a notebook, ``%load_ext stompy_jupyter`` brings the ``%stomp_…`` magics. Everything they do is
also to be had from Python: see `StompSession`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stompy_jupyter.records import to_records
from stompy_jupyter.replaying import ReplaySession, replay, resend
from stompy_jupyter.sending import SendFrameError
from stompy_jupyter.session import StompSession
from stompy_jupyter.stream import FrameStream
from stompy_jupyter.table import FrameTable
from stompy_jupyter.widget import StompWidget

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = [
    "FrameStream",
    "FrameTable",
    "ReplaySession",
    "SendFrameError",
    "StompSession",
    "StompWidget",
    "load_ipython_extension",
    "replay",
    "resend",
    "to_records",
    "unload_ipython_extension",
]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """``%load_ext stompy_jupyter``: bring the magics."""
    from stompy_jupyter.magics import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """``%unload_ext stompy_jupyter``: end all sessions, take the magics back."""
    from stompy_jupyter.magics import unload

    unload(shell)

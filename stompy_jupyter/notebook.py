"""Notebook: the sessions of one notebook, their views, and the variables that name them."""

from __future__ import annotations

import builtins
import getpass
import keyword
from collections import deque
from typing import TYPE_CHECKING, Any, TypeGuard, cast
from weakref import WeakKeyDictionary, WeakSet

from IPython.core.error import StdinNotImplementedError, UsageError

from stompy_jupyter.decode import DECODERS
from stompy_jupyter.display import visible
from stompy_jupyter.displays import Displays, Kind
from stompy_jupyter.replaying import ReplaySession
from stompy_jupyter.saved import session_html
from stompy_jupyter.session import StompSession
from stompy_jupyter.stream import FrameStream
from stompy_jupyter.trace import FrameTrace
from stompy_jupyter.widget import StompWidget

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from stompy import STOMPFrame
    from stompy_jupyter.displays import Bundle
    from stompy_jupyter.raw import RawConnection

    Callback = Callable[[STOMPFrame], object]

DESTINATIONS = 500
"""How many destinations are remembered for completion."""

KEPT_TRACES = 8
"""Traces of so many sessions that have ended are kept."""


class Notebook:
    """What the magics of one notebook have opened, found by name.

    Attributes:
        sessions: the open sessions by their names, the newest last.
        raw: the connection for frames typed by hand, the newest; it may have ended.
        destinations: where was sent to or subscribed, the newest last.
        displays: what cells have shown, to be replaced when it has ended.
        short_errors: whether errors of magics are shown without their stack.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.sessions: dict[str, StompSession] = {}
        self.raw: RawConnection | None = None
        self.destinations: dict[str, None] = {}
        self.short_errors = True
        self._traces: deque[FrameTrace] = deque(maxlen=KEPT_TRACES)  # of sessions that have ended
        self._widgets: WeakKeyDictionary[FrameStream, StompWidget] = WeakKeyDictionary()
        self._session_widgets: WeakKeyDictionary[StompSession, StompWidget] = WeakKeyDictionary()
        self._made: WeakSet[StompWidget] = WeakSet()  # also for streams that are gone
        self._plain: WeakSet[FrameStream] = WeakSet()
        self._closed = False
        self._titles: dict[str, int] = {}
        self._callbacks: WeakKeyDictionary[FrameStream, Callback] = WeakKeyDictionary()
        kinds = {
            FrameStream: Kind(self.show, lambda stream: stream.live),
            StompWidget: Kind(self.show_widget, self._goes_on),
        }
        self.displays = Displays(shell, kinds)

    def close(self) -> None:
        """Disconnect all sessions and end their widgets; tables stay where these were shown."""
        self._closed = True
        for session in self.sessions.values():
            session.disconnect()
        self.sessions.clear()
        self.set_raw(None)
        for widget in list(self._made):
            widget.close()
        self.displays.finish()
        self._widgets.clear()
        self._session_widgets.clear()

    # -- sessions and streams by name --------------------------------------------------------

    def session(self, name: str | None = None) -> StompSession:
        """A session by its name or its variable, else the newest: a replay if there is no other.

        Raises:
            UsageError: there is none.
        """
        if name is None:
            if not self.sessions:
                raise UsageError("no session yet: connect with %stomp_connect")
            return self.newest_with_broker() or list(self.sessions.values())[-1]
        named = {session.name: session for session in self.sessions.values()}
        found = named.get(name) or self.variable(name)
        if not isinstance(found, StompSession):
            raise UsageError(f"{name!r} is no session: %stomp_status lists them")
        return found

    def newest_with_broker(self) -> StompSession | None:
        """The newest session that is no replay."""
        newest = reversed(self.sessions.values())
        return next((s for s in newest if not isinstance(s, ReplaySession)), None)

    def forget(self, session: StompSession) -> None:
        """Forget a session that has ended; its trace is kept for those who ask what it did."""
        self._traces.append(session.trace)
        self.sessions = {k: known for k, known in self.sessions.items() if known is not session}

    def set_raw(self, raw: RawConnection | None) -> None:
        """Have another connection by hand, or none; the one before is closed, its trace kept."""
        if self.raw is not None:
            self.raw.close()
            self._traces.append(self.raw.trace)
        self.raw = raw

    def traces(self) -> list[FrameTrace]:
        """The traces of all that may send, also of the newest that have ended; for any thread."""
        ended, sessions, raw = list(self._traces), list(self.sessions.values()), self.raw
        return [*ended, *(each.trace for each in sessions), *([raw.trace] if raw else [])]

    def trace(self, name: str | None = None) -> FrameTrace:
        """The trace of a session, also of one that has ended; by its name or its variable.

        ``raw`` is that of the connection by hand. Without a name: of the newest session or of the
        connection by hand, whichever has had the last frame; where there is neither, of the last
        that has ended.

        Raises:
            UsageError: there is none.
        """
        if name is None:
            return self._newest_trace()
        named = {trace.name: trace for trace in self._traces}
        if self.raw is not None:
            named["raw"] = self.raw.trace
        named |= {session.name: session.trace for session in self.sessions.values()}
        found = named.get(name) or self.variable(name)
        trace = found if isinstance(found, FrameTrace) else getattr(found, "trace", None)
        if not isinstance(trace, FrameTrace):
            raise UsageError(f"{name!r} is no session: %stomp_status lists them")
        return trace

    def _newest_trace(self) -> FrameTrace:
        known = [self.session().trace] if self.sessions else []
        if self.raw is not None:
            known.append(self.raw.trace)
        known = known or list(self._traces)[-1:]
        if not known:
            raise UsageError("no session yet: connect with %stomp_connect")
        return max(known, key=_last_time)

    def streams(self) -> dict[str, FrameStream]:
        """The streams of all sessions by their names, the newest last."""
        return {k: v for session in self.sessions.values() for k, v in session.streams.items()}

    def stream(self, name: str | None = None, session: str | None = None) -> FrameStream:
        """A stream by its variable, its name or its destination, else the newest.

        Raises:
            UsageError: there is none.
        """
        known = self.session(session).streams if session else self.streams()
        if name is None:
            if not known:
                raise UsageError("no stream yet: subscribe with %stomp_subscribe")
            return list(known.values())[-1]
        variable = self.variable(name)
        if session is None and isinstance(variable, FrameStream):  # what the notebook calls so
            return variable
        if name not in known:
            raise UsageError(f"{name!r} is no stream: %stomp_status lists them")
        if session is None and sum(name in s.streams for s in self.sessions.values()) > 1:
            raise UsageError(f"several sessions have a stream {name!r}: choose one by --on")
        return known[name]

    def note(self, destination: str) -> None:
        """Remember a destination."""
        self.destinations.pop(destination, None)
        self.destinations[destination] = None
        if len(self.destinations) > DESTINATIONS:
            del self.destinations[next(iter(self.destinations))]

    # -- variables ---------------------------------------------------------------------------

    def variable(self, name: str) -> object:
        """What the notebook calls by this name, else None."""
        return self.shell.user_ns.get(name)

    def check_name(self, name: str | None, kind: type, force: bool) -> None:
        """Refuse a name that is none, or that would overwrite something of another kind.

        Raises:
            UsageError: it is refused.
        """
        if name is None:
            return
        if not name.isidentifier() or keyword.iskeyword(name):
            raise UsageError(f"{name!r} cannot be the name of a variable")
        if hasattr(builtins, name) and name not in self.shell.user_ns and not force:
            raise UsageError(
                f"{name} is a builtin of Python: choose another name, or hide it by --force"
            )
        taken = self.variable(name)
        if taken is not None and not force and not isinstance(taken, kind):
            raise UsageError(
                f"{name} is a variable already, a {type(taken).__name__}: choose another name, or "
                "overwrite it by --force"
            )

    def decode(self, how: str) -> str | Callable[[Any], object]:
        """How bodies are read: the name of a decoder, or the function that is called so here.

        Raises:
            UsageError: there is neither.
        """
        if how in DECODERS:
            return how
        function = self.variable(how)
        if not callable(function):
            known = ", ".join(DECODERS)
            raise UsageError(
                f"{how!r} is no function of this notebook, and no decoder; there are: {known}"
            )
        return cast("Callable[[Any], object]", function)

    def bind(self, name: str | None, value: object) -> None:
        """Let the notebook call something by this name, if there is one."""
        if name is not None:
            self.shell.push({name: value})

    # -- callbacks ---------------------------------------------------------------------------

    def title(self, stream: FrameStream) -> str:
        """What tracebacks call the next cell that is given to a stream: each in its own way, since
        the one before may still be running."""
        self._titles[stream.name] = version = self._titles.get(stream.name, 0) + 1
        again = f", version {version}" if version > 1 else ""
        return f"<%%stomp_on {visible(stream.name)}{again}>"

    def set_callback(self, stream: FrameStream, function: Callback | None, ack: bool) -> None:
        """Make a function the one that %%stomp_on has given to a stream, in place of the last."""
        before = self._callbacks.get(stream)
        if function is not None:
            self._callbacks[stream] = stream.on_frame(function, ack=ack, instead_of=before)
        elif before is not None:
            stream.off_frame(before)
            del self._callbacks[stream]

    # -- the front end -----------------------------------------------------------------------

    def show(self, stream: FrameStream) -> Bundle:
        """A stream as its live view, with a table beside it for those who cannot show a widget."""
        texts = {"text/plain": repr(stream), "text/html": stream._repr_html_()}
        if stream in self._plain or self._closed:
            return texts, {}
        if not _is_open(widget := self._widgets.get(stream)):
            widget = self._widgets[stream] = self._new(stream.session, stream)
        return _beside(widget, texts)

    def widget(self, session: StompSession) -> StompWidget:
        """The live view of a whole session, which has one."""
        if not _is_open(widget := self._session_widgets.get(session)):
            widget = self._session_widgets[session] = self._new(session)
        return widget

    def _new(self, session: StompSession, *streams: FrameStream) -> StompWidget:
        widget = StompWidget(session, *streams)
        self._made.add(widget)
        return widget

    def show_widget(self, widget: StompWidget) -> Bundle:
        """A live view, with tables beside it if it is that of a session."""
        session = self._session_of(widget)
        if session is None:
            return _beside(widget, {})
        return _beside(widget, {"text/plain": repr(session), "text/html": session_html(session)})

    def _session_of(self, widget: StompWidget) -> StompSession | None:
        return next((s for s, known in self._session_widgets.items() if known is widget), None)

    def _goes_on(self, widget: StompWidget) -> bool:
        session = self._session_of(widget)
        return session is not None and session.alive

    def show_plain(self, stream: FrameStream) -> None:
        """Show a stream without a live view."""
        self._plain.add(stream)

    def ask_passcode(self, login: str) -> str:
        """Have the user type a passcode, where the front end can ask.

        Raises:
            UsageError: it cannot.
        """
        try:
            return getpass.getpass(f"Passcode of {login}: ")
        except (StdinNotImplementedError, EOFError):
            raise UsageError(
                f"no passcode for {login}, and nobody here who could be asked: put it into an "
                "environment variable and say --passcode-env VARIABLE"
            ) from None


def _last_time(trace: FrameTrace) -> float:
    """When its last frame passed, heart-beats aside; 0 where there is none."""
    passed = (entry.time for entry in reversed(trace.newest()) if entry.command != "heart-beat")
    return next(passed, 0.0)


def _is_open(widget: StompWidget | None) -> TypeGuard[StompWidget]:
    """Whether there is such a widget, and it can reach a browser: a user may have closed it."""
    return widget is not None and widget.comm is not None


def _beside(widget: StompWidget, texts: dict[str, Any]) -> Bundle:
    """A live view, as far as there is one, and what is shown by those who have no widgets."""
    data, metadata = (widget._repr_mimebundle_() if _is_open(widget) else None) or ({}, {})
    return {**data, **texts}, metadata

"""What the magics of one notebook have opened, found by name; its variables; its front end."""

import gc
import getpass
import keyword
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.error import StdinNotImplementedError, UsageError
from ipywidgets import Widget

from stompy.broker import Broker
from stompy_jupyter import FrameStream, StompSession, StompWidget
from stompy_jupyter.notebook import DESTINATIONS, Notebook
from tests.unit.conftest import our_threads
from tests.unit.shells import FrontEnd, called
from tests.unit.waiting import until

WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def notebook(shell: Any) -> Iterator[Notebook]:
    """One without sessions."""
    notebook = Notebook(shell)
    yield notebook
    notebook.close()


@pytest.fixture
def session(notebook: Notebook, broker: Broker) -> StompSession:
    """An open session that is called ``s``."""
    notebook.sessions["s"] = session = StompSession(broker.address, name="s").connect()
    return session


# -- sessions and streams by name ------------------------------------------------------------


def test_a_session_is_found_by_its_name_its_variable_or_as_the_newest(notebook, broker, session):
    newer = notebook.sessions["newer"] = StompSession(broker.address, name="newer")
    notebook.shell.user_ns["mine"] = other = StompSession(broker.address)
    assert notebook.session() is newer
    assert notebook.session("s") is session
    assert notebook.session("newer") is newer
    assert notebook.session("mine") is other
    notebook.forget(newer)
    assert notebook.session() is session


def test_a_session_goes_before_a_variable_of_the_same_name(notebook, session):
    notebook.shell.user_ns["s"] = "text"
    assert notebook.session("s") is session


@pytest.mark.parametrize("name", ["nobody", "text", ""])
def test_what_is_no_session_is_refused(notebook, session, name):
    notebook.shell.user_ns["text"] = "text"
    with pytest.raises(UsageError, match=f"'{name}' is no session: %stomp_status lists them"):
        notebook.session(name)


def test_without_a_session_it_is_said_how_to_get_one(notebook):
    with pytest.raises(UsageError, match="no session yet: connect with %stomp_connect"):
        notebook.session()
    with pytest.raises(UsageError, match="no stream yet: subscribe with %stomp_subscribe"):
        notebook.stream()


def test_a_stream_is_found_by_its_name_its_destination_or_its_variable(notebook, session):
    named = session.subscribe("/queue/a", name="a")
    unnamed = session.subscribe("/queue/b")
    notebook.shell.user_ns["mine"] = unnamed
    assert notebook.stream("a") is named
    assert notebook.stream("/queue/b") is unnamed
    assert notebook.stream("mine") is unnamed
    assert notebook.stream() is unnamed
    assert notebook.streams() == {"a": named, "/queue/b": unnamed}


def test_of_two_streams_with_one_name_the_variable_is_meant_or_a_session_has_to_be_named(
    notebook, broker, session
):
    first = session.subscribe("/queue/a", name="a")
    newer = notebook.sessions["newer"] = StompSession(broker.address, name="newer").connect()
    second = newer.subscribe("/queue/a", name="a")
    with pytest.raises(UsageError, match="several sessions"):
        notebook.stream("a")
    assert notebook.stream("a", "s") is first
    notebook.bind("a", second)
    assert notebook.stream("a") is second
    assert notebook.stream(session="s") is first


@pytest.mark.parametrize("name", ["nothing", "text", "s", ""])
def test_what_is_no_stream_is_refused(notebook, session, name):
    notebook.shell.user_ns["text"] = "text"
    with pytest.raises(UsageError, match=f"'{name}' is no stream: %stomp_status lists them"):
        notebook.stream(name)


def test_a_stream_that_has_ended_is_found_by_its_variable_alone(notebook, session):
    stream = notebook.shell.user_ns["mine"] = session.subscribe("/queue/a", name="a")
    stream.unsubscribe()
    assert notebook.stream("mine") is stream
    with pytest.raises(UsageError, match="'a' is no stream"):
        notebook.stream("a")


def test_the_newest_destinations_are_remembered(notebook):
    for number in range(DESTINATIONS + 10):
        notebook.note(f"/queue/{number}")
    notebook.note("/queue/20")
    known = list(notebook.destinations)
    assert len(known) == DESTINATIONS
    assert (known[0], known[-2:]) == ("/queue/10", [f"/queue/{DESTINATIONS + 9}", "/queue/20"])


# -- variables -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["print", "type", "len"])
def test_a_builtin_of_python_is_hidden_only_by_force(notebook, name):
    with pytest.raises(UsageError, match=f"{name} is a builtin of Python"):
        notebook.check_name(name, FrameStream, False)
    notebook.check_name(name, FrameStream, True)


@pytest.mark.parametrize("name", ["a", "_a", "a1", "prices", "ünï", "match"])
def test_any_name_that_python_can_assign_is_taken(notebook, name):
    notebook.check_name(name, FrameStream, False)
    notebook.bind(name, 1)
    assert notebook.variable(name) == 1


@pytest.mark.parametrize(
    "name", ["", "1", "a b", "a-b", "a.b", "a[0]", "a,b", " a", "*", "☃", *keyword.kwlist]
)
@pytest.mark.parametrize("force", [False, True])
def test_what_python_cannot_assign_is_refused_also_by_force(notebook, name, force):
    with pytest.raises(UsageError, match="cannot be the name of a variable"):
        notebook.check_name(name, FrameStream, force)


def test_without_a_name_nothing_is_bound(notebook):
    before = dict(notebook.shell.user_ns)
    notebook.check_name(None, FrameStream, False)
    notebook.bind(None, 1)
    assert notebook.shell.user_ns == before


@pytest.mark.parametrize("name", ["In", "Out", "get_ipython", "exit", "mine"])
def test_a_variable_of_another_kind_is_overwritten_by_force_alone(notebook, session, name):
    notebook.shell.user_ns["mine"] = session
    with pytest.raises(UsageError, match=f"{name} is a variable already, a .*--force"):
        notebook.check_name(name, FrameStream, False)
    notebook.check_name(name, FrameStream, True)


def test_a_variable_of_the_same_kind_may_be_overwritten(notebook, session):
    notebook.shell.user_ns["mine"] = session
    notebook.check_name("mine", StompSession, False)


# -- callbacks -------------------------------------------------------------------------------


def test_a_callback_takes_the_place_of_the_last_and_of_no_other(notebook, session):
    stream = session.subscribe("/queue/a")
    calls: list[str] = []
    stream.on_frame(lambda _: calls.append("theirs"))
    for name in ("first", "second"):
        notebook.set_callback(stream, lambda _, name=name: calls.append(name), ack=False)
    session.send("/queue/a", "1")
    called(stream, 2)
    notebook.set_callback(stream, None, ack=False)
    session.send("/queue/a", "2")
    called(stream, 3)
    assert calls == ["theirs", "second", "theirs"]


# -- the front end ---------------------------------------------------------------------------


def test_a_stream_has_one_view_with_a_table_beside_it(notebook, session):
    stream = session.subscribe("/queue/a")
    first, second = (notebook.show(stream)[0] for _ in range(2))
    assert first[WIDGET] == second[WIDGET]
    assert first["text/plain"] == repr(stream)
    assert first["text/html"].startswith("<table>")


def test_a_stream_that_is_to_be_plain_has_no_view(notebook, session):
    stream = session.subscribe("/queue/a")
    notebook.show_plain(stream)
    assert set(notebook.show(stream)[0]) == {"text/plain", "text/html"}
    assert not [t for t in our_threads() if "publisher" in t.name]


def test_a_session_has_one_view_with_a_table_of_each_stream_beside_it(notebook, session):
    session.subscribe("/queue/<a>")
    session.subscribe("/queue/b")
    widget = notebook.widget(session)
    assert notebook.widget(session) is widget
    data, _ = notebook.show_widget(widget)
    assert data[WIDGET]["model_id"] == widget.model_id
    assert data["text/plain"] == repr(session)
    assert "/queue/&lt;a&gt;: 0 frames" in data["text/html"]
    assert "/queue/b: 0 frames" in data["text/html"]


def test_sessions_have_views_of_their_own(notebook, broker, session):
    with StompSession(broker.address) as other:
        assert notebook.widget(session) is not notebook.widget(other)


def test_a_stream_whose_view_was_closed_gets_another_one(notebook, session):
    stream = session.subscribe("/queue/a")
    first = notebook.show(stream)[0][WIDGET]
    Widget.close_all()
    assert notebook.show(stream)[0][WIDGET] != first


def test_a_session_whose_view_was_closed_gets_another_one(notebook, session):
    closed = notebook.widget(session)
    closed.close()
    again = notebook.widget(session)
    assert again is not closed
    assert again.comm is not None


def test_a_view_that_was_made_in_python_is_shown_as_it_is(notebook, session):
    data, _ = notebook.show_widget(StompWidget(session))
    assert WIDGET in data
    assert "text/html" not in data


def test_a_session_that_is_gone_is_not_held_by_its_view(notebook, broker):
    session = StompSession(broker.address).connect()
    notebook.widget(session)
    gone = weakref.ref(session)
    session.disconnect()
    del session
    until(lambda: gc.collect() >= 0 and gone() is None)


@pytest.mark.parametrize("given", ["s3cr3t", "", " with spaces "])
def test_a_passcode_is_what_was_typed(notebook, monkeypatch, capsys, given):
    asked: list[str] = []
    monkeypatch.setattr(getpass, "getpass", lambda prompt: asked.append(prompt) or given)
    assert notebook.ask_passcode("me") == given
    assert asked == ["Passcode of me: "]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("error", [StdinNotImplementedError("no stdin"), EOFError()])
def test_where_nobody_can_be_asked_another_way_is_named(notebook, monkeypatch, error):
    def refuse(_: str) -> str:
        raise error

    monkeypatch.setattr(getpass, "getpass", refuse)
    with pytest.raises(UsageError, match=r"no passcode for me, .* --passcode-env") as failure:
        notebook.ask_passcode("me")
    assert failure.value.__suppress_context__


def test_who_interrupts_the_question_interrupts_the_cell(notebook, monkeypatch):
    def interrupt(_: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(getpass, "getpass", interrupt)
    with pytest.raises(KeyboardInterrupt):
        notebook.ask_passcode("me")


# -- the end ---------------------------------------------------------------------------------


def test_close_leaves_tables_where_streams_and_sessions_were_shown(notebook, session, monkeypatch):
    front_end = FrontEnd(notebook.shell)
    monkeypatch.setattr(notebook.shell, "display_pub", front_end)
    stream = session.subscribe("/queue/a")
    session.send("/queue/a", "the body")
    stream.wait(1, 5)
    for shown in (stream, notebook.widget(session)):
        notebook.displays._display(shown)
    assert all(WIDGET in data for data, _, _ in front_end.shown)
    displays = {display for _, display, _ in front_end.shown}
    notebook.close()
    final = front_end.shown[2:]
    assert {display for _, display, update in final if update} == displays
    for data, _, _ in final:
        assert set(data) == {"text/plain", "text/html"}  # the view is no more
        assert "1 frames, ended" in data["text/html"]
        assert "<td>the body</td>" in data["text/html"]


def test_close_ends_all_sessions_and_views_and_may_be_called_twice(notebook, session):
    stream = session.subscribe("/queue/a")
    notebook.show(stream)
    notebook.close()
    assert (session.state, stream.state) == ("disconnected", "ended")
    assert not [t for t in our_threads() if "reader" in t.name or "publisher" in t.name]
    notebook.close()
    assert notebook.sessions == {}

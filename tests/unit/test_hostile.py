"""Text of strangers in all places where a person sees it: it is shown, and does nothing."""

import io
import json
import logging
from contextlib import redirect_stderr, redirect_stdout
from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.error import UsageError

import stompy
from stompy import STOMPError, STOMPFrame, wire
from stompy.broker import Broker, Faults
from stompy.errors import broker_error
from stompy_jupyter import FrameStream, StompSession, StompWidget
from stompy_jupyter.arguments import StompMagicError
from stompy_jupyter.display import AS_IT_IS, Listing, frame_html, html_table, visible
from stompy_jupyter.embedded import embedded_broker
from tests.unit.shells import called, message, run, saying
from tests.unit.waiting import until

MARKUP = "<img src=x onerror=alert(1)>\"'</td></table><script>&amp;"
ANSI = "\x1b[31mred\x1b[0m\x1b]8;;http://evil\x07link\x9b2J"
BIDI = "\u202eetirw\u202c\u2066\u2069\u200f\u061c"
UNSEEN = "\u200b\ufeff\u2028\x85\x7f\x08\r"
HOSTILE = f"{MARKUP}{ANSI}{BIDI}{UNSEEN}\x00"
LINES = f"{HOSTILE}\nsecond {HOSTILE}"
IN_HEADER = HOSTILE.removesuffix("\x00")  # which would end the frame

OURS = {"table", "caption", "thead", "tbody", "tr", "th", "td", "code", "br"}
OUR_CLASS = ("tbody", "class", AS_IT_IS)
PANDAS = {"div", "style", "p", *OURS}


class Page(HTMLParser):
    """Notes the tags and attributes of a piece of HTML, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, *attribute) for attribute in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(data)

    handle_comment = handle_decl = handle_pi = unknown_decl


def assert_seen(text: str) -> None:
    """Every character of a text can be seen, or is a line end or a tab."""
    assert all(c.isprintable() or c in "\n\t" for c in text), ascii(text)


def assert_harmless(html: str) -> None:
    """A piece of HTML has our own tags alone, and every character of it can be seen."""
    page = Page(html)
    assert page.tags <= OURS
    assert set(page.attributes) <= {OUR_CLASS}
    assert_seen(html)


def assert_escaped(html: str) -> None:
    """A table of pandas has its own tags alone."""
    page = Page(html)
    assert page.tags <= PANDAS
    assert {name for _, name, _ in page.attributes} <= {"border", "class", "style", "scoped"}
    assert "onerror" not in str(page.attributes)


def shown(shell: Any, value: object) -> dict[str, str]:
    """What a notebook shows of a value, by kind; all of it is checked."""
    data, _ = shell.display_formatter.format(value)
    assert_seen(data["text/plain"])
    assert "text/markdown" not in data
    assert "application/javascript" not in data
    if "text/html" in data:
        assert_harmless(data["text/html"])
    return data


def printed(shell: Any, code: str) -> str:
    """What a cell writes and shows, which is checked; its error, too."""
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        shell.run_cell(code)
    assert_seen(out.getvalue())
    return out.getvalue()


@pytest.fixture
def broker() -> Any:
    with Broker() as broker:
        yield broker


@pytest.fixture
def session(shell: Any, broker: Broker) -> StompSession:
    """A session of the shell with a hostile name."""
    session = StompSession(broker.address, name=HOSTILE).connect()
    shell.user_ns["s"] = session
    notebook = shell.magics_manager.registry["StompMagics"].notebook
    notebook.sessions["s"] = session
    return session


@pytest.fixture
def stream(session: StompSession) -> FrameStream:
    """A hostile stream that has received a hostile frame."""
    destination = f"/queue/{IN_HEADER}"
    stream = session.subscribe(destination, name=HOSTILE)
    headers = dict.fromkeys((IN_HEADER, "content-type", "k"), IN_HEADER)
    session.send(destination, LINES, headers=headers)
    stream.wait(1, 5)
    return stream


def test_the_samples_are_hostile():
    page = Page(HOSTILE)
    assert not page.tags <= OURS
    assert page.attributes
    with pytest.raises(AssertionError):
        assert_seen(HOSTILE)
    with pytest.raises(AssertionError):
        assert_harmless(f"<td>{HOSTILE}</td>")


# -- values ----------------------------------------------------------------------------------


def test_a_stream_is_harmless(shell, stream):
    data = shown(shell, stream)
    assert "&lt;img" in data["text/html"]
    assert "\\x1b" in data["text/html"]
    assert_harmless(stream._repr_html_())
    assert_seen(repr(stream))
    run(shell, "stomp_unsubscribe", "")
    shown(shell, stream)


def test_a_session_is_harmless(shell, stream):
    shown(shell, stream.session)
    assert_harmless(stream.session._repr_html_())
    stream.session.disconnect()
    shown(shell, stream.session)


def frames(stream: FrameStream) -> list[STOMPFrame]:
    """Frames with hostile text in each of their parts, received and made."""
    received: list[STOMPFrame] = []
    stream.on_frame(received.append)
    stream.session.send(stream.destination, LINES, headers={IN_HEADER: IN_HEADER})
    called(stream)
    hostile = {HOSTILE: HOSTILE, "message": HOSTILE, "passcode": HOSTILE, "login": HOSTILE}
    return [
        *received,
        STOMPFrame("MESSAGE", hostile, LINES),
        STOMPFrame("ERROR", hostile, b"\xff" + LINES.encode()),
        STOMPFrame("CONNECT", hostile),
        STOMPFrame(HOSTILE, hostile, HOSTILE),
    ]


def test_a_frame_is_harmless(shell, stream):
    for frame in frames(stream):
        data = shown(shell, frame)
        assert "&lt;img" in data["text/html"]
        assert_harmless(frame_html(frame))
        assert_seen(repr(frame))


@settings(deadline=None)
@given(st.text(), st.dictionaries(st.text(), st.text()), st.binary() | st.text())
def test_any_frame_is_harmless(command, headers, body):
    frame = STOMPFrame(command, headers, body.encode("utf-8", "replace") if body == "" else body)
    assert_harmless(frame_html(frame))


@settings(deadline=None)
@given(st.lists(st.text(), min_size=1), st.lists(st.lists(st.text())), st.text())
def test_any_table_has_our_own_tags_alone(columns, rows, caption):
    page = Page(html_table(columns, rows, caption))
    assert page.tags <= OURS
    assert set(page.attributes) <= {OUR_CLASS}


def test_the_client_its_receipts_and_its_transactions_are_harmless(shell, stream):
    session = stream.session
    receipt = session.send(stream.destination, "a", receipt=IN_HEADER)
    receipt.wait(5)
    with session.transaction() as transaction:
        values = [receipt, transaction, session.client]
        for value in values:
            shown(shell, value)
    for value in values:
        assert_seen(repr(value))


def test_faults_and_the_broker_are_harmless(shell, broker, session):
    for value in (broker, Faults(slow=1.0), broker.faults):
        shown(shell, value)


def test_a_listing_is_harmless_where_its_data_is_visible(shell):
    cell = visible(HOSTILE)
    listing = Listing([cell, "b"], [[cell, cell], [cell, cell]], cell)
    data = shown(shell, listing)
    assert "&lt;img" in data["text/html"]
    assert_seen(repr(Listing([HOSTILE], [[HOSTILE, HOSTILE]], HOSTILE)))
    page = Page(Listing([HOSTILE], [[HOSTILE, HOSTILE]], HOSTILE)._repr_html_())
    assert page.tags <= OURS
    assert set(page.attributes) <= {OUR_CLASS}


@pytest.mark.parametrize("magic", ["stomp_status", "stomp"])
def test_an_overview_is_harmless(shell, stream, magic):
    value = run(shell, magic)
    data, _ = shell.display_formatter.format(value)
    assert_escaped(data["text/html"])
    assert_seen(data["text/plain"])
    assert_seen(value.to_string() if isinstance(value, pd.DataFrame) else repr(value))


def test_a_dataframe_is_escaped(shell, stream):
    with pd.option_context("display.max_colwidth", None, "display.max_columns", None):
        data, _ = shell.display_formatter.format(stream.df)
    assert_escaped(data["text/html"])
    assert "&lt;img" in data["text/html"]
    assert stream.df["body"].tolist() == [LINES]  # as it came: that is data


def test_what_the_broker_shows_of_its_clients_is_escaped(shell, session):
    run(shell, "stomp_broker", "start")
    embedded = embedded_broker()
    login = IN_HEADER.replace("\r", "")
    with StompSession(embedded.address, login=login, passcode="x") as hostile:
        hostile.subscribe(f"/queue/{IN_HEADER}")
        until(lambda: embedded.destinations())
        for what in ("clients", "destinations", "events", "status"):
            table = run(shell, "stomp_broker", what)
            data, _ = shell.display_formatter.format(table)
            assert_escaped(data["text/html"])


def test_a_widget_sends_visible_text_alone(shell, stream):
    widget = StompWidget(stream.session, stream)
    window = json.dumps(widget.window(), ensure_ascii=False)
    assert_seen(window)
    state = json.dumps(widget.get_state(), ensure_ascii=False, default=repr)
    assert_seen(state.replace(widget._esm, "") if isinstance(widget._esm, str) else state)
    data, _ = shell.display_formatter.format(widget)
    assert_seen(str(data["text/plain"]))
    widget.close()


# -- errors ----------------------------------------------------------------------------------

HOSTILE_ERROR = STOMPFrame("ERROR", {"message": HOSTILE, HOSTILE: HOSTILE}, LINES)


@pytest.mark.parametrize(
    "error",
    [
        StompMagicError(LINES),
        StompMagicError(HOSTILE, HOSTILE_ERROR),
        StompMagicError(str(broker_error(HOSTILE_ERROR))),
    ],
    ids=["lines", "frame", "broker"],
)
def test_what_a_magic_raises_is_shown_as_visible_lines(error):
    for line in error._render_traceback_():
        assert_seen(line)


def test_the_end_of_a_session_by_a_hostile_error_is_harmless(shell):
    last_words = wire.encode("ERROR", {"message": IN_HEADER, IN_HEADER: "a"}, LINES.encode())
    with saying(message(LINES), last_words, then_close=True) as address:
        run(shell, "stomp_connect", f"{address} --as s --no-reconnect")
        stream = run(shell, "stomp_subscribe", "/queue/q --as q")
        session = shell.user_ns["s"]
        until(lambda: session.state == "lost" and stream.error)
    widget = StompWidget(session, stream)
    assert_seen(json.dumps(widget.window(), ensure_ascii=False))
    widget.close()
    assert "&lt;img" in shown(shell, session)["text/html"]
    shown(shell, stream)
    assert_escaped(shell.display_formatter.format(run(shell, "stomp_status"))[0]["text/html"])
    for code in (
        "%stomp_wait q --n 9",
        "%stomp_send /queue/q a",
        "%stomp_subscribe /queue/r",
        "%stomp_pause q",
        "%stomp_status",
    ):
        assert printed(shell, code)
    assert isinstance(stream.error, STOMPError)


def test_hostile_code_of_the_users_own_is_repeated_visibly(shell, session):
    hostile = IN_HEADER.replace("\r", "").replace('"', "").replace("'", "")
    for magic, line in (
        ("stomp_wait", f"'{hostile}'"),
        ("stomp_disconnect", f"'{hostile} '"),
        ("stomp_subscribe", f"/queue/q --as '{hostile}'"),
        ("stomp_subscribe", f"/queue/q --header '{hostile.replace(':', '')}'"),
        ("stomp_subscribe", f"/queue/q --for '{hostile}'"),
        ("stomp_subscribe", f"/queue/q --n '{hostile}'"),
        ("stomp_subscribe", f"/queue/q --max-bytes '{hostile}'"),
        ("stomp_connect", f"--heart-beat '{hostile}'"),
        ("stomp_ack", f"s '{hostile}'"),
    ):
        with pytest.raises(UsageError) as failure:
            run(shell, magic, line)
        assert_seen(str(failure.value))


ERROR = wire.encode("ERROR", {"message": IN_HEADER}, LINES.encode())


@pytest.mark.parametrize("code", ["%stomp_connect {}", "stompy.connect('{}')"])
def test_why_a_broker_refused_the_session_is_shown_visibly(shell, code):
    shell.user_ns["stompy"] = stompy
    with saying(ERROR, connected=False) as address:
        shown = printed(shell, code.format(address))
    assert "refused the session: <img" in shown


def test_what_a_broker_says_is_visible_also_in_the_stack_of_python(shell):
    with saying(ERROR, then_close=True) as address:
        run(shell, "stomp_connect", f"{address} --as s --no-reconnect")
        shown = printed(shell, "s.send('/queue/q', 'a', receipt=True).wait(5)")
    assert "the broker says: <img" in shown
    assert "Receipt.wait" in shown


# -- callbacks -------------------------------------------------------------------------------


def test_a_callback_that_raises_with_hostile_text_prints_it_visibly(shell, stream, capsys):
    shell.user_ns["stream"] = stream
    cell = "raise ValueError(frame.text)\n"
    shell.run_cell_magic("stomp_on", "stream", cell)
    stream.session.send(stream.destination, LINES)
    called(stream)
    shown = capsys.readouterr().err
    assert "ValueError: <img" in shown
    assert_seen(shown)


def test_what_the_broker_logs_of_strangers_can_be_seen(stream, caplog):
    caplog.set_level(logging.DEBUG)
    stream.unsubscribe()
    stream.session.disconnect()
    logged = [r.getMessage() for r in caplog.records if r.name.startswith("stompy")]
    assert any("&amp;" in text for text in logged)
    for text in logged:
        assert_seen(text)

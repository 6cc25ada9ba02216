"""What browsers ask for is done: each request in its order, and answered once."""

import contextlib
import itertools
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stompy import STOMPError
from stompy.broker import Broker
from stompy_jupyter import FrameStream, StompSession, actions
from stompy_jupyter.actions import MAX_AT_WORK, MAX_UNSENT, Actions
from stompy_jupyter.request import KINDS, id_of
from stompy_jupyter.subject import Subject, gone
from tests.unit.peer import Link, Peer, Script, raw
from tests.unit.sessions import SOON, waiting_in
from tests.unit.test_request import GOOD, JSON
from tests.unit.waiting import until

pytestmark = pytest.mark.usefixtures("nothing_left")

SECRET = "s3cr3t-p4ss"


class Desk:
    """A browser that asks, and what it is answered."""

    def __init__(self, target: Any) -> None:
        self.greeted = 0
        self.answers: list[tuple[dict[str, Any], list[bytes]]] = []
        self.actions = Actions(target, self._take, self._greet)
        self._ids = map(str, itertools.count(1))

    def _take(self) -> None:
        self.answers.append(self.actions.replies.popleft())

    def _greet(self) -> None:
        self.greeted += 1

    def ask(self, kind: str, **args: Any) -> str:
        """Ask for something; returns the id of the request."""
        id = next(self._ids)
        self.actions.take({"kind": kind, "id": id, **args})
        return id

    def answer_to(self, id: str) -> dict[str, Any]:
        """Wait for an answer."""
        found = until(lambda: [answer for answer, _ in self.answers if answer["id"] == id])
        assert len(found) == 1
        assert found[0]["kind"] == "reply"
        return found[0]

    def result(self, kind: str, **args: Any) -> dict[str, Any]:
        """Ask for something, and what has come of it."""
        answer = self.answer_to(self.ask(kind, **args))
        assert "error" not in answer, answer
        return answer["result"]

    def error(self, kind: str, **args: Any) -> str:
        """Ask for something, and why it was refused."""
        answer = self.answer_to(self.ask(kind, **args))
        assert set(answer) == {"kind", "id", "error"}
        assert set(answer["error"]) == {"message", "hint"}
        return answer["error"]["message"]

    def send(self, body: str, destination: str = "/queue/q", **changes: Any) -> dict[str, Any]:
        return self.result("send", **sending(body, destination, **changes))


def sending(body: str, destination: str = "/queue/q", **changes: Any) -> dict[str, Any]:
    """The arguments of a request to send."""
    usual = {"headers": [], "receipt": None, "transaction": False}
    return {"destination": destination, "body": body, **usual, **changes}


@pytest.fixture
def desk(session: StompSession) -> Desk:
    return Desk(Subject(session, ()))


@pytest.fixture
def by_hand(session: StompSession) -> FrameStream:
    """A stream whose frames are acknowledged by whoever looks."""
    return session.subscribe("/queue/q", ack_mode="client-individual", send_acks=False)


@contextlib.contextmanager
def desk_of(*scripts: Script, **arguments: Any) -> Iterator[tuple[Desk, StompSession]]:
    """The desk of a session whose broker plays a script."""
    with (
        Peer(*scripts) as peer,
        StompSession(peer.address, **{"reconnect": False, **arguments}) as session,
    ):
        yield Desk(Subject(session, ())), session


def at_work() -> list[threading.Thread]:
    """The threads of requests."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("stomp-request")]


def texts(session: StompSession, kind: str) -> list[str]:
    """What the journal says of one kind."""
    return [entry.text for entry in session.journal if entry.kind == kind]


# -- what may come -------------------------------------------------------------------------------


class Nothing:
    """A target that is gone."""

    session = None

    def stream(self, _: str) -> FrameStream:
        raise gone("stream")

    def add(self, _: object) -> None:
        raise AssertionError("nothing can be subscribed")


CONTENT = st.one_of(
    JSON,
    st.fixed_dictionaries(
        {"kind": st.sampled_from([*KINDS, "other"]), "id": st.text(max_size=70) | JSON},
        optional={key: JSON for args in GOOD.values() for key in args},
    ),
    st.sampled_from([{"kind": kind, "id": "1", **args} for kind, args in GOOD.items()]),
)


@settings(max_examples=300, deadline=None)
@given(CONTENT)
def test_whatever_comes_is_answered_once_if_it_has_an_id_and_else_never(content):
    desk = Desk(Nothing())
    desk.actions.take(content)
    until(lambda: not at_work())
    assert len(desk.answers) == (id_of(content) is not None)
    for answer, buffers in desk.answers:
        assert (answer["kind"], answer["id"], buffers) == ("reply", content["id"], [])
        answer["id"].encode()
        assert ("result" in answer) == bool(desk.greeted)
        assert ("error" in answer) != bool(desk.greeted)


@pytest.mark.parametrize("content", [None, [], "hello", {}, {"kind": "hello"}, {"id": 7}])
def test_what_cannot_be_answered_is_dropped_and_noted_for_experts(content, caplog):
    caplog.set_level(logging.DEBUG, "stompy_jupyter")
    desk = Desk(Nothing())
    desk.actions.take(content)
    assert desk.answers == []
    assert [record.levelno for record in caplog.records] == [logging.DEBUG]


def test_a_bad_request_is_refused_and_says_in_what(desk):
    assert desk.error("dance") == "bad request: there is no such kind of request"
    assert desk.error("pause") == "bad request: pause: has no stream"
    assert "unknown key, x" in desk.error("hello", x=1)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "stream" in KINDS[kind]])
def test_an_unknown_stream_is_refused(desk, kind):
    assert desk.error(kind, **{**GOOD[kind], "stream": "s0"}) == (
        "the stream is gone from the kernel"
    )


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "hello"])
def test_when_all_is_gone_everything_is_refused_with_what_to_try(kind):
    desk = Desk(Nothing())
    answer = desk.answer_to(desk.ask(kind, **GOOD[kind]))
    assert "is gone from the kernel" in answer["error"]["message"]
    assert answer["error"]["hint"] == "run the cell again"


def test_a_failure_of_ours_is_logged_and_answered_without_what_it_was(caplog):
    class Broken(Nothing):
        def stream(self, _: str) -> FrameStream:
            raise RuntimeError("secret of ours")

    desk = Desk(Broken())
    assert desk.error("pause", stream="s1") == "internal error: see the kernel's log"
    (record,) = caplog.records
    assert (record.levelno, record.exc_info is not None) == (logging.ERROR, True)


def test_a_hostile_message_is_visible_text_and_short():
    class Hostile(Nothing):
        def stream(self, _: str) -> FrameStream:
            raise STOMPError("\x1b[31m" + "x" * 10_000, hint="\u202e")

    desk = Desk(Hostile())
    (error,) = [desk.answer_to(desk.ask("pause", stream="s1"))["error"]]
    assert error["message"].startswith("\\x1b[31mxxx")
    assert len(error["message"]) < 2000
    assert error["hint"] == "\\u202e"


def test_without_threads_a_request_is_refused(desk, monkeypatch):
    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    assert desk.error("hello") == desk.error("begin") == "can't start new thread"
    monkeypatch.undo()
    assert desk.result("hello") == {}
    assert "id" in desk.result("begin")


# -- looking -------------------------------------------------------------------------------------


def test_hello_is_passed_on(desk):
    assert desk.result("hello") == {}
    assert desk.greeted == 1


def test_rows_frames_and_what_is_searched_for_are_given(desk, session):
    stream = session.subscribe("/topic/t")
    for number in range(5):
        session.send("/topic/t", f"body {number}", n=number)
    stream.wait(5, 5)
    rows = desk.result("rows", stream=stream.id, first=3, count=10)
    assert (rows["first"], [row[2] for row in rows["rows"]]) == (3, ["body 3", "body 4"])
    frame = desk.result("frame", stream=stream.id, number=4, offset=2)
    assert dict(frame["headers"])["n"] == "4"
    assert desk.answers[-1][1] == [b"dy 4"]
    terms = [
        {"header": None, "text": "BODY", "not": False},
        {"header": "n", "text": "2", "not": True},
    ]
    shown = desk.result("find", stream=stream.id, terms=terms, first=1)
    assert shown == {"stream": stream.id, "numbers": [1, 3, 4], "total": 3, "first": 1, "end": 5}
    assert "frame 9" in desk.error("frame", stream=stream.id, number=9, offset=0)


def test_a_stream_that_has_ended_can_still_be_looked_into(desk, session):
    stream = session.subscribe("/topic/t")
    desk.result("rows", stream=stream.id, first=0, count=1)
    stream.unsubscribe()
    assert desk.result("rows", stream=stream.id, first=0, count=1)["rows"] == []


# -- subscriptions -------------------------------------------------------------------------------


def test_a_stream_is_subscribed_paused_resumed_and_ended(desk, session):
    id = desk.result("subscribe", destination="/queue/q", ack="auto")["stream"]
    (stream,) = session.streams.values()
    assert (stream.id, stream.destination, stream.ack_mode) == (id, "/queue/q", "auto")
    assert desk.result("pause", stream=id) == {}
    assert stream.state == "paused"
    assert desk.result("resume", stream=id) == {}
    assert stream.state == "live"
    assert desk.result("unsubscribe", stream=id) == {}
    assert stream.state == "ended"
    assert "has ended" in desk.error("pause", stream=id)
    kinds = [entry.kind for entry in session.journal]
    assert kinds == ["connected", *["subscribed", "unsubscribed"] * 2]


@pytest.mark.parametrize("mode", ["client", "client-individual"])
def test_frames_of_what_is_subscribed_in_a_client_mode_are_answered_by_hand(desk, session, mode):
    id = desk.result("subscribe", destination="/queue/q", ack=mode)["stream"]
    (stream,) = session.streams.values()
    desk.send("a")
    stream.wait(1, 5)
    assert (stream.answers, stream.waiting) == (True, 1)
    assert desk.result("frame", stream=id, number=0, offset=0)["answerable"]
    desk.result("ack", stream=id, number=0)
    assert not desk.result("frame", stream=id, number=0, offset=0)["answerable"]


def test_a_stream_of_the_notebook_is_not_replaced_by_one_of_its_destination(desk, session):
    stream = session.subscribe("/queue/q")
    assert "is subscribed already" in desk.error("subscribe", destination="/queue/q", ack="auto")
    assert session.streams == {"/queue/q": stream}
    assert stream.live
    stream.unsubscribe()
    assert "stream" in desk.result("subscribe", destination="/queue/q", ack="auto")


def test_a_subscription_that_is_refused_is_an_error_and_shows_up_nowhere():
    def refuse(link: Link) -> None:
        link.accept()
        receipt = link.expect("SUBSCRIBE").headers["receipt"]
        link.send(raw("ERROR", "message:no such queue", f"receipt-id:{receipt}"))
        link.serve()

    with desk_of(refuse) as (desk, session):
        assert "no such queue" in desk.error("subscribe", destination="/queue/q", ack="auto")
        until(lambda: texts(session, "refused"))
        assert "no such queue" in texts(session, "refused")[0]


@pytest.mark.parametrize("kind", ["subscribe", "send", "begin"])
def test_without_a_connection_nothing_waits_for_one(broker, kind):
    with StompSession(broker.address) as session:
        desk = Desk(Subject(session, ()))
        broker.stop()
        until(lambda: session.state == "reconnecting")
        answer = desk.answer_to(desk.ask(kind, **GOOD[kind]))
        assert answer["error"] == {
            "message": "the session is reconnecting",
            "hint": "wait until it is back",
        }
        session.disconnect()
        assert desk.error(kind, **GOOD[kind]) == "the session is disconnected"


def test_a_session_is_disconnected_and_connected_again(desk, session):
    assert desk.result("disconnect") == {}
    assert session.state == "disconnected"
    assert desk.result("connect") == {}
    assert session.state == "connected"


def test_a_broker_that_does_not_answer_is_an_error(desk, session, broker):
    desk.result("disconnect")
    broker.stop()
    assert "nothing listens" in desk.error("connect")


def test_what_changes_subscriptions_is_done_in_its_order(desk, session):
    stream = session.subscribe("/queue/q")
    for _ in range(2):
        ids = [desk.ask(kind, stream=stream.id) for kind in ("pause", "resume") * 4]
        for id in ids:
            assert "error" not in desk.answer_to(id)
        assert stream.state == "live"


# -- sending -------------------------------------------------------------------------------------


def test_a_message_is_sent_as_it_is_said(desk, session, other):
    headers = [["priority", "9"], ["empty", ""]]
    assert desk.send("grün", headers=headers) == {"receipt": None, "confirmed": None, "ms": None}
    assert session.sent == 1
    other.subscribe("/queue/q")
    frame = other.recv(5)
    assert (frame.text, frame["priority"], frame["empty"]) == ("grün", "9", "")
    assert frame["content-type"] == "text/plain;charset=utf-8"


def test_a_text_goes_out_in_the_charset_that_is_named(desk, other):
    desk.send("grün", headers=[["content-type", "text/plain;charset=latin-1"]])
    assert "does not go into" in desk.error(
        "send", **sending("☃", headers=[["content-type", "text/plain;charset=latin-1"]])
    )
    other.subscribe("/queue/q")
    assert other.recv(5).Body == "grün".encode("latin-1")


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ([["a", "1"], ["a", "2"]], "'a' is there twice"),
        ([["receipt", "1"]], "'receipt' is none of the others"),
        ([["destination", "1"]], "'destination' is none of the others"),
        ([["transaction", "1"]], "'transaction' is none of the others"),
        ([["a", "\0"]], "holds a NUL"),
    ],
)
def test_headers_that_cannot_be_are_refused(desk, session, headers, said):
    assert said in desk.error("send", **sending("a", headers=headers))
    assert session.sent == 0


def test_a_receipt_is_waited_for_and_noted(desk, session):
    answer = desk.send("a", receipt="mine-1")
    assert (answer["receipt"], answer["confirmed"]) == ("mine-1", True)
    assert 0 <= answer["ms"] < 5000
    (said,) = texts(session, "receipt")
    assert said.startswith("mine-1, SEND to /queue/q: confirmed after ")


def test_a_receipt_that_does_not_come_holds_up_nobody(silent, monkeypatch):
    monkeypatch.setattr(actions, "RECEIPT_LIMIT", 1.0)
    session = StompSession(silent.address).connect()
    desk, began = Desk(Subject(session, ())), time.monotonic()
    late = desk.ask("send", **sending("a", receipt="never"))
    for _ in range(3):
        desk.send("b")
        desk.result("hello")
    assert time.monotonic() - began < 0.9
    assert desk.answer_to(late)["result"] == {"receipt": "never", "confirmed": False, "ms": None}
    assert texts(session, "receipt") == ["never, SEND to /queue/q: none within 1 s"]
    session.client.disconnect(timeout=0)
    session.disconnect()


def test_a_message_that_the_broker_refuses_is_an_error_and_noted_in_full():
    def refuse(link: Link) -> None:
        link.accept()
        receipt = link.expect("SEND").headers["receipt"]
        link.send(raw("ERROR", "message:not today", f"receipt-id:{receipt}", body=b"come back"))
        link.serve()

    with desk_of(refuse) as (desk, session):
        assert "not today" in desk.error("send", **sending("a", receipt="r"))
        assert texts(session, "error") == ["not today\nreceipt-id: r\n\ncome back"]
        assert texts(session, "receipt") == [
            "r, SEND to /queue/q: the broker says: not today; come back"
        ]


def test_messages_go_out_in_the_order_in_which_they_came(desk, other):
    for begin in range(0, 40, MAX_AT_WORK):
        ids = [
            desk.ask("send", **sending(str(number), receipt=f"r-{number}" if number % 3 else None))
            for number in range(begin, begin + MAX_AT_WORK)
        ]
        for id in ids:
            assert "result" in desk.answer_to(id)
    assert waiting_in(other, "/queue/q") == [str(number) for number in range(40)]


def test_who_asks_too_much_at_once_is_refused_until_something_is_done(desk, session, monkeypatch):
    gate, send = threading.Event(), session.send

    def wait(*args: Any, **kwargs: Any) -> Any:
        assert gate.wait(5)
        return send(*args, **kwargs)

    monkeypatch.setattr(session, "send", wait)
    began = time.monotonic()
    ids = [desk.ask("send", **sending(str(n))) for n in range(MAX_AT_WORK)]
    assert "8 requests are at work" in desk.error("hello")
    assert time.monotonic() - began < 1
    gate.set()
    for id in ids:
        assert "result" in desk.answer_to(id)
    assert desk.result("hello") == {}


def test_while_answers_wait_to_be_sent_no_more_are_made(session, caplog):
    caplog.set_level(logging.DEBUG, "stompy_jupyter")
    unsent = Actions(Subject(session, ()), lambda: None, lambda: None)
    for number in range(10 * MAX_UNSENT):
        unsent.take({"kind": "hello", "id": str(number)})
        until(lambda: not at_work())
    kinds = ["result" if "result" in answer else "error" for answer, _ in unsent.replies]
    assert kinds == ["result"] * MAX_UNSENT + ["error"] * MAX_UNSENT
    assert len(caplog.records) == 8 * MAX_UNSENT
    unsent.replies.clear()
    unsent.take({"kind": "hello", "id": "again"})
    until(lambda: unsent.replies)


# -- acknowledging -------------------------------------------------------------------------------


def test_frames_are_acknowledged_and_refused_in_their_order(desk, session, by_hand):
    for number in range(4):
        session.send("/queue/q", str(number))
    by_hand.wait(4, 5)
    asked = [("ack", 1), ("nack", 3), ("ack", 0)]
    ids = [desk.ask(kind, stream=by_hand.id, number=number) for kind, number in asked]
    for id, (_, number) in zip(ids, asked, strict=True):
        assert desk.answer_to(id)["result"] == {"number": number}
    assert by_hand.unacknowledged[0] == 2
    assert "does not wait for an answer" in desk.error("ack", stream=by_hand.id, number=0)
    assert "does not wait for an answer" in desk.error("nack", stream=by_hand.id, number=99)


def test_in_the_mode_client_an_ack_covers_those_before(desk, session):
    stream = session.subscribe("/queue/q", ack_mode="client", send_acks=False)
    for number in range(3):
        session.send("/queue/q", str(number))
    stream.wait(3, 5)
    desk.result("ack", stream=stream.id, number=1)
    assert stream.unacknowledged == [2]


# -- transactions --------------------------------------------------------------------------------


def test_what_is_sent_in_a_transaction_is_there_when_it_is_committed(desk, session, other):
    id = desk.result("begin")["id"]
    assert desk.actions.transaction == {"id": id, "frames": 0}
    assert desk.send("a", transaction=True) == {"receipt": None, "confirmed": None, "ms": None}
    assert desk.send("b", transaction=True, receipt="r")["receipt"] == "r"
    desk.send("outside")
    assert desk.actions.transaction == {"id": id, "frames": 2}
    assert waiting_in(other, "/queue/q") == ["outside"]
    assert desk.result("commit") == {"frames": 2}
    assert desk.actions.transaction is None
    assert waiting_in(other, "/queue/q") == ["a", "b"]
    assert session.sent == 3
    assert texts(session, "transaction") == [f"{id} begun", f"{id} committed, 2 frames"]


def test_what_is_sent_in_a_transaction_that_is_aborted_is_nowhere(desk, session, other):
    id = desk.result("begin")["id"]
    desk.send("a", transaction=True)
    assert desk.result("abort") == {"frames": 1}
    assert desk.actions.transaction is None
    desk.send("b", receipt="r")
    assert waiting_in(other, "/queue/q") == ["b"]
    assert texts(session, "transaction")[1] == f"{id} aborted, 1 frame"


def test_a_whole_transaction_may_be_asked_for_at_once(desk, other):
    ids = [desk.ask("begin")]
    ids += [desk.ask("send", **sending(body, transaction=True)) for body in "abc"]
    ids += [desk.ask("commit"), desk.ask("begin"), desk.ask("abort")]
    for id in ids:
        assert "result" in desk.answer_to(id)
    assert waiting_in(other, "/queue/q") == ["a", "b", "c"]


def test_a_transaction_is_one_at_a_time_and_none_without_begin(desk):
    for kind, args in (("commit", {}), ("abort", {}), ("send", sending("a", transaction=True))):
        assert desk.error(kind, **args) == "no transaction is open"
    desk.result("begin")
    assert desk.error("begin") == "a transaction is open already"


def test_a_transaction_of_a_cell_is_another(desk, session, other):
    with session.transaction(receipt=True):
        session.send("/queue/q", "of the cell")
        desk.result("begin")
        desk.send("of the widget", transaction=True)
        desk.result("abort")
    assert waiting_in(other, "/queue/q") == ["of the cell"]


@pytest.mark.parametrize("kind", ["commit", "abort", "send"])
def test_a_transaction_is_lost_with_its_connection_and_that_is_said_once(broker, kind):
    with StompSession(broker.address, reconnect=SOON) as session:
        desk = Desk(Subject(session, ()))
        id = desk.result("begin")["id"]
        desk.send("a", transaction=True)
        broker.drop()
        until(lambda: session.reconnects == 1 and session.connected)
        assert desk.actions.transaction is None
        args = sending("a", transaction=True) if kind == "send" else {}
        assert "was lost with its connection" in desk.error(kind, **args)
        assert desk.error(kind, **args) == "no transaction is open"
        assert texts(session, "transaction")[1] == f"{id} lost with its connection, 1 frame"
        desk.result("begin")


def test_a_transaction_that_was_lost_is_in_nobodys_way(desk, session):
    desk.result("begin")
    session.disconnect()
    session.connect()
    assert desk.result("begin")["id"]
    assert desk.result("abort") == {"frames": 0}


def test_a_commit_that_is_not_confirmed_is_an_error(silent, monkeypatch):
    monkeypatch.setattr(actions, "RECEIPT_LIMIT", 0.2)
    session = StompSession(silent.address).connect()
    desk = Desk(Subject(session, ()))
    desk.result("begin")
    assert "has not confirmed the COMMIT within 0.2 s" in desk.error("commit")
    assert desk.actions.transaction is None
    session.client.disconnect(timeout=0)
    session.disconnect()


# -- the end -------------------------------------------------------------------------------------


def test_who_is_closed_answers_nothing_more_also_what_is_at_work(silent, monkeypatch):
    monkeypatch.setattr(actions, "RECEIPT_LIMIT", 0.2)
    session = StompSession(silent.address).connect()
    desk = Desk(Subject(session, ()))
    desk.ask("send", **sending("a", receipt="never"))
    until(lambda: "SEND" in [frame.Command for frame in silent.received])
    desk.actions.close()
    desk.actions.close()
    desk.ask("hello")
    until(lambda: texts(session, "receipt"))
    until(lambda: not at_work())
    assert desk.answers == []
    session.client.disconnect(timeout=0)
    session.disconnect()


def test_a_transaction_of_who_is_closed_is_aborted(desk, session, other):
    id = desk.result("begin")["id"]
    desk.send("a", transaction=True)
    desk.actions.close()
    until(lambda: texts(session, "transaction")[-1] == f"{id} aborted, 1 frame")
    session.send("/queue/q", "b", receipt=True).wait(5)
    assert waiting_in(other, "/queue/q") == ["b"]


def test_what_waited_for_its_turn_is_not_done_when_it_is_closed(desk, session, other, monkeypatch):
    gate, entered, send = threading.Event(), threading.Event(), session.send

    def wait(*args: Any, **kwargs: Any) -> Any:
        entered.set()
        assert gate.wait(5)
        return send(*args, **kwargs)

    monkeypatch.setattr(session, "send", wait)
    for body in "abc":
        desk.ask("send", **sending(body))
    assert entered.wait(5)
    desk.actions.close()
    gate.set()
    until(lambda: not at_work())
    monkeypatch.undo()
    session.send("/queue/q", "last", receipt=True).wait(5)
    assert waiting_in(other, "/queue/q") == ["a", "last"]


# -- secrets -------------------------------------------------------------------------------------


def test_a_passcode_is_in_no_answer_and_in_no_entry(caplog):
    caplog.set_level(logging.DEBUG)
    with Broker(logins={"me": SECRET}) as guarded:
        session = StompSession(guarded.address, login="me", passcode=SECRET).connect()
        desk = Desk(Subject(session, ()))
        stream = session.subscribe("/queue/q")
        desk.send("a", headers=[["passcode", SECRET]])
        stream.wait(1, 5)
        desk.result("rows", stream=stream.id, first=0, count=1)
        frame = desk.result("frame", stream=stream.id, number=0, offset=0)
        assert ["passcode", "***"] in frame["headers"]
        session.client.send("SEND", body=SECRET)  # without a destination
        until(lambda: texts(session, "error"))
        desk.result("disconnect")
        guarded.stop()
        desk.error("connect")
    assert SECRET not in repr(desk.answers) + repr(session.journal) + caplog.text


def test_a_passcode_that_a_broker_repeats_is_masked_in_the_journal():
    def repeat(link: Link) -> None:
        link.accept()
        link.send(raw("ERROR", f"message:bad {SECRET}", body=f"passcode was {SECRET}".encode()))
        link.serve()

    with desk_of(repeat, login="me", passcode=SECRET) as (_, session):
        (said,) = until(lambda: texts(session, "error"))
        assert said == "bad ***\n\npasscode was ***"
    assert SECRET not in repr(session.journal)

"""Inlet: where the messages of a subscription go, and who acknowledges them. No sockets."""

from typing import Any

import pytest

from stompy import AckMode, STOMPClosed, STOMPError, STOMPFrame
from stompy_jupyter import FrameTable
from stompy_jupyter.callbacks import Callback
from stompy_jupyter.inlet import Inlet


class FakeClient:
    """Notes what it is to acknowledge, without a warning where that cannot be said any more.

    A frame in `lost` came by a connection that is gone.
    """

    version = "1.2"

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []
        self.transactions: list[object] = []
        self.lost: list[STOMPFrame] = []
        self.broken = False

    def answerable(self, frame: STOMPFrame) -> bool:
        return frame not in self.lost

    def ack(self, frame: STOMPFrame, transaction: object = None, *, warn: bool) -> None:
        self._say("ACK", frame, transaction, warn)

    def nack(self, frame: STOMPFrame, transaction: object = None, *, warn: bool) -> None:
        self._say("NACK", frame, transaction, warn)

    def _say(self, command: str, frame: STOMPFrame, transaction: object, warn: bool) -> None:
        assert not warn
        if self.broken:
            raise STOMPClosed("the connection broke")
        self.said.append((command, frame.text))
        self.transactions.append(transaction)


def inlet_of(mode: str = "client-individual", send_acks: bool = False) -> Any:
    return Inlet(FakeClient(), FrameTable(), "/queue/q", AckMode(mode), send_acks)


def take(inlet: Inlet, *bodies: str) -> list[STOMPFrame]:
    frames = [STOMPFrame("MESSAGE", {"destination": "/queue/q"}, body) for body in bodies]
    for frame in frames:
        inlet.take(frame, 0, inlet.callback_acks)
    return frames


# -- taking ----------------------------------------------------------------------------------


def test_what_it_takes_is_in_the_table_and_numbered_from_0():
    inlet = inlet_of("auto")
    assert [inlet.take(STOMPFrame("MESSAGE", {}, body), 0) for body in "ab"] == [0, 1]
    assert inlet.table.df["body"].tolist() == ["a", "b"]


@pytest.mark.parametrize("mode", ["client", "client-individual"])
def test_it_acknowledges_what_it_has_filed_in_the_client_modes(mode):
    inlet = inlet_of(mode, send_acks=True)
    take(inlet, "a", "b")
    assert inlet._client.said == [("ACK", "a"), ("ACK", "b")]
    assert inlet.unanswered == []


def test_in_the_mode_auto_nothing_is_acknowledged_and_nothing_waits_for_it():
    inlet = inlet_of("auto", send_acks=True)
    take(inlet, "a")
    assert (inlet._client.said, inlet.unanswered) == ([], [])


def test_an_acknowledgement_that_breaks_off_does_no_harm_the_broker_sends_it_again():
    inlet = inlet_of(send_acks=True)
    inlet._client.broken = True
    take(inlet, "a")
    assert len(inlet.table) == 1


def test_a_frame_of_a_connection_that_is_gone_is_filed_and_not_acknowledged():
    inlet = inlet_of(send_acks=True)
    frame = STOMPFrame("MESSAGE", {}, "a")
    inlet._client.lost.append(frame)
    assert inlet.take(frame, 0) == 0
    assert inlet._client.said == []


# -- answering -------------------------------------------------------------------------------


def test_without_send_acks_frames_wait_for_an_answer():
    inlet = inlet_of()
    take(inlet, "a", "b", "c")
    inlet.answer("ACK", 1)
    inlet.answer("NACK", 0)
    assert inlet._client.said == [("ACK", "b"), ("NACK", "a")]
    assert inlet.unanswered == [2]


@pytest.mark.parametrize("command", ["ACK", "NACK"])
def test_an_answer_in_the_mode_client_covers_what_came_before(command):
    inlet = inlet_of("client")
    take(inlet, "a", "b", "c")
    inlet.answer(command, 1)
    assert inlet._client.said == [(command, "b")]
    assert inlet.unanswered == [2]


def test_an_answer_can_be_taken_back_in_order():
    inlet = inlet_of("client")
    take(inlet, "a", "b", "c")
    take_back = inlet.answer("ACK", 1)
    assert inlet.unanswered == [2]
    take_back()
    assert inlet.unanswered == [0, 1, 2]


def test_an_answer_is_not_taken_back_for_what_was_forgotten_meanwhile():
    inlet = inlet_of()
    take(inlet, "a")
    take_back = inlet.answer("ACK", 0)
    inlet.forget()
    take_back()
    assert inlet.unanswered == []


@pytest.mark.parametrize("number", [1, -1])
def test_a_frame_that_does_not_wait_is_not_answered(number):
    inlet = inlet_of()
    take(inlet, "a")
    with pytest.raises(STOMPError, match="does not wait for an answer"):
        inlet.answer("ACK", number)
    assert (inlet._client.said, inlet.unanswered) == ([], [0])


def test_a_frame_is_answered_once():
    inlet = inlet_of()
    take(inlet, "a")
    inlet.answer("NACK", 0)
    with pytest.raises(STOMPError, match="frame 0 of /queue/q"):
        inlet.answer("ACK", 0)


def test_an_answer_may_be_part_of_a_transaction():
    inlet = inlet_of()
    take(inlet, "a")
    transaction = object()
    inlet.answer("ACK", 0, transaction)
    assert inlet._client.transactions == [transaction]


def test_what_came_by_a_lost_connection_does_not_wait_any_more():
    inlet = inlet_of()
    first, _ = take(inlet, "a", "b")
    inlet._client.lost.append(first)
    assert inlet.unanswered == [1]
    inlet.forget(lost_only=True)
    with pytest.raises(STOMPError, match="does not wait"):
        inlet.answer("ACK", 0)
    inlet.answer("ACK", 1)


def test_all_that_waits_can_be_forgotten():
    inlet = inlet_of()
    take(inlet, "a", "b")
    inlet.forget()
    assert inlet.unanswered == []


# -- settling for a callback -----------------------------------------------------------------


def with_callback(version: str = "1.2") -> Any:
    inlet = inlet_of(send_acks=True)
    inlet._client.version = version
    inlet.callbacks = (Callback(print, acks=True),)
    take(inlet, "a")
    return inlet


def test_a_callback_that_acknowledges_takes_the_place_of_whoever_files():
    inlet = with_callback()
    assert (inlet._client.said, inlet.unanswered) == ([], [0])


@pytest.mark.parametrize(("good", "command"), [(True, "ACK"), (False, "NACK")])
def test_a_good_return_acknowledges_and_a_bad_one_refuses(good, command):
    inlet = with_callback()
    inlet.settle(0, good)
    assert (inlet._client.said, inlet.unanswered) == ([(command, "a")], [])


def test_stomp_1_0_cannot_refuse_and_so_the_frame_stays_unacknowledged():
    inlet = with_callback(version="1.0")
    inlet.settle(0, False)
    assert (inlet._client.said, inlet.unanswered) == ([], [0])


def test_a_callback_may_have_answered_by_itself():
    inlet = with_callback()
    inlet.answer("NACK", 0)
    inlet.settle(0, True)
    assert inlet._client.said == [("NACK", "a")]


def test_in_the_mode_client_of_stomp_1_0_no_later_ack_covers_what_failed():
    inlet = inlet_of("client", send_acks=True)
    inlet._client.version = "1.0"
    inlet.callbacks = (Callback(print, acks=True),)
    take(inlet, "a", "b", "c")
    for number, good in enumerate([True, False, True]):
        inlet.settle(number, good)
    assert (inlet._client.said, inlet.unanswered) == ([("ACK", "a")], [1, 2])
    inlet.forget()  # as when the connection is lost: they come again
    take(inlet, "b")
    inlet.settle(3, True)
    assert inlet._client.said == [("ACK", "a"), ("ACK", "b")]


def test_a_settlement_that_breaks_off_does_no_harm():
    inlet = with_callback()
    inlet._client.broken = True
    inlet.settle(0, True)
    assert inlet.unanswered == []

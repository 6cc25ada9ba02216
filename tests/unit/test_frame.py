"""A frame as a value."""

import copy
import pickle
from collections.abc import Callable

import pytest

from stompy import Receipt
from stompy.errors import STOMPBodyError, STOMPProtocolError
from stompy.frame import AckMode, STOMPFrame, charset_of, fields_of
from tests.unit.peer import TIMEOUT, delivers, session


def with_body(body: bytes, content_type: str | None = None) -> STOMPFrame:
    return STOMPFrame("MESSAGE", {"content-type": content_type} if content_type else {}, body)


def test_a_frame_is_a_command_headers_and_a_body() -> None:
    frame = STOMPFrame("MESSAGE", {"destination": "/queue/Q"}, b"hello")
    assert (frame.Command, frame.Headers, frame.Body) == (
        "MESSAGE",
        {"destination": "/queue/Q"},
        b"hello",
    )


def test_a_frame_needs_neither_headers_nor_a_body() -> None:
    frame = STOMPFrame("RECEIPT")
    assert (frame.Headers, frame.Body, frame.text) == ({}, b"", "")


def test_the_body_is_bytes_also_when_text_was_given() -> None:
    assert STOMPFrame("MESSAGE", body="é").Body == "é".encode()


def test_headers_is_a_copy() -> None:
    frame = STOMPFrame("MESSAGE", {"a": "1"})
    frame.headers()["a"] = "2"
    assert frame["a"] == "1"


def test_a_frame_does_not_share_the_dict_it_was_made_from() -> None:
    headers = {"a": "1"}
    STOMPFrame("MESSAGE", headers).Headers["a"] = "2"
    assert headers == {"a": "1"}


def test_a_header_is_found_by_its_name() -> None:
    frame = STOMPFrame("MESSAGE", {"destination": "/queue/Q", "Destination": "other"})
    assert frame["destination"] == frame.destination == frame.get("destination") == "/queue/Q"
    assert "destination" in frame


def test_a_header_that_is_absent_is_a_key_error_or_the_default() -> None:
    frame = STOMPFrame("MESSAGE")
    assert "priority" not in frame
    assert frame.get("priority") is None
    assert frame.get("priority", "4") == "4"
    with pytest.raises(KeyError, match="priority"):
        frame["priority"]
    with pytest.raises(KeyError, match="destination"):
        frame.destination  # noqa: B018


def test_a_frame_cannot_be_iterated() -> None:
    with pytest.raises(TypeError, match="not iterable"):
        iter(STOMPFrame("MESSAGE", {"a": "1"}))


@pytest.mark.parametrize(
    ("content_type", "charset"),
    [
        ("", "utf-8"),
        ("application/json", "utf-8"),
        ("text/plain;charset=latin-1", "latin-1"),
        ("text/plain; format=flowed; Charset = UTF-16 ", "utf-16"),
        ('text/plain;charset="ascii"', "ascii"),
        ("text/plain;charset=", "utf-8"),
        ("text/charset=latin-1", "utf-8"),
    ],
)
def test_the_charset_is_that_of_the_content_type_else_utf8(content_type: str, charset: str) -> None:
    assert charset_of(content_type) == charset


def test_text_is_decoded_by_the_charset_of_the_content_type() -> None:
    assert with_body(b"\xe9", "text/plain;charset=iso-8859-1").text == "é"
    assert with_body("é€".encode()).text == "é€"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"\xff", None),
        (b"\xff", "text/plain;charset=ascii"),
        (b"x", "text/plain;charset=no-such"),
        (b"00", "text/plain;charset=hex"),
        (b"x", "text/plain;charset=undefined"),
        (b"x", "text/plain;charset=a\0b"),
    ],
)
def test_a_body_that_is_not_the_text_it_claims_to_be_is_a_body_error(
    body: bytes, content_type: str | None
) -> None:
    with pytest.raises(STOMPBodyError):
        with_body(body, content_type).text  # noqa: B018


def test_json_is_the_body_read_as_json() -> None:
    assert with_body(b'{"price": 3}').json == {"price": 3}
    assert with_body('"é"'.encode("latin-1"), "application/json;charset=latin-1").json == "é"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff", b"1" * 5000, b"[" * 100_000],
    ids=["empty", "cut off", "no text", "a number too long", "too deep"],
)
def test_a_body_that_is_no_json_is_a_body_error(body: bytes) -> None:
    with pytest.raises(STOMPBodyError):
        with_body(body).json  # noqa: B018


def test_frames_are_equal_when_all_their_parts_are() -> None:
    frame = STOMPFrame("MESSAGE", {"a": "1"}, b"x")
    assert frame == STOMPFrame("MESSAGE", {"a": "1"}, b"x")
    assert frame != STOMPFrame("ERROR", {"a": "1"}, b"x")
    assert frame != STOMPFrame("MESSAGE", {"a": "2"}, b"x")
    assert frame != STOMPFrame("MESSAGE", {"a": "1"}, b"y")
    assert frame != "MESSAGE"


def test_a_frame_has_no_hash_because_it_may_change() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(STOMPFrame("MESSAGE"))


def test_a_frame_survives_the_way_to_another_process() -> None:
    frame = STOMPFrame("MESSAGE", {"a": "1"}, b"x")
    assert pickle.loads(pickle.dumps(frame)) == frame


def test_the_repr_shows_command_headers_and_body() -> None:
    shown = repr(STOMPFrame("MESSAGE", {"destination": "/queue/Q"}, b"hello"))
    assert all(part in shown for part in ("MESSAGE", "/queue/Q", "hello", "5 bytes"))


def test_the_repr_of_a_large_body_is_short_and_says_how_large_it_is() -> None:
    shown = repr(STOMPFrame("MESSAGE", body=b"x" * 100_000))
    assert len(shown) < 200
    assert "100000 bytes" in shown


def test_the_repr_hides_a_passcode() -> None:
    shown = repr(STOMPFrame("CONNECT", {"login": "me", "passcode": "s3cret"}))
    assert "s3cret" not in shown
    assert "me" in shown


def test_the_ack_modes_are_those_of_the_specification() -> None:
    assert [AckMode.Auto, AckMode.Client, AckMode.ClientInd] == [
        "auto",
        "client",
        "client-individual",
    ]
    assert AckMode("client-individual") is AckMode.ClientInd


@pytest.mark.parametrize("mode", ["AUTO", "individual", "", None])
def test_an_unknown_ack_mode_is_an_error_that_names_the_known_ones(mode: object) -> None:
    with pytest.raises(STOMPProtocolError, match="auto, client, client-individual"):
        AckMode(mode)


def test_a_received_frame_is_read_like_any_other() -> None:
    def received() -> STOMPFrame:
        return STOMPFrame.received("MESSAGE", {"a": 0, "destination": 1}, ("1", "/queue/Q"), b"x")

    frame = received()
    assert (frame["a"], frame.destination, frame.get("a"), frame.get("c", "d")) == (
        "1",
        "/queue/Q",
        "1",
        "d",
    )
    assert "a" in frame
    assert "c" not in frame
    with pytest.raises(KeyError):
        frame["c"]
    assert received().Headers == {"a": "1", "destination": "/queue/Q"}
    assert received() == STOMPFrame("MESSAGE", {"a": "1", "destination": "/queue/Q"}, b"x")
    assert repr(received()) == repr(STOMPFrame("MESSAGE", received().Headers, b"x"))


def test_the_headers_of_a_received_frame_are_its_own() -> None:
    places = {"a": 0}
    frame, other = (STOMPFrame.received("MESSAGE", places, ("1",), b"") for _ in range(2))
    frame.Headers["a"] = "2"
    frame.Headers["b"] = "3"
    assert (frame["a"], frame["b"], "b" in frame, frame.get("b")) == ("2", "3", True, "3")
    frame.Headers = {"c": "4"}
    assert (frame["c"], "a" in frame) == ("4", False)
    assert other.headers() == {"a": "1"}


@pytest.mark.parametrize("read_before", [False, True])
@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda frame: pickle.loads(pickle.dumps(frame))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_a_received_frame_can_be_copied_and_sent_to_another_process(
    duplicate: Callable[[STOMPFrame], STOMPFrame], read_before: bool
) -> None:
    with session(delivers(b"body")) as (client, _):
        client.subscribe("/queue/Q", ack_mode="client-individual", send_acks=False)
        frame = client.recv(TIMEOUT)
        assert frame is not None
        if read_before:
            assert frame.Headers["ack"] == "ack1"
        assert duplicate(frame) == frame
        assert type(duplicate(frame)["ack"]) is str
        client.ack(duplicate(frame))  # it says all that is needed for that


def test_a_frame_gives_the_receipt_of_its_ack() -> None:
    with session(delivers(b"x")) as (client, _):
        client.subscribe("/queue/Q", "client-individual", send_acks=False)
        frame = client.recv(TIMEOUT)
        assert frame is not None
        receipt = frame.ack(receipt=True)  # type: ignore[func-returns-value]
        assert isinstance(receipt, Receipt)


def test_fields_are_the_headers_and_make_none() -> None:
    places = {"destination": 0, "priority": 1}
    frame = STOMPFrame.received("MESSAGE", places, ("/queue/Q", "4"), b"")
    assert frame.fields == (places, ("/queue/Q", "4"))
    assert frame.fields[0] is places
    frame.Headers["priority"] = "9"
    assert frame.fields == (places, ["/queue/Q", "9"])


def test_the_fields_of_many_frames_are_those_of_each() -> None:
    received = STOMPFrame.received("MESSAGE", {"a": 0}, ("1",), b"")
    asked = STOMPFrame.received("MESSAGE", {"a": 0}, ("2",), b"")
    asked.Headers["b"] = "3"
    for frames in ([], [received], [received, asked], [STOMPFrame("MESSAGE", {"c": "4"}), asked]):
        shapes, values = fields_of(frames)
        assert list(zip(shapes, values, strict=True)) == [frame.fields for frame in frames]

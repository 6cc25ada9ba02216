"""Captures: what is written is read again, whatever it is; what is damaged says where."""

import gzip
import json
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import stompy
from stompy import STOMPFrame, STOMPProtocolError, TracedFrame, wire
from stompy.broker import Broker
from stompy.capture import FIRST_LINE, Entry, read, record, save

MOMENT = 1_700_000_000_123_456_789


def price(number: int = 1, body: bytes | str = "42.5", **headers: str) -> STOMPFrame:
    """A message."""
    named = {"destination": "/topic/prices", "message-id": str(number), **headers}
    return STOMPFrame("MESSAGE", named, body)


def entries(count: int) -> list[Entry]:
    return [Entry(MOMENT + number, "in", price(number)) for number in range(count)]


def written(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


@pytest.fixture(params=["x.stompcap", "x.stompcap.gz"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Where a capture goes, as it is or compressed."""
    return tmp_path / str(request.param)


# -- writing and reading -------------------------------------------------------------------------


def test_what_is_recorded_is_read_again_with_its_times_and_directions(path: Path) -> None:
    subscribe = STOMPFrame("SUBSCRIBE", {"id": "1", "destination": "/topic/prices"})
    with record(path) as capture:
        capture.write(subscribe, MOMENT, "out")
        capture.write(price(body=b"\x00\xff\n", **{"content-length": "3"}), MOMENT + 1)
        assert capture.frames == 2
    reader = read(path)
    assert list(reader) == [
        Entry(MOMENT, "out", subscribe),
        Entry(MOMENT + 1, "in", price(body=b"\x00\xff\n", **{"content-length": "3"})),
    ]
    assert not reader.cut_off


def test_a_capture_can_be_read_by_a_person(tmp_path: Path) -> None:
    save(tmp_path / "x", [Entry(MOMENT, "in", price(7, subscription="1"))])
    assert (tmp_path / "x").read_text() == (
        "STOMPCAP 1\n"
        '{"time":1700000000123456789,"direction":"in","octets":68}\n'
        "MESSAGE\ndestination:/topic/prices\nmessage-id:7\nsubscription:1\n\n42.5\0\n"
    )


def test_a_frame_is_taken_to_come_now_if_no_time_is_named(tmp_path: Path) -> None:
    with record(tmp_path / "x") as capture:
        capture.write(price())
    (entry,) = read(tmp_path / "x")
    assert 0 < entry.time_ns - MOMENT < 10**19


def test_recording_goes_on_behind_what_is_there(path: Path) -> None:
    for number in range(3):
        with record(path) as capture:
            capture.write(price(number), MOMENT)
    assert [entry.frame["message-id"] for entry in read(path)] == ["0", "1", "2"]
    assert written(path).count(FIRST_LINE) == 1


def test_what_is_flushed_can_be_read_while_the_recording_goes_on(path: Path) -> None:
    with record(path) as capture:
        capture.write(price(1), MOMENT)
        capture.flush()
        assert [entry.frame["message-id"] for entry in read(path)] == ["1"]


def test_threads_may_write_at_once(path: Path) -> None:
    with record(path) as capture:

        def write() -> None:
            for number in range(200):
                capture.write(price(number))

        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sum(1 for _ in read(path)) == capture.frames == 800


def test_saving_replaces_a_file_or_leaves_it_as_it_was(path: Path) -> None:
    assert save(path, entries(2)) == 2
    before = path.read_bytes()
    with pytest.raises(STOMPProtocolError, match="no command"):
        save(path, [*entries(1), Entry(MOMENT, "in", STOMPFrame("no\ncommand"))])
    assert path.read_bytes() == before
    assert save(path, entries(3)) == 3
    assert [entry.frame["message-id"] for entry in read(path)] == ["0", "1", "2"]
    assert os.listdir(path.parent) == [path.name]  # noqa: PTH208 - no part is left behind


def test_an_empty_capture_has_no_entries(path: Path) -> None:
    assert save(path, []) == 0
    reader = read(path)
    assert (list(reader), reader.cut_off) == ([], False)


def test_a_body_with_a_nul_gets_a_content_length_and_a_wrong_one_is_corrected(path: Path) -> None:
    wrong = price(body=b"abc", **{"content-length": "2"})
    save(path, [Entry(MOMENT, "in", price(body=b"a\0c")), Entry(MOMENT, "in", wrong)])
    frames = [entry.frame for entry in read(path)]
    assert [frame.Body for frame in frames] == [b"a\0c", b"abc"]
    assert [frame["content-length"] for frame in frames] == ["3", "3"]


def test_what_cannot_be_written_is_refused_and_the_capture_goes_on(path: Path) -> None:
    with record(path) as capture:
        for bad in (STOMPFrame("CONNECT", {"a": "b\nc"}), price(a="\udcff"), STOMPFrame("")):
            with pytest.raises(STOMPProtocolError):
                capture.write(bad)
        with pytest.raises(ValueError, match="no time"):
            capture.write(price(), -1)
        with pytest.raises(ValueError, match="no direction"):
            capture.write(price(), MOMENT, "up")  # type: ignore[arg-type]
        capture.write(price(), MOMENT)
    assert [entry.frame for entry in read(path)] == [price()]


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NAMES = TEXT.filter(lambda name: name and name.lower() not in ("passcode", "content-length"))
FRAMES = st.builds(
    STOMPFrame,
    st.sampled_from(["MESSAGE", "SEND", "RECEIPT", "ERROR"]),
    st.dictionaries(NAMES, TEXT, max_size=6),
    st.binary().filter(lambda body: b"passcode" not in body.lower()),
)


@given(
    st.lists(
        st.builds(Entry, st.integers(0, 2**63 - 1), st.sampled_from(["in", "out"]), FRAMES),
        max_size=5,
    ),
    st.sampled_from(["x", "x.gz"]),
)
def test_any_frames_come_back_equal(given: list[Entry], name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        save(path, given)
        found = list(read(path))
    for entry in found:
        if b"\0" in entry.frame.Body:
            assert entry.frame.Headers.pop("content-length") == str(len(entry.frame.Body))
    assert found == given


# -- secrets -------------------------------------------------------------------------------------


def test_passcodes_are_masked(path: Path) -> None:
    error = STOMPFrame("ERROR", {"message": "no"}, b"CONNECT\nlogin:me\npasscode: hunter2\n\n")
    with record(path) as capture:
        capture.write(STOMPFrame("CONNECT", {"login": "me", "passcode": "hunter2"}))
        capture.write(price(Passcode="hunter2"))
        capture.write(error)
    assert b"hunter2" not in written(path)
    frames = [entry.frame for entry in read(path)]
    assert [frames[0]["passcode"], frames[1]["Passcode"]] == ["***", "***"]
    assert frames[2].text == "CONNECT\nlogin:me\npasscode:***\n\n"


def test_a_trace_captures_both_directions_and_no_passcode(path: Path, broker: Broker) -> None:
    with record(path) as capture:
        arguments: dict[str, Any] = {"login": "me", "passcode": "hunter2", "trace": capture.trace}
        with stompy.connect(broker.address, **arguments) as client:
            client.subscribe("/topic/prices")
            client.message("/topic/prices", "a:b", note="a:b\\")
            assert (message := client.recv(timeout=5)) is not None
        assert [e.frame for e in read(path) if e.frame.Command == "MESSAGE"] == [message]
    assert b"hunter2" not in written(path)
    found = [(entry.direction, entry.frame.Command) for entry in read(path)]
    assert found == [
        ("out", "CONNECT"),
        ("in", "CONNECTED"),
        ("out", "SUBSCRIBE"),
        ("out", "SEND"),
        ("in", "MESSAGE"),
        ("out", "DISCONNECT"),
        ("in", "RECEIPT"),
    ]


def test_heart_beats_and_what_passes_after_the_end_are_not_captured(path: Path) -> None:
    beat = TracedFrame(1.5, False, b"\n", "1.2")
    frame = TracedFrame(1.5, True, wire.encode("BEGIN", {"transaction": "a:b"}, b"", "1.0"), "1.0")
    with record(path) as capture:
        capture.trace(beat)
        capture.trace(frame)
    capture.trace(frame)
    begin = STOMPFrame("BEGIN", {"transaction": "a:b"})
    assert list(read(path)) == [Entry(1_500_000_000, "out", begin)]


# -- cut off -------------------------------------------------------------------------------------


def test_a_capture_that_is_cut_off_anywhere_gives_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x"
    save(path, entries(3))
    whole = path.read_bytes()
    ends = [len(FIRST_LINE)]
    for _ in range(3):
        ends.append(whole.index(b"\0\n", ends[-1]) + 2)
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        reader = read(path)
        found = list(reader)
        assert found == entries(sum(end <= size for end in ends) - 1 if size >= ends[0] else 0)
        assert reader.cut_off == (size not in ends)


def test_a_compressed_one_that_is_cut_off_gives_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    with record(path) as capture:
        for entry in entries(20):
            capture.write(entry.frame, entry.time_ns)
            capture.flush()
    whole = path.read_bytes()
    counts = []
    for size in range(2, len(whole)):
        path.write_bytes(whole[:size])
        reader = read(path)
        found = list(reader)
        assert found == entries(len(found))
        assert reader.cut_off
        counts.append(len(found))
    assert counts == sorted(counts)
    assert counts[-1] == 20


@pytest.mark.parametrize("size", [1, 11, 30, 100, 200])
def test_recording_goes_on_behind_what_is_whole(tmp_path: Path, size: int) -> None:
    path = tmp_path / "x"
    save(path, entries(3))
    path.write_bytes(path.read_bytes()[:size])
    whole = list(read(path))
    with record(path) as capture:
        capture.write(price(9), MOMENT)
    reader = read(path)
    assert list(reader) == [*whole, Entry(MOMENT, "in", price(9))]
    assert not reader.cut_off


def test_nothing_is_appended_to_a_compressed_one_that_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    save(path, entries(3))
    path.write_bytes(before := path.read_bytes()[:-10])
    with pytest.raises(STOMPProtocolError, match="was cut off: nothing can be appended"):
        record(path)
    assert path.read_bytes() == before


# -- hostile files -------------------------------------------------------------------------------

GOOD = b'{"time":1,"direction":"in","octets":10}\nMESSAGE\n\n\0\n'
BAD = {
    b"no JSON\n": "a line of JSON",
    b"[1]\n": "a line of JSON",
    b"[" * 990 + b"\n": "a line of JSON",
    b'{"time":1e99999,"direction":"in","octets":1}\n': "no time",
    b'{"time":true,"direction":"in","octets":1}\n': "no time",
    b'{"time":-1,"direction":"in","octets":1}\n': "no time",
    b'{"time":9223372036854775808,"direction":"in","octets":1}\n': "no time",
    b'{"direction":"in","octets":1}\n': "no time",
    b'{"time":1,"direction":"<","octets":1}\n': "no direction",
    b'{"time":1,"direction":["in"],"octets":1}\n': "no direction",
    b'{"time":1,"direction":"in","octets":-1}\n': "no number of octets",
    b'{"time":1,"direction":"in","octets":"1"}\n': "no number of octets",
    b'{"time":1,"direction":"in","octets":99999999999999}\n': "no number of octets up to",
    b"x" * 2000: "a line of more than 1000",
    b'{"time":1,"direction":"in","octets":10}\nMESSAGE\n\n\0x': "no line feed behind",
    b'{"time":1,"direction":"in","octets":9}\nMESSAGE\n\n\n': "not one frame",
    b'{"time":1,"direction":"in","octets":1}\n\n\n': "not one frame",
    b'{"time":1,"direction":"in","octets":20}\n' + 2 * b"MESSAGE\n\n\0" + b"\n": "not one frame",
    b'{"time":1,"direction":"in","octets":14}\nMESSAGE\n\\q:\n\n\0\n': "undefined escape",
    b'{"time":1,"direction":"in","octets":13}\nMESSAGE\n\xff:\n\n\0\n': "no UTF-8",
}


@pytest.mark.parametrize(("bad", "why"), BAD.items())
def test_a_damaged_capture_gives_what_is_before_and_says_where_it_is(
    path: Path, bad: bytes, why: str
) -> None:
    octets = FIRST_LINE + GOOD + bad + GOOD
    path.write_bytes(gzip.compress(octets) if path.suffix == ".gz" else octets)
    reader = read(path)
    assert next(reader).frame.Command == "MESSAGE"
    place = len(FIRST_LINE + GOOD)
    with pytest.raises(STOMPProtocolError, match=f"frame 2, behind octet {place}: .*{why}"):
        next(reader)
    assert list(reader) == []


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"PK\x03\x04", "no capture of STOMP frames"),
        (b"STOMPCAP 1 \n", "of version '1', not of 1"),
        (b"STOMPCAP 2\n", "of version '2', not of 1"),
        (b"\n", "no capture of STOMP frames"),
        (b"x" * 100_000, "no capture of STOMP frames"),
        (b"\x1f\x8bnonsense", "the file is damaged"),
        (gzip.compress(b"other", mtime=0), "no capture of STOMP frames"),
    ],
)
def test_a_file_that_is_no_capture_is_neither_read_nor_written(
    path: Path, octets: bytes, why: str
) -> None:
    path.write_bytes(octets)
    for use in (read, record):
        with pytest.raises(STOMPProtocolError, match=why):
            use(path)
    assert path.read_bytes() == octets


def test_a_compressed_file_with_a_wrong_checksum_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    save(path, entries(2))
    octets = bytearray(path.read_bytes())
    octets[-8] ^= 1
    path.write_bytes(octets)
    reader = read(path)
    assert [next(reader), next(reader)] == entries(2)
    with pytest.raises(STOMPProtocolError, match=r"frame 3, .* the file is damaged"):
        next(reader)


def test_limits_are_those_of_a_client(path: Path) -> None:
    save(path, [Entry(MOMENT, "in", price(body="x" * 5000))])
    assert len(next(read(path)).frame.Body) == 5000
    with pytest.raises(STOMPProtocolError, match="longer than 100 octets"):
        next(read(path, max_body=100))


def test_what_expands_without_end_is_read_no_further_than_a_frame_may_be(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    head = b'{"time":1,"direction":"in","octets":300000000}\nMESSAGE\n\n'
    path.write_bytes(gzip.compress(FIRST_LINE + head + bytes(1_000_000)))
    with pytest.raises(STOMPProtocolError, match="no number of octets up to"):
        next(read(path))


def test_names_that_are_not_known_are_passed_over(tmp_path: Path) -> None:
    head = {"time": 1, "direction": "in", "octets": 10, "broker": "a"}
    (tmp_path / "x").write_bytes(FIRST_LINE + json.dumps(head).encode() + b"\nMESSAGE\n\n\0\n")
    assert list(read(tmp_path / "x")) == [Entry(1, "in", STOMPFrame("MESSAGE"))]


# -- files ---------------------------------------------------------------------------------------


def test_a_file_that_is_not_there_is_the_operating_systems_error(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(path)
    with pytest.raises(FileNotFoundError):
        record(path / "x")


def test_a_reader_that_is_closed_has_no_more_entries(path: Path) -> None:
    save(path, entries(2))
    with read(path) as reader:
        next(reader)
    assert list(reader) == []
    assert next(read(path)) == entries(1)[0]  # one that is forgotten warns of no open file

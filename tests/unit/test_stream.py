"""FrameStream: one subscription and what it has received."""

import pandas as pd
import pyarrow as pa
import pytest

from stompy import AckMode, STOMPClosed, STOMPError, STOMPFrame, STOMPTimeout
from stompy_jupyter import FrameStream, FrameTable


class FakeSession:
    def __init__(self) -> None:
        self.unsubscribed: list[FrameStream] = []

    def unsubscribe(self, stream: FrameStream) -> None:
        self.unsubscribed.append(stream)


def stream_of(*bodies: bytes | str, destination: str = "/topic/t", **bounds: int) -> FrameStream:
    table = FrameTable(**bounds)
    for body in bodies:
        table.append(STOMPFrame("MESSAGE", {"destination": destination}, body))
    return FrameStream(FakeSession(), "t", destination, AckMode.Auto, table)


def test_a_stream_has_the_rows_and_the_numbers_of_its_table():
    stream = stream_of("a", "b", "c", max_rows=2)
    assert stream.df["body"].tolist() == ["b", "c"]
    assert (len(stream), stream.received, stream.dropped) == (2, 3, 1)


def test_a_stream_is_live_until_it_ends_and_then_says_why():
    stream = stream_of()
    assert (stream.live, stream.error) == (True, None)
    reason = STOMPError("the broker went away")
    stream.table.end(reason)
    assert (stream.live, stream.error) == (False, reason)


def test_wait_waits_for_one_frame_unless_told_otherwise():
    stream = stream_of("a")
    assert stream.wait() == 1
    with pytest.raises(STOMPTimeout, match="1 of 2"):
        stream.wait(2, timeout=0.01)
    stream.table.end()
    with pytest.raises(STOMPClosed, match="1 of 2"):
        stream.wait(2)


def test_unsubscribe_is_the_sessions_matter():
    stream = stream_of()
    stream.unsubscribe()
    assert stream.session.unsubscribed == [stream]


def test_the_text_of_a_stream_is_one_line_of_numbers():
    stream = stream_of(*["a"] * 1234, max_rows=1000)
    assert repr(stream) == "<FrameStream /topic/t: 1,234 frames, 234 dropped, live>"
    stream.table.end(STOMPError("it broke"))
    assert repr(stream) == "<FrameStream /topic/t: 1,234 frames, 234 dropped, ended, it broke>"


def test_the_text_of_a_stream_shows_a_hostile_destination_as_text():
    assert "\\x1b[31m\\n\\u202e" in repr(stream_of(destination="/topic/\x1b[31m\n\u202e"))


def test_the_html_of_a_stream_shows_its_newest_frames_escaped():
    stream = stream_of("first", *["x"] * 9, "<script>\x1b", destination="/topic/<b>")
    html = stream._repr_html_()
    assert "&lt;script&gt;\\x1b" in html
    assert "/topic/&lt;b&gt;: 11 frames, live" in html
    assert "<script>" not in html
    assert "first" not in html
    assert html.count("<tr>") == 11


def test_text_is_shown_as_text_though_another_body_is_none():
    html = stream_of("grün", b"\xff\x00")._repr_html_()
    assert "<td>grün</td>" in html
    assert "<td>b&#x27;\\xff\\x00&#x27;</td>" in html


def test_pyarrow_and_pandas_read_a_stream_directly():
    stream = stream_of("a", "b", "c", max_rows=2)
    assert pa.table(stream)["body"].to_pylist() == ["b", "c"]
    assert pd.DataFrame.from_arrow(stream)["body"].tolist() == ["b", "c"]
    assert pa.RecordBatchReader.from_stream(stream).read_all() == stream.table.arrow()


def test_a_stream_without_frames_is_read_as_an_empty_table():
    assert pa.table(stream_of()).num_rows == 0

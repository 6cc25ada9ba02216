"""Keeping: a stream becomes a dataset, and is acknowledged when it is on disk."""

import errno
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import duckdb
import pytest
from IPython.core.error import UsageError

import stompy
from stompy import AckMode, STOMPError
from stompy_jupyter import StompSession, backlog, keep
from stompy_jupyter.amounts import Rotation
from stompy_jupyter.dataset import OPEN
from stompy_jupyter.keep import Keeper, recover
from stompy_jupyter.openfile import OpenFile
from tests.unit.keeping import ARRIVAL, HOUR, bodies_of, left_open, message, open_file, rows_of
from tests.unit.sessions import SOON, settled, waiting_in
from tests.unit.shells import run, shown_error
from tests.unit.waiting import until

MODES = ["client", "client-individual"]


class Disk:
    """Stands between keepers and their open files: it can be slow, or full."""

    def __init__(self, monkeypatch):
        self.writes = 0
        self._ready = threading.Event()
        self._ready.set()
        self._full = False
        write = OpenFile.write

        def through(file, batch, octets):
            self.writes += 1
            assert self._ready.wait(10)
            if self._full:
                raise OSError(errno.ENOSPC, "No space left on device")
            write(file, batch, octets)

        monkeypatch.setattr(OpenFile, "write", through)

    def stop(self):
        self._ready.clear()

    def go_on(self):
        self._ready.set()

    def fill(self):
        self._full = True


@pytest.fixture
def disk(monkeypatch):
    disk = Disk(monkeypatch)
    yield disk
    disk.go_on()


def send(client, *bodies, queue="/queue/q", **headers):
    for body in bodies:
        client.message(queue, body, **headers)


def numbers(count):
    return [str(number) for number in range(count)]


def unacknowledged(broker, queue="/queue/q"):
    found = {row["destination"]: row for row in broker.destinations()}
    return found[queue]["unacknowledged"] if queue in found else 0


def kinds(session):
    return [(entry.kind, entry.text) for entry in session.journal]


# -- what is kept ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["auto", *MODES])
def test_all_that_a_stream_has_received_is_in_the_dataset_when_it_ends(
    session, other, broker, tmp_path, mode
):
    stream = session.subscribe("/queue/q", ack_mode=mode, keep=tmp_path)
    send(other, *numbers(100), colour="red")
    stream.wait(100)
    stream.unsubscribe()
    rows = rows_of(tmp_path)
    assert [row["body"] for row in rows] == numbers(100)
    assert {row["colour"] for row in rows} == {"red"}
    assert left_open(tmp_path) == []
    assert unacknowledged(broker) == 0
    kept = stream.kept
    assert (kept.directory, kept.rows, kept.files, kept.open_rows) == (tmp_path, 100, 1, 0)
    assert kept.bytes == sum(path.stat().st_size for path in tmp_path.glob("*/*/*.parquet"))
    assert stream.stats["on_disk"] == 100


@pytest.mark.parametrize("mode", ["auto", *MODES])
def test_a_goodbye_keeps_what_has_come(nothing_left, broker, other, tmp_path, mode):
    with StompSession(broker.address) as session:
        stream = session.subscribe("/queue/q", ack_mode=mode, keep=tmp_path)
        send(other, *numbers(50))
        stream.wait(50)
    assert bodies_of(tmp_path) == numbers(50)
    assert waiting_in(other, "/queue/q") == []
    assert stream.error is None


def test_the_table_goes_on_as_before_and_drops_what_the_dataset_has(session, other, tmp_path):
    stream = session.subscribe("/queue/q", keep=tmp_path, max_rows=10)
    send(other, *numbers(30))
    stream.wait(30)
    stream.unsubscribe()
    assert stream.df["body"].tolist() == numbers(30)[20:]
    assert bodies_of(tmp_path) == numbers(30)


def test_a_callback_gets_what_is_kept_too(session, other, tmp_path):
    stream = session.subscribe("/queue/q", ack_mode="client-individual", keep=tmp_path)
    seen = []
    stream.on_frame(lambda frame: seen.append(frame.text))
    send(other, *numbers(20))
    until(lambda: len(seen) == 20)
    stream.unsubscribe()
    assert seen == bodies_of(tmp_path) == numbers(20)


def test_a_stream_that_is_not_kept_says_so(session):
    stream = session.subscribe("/queue/q")
    assert stream.kept is None
    assert stream.stats["on_disk"] == 0
    assert "kept" not in repr(stream)


def test_a_stream_that_is_kept_shows_it(session, other, tmp_path):
    stream = session.subscribe("/queue/q", keep=tmp_path)
    send(other, "a")
    stream.wait(1)
    assert f"kept: 0 rows in 0 files, 1 open in {tmp_path}" in repr(stream)
    stream.unsubscribe()
    assert f"kept: 1 row in 1 file in {tmp_path}" in repr(stream)


def test_the_journal_has_the_start_and_the_end(session, other, tmp_path):
    stream = session.subscribe("/queue/q", name="q", keep=tmp_path)
    send(other, "a")
    stream.wait(1)
    stream.unsubscribe()
    kept = [text for kind, text in kinds(session) if kind == "kept"]
    assert kept == [
        f"q: /queue/q is kept in {tmp_path}",
        f"q: /queue/q is kept: 1 row in 1 file in {tmp_path}",
    ]


def test_a_dataset_of_one_stream_can_be_read_while_another_is_kept_there(session, other, tmp_path):
    first = session.subscribe("/queue/q", keep=tmp_path)
    session.subscribe("/queue/r", keep=tmp_path)
    send(other, "a")
    send(other, "b", queue="/queue/r")
    first.wait(1)
    until(lambda: len(left_open(tmp_path)) == 2, 3)
    first.unsubscribe()
    files = f"'{tmp_path}/**/*.parquet', union_by_name=true, hive_partitioning=true"
    assert duckdb.sql(f"SELECT body FROM read_parquet({files})").fetchall() == [("a",)]


# -- acknowledging -----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_message_is_acknowledged_when_it_is_on_disk_and_not_before(
    session, other, broker, tmp_path, disk, mode
):
    disk.stop()
    stream = session.subscribe("/queue/q", ack_mode=mode, keep=tmp_path)
    send(other, *numbers(10))
    stream.wait(10)
    until(lambda: disk.writes)
    assert unacknowledged(broker) == 10
    disk.go_on()
    until(lambda: unacknowledged(broker) == 0)
    assert stream.live


def test_what_the_user_acknowledges_the_keeper_does_not(session, other, broker, tmp_path):
    stream = session.subscribe(
        "/queue/q", ack_mode="client-individual", send_acks=False, keep=tmp_path
    )
    send(other, "a", "b")
    stream.wait(2)
    until(lambda: stream.stats["on_disk"] == 2)
    assert stream.unacknowledged == [0, 1]
    stream.ack(0)
    until(lambda: unacknowledged(broker) == 1)
    stream.unsubscribe()
    assert bodies_of(tmp_path) == ["a", "b"]


def test_a_callback_cannot_acknowledge_what_is_acknowledged_when_it_is_on_disk(session, tmp_path):
    stream = session.subscribe("/queue/q", ack_mode="client-individual", keep=tmp_path)
    with pytest.raises(STOMPError, match="acknowledged when they are on disk"):
        stream.on_frame(print, ack=True)
    with pytest.raises(STOMPError, match="no frame of /queue/q waits"):
        stream.ack()


@pytest.mark.parametrize(
    ("asked", "prefetch"),
    [
        ({}, str(keep.PREFETCH)),
        ({"prefetch": 7}, "7"),
        ({"headers": {"prefetch-count": "9"}}, "9"),
        ({"send_acks": False}, None),
        ({"ack_mode": "auto"}, None),
    ],
)
def test_the_broker_may_send_so_many_ahead(session, tmp_path, monkeypatch, asked, prefetch):
    headers = {}
    subscribe = session.client.subscribe

    def noting(*args, **kwargs):
        headers.update(kwargs["headers"])
        headers.setdefault("prefetch-count", kwargs.get("prefetch"))
        return subscribe(*args, **kwargs)

    monkeypatch.setattr(session.client, "subscribe", noting)
    session.subscribe("/queue/q", **{"ack_mode": "client", "keep": tmp_path, **asked})
    given = headers["prefetch-count"]
    assert (None if given is None else str(given)) == prefetch


@pytest.mark.parametrize("mode", MODES)
def test_a_small_prefetch_does_not_hold_up(session, other, tmp_path, mode):
    stream = session.subscribe("/queue/q", ack_mode=mode, keep=tmp_path, prefetch=2)
    send(other, *numbers(100))
    start = time.monotonic()
    stream.wait(100)
    assert time.monotonic() - start < 4  # and not one second for each two
    stream.unsubscribe()
    assert bodies_of(tmp_path) == numbers(100)


def test_a_paused_stream_gives_back_what_is_not_on_disk_and_goes_on(
    session, other, broker, tmp_path
):
    stream = session.subscribe("/queue/q", ack_mode="client-individual", keep=tmp_path)
    send(other, "a")
    stream.wait(1)
    stream.pause()
    assert unacknowledged(broker) == 0
    assert stream.stats["on_disk"] == 1
    send(other, "b")
    stream.resume()
    stream.wait(2)
    stream.unsubscribe()
    assert bodies_of(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("mode", MODES)
def test_what_was_not_acknowledged_comes_again_after_a_loss_and_nothing_is_missing(
    nothing_left, broker, tmp_path, disk, mode
):
    with StompSession(broker.address, reconnect=SOON) as session:
        stream = session.subscribe("/queue/q", ack_mode=mode, keep=tmp_path)
        session.send("/queue/q", "a")
        stream.wait(1)
        until(lambda: unacknowledged(broker) == 0)
        disk.stop()
        session.send("/queue/q", "b")
        stream.wait(2)
        broker.drop()
        until(lambda: session.reconnects == 1)
        stream.wait(3)
        disk.go_on()
        until(lambda: unacknowledged(broker) == 0)
        assert session.reconnects == 1  # no ACK has offended the broker
    assert bodies_of(tmp_path) == ["a", "b", "b"]


# -- a full buffer, a full disk ----------------------------------------------------------------


def test_a_slow_disk_holds_back_the_reader_and_nothing_is_lost(
    session, other, tmp_path, disk, monkeypatch
):
    monkeypatch.setattr(backlog, "FLUSH_ROWS", 50)
    monkeypatch.setattr(backlog, "MAX_ROWS", 100)
    disk.stop()
    stream = session.subscribe("/queue/q", keep=tmp_path)
    body = "x" * 50_000
    send(other, *[f"{number} {body}" for number in range(1000)])
    until(lambda: stream.received >= 100)
    settled(other)
    time.sleep(0.2)  # in which nothing more is to come
    assert stream.received < 500
    disk.go_on()
    stream.wait(1000)
    stream.unsubscribe()
    assert [text.split()[0] for text in bodies_of(tmp_path)] == numbers(1000)


@pytest.mark.parametrize("mode", MODES)
def test_a_full_disk_ends_the_stream_and_says_what_is_kept(
    session, other, broker, tmp_path, disk, mode
):
    stream = session.subscribe("/queue/q", ack_mode=mode, keep=tmp_path)
    beside = session.subscribe("/queue/r")
    send(other, "a")
    stream.wait(1)
    until(lambda: stream.stats["on_disk"] == 1)
    disk.fill()
    send(other, "b", "c")
    until(lambda: not stream.live)
    said = (
        f"keeping in {tmp_path} failed: No space left on device. On disk are 0 rows in 0 files and "
        "1 in an open file, which the next to keep there closes"
    )
    assert stream.error.Message == said
    assert "make room" in stream.error.hint
    assert ("error", f"/queue/q: {said}") in kinds(session)
    assert sorted(waiting_in(other, "/queue/q")) == ["b", "c"]
    send(other, "d", queue="/queue/r")
    beside.wait(1)
    assert session.state == "connected"
    assert recover(tmp_path).rows == 1
    assert bodies_of(tmp_path) == ["a"]


def test_a_file_that_cannot_be_closed_ends_the_stream_and_stays_open(
    session, other, tmp_path, monkeypatch
):
    stream = session.subscribe("/queue/q", ack_mode="client", keep=tmp_path)
    send(other, "a")
    stream.wait(1)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        stream.unsubscribe()
    assert "No space left" in stream.error.Message
    assert stream.kept.open_rows == 1
    assert recover(tmp_path).rows == 1
    assert bodies_of(tmp_path) == ["a"]


def test_a_folder_that_has_gone_ends_the_stream(session, other, tmp_path):
    stream = session.subscribe("/queue/q", ack_mode="client", keep=tmp_path / "data")
    (tmp_path / "data" / OPEN).rmdir()
    send(other, "a")
    until(lambda: not stream.live)
    assert "No such file" in stream.error.Message
    assert waiting_in(other, "/queue/q") == ["a"]


def test_an_error_that_nobody_thought_of_is_not_silent(session, other, tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("boom")

    stream = session.subscribe("/queue/q", ack_mode="client", keep=tmp_path)
    monkeypatch.setattr(keep, "raw_batch", broken)
    send(other, "a")
    until(lambda: not stream.live)
    assert "RuntimeError('boom')" in stream.error.Message
    assert waiting_in(other, "/queue/q") == ["a"]


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_subscribed(session, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(STOMPError, match="nothing can be kept in") as raised:
        session.subscribe("/queue/q", keep=tmp_path / "file")
    assert "name a folder" in raised.value.hint
    assert session.streams == {}


def test_a_folder_without_permission_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # the superuser may write anywhere
    with pytest.raises(STOMPError, match="cannot be written to"):
        Keeper(tmp_path)


def test_what_is_not_known_is_refused(session, tmp_path):
    with pytest.raises(ValueError, match="is none of both"):
        session.subscribe("/queue/q", keep=tmp_path, rotate="often")


def test_a_subscription_that_is_refused_leaves_no_thread(session, tmp_path):
    with pytest.raises(STOMPError, match="durable"):
        session.subscribe("/queue/q", keep=tmp_path, durable="me")
    until(lambda: not keepers())


def keepers():
    return [thread for thread in threading.enumerate() if thread.name == "stomp-keeper"]


# -- rotation ----------------------------------------------------------------------------------


class Alone:
    """A keeper without a session."""

    def __init__(self, directory, **arguments):
        self.keeper = Keeper(directory, **arguments)
        self.answered = []
        self.failed = []
        self.keeper.start(
            lambda frames, ticket: self.answered.append((len(frames), ticket)),
            self.failed.append,
            lambda kind, text: None,
        )

    def put(self, *bodies, arrival=ARRIVAL, **headers):
        self.keeper.put([message(body, headers) for body in bodies], arrival)
        assert self.keeper.flush(10)

    def end(self):
        self.keeper.close()
        self.keeper.join(10)
        assert self.failed == []
        return self.keeper.kept


def test_a_file_is_closed_when_it_is_as_large_as_that(nothing_left, tmp_path):
    alone = Alone(tmp_path, rotate=Rotation.of("1kB"))
    for number in range(4):
        alone.put(f"{number}" + "x" * 600)
    until(lambda: alone.keeper.kept.files == 2)
    assert (alone.keeper.kept.rows, alone.keeper.kept.open_rows) == (4, 0)
    assert alone.end().files == 2


def test_a_file_is_closed_when_it_is_as_old_as_that_though_nothing_comes(nothing_left, tmp_path):
    alone = Alone(tmp_path, rotate=Rotation.of("50ms"))
    alone.put("a")
    until(lambda: alone.keeper.kept.files == 1)
    assert left_open(tmp_path) == []
    alone.put("b")
    assert alone.end().files == 2


def test_a_file_is_of_one_hour(nothing_left, tmp_path):
    alone = Alone(tmp_path)
    for hour in (0, 0, 1, 2, 2):
        alone.put(str(hour), arrival=ARRIVAL + hour * HOUR)
    assert alone.end().files == 3
    hours = sorted(path.parent.name for path in tmp_path.glob("date=*/hour=*/*.parquet"))
    assert hours == ["hour=00", "hour=22", "hour=23"]
    assert bodies_of(tmp_path) == ["0", "0", "1", "2", "2"]


def test_a_file_is_closed_at_the_end_of_the_hour_though_nothing_comes(
    nothing_left, tmp_path, monkeypatch
):
    monkeypatch.setattr(time, "time_ns", lambda: 5 * HOUR - 50_000_000)
    alone = Alone(tmp_path)
    alone.put("a")
    until(lambda: alone.keeper.kept.files == 1)
    alone.end()


def test_later_files_have_the_columns_of_new_headers(nothing_left, tmp_path):
    alone = Alone(tmp_path, rotate=Rotation.of("1B"))
    alone.put("a")
    alone.put("b", price="1")
    assert alone.end().files == 2
    files = f"'{tmp_path}/**/*.parquet', union_by_name=true"
    query = f"SELECT body, price FROM read_parquet({files}) ORDER BY body"
    assert duckdb.sql(query).fetchall() == [("a", None), ("b", "1")]


def test_what_was_put_with_a_ticket_is_answered_with_it(nothing_left, tmp_path):
    alone = Alone(tmp_path, window=0)
    alone.keeper.put([message()] * 3, ARRIVAL, 0)
    alone.keeper.put([message()], ARRIVAL, 1)
    alone.end()
    assert alone.answered == [(3, 0), (1, 1)]


# -- crashes -----------------------------------------------------------------------------------

WRITER = """
import sys, time
from stompy import STOMPFrame
from stompy_jupyter.keep import Keeper

keeper = Keeper(sys.argv[1], window=0)
keeper.start(lambda frames, _: print(frames[-1].text, flush=True), print, lambda *_: None)
for number in range(int(sys.argv[2])):
    frame = STOMPFrame("MESSAGE", {"writer": sys.argv[3]}, str(number))
    keeper.put([frame], time.time_ns(), 0)
    keeper.wait_for_room()
"""


def writer(directory, count, name="w", more=""):
    command = [sys.executable, "-c", WRITER + more, str(directory), str(count), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_after_a_kill_all_that_was_acknowledged_is_there(tmp_path):
    """The process is killed in the middle of whatever it does, again and again."""
    acknowledged = []
    for attempt in range(3):
        with writer(tmp_path, 10**9, str(attempt)) as process:
            lines = [process.stdout.readline() for _ in range(3)]
            process.send_signal(signal.SIGKILL)
            lines += process.stdout.readlines()
        acknowledged.append(int([line for line in lines if line.endswith("\n")][-1]))
    assert len(left_open(tmp_path)) >= 1  # the last one's
    assert recover(tmp_path).failed == {}
    assert left_open(tmp_path) == []
    rows = rows_of(tmp_path)
    for attempt, last in enumerate(acknowledged):
        kept = [int(row["body"]) for row in rows if row["writer"] == str(attempt)]
        assert kept == list(range(len(kept)))  # nothing twice, nothing left out
        assert len(kept) > last


def test_who_begins_to_keep_closes_what_a_crash_has_left(session, other, tmp_path):
    open_file(tmp_path, [message("of another")] * 3)
    broken = tmp_path / OPEN / "broken.arrows"
    broken.write_bytes(b"no arrow " * 1000)
    stream = session.subscribe("/queue/q", keep=tmp_path)
    send(other, "a")
    stream.wait(1)
    stream.unsubscribe()
    assert bodies_of(tmp_path) == ["of another"] * 3 + ["a"]
    assert left_open(tmp_path) == ["broken.arrows"]
    notes = kinds(session)
    assert ("kept", "/queue/q: 3 rows recovered of an earlier writer") in notes
    assert any(kind == "error" and "broken.arrows" in text for kind, text in notes)
    assert stream.kept.rows == 1


def test_many_keep_in_one_folder_at_once(tmp_path):
    """Some begin while others write, and each closes what it finds of the dead."""
    open_file(tmp_path, [message("of a dead one")])
    processes = [writer(tmp_path, 2000, str(n), "keeper.close(); keeper.join()") for n in range(4)]
    for process in processes:
        with process:
            process.communicate(timeout=30)
        assert process.returncode == 0
    rows = rows_of(tmp_path)
    assert len(rows) == 4 * 2000 + 1
    for number in range(4):
        kept = [row["body"] for row in rows if row.get("writer") == str(number)]
        assert kept == numbers(2000)
    assert left_open(tmp_path) == []


def test_a_process_that_ends_without_a_goodbye_closes_its_file(tmp_path):
    with writer(tmp_path, 10) as process:
        process.communicate(timeout=30)
    assert process.returncode == 0
    assert bodies_of(tmp_path) == numbers(10)
    assert left_open(tmp_path) == []


# -- the thread --------------------------------------------------------------------------------


def test_a_forgotten_session_is_collected_and_what_it_had_is_kept(
    nothing_left, broker, other, tmp_path
):
    session = StompSession(broker.address).connect()
    stream = session.subscribe("/queue/q", ack_mode="client", keep=tmp_path)
    send(other, "a")
    stream.wait(1)
    forgotten = weakref.ref(session)
    del session, stream
    gc.collect()
    assert forgotten() is None
    until(lambda: not keepers())
    assert bodies_of(tmp_path) == ["a"]


def test_a_session_that_is_lost_for_good_keeps_what_it_has(nothing_left, broker, other, tmp_path):
    session = StompSession(broker.address, reconnect=False).connect()
    stream = session.subscribe("/queue/q", keep=tmp_path)
    send(other, "a")
    stream.wait(1)
    broker.drop()
    until(lambda: not stream.live)
    assert bodies_of(tmp_path) == ["a"]
    assert left_open(tmp_path) == []
    assert "failed" not in stream.error.Message
    session.disconnect()


def test_a_stream_of_the_same_name_takes_over(session, other, broker, tmp_path):
    first = session.subscribe("/queue/q", ack_mode="client-individual", keep=tmp_path)
    send(other, "a")
    first.wait(1)
    second = session.subscribe("/queue/q", ack_mode="client-individual", keep=tmp_path)
    send(other, "b")
    second.wait(1)
    second.unsubscribe()
    assert sorted(bodies_of(tmp_path)) == ["a", "b"]
    assert unacknowledged(broker) == 0
    assert (first.kept.rows, second.kept.rows) == (1, 1)


def test_a_callback_may_end_a_stream_that_is_kept(session, other, tmp_path):
    stream = session.subscribe("/queue/q", keep=tmp_path)
    stream.on_frame(lambda frame: stream.unsubscribe())
    send(other, "a")
    until(lambda: not stream.live)
    until(lambda: not keepers())
    assert bodies_of(tmp_path)[0] == "a"
    assert left_open(tmp_path) == []


# -- the magic ---------------------------------------------------------------------------------


def test_the_magic_keeps(shell, tmp_path):
    run(shell, "stomp_connect", "--as s")
    line = f"/queue/q --as q --ack client --keep '{tmp_path}/a b' --rotate 1h,1GB"
    stream = run(shell, "stomp_subscribe", line)
    assert stream.ack_mode is AckMode.Client
    assert stream._inlet.keeper._rotate == Rotation(3600.0, 10**9)
    shell.user_ns["s"].send("/queue/q", "a")
    stream.wait(1)
    run(shell, "stomp_unsubscribe", "q")
    assert bodies_of(tmp_path / "a b") == ["a"]


def test_the_magic_says_what_is_wrong(shell, tmp_path, capsys):
    run(shell, "stomp_connect")
    with pytest.raises(UsageError, match="'10' could be a time and a size"):
        run(shell, "stomp_subscribe", f"/queue/q --keep {tmp_path} --rotate 10")
    (tmp_path / "file").write_text("")
    lines = shown_error(shell, capsys, f"%stomp_subscribe /queue/q --keep {tmp_path}/file")
    assert lines[0].startswith("STOMPError: nothing can be kept in")


def test_passcodes_are_in_no_file(broker, tmp_path):
    with (
        StompSession(broker.address, login="me", passcode="s3cr3t-code") as session,
        stompy.connect(broker.address) as other,
    ):
        stream = session.subscribe("/queue/q", keep=tmp_path)
        send(other, "a")
        stream.wait(1)
        until(lambda: stream.stats["on_disk"])
        octets = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
        assert b"s3cr3t" not in octets

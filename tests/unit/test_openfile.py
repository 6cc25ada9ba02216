"""Open files: appended to batch by batch, read up to the last whole one, locked while written."""

import fcntl
import os
import random

import pytest

from stompy_jupyter import openfile
from stompy_jupyter.openfile import OpenFile, RawBatches, release, taken
from tests.unit.keeping import ARRIVAL, batch_of, message


def raw_rows(path):
    return [row for batch in RawBatches(path) for row in batch.to_pylist()]


def bodies(path):
    return [row["body"] for row in raw_rows(path)]


def test_frames_are_in_it_as_they_came(tmp_path):
    file = OpenFile(tmp_path)
    file.write(batch_of(message(b"\xff\0", {"z": "1", "a": "ü\n", "": ""})), 10)
    file.write(batch_of(message("b"), message("c", {"a": "2"})), 20)
    rows = raw_rows(file.path)
    first = [("destination", "/queue/q"), ("z", "1"), ("a", "ü\n"), ("", "")]
    assert rows[0]["headers"] == first
    assert [row["body"] for row in rows] == [b"\xff\0", b"b", b"c"]
    assert rows[0]["received_at"].timestamp() == pytest.approx(ARRIVAL / 1e9, abs=1e-6)
    assert (file.rows, file.octets) == (3, 30)
    file.release()


def test_what_was_written_is_on_disk_when_write_returns(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda number: (synced.append(number), fsync(number)))
    file = OpenFile(tmp_path)
    before = len(synced)
    file.write(batch_of(message("a")), 1)
    assert len(synced) == before + 1
    assert bodies(file.path) == [b"a"]
    file.release()


def test_wherever_it_was_cut_off_all_whole_batches_are_read(tmp_path):
    file = OpenFile(tmp_path)
    ends = [file.path.stat().st_size]
    for number in range(3):
        file.write(batch_of(*[message(str(number))] * 20), 1)
        ends.append(file.path.stat().st_size)
    file.release()
    whole = file.path.read_bytes()
    sizes = {*ends, *(end - 1 for end in ends), *(end + 1 for end in ends[:-1])}
    sizes |= set(random.Random(1).sample(range(len(whole)), 100))
    for size in sizes:
        file.path.write_bytes(whole[:size])
        batches = max(0, sum(end <= size for end in ends) - 1)
        assert bodies(file.path) == [str(n).encode() for n in range(batches) for _ in range(20)]


def test_garbage_at_its_end_is_not_read(tmp_path):
    file = OpenFile(tmp_path)
    file.write(batch_of(message("a")), 1)
    file.release()
    whole = file.path.read_bytes()
    for garbage in (b"\0" * 5000, b"\xff" * 5000, random.Random(1).randbytes(5000)):
        file.path.write_bytes(whole + garbage)
        assert bodies(file.path) == [b"a"]


def test_small_batches_are_read_as_larger_ones(tmp_path):
    file = OpenFile(tmp_path)
    for number in range(50):
        file.write(batch_of(message(str(number))), 1)
    file.release()
    batches = list(RawBatches(file.path))
    assert [batch.num_rows for batch in batches] == [50]


@pytest.mark.parametrize("octets", [b"no arrow " * 1000, b"\0" * 10_000])
def test_what_is_no_open_file_of_ours_is_refused(tmp_path, octets):
    path = tmp_path / "x.arrows"
    path.write_bytes(octets)
    with pytest.raises(ValueError, match="no open file of ours"):
        raw_rows(path)


def test_what_the_operating_system_refuses_is_no_end_of_the_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        raw_rows(tmp_path / "gone.arrows")


def test_two_have_different_names(tmp_path):
    files = [OpenFile(tmp_path) for _ in range(20)]
    assert len({file.path.name for file in files}) == 20
    for file in files:
        file.release()


# -- locks -----------------------------------------------------------------------------------


def test_nobody_takes_it_while_it_is_written(tmp_path):
    file = OpenFile(tmp_path)
    assert taken(file.path) is None
    file.release()
    file.release()
    found = taken(file.path)
    assert found is not None
    assert taken(file.path) is None
    release(found)


def test_it_can_be_taken_though_a_child_process_has_a_copy_of_it(tmp_path):
    file = OpenFile(tmp_path)
    copy = os.dup(file._file.fileno())
    file.release()
    found = taken(file.path)
    assert found is not None
    release(found)
    os.close(copy)


def test_a_file_that_has_gone_is_not_taken(tmp_path):
    assert taken(tmp_path / "x.arrows") is None


def test_a_file_that_another_has_closed_meanwhile_is_not_taken(tmp_path, monkeypatch):
    file = OpenFile(tmp_path)
    file.release()
    flock = fcntl.flock

    def late(locked, how):
        file.path.unlink(missing_ok=True)
        flock(locked, how)

    monkeypatch.setattr(openfile.fcntl, "flock", late)
    assert taken(file.path) is None


def test_a_new_file_that_others_took_for_a_dead_writers_is_left_to_them(tmp_path, monkeypatch):
    flock = fcntl.flock
    gone = []

    def late(locked, how):
        if not gone:
            gone.extend(tmp_path.iterdir())
            gone[0].unlink()
        flock(locked, how)

    monkeypatch.setattr(openfile.fcntl, "flock", late)
    file = OpenFile(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [file.path.name]
    assert file.path != gone[0]
    file.release()


def test_a_lock_that_cannot_be_asked_for_is_a_failure(tmp_path, monkeypatch):
    path = tmp_path / "x.arrows"
    path.touch()

    def refused(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(openfile.fcntl, "flock", refused)
    with pytest.raises(OSError, match="No locks"):
        taken(path)

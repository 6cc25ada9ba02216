"""%%stomp_on, %stomp_ack and %stomp_nack, in a real IPython shell against the embedded broker."""

import threading
from typing import Any

import pytest
from IPython.core.error import UsageError

from stompy import STOMPError
from stompy_jupyter import FrameStream
from tests.unit.conftest import our_threads
from tests.unit.shells import called, received, run, run_cell, shown_error
from tests.unit.waiting import until


@pytest.fixture
def queue(shell: Any) -> FrameStream:
    """A stream of /queue/q, on a session of the shell; cells append to `seen`."""
    shell.user_ns["seen"] = []
    run(shell, "stomp_connect", "--as s")
    return run(shell, "stomp_subscribe", "/queue/q --as q")


@pytest.fixture
def orders(shell: Any, queue: FrameStream) -> FrameStream:
    """A stream in the mode client-individual that acknowledges by itself, unless a cell does."""
    return run(shell, "stomp_subscribe", "/queue/o --as orders --ack client-individual")


@pytest.fixture
def manual(shell: Any, queue: FrameStream) -> FrameStream:
    """A stream of which three frames have come that nobody acknowledges but the magics."""
    line = "/queue/m --as manual --ack client-individual --no-send-acks"
    stream = run(shell, "stomp_subscribe", line)
    run(shell, "stomp_send", "--repeat 3 /queue/m a")
    stream.wait(3, 5)
    return stream


def on(shell: Any, cell: str, line: str = "q") -> None:
    """Run %%stomp_on."""
    run_cell(shell, f"%%stomp_on {line}\n{cell}\n")


def off(stream: FrameStream) -> None:
    """End a stream; all calls are done then."""
    stream.unsubscribe()


# -- %%stomp_on ------------------------------------------------------------------------------


def test_the_cell_is_run_for_each_frame_that_comes_from_now_on(shell, queue):
    run(shell, "stomp_send", "/queue/q before")
    assert received(queue) == ["before"]
    on(shell, "seen.append(frame.text)")
    for body in "ab":
        run(shell, "stomp_send", f"/queue/q {body}")
    assert called(queue, 2)["callback_errors"] == 0
    assert shell.user_ns["seen"] == ["a", "b"]


def test_the_cell_runs_in_the_background(shell, queue):
    on(shell, "import threading\nseen.append(threading.current_thread())")
    run(shell, "stomp_send", "/queue/q a")
    called(queue)
    (thread,) = shell.user_ns["seen"]
    assert thread is not threading.main_thread()
    assert thread in our_threads()


def test_the_cell_has_the_frame_and_the_client_and_may_send(shell, queue):
    answers = run(shell, "stomp_subscribe", "/queue/answers --as answers")
    on(shell, "client.message('/queue/answers', frame.text.upper(), replied=frame['message-id'])")
    run(shell, "stomp_send", "/queue/q a")
    assert received(answers) == ["A"]


def test_the_cell_may_use_magics(shell, queue):
    answers = run(shell, "stomp_subscribe", "/queue/answers --as answers")
    on(shell, "body = frame.text * 2\n%stomp_send --template /queue/answers {{body}}!")
    run(shell, "stomp_send", "/queue/q a")
    assert received(answers) == ["aa!"]


def test_what_the_cell_assigns_is_there_for_the_next_frame_and_the_next_cell(shell, queue):
    shell.user_ns["total"] = 0
    on(shell, "total += int(frame.text)")
    for number in range(5):
        run(shell, "stomp_send", f"/queue/q {number}")
    called(queue, 5)
    assert run_cell(shell, "total") == 10


def test_the_notebooks_own_frame_and_client_are_left_alone(shell, queue):
    shell.user_ns["frame"] = shell.user_ns["client"] = "mine"
    on(shell, "frame = frame.text\nclient = None\nseen.append(frame)")
    run(shell, "stomp_send", "/queue/q a")
    called(queue)
    assert (shell.user_ns["frame"], shell.user_ns["client"]) == ("mine", "mine")
    assert shell.user_ns["seen"] == ["a"]


def test_what_the_cell_prints_and_raises_is_shown_and_counted(shell, queue, capsys):
    on(shell, "print('got', frame.text)\n1 / int(frame.text)")
    for number in "1020":
        run(shell, "stomp_send", f"/queue/q {number}")
    stats = called(queue, 4)
    assert (stats["calls"], stats["callback_errors"]) == (4, 2)
    shown = capsys.readouterr()
    assert [line for line in shown.out.splitlines() if "got" in line] == [
        "got 1",
        "got 0",
        "got 2",
        "got 0",
    ]
    assert shown.err.count("ZeroDivisionError: division by zero") == 1  # of each place the first
    assert "1 / int(frame.text)" in shown.err
    assert "counted only" in shown.err
    assert "stompy_jupyter" not in shown.err


@pytest.mark.parametrize("cell", ["raise SystemExit", "raise KeyboardInterrupt", "exit(1)"])
def test_nothing_that_a_cell_raises_ends_the_background(shell, queue, capsys, cell):
    on(shell, f"if frame.text == 'bad':\n    {cell}\nseen.append(frame.text)")
    run(shell, "stomp_send", "/queue/q bad")
    run(shell, "stomp_send", "/queue/q good")
    called(queue, 2)
    assert shell.user_ns["seen"][-1:] == ["good"]
    assert queue.session.connected


def test_return_ends_the_call_and_no_more(shell, queue):
    on(shell, "if frame.text == 'a':\n    return\nseen.append(frame.text)")
    for body in "ab":
        run(shell, "stomp_send", f"/queue/q {body}")
    assert called(queue, 2)["callback_errors"] == 0
    assert shell.user_ns["seen"] == ["b"]


def test_running_it_again_replaces_the_cell(shell, queue):
    on(shell, "seen.append('first')")
    on(shell, "seen.append('second')")
    run(shell, "stomp_send", "/queue/q a")
    called(queue)
    off(queue)
    assert shell.user_ns["seen"] == ["second"]


def test_running_it_again_leaves_callbacks_from_python(shell, queue):
    queue.on_frame(lambda frame: shell.user_ns["seen"].append("python"))
    on(shell, "seen.append('first')")
    on(shell, "seen.append('second')")
    run(shell, "stomp_send", "/queue/q a")
    called(queue, 2)
    off(queue)
    assert sorted(shell.user_ns["seen"]) == ["python", "second"]


def test_off_ends_it_and_may_be_said_twice(shell, queue):
    on(shell, "seen.append(frame.text)")
    run(shell, "stomp_send", "/queue/q a")
    called(queue)
    for _ in range(2):
        run(shell, "stomp_on", "q --off")
    run(shell, "stomp_send", "/queue/q b")
    queue.wait(2, 5)
    off(queue)
    assert shell.user_ns["seen"] == ["a"]


def test_without_a_name_it_is_for_the_newest_stream(shell, queue):
    newest = run(shell, "stomp_subscribe", "/topic/t --as t")
    on(shell, "seen.append(frame.destination)", "")
    run(shell, "stomp_send", "/queue/q a")
    run(shell, "stomp_send", "/topic/t a")
    called(newest)
    assert shell.user_ns["seen"] == ["/topic/t"]


def test_a_stream_that_is_replaced_takes_its_cell_along_to_its_end(shell, queue):
    on(shell, "seen.append(frame.text)")
    again = run(shell, "stomp_subscribe", "/queue/q --as q")
    run(shell, "stomp_send", "/queue/q a")
    assert received(again) == ["a"]
    off(again)
    assert shell.user_ns["seen"] == []
    assert queue.state == "ended"


def test_a_cell_may_end_its_own_stream(shell, queue):
    on(shell, "seen.append(frame.text)\nif len(seen) == 2:\n    q.unsubscribe()")
    run(shell, "stomp_send", "--repeat 5 /queue/q a")
    until(lambda: not queue.live)
    assert shell.user_ns["seen"][:2] == ["a", "a"]


def test_a_cell_without_code_is_one_that_does_nothing(shell, queue):
    on(shell, "# later")
    run(shell, "stomp_send", "/queue/q a")
    assert called(queue)["callback_errors"] == 0


def test_an_exception_shows_the_line_of_the_newest_cell(shell, queue, capsys):
    on(shell, "seen.append(1)\nraise ValueError('old')")
    on(shell, "raise KeyError('new')")
    run(shell, "stomp_send", "/queue/q a")
    called(queue)
    shown = capsys.readouterr().err
    assert "raise KeyError('new')" in shown
    assert "old" not in shown


@pytest.mark.parametrize(
    ("line", "cell"),
    [
        ("q --off", "x"),
        ("nothing", "x"),
        ("number", "x"),
        ("q --nonsense", "x"),
        ("q --on nobody", "x"),
        ("q extra", "x"),
        ("q", "yield 1"),
        ("q", "def f(:"),
        ("q", "from os import *"),
        ("q", "await x"),
    ],
)
def test_what_is_wrong_with_a_cell_changes_nothing(shell, queue, line, cell):
    shell.user_ns["number"] = 1
    on(shell, "seen.append(frame.text)")
    with pytest.raises((UsageError, SyntaxError)):
        shell.run_cell_magic("stomp_on", line, f"{cell}\n")
    run(shell, "stomp_send", "/queue/q a")
    called(queue)
    assert shell.user_ns["seen"] == ["a"]


@pytest.mark.parametrize("line", ["q", "q --ack", ""])
def test_without_a_cell_it_is_said_how_to_write_one(shell, queue, line):
    with pytest.raises(UsageError, match="write %%stomp_on above a cell, or %stomp_on NAME --off"):
        run(shell, "stomp_on", line)


# -- %%stomp_on --ack ------------------------------------------------------------------------


def waiting(shell: Any, destination: str) -> int:
    """How many messages the broker has in a queue."""
    table = run(shell, "stomp_broker", "destinations").set_index("destination")
    row = table.loc[destination]
    return int(row["waiting"]) + int(row["unacknowledged"])


def test_a_good_return_acknowledges_and_an_exception_refuses(shell, orders, capsys):
    dead = run(shell, "stomp_subscribe", "/queue/DLQ.o --as dead")
    on(shell, "seen.append(frame.text)\nassert frame.text != 'bad'", "orders --ack")
    for body in ("good", "bad"):
        run(shell, "stomp_send", f"/queue/o {body}")
    assert received(dead) == ["bad"]  # the broker has put it aside after some attempts
    assert waiting(shell, "/queue/o") == 0
    assert shell.user_ns["seen"][:2] == ["good", "bad"]
    assert set(shell.user_ns["seen"][2:]) == {"bad"}


def test_a_frame_is_not_acknowledged_before_the_cell_has_ended(shell, orders):
    shell.user_ns["goes_on"] = goes_on = threading.Event()
    on(shell, "seen.append(1)\ngoes_on.wait(10)", "orders --ack")
    run(shell, "stomp_send", "/queue/o a")
    until(lambda: shell.user_ns["seen"])
    assert waiting(shell, "/queue/o") == 1
    assert orders.unacknowledged == [0]
    goes_on.set()
    until(lambda: waiting(shell, "/queue/o") == 0)
    assert orders.unacknowledged == []


def test_without_ack_a_stream_acknowledges_what_is_in_its_table(shell, orders, capsys):
    on(shell, "1 / 0", "orders")
    run(shell, "stomp_send", "/queue/o a")
    assert called(orders)["callback_errors"] == 1
    until(lambda: waiting(shell, "/queue/o") == 0)


@pytest.mark.parametrize("answer", ["frame.ack()", "client.ack(frame)"])
def test_a_cell_may_answer_itself(shell, manual, answer):
    on(shell, answer, "manual")
    run(shell, "stomp_send", "/queue/m b")
    assert called(manual)["callback_errors"] == 0
    until(lambda: waiting(shell, "/queue/m") == 3)


def test_ack_on_a_stream_that_acknowledges_nothing_is_refused(shell, queue, capsys):
    lines = shown_error(shell, capsys, "%%stomp_on q --ack\nseen.append(1)\n")
    assert "ack mode auto" in lines[0]
    assert "--ack" in lines[1]
    run(shell, "stomp_send", "/queue/q a")
    assert received(queue) == ["a"]
    off(queue)
    assert shell.user_ns["seen"] == []


def test_a_cell_that_is_refused_leaves_the_last_one_where_it_was(shell, queue):
    on(shell, "seen.append('first')")
    with pytest.raises(STOMPError, match="ack mode auto"):
        shell.run_cell_magic("stomp_on", "q --ack", "seen.append('second')\n")
    run(shell, "stomp_send", "/queue/q a")
    called(queue)
    on(shell, "seen.append('third')")
    run(shell, "stomp_send", "/queue/q a")
    called(queue, 2)
    run(shell, "stomp_on", "q --off")
    run(shell, "stomp_send", "/queue/q a")
    queue.wait(3, 5)
    off(queue)
    assert shell.user_ns["seen"] == ["first", "third"]


def test_a_cell_that_acknowledges_may_be_run_again(shell, orders):
    for word in ("first", "second"):
        on(shell, f"seen.append('{word}')", "orders --ack")
    run(shell, "stomp_send", "/queue/o a")
    called(orders)
    until(lambda: waiting(shell, "/queue/o") == 0)
    assert shell.user_ns["seen"] == ["second"]


def test_a_second_callback_that_acknowledges_is_refused(shell, orders, capsys):
    orders.on_frame(print, ack=True)
    with pytest.raises(STOMPError, match="acknowledges already"):
        shell.run_cell_magic("stomp_on", "orders --ack", "x\n")


# -- %stomp_ack and %stomp_nack --------------------------------------------------------------


def test_frames_are_acknowledged_by_their_numbers_or_the_oldest(shell, manual):
    run(shell, "stomp_ack", "manual 1")
    assert manual.unacknowledged == [0, 2]
    run(shell, "stomp_ack", "manual")
    assert manual.unacknowledged == [2]
    run(shell, "stomp_ack", "2")  # of the newest stream
    assert manual.unacknowledged == []
    until(lambda: waiting(shell, "/queue/m") == 0)


@pytest.mark.parametrize("line", ["manual --all", "--all", "--all --on s", "manual 0 1 2"])
def test_all_frames_may_be_acknowledged_at_once(shell, manual, line):
    run(shell, "stomp_ack", line)
    assert manual.unacknowledged == []
    until(lambda: waiting(shell, "/queue/m") == 0)


def test_a_frame_that_is_refused_comes_again(shell, manual):
    run(shell, "stomp_nack", "manual 1")
    manual.wait(4, 5)
    assert manual.unacknowledged == [0, 2, 3]
    run(shell, "stomp_nack", "")
    manual.wait(5, 5)
    assert manual.unacknowledged == [2, 3, 4]


def test_in_the_mode_client_an_ack_covers_all_that_came_before(shell, queue):
    stream = run(shell, "stomp_subscribe", "/queue/c --as c --ack client --no-send-acks")
    run(shell, "stomp_send", "--repeat 4 /queue/c a")
    stream.wait(4, 5)
    run(shell, "stomp_ack", "c 2")
    assert stream.unacknowledged == [3]
    until(lambda: waiting(shell, "/queue/c") == 1)


@pytest.mark.parametrize("magic", ["stomp_ack", "stomp_nack"])
@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("manual 7", STOMPError),
        ("q", STOMPError),
        ("q --all", STOMPError),
        ("manual x", UsageError),
        ("manual 1 x", UsageError),
        ("manual -1", UsageError),
        ("manual 1.5", UsageError),
        ("nothing", UsageError),
        ("--on nobody", UsageError),
        ("--nonsense", UsageError),
    ],
)
def test_what_cannot_be_acknowledged_is_an_error_and_changes_nothing(
    shell, manual, magic, line, kind
):
    with pytest.raises(kind):
        run(shell, magic, line)
    assert manual.unacknowledged == [0, 1, 2]


def test_a_frame_is_acknowledged_once(shell, manual, capsys):
    run(shell, "stomp_ack", "manual 0")
    lines = shown_error(shell, capsys, "%stomp_ack manual 0")
    assert lines[0] == "STOMPError: frame 0 of /queue/m does not wait for an answer"
    assert "unacknowledged" in lines[1]


def test_the_status_counts_what_waits_for_an_answer(shell, manual):
    status = run(shell, "stomp_status").set_index("stream")
    assert status.loc["manual", "unacknowledged"] == 3
    assert status.loc["q", "unacknowledged"] == 0


def test_a_magic_that_fails_in_a_callback_shows_its_few_lines(shell, queue, capsys):
    shell.run_cell_magic("stomp_on", "q", "%stomp_wait q --n 99 --timeout 10ms\n")
    run(shell, "stomp_send", "/queue/q a")
    called(queue)
    shown = capsys.readouterr().err
    assert "STOMPTimeout: 1 of 99 frames had come after 0.01 s" in shown
    assert "%stomp_wait q" in shown or "stomp_wait" in shown
    assert "stompy_jupyter/" not in shown

"""What a real kernel does in the background."""

import itertools
import json

from tests.kernel.conftest import Kernel

FEED = """
import threading, time
def feed():
    for number in range(300):
        session.send("/topic/T", str(number))
        time.sleep(0.005)
feeder = threading.Thread(target=feed)
feeder.start()
"""


def windows(messages: list[dict]) -> list[dict]:
    """What the widgets were told by custom messages."""
    contents = [m["content"]["data"] for m in messages if m["msg_type"] == "comm_msg"]
    return [data["content"] for data in contents if data.get("method") == "custom"]


def test_frames_arrive_and_are_shown_while_a_cell_blocks(kernel: Kernel) -> None:
    kernel.ok("%stomp_connect --as session")
    kernel.ok("%stomp_subscribe /topic/T --as stream")
    result = kernel.ok(FEED + "time.sleep(1); stream.received")
    assert int(result.text) > 50
    counts = [window["streams"][0]["received"] for window in windows(result.messages)]
    assert len(counts) >= 5, "the browser was not kept up to date"
    assert counts == sorted(counts)
    assert 0 < counts[-1] <= 300
    assert kernel.ok("feeder.join(); stream.wait(300, timeout=10)").text == "300"


def test_the_browser_gets_ten_small_messages_a_second_at_the_most(kernel: Kernel) -> None:
    kernel.ok("%stomp_connect --as session")
    kernel.ok("%stomp_subscribe /topic/T --as stream")
    result = kernel.ok(
        "import time\n"
        "end = time.monotonic() + 2\n"
        "while time.monotonic() < end: session.send('/topic/T', 'x' * 100_000)\n"
        "time.sleep(0.3)"
    )
    sent = windows(result.messages)
    assert 5 <= len(sent) <= 25
    assert max(len(json.dumps(window)) for window in sent) < 128 * 1024


def test_loading_again_and_unloading_leaves_nothing_behind(kernel: Kernel) -> None:
    kernel.ok("%load_ext stompy_jupyter")
    kernel.ok("%stomp_connect\n%stomp_subscribe /topic/T --as stream")
    kernel.ok("stream")
    for _ in range(2):
        kernel.ok("%reload_ext stompy_jupyter")
    kernel.ok("%stomp_connect")
    kernel.ok("%unload_ext stompy_jupyter")
    threads = "import threading; [t.name for t in threading.enumerate() if 'stomp' in t.name]"
    assert kernel.ok(threads).text == "[]"
    assert kernel.run("%stomp_status").status == "error"
    assert kernel.ok("stream.live").text == "False"


def test_running_a_cell_again_replaces_what_it_made(kernel: Kernel) -> None:
    for _ in range(3):
        kernel.ok("%stomp_connect --as session")
        kernel.ok("%stomp_subscribe /topic/T --as stream")
        kernel.ok("%stomp_subscribe /topic/T --as stream")
    kernel.ok("%stomp_send /topic/T once")
    kernel.ok("%stomp_wait stream --timeout 10")
    kernel.ok("session.send('/topic/T', 'twice')\nstream.wait(2, 10)")
    assert kernel.ok("stream.df['body'].tolist()").text == "['once', 'twice']"
    readers = "sum(t.name.startswith('stomp-reader') for t in threading.enumerate())"
    assert kernel.ok(f"import threading; {readers}").text == "1"


def test_a_body_is_sent_as_it_stands(kernel: Kernel) -> None:
    kernel.ok("%stomp_connect\n%stomp_subscribe /queue/Q --as stream\nx = 1")
    bodies = ['{"a": {"b": "{x}"}, "c": "$x"}', "it's -> --header {{x}}", "two\nlines"]
    for count, body in enumerate(bodies, 1):
        kernel.ok(f"%%stomp_send /queue/Q --header 'k: a:b'\n{body}")
        kernel.ok(f"stream.wait({count}, 10)")
    kernel.ok(f"%stomp_send /queue/Q {bodies[0]}\nstream.wait(4, 10)")
    received = eval(kernel.ok("stream.df['body'].tolist()").text)
    assert received == [*bodies, bodies[0]]
    assert kernel.ok("stream.df['k'].tolist()[:3]").text == "['a:b', 'a:b', 'a:b']"


def test_the_passcode_is_in_nothing_that_the_kernel_publishes(kernel: Kernel) -> None:
    results = [
        kernel.run(code)
        for code in (
            "%env STOMP_SECRET=hunter2-very-secret",
            "%stomp_connect --login me --passcode-env STOMP_SECRET --as session",
            "session",
            "session.client",
            "%stomp_subscribe /topic/T --as stream",
            "stream",
            "%stomp_status",
            "%stomp_connect stomp://me:hunter2-very-secret@127.0.0.1:1",
            "%stomp_connect stomp://me:hunter2-very-secret@127.0.0.1:nonsense",
            "%stomp_connect tcp://me:hunter2-very-secret@127.0.0.1:1",
        )
    ]
    assert [r.status for r in results] == ["ok"] * 7 + ["error"] * 3
    published = itertools.chain.from_iterable(r.messages for r in results[1:])
    shown = [m for m in published if m["msg_type"] not in ("execute_input", "status")]
    assert shown
    assert "hunter2" not in json.dumps(shown, default=str)

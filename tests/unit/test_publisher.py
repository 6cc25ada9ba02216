"""The publisher: one thread that tells browsers what is new, not too often."""

import gc
import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from stompy_jupyter.publisher import INTERVAL, MAX_REPLIES, Publisher
from tests.unit.waiting import until

pytestmark = pytest.mark.usefixtures("nothing_left")

SHORT = 0.01


class Source:
    """Has news whenever `new` says so, and replies when there are `replies`.

    It notes what it was made to send, and when: its name for news, the reply's text for a reply.
    """

    def __init__(self, name: str = "", log: list[tuple[str, float]] | None = None) -> None:
        self.name = name
        self.log = [] if log is None else log
        self.new = threading.Event()
        self.replies: deque[str] = deque()
        self.asked = 0

    def reply(self) -> tuple[dict[str, Any], list[bytes]] | None:
        return (
            ({"reply": (text := self.replies.popleft())}, [text.encode()]) if self.replies else None
        )

    def news(self) -> dict[str, Any] | None:
        self.asked += 1
        return {"from": self.name} if self.new.is_set() else None

    def send(self, content: dict[str, Any], buffers: list[bytes]) -> None:
        text = content.get("reply", self.name)
        assert content in ({"from": self.name}, {"reply": text})
        assert buffers == ([text.encode()] if "reply" in content else [])
        self.log.append((text, time.monotonic()))


class Broken(Source):
    """Fails when it is asked for a reply or for news, or when it is to send them."""

    def __init__(self, fails_in: str) -> None:
        super().__init__()
        self.fails_in = fails_in
        self.new.set()

    def reply(self) -> None:
        if self.fails_in == "reply":
            self.asked += 1
            raise RuntimeError("no reply from me")

    def news(self) -> dict[str, Any] | None:
        self.asked += 1
        if self.fails_in == "news":
            raise RuntimeError("no news from me")
        return {}

    def send(self, content: dict[str, Any], buffers: list[bytes]) -> None:
        raise RuntimeError("nothing goes out")


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    publisher = Publisher(SHORT)
    yield publisher
    publisher.stop()


def thread_of(publisher: Publisher) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "stomp-publisher"]


def test_the_news_of_a_source_are_sent_and_silence_is_not(publisher):
    source = Source("a")
    publisher.add(source)
    until(lambda: source.asked > 2)
    assert source.log == []
    source.new.set()
    until(lambda: len(source.log) >= 2)


def test_at_most_one_message_goes_out_in_an_interval_over_all_sources():
    publisher, log = Publisher(0.05), []
    sources = [Source(name, log) for name in "abc"]
    for source in sources:
        source.new.set()
        publisher.add(source)
    until(lambda: len(log) >= 6)
    publisher.stop()
    assert all(later - earlier > 0.04 for (_, earlier), (_, later) in pairwise(log))
    assert INTERVAL >= 0.1


def test_sources_have_their_turns(publisher):
    log: list[tuple[str, float]] = []
    sources = [Source(name, log) for name in "abc"]
    for source in sources:
        source.new.set()
        publisher.add(source)
    until(lambda: len(log) >= 9)
    names = [name for name, _ in log]
    start = names.index("c") + 1  # all have been added
    assert sorted(names[start : start + 3]) == ["a", "b", "c"]
    assert names[start : start + 3] == names[start + 3 : start + 6]


def test_a_source_without_news_does_not_cost_the_others_their_turn(publisher):
    silent, loud = Source("silent"), Source("loud")
    loud.new.set()
    publisher.add(silent)
    publisher.add(loud)
    until(lambda: len(loud.log) >= 3)
    assert silent.log == []


def test_replies_go_before_the_news_of_all_and_one_by_one():
    publisher, log = Publisher(0.05), []
    loud, asked = Source("loud", log), Source("asked", log)
    publisher.add(loud)
    publisher.add(asked)
    until(lambda: asked.asked)
    asked.replies.extend("12")
    loud.replies.append("3")
    loud.new.set()
    until(lambda: len(log) >= 4)
    publisher.stop()
    assert sorted(text for text, _ in log[:3]) == ["1", "2", "3"]
    assert log[3][0] == "loud"
    assert all(later - earlier > 0.04 for (_, earlier), (_, later) in pairwise(log))


def test_who_asks_again_and_again_does_not_keep_news_from_coming(publisher):
    source = Source("news")
    source.replies.extend("r" * 50)
    source.new.set()
    publisher.add(source)
    until(lambda: not source.replies)
    texts = "".join("." if text == "news" else text for text, _ in source.log)
    assert max(map(len, texts.split("."))) == MAX_REPLIES


def test_a_reply_that_is_told_of_goes_out_at_once_when_nothing_else_did():
    publisher, source = Publisher(60), Source("a")
    publisher.add(source)
    until(lambda: source.asked)
    source.replies.append("quick")
    publisher.add(source)
    until(lambda: source.log, timeout=2)
    source.replies.append("too soon")
    publisher.add(source)
    publisher.stop()
    assert [text for text, _ in source.log] == ["quick"]


def test_a_publisher_that_begins_again_keeps_the_interval():
    publisher, source = Publisher(0.1), Source("a")
    source.new.set()
    for count in (1, 2, 3):
        publisher.add(source)
        until(lambda count=count: len(source.log) == count)
        publisher.remove(source)
    assert all(later - earlier > 0.09 for (_, earlier), (_, later) in pairwise(source.log))


def test_a_source_that_is_added_twice_is_asked_once_a_turn(publisher):
    source = Source("a")
    publisher.add(source)
    publisher.add(source)
    publisher.remove(source)
    until(lambda: not thread_of(publisher))


@pytest.mark.parametrize("fails_in", ["reply", "news", "send"])
def test_a_broken_source_is_given_up_and_does_not_stop_the_others(publisher, caplog, fails_in):
    broken, good = Broken(fails_in), Source("good")
    good.new.set()
    publisher.add(broken)
    publisher.add(good)
    until(lambda: len(good.log) >= 3)
    assert broken.asked == 1
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_a_source_that_was_removed_is_not_asked_any_more(publisher):
    source, other = Source("a"), Source("b")
    source.new.set()
    publisher.add(source)
    publisher.add(other)
    until(lambda: source.log)
    publisher.remove(source)
    publisher.remove(Source("never added"))
    turns = other.asked
    until(lambda: other.asked > turns + 1)  # the round in which it was removed is over
    asked, turns = source.asked, other.asked
    until(lambda: other.asked > turns + 3)
    assert source.asked == asked


def test_the_thread_ends_when_the_last_source_is_removed_and_starts_again(publisher):
    source = Source("a")
    publisher.add(source)
    assert len(thread_of(publisher)) == 1
    publisher.remove(source)
    until(lambda: not thread_of(publisher))
    source.new.set()
    publisher.add(source)
    until(lambda: source.log)
    assert len(thread_of(publisher)) == 1


def test_a_forgotten_source_is_collected_and_the_thread_ends(publisher):
    publisher.add(Source("a"))
    gc.collect()
    until(lambda: not thread_of(publisher))


def test_all_sources_have_one_thread(publisher):
    sources = [Source() for _ in range(5)]
    for source in sources:
        publisher.add(source)
    assert len(thread_of(publisher)) == 1
    assert thread_of(publisher)[0].daemon


def test_without_a_source_there_is_no_thread(publisher):
    assert thread_of(publisher) == []
    publisher.stop()


def test_stop_forgets_all_sources_and_ends_the_thread_at_once():
    publisher, source = Publisher(60), Source("a")
    publisher.add(source)
    began = time.monotonic()
    publisher.stop()
    publisher.stop()
    assert time.monotonic() - began < 0.5
    assert thread_of(publisher) == []


def test_a_stopped_publisher_publishes_what_is_added_later(publisher):
    old, new = Source("old"), Source("new")
    publisher.add(old)
    publisher.stop()
    old.new.set()
    new.new.set()
    publisher.add(new)
    until(lambda: len(new.log) >= 2)
    assert old.log == []


def test_a_source_may_stop_the_publisher_while_it_is_asked(publisher, caplog):
    class Stopper(Source):
        def news(self) -> None:
            publisher.stop()

    stopper = Stopper()
    publisher.add(stopper)
    until(lambda: not thread_of(publisher))
    assert caplog.records == []

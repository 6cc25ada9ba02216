"""The exercises of 11-send-and-subscribe: a topic forgets, a queue shares, a subscription ends."""

from typing import Any

import pytest

from stompy.broker import Broker, Faults
from stompy_jupyter import FrameStream, StompSession
from stompy_jupyter.exercises import exercises
from tests.unit.lessons.learning import Learner
from tests.unit.shells import run_cell
from tests.unit.waiting import until

SENT = "`good morning` was sent to /topic/morning"
CAME = "it came as a MESSAGE"
BOTH = "messages went to the topic and to the queue, and came"
BEN = "Ben got what you have predicted"
RAIN = "`rain` came from /topic/weather"
ENDED = "an UNSUBSCRIBE has ended the subscription by which it came"
SUN = "`sun` was sent there after that"
NO_SUN = "`sun` did not come"


def subscribed(session: StompSession, destination: str, **arguments: Any) -> FrameStream:
    stream = session.subscribe(destination, **arguments)
    stream.confirm(5)
    return stream


def sent(session: StompSession, destination: str, body: str) -> None:
    """Send, and wait until the broker has done it."""
    receipt = session.send(destination, body, receipt=True)
    assert receipt is not None
    receipt.wait()


# -- catch-the-news --------------------------------------------------------------------------


def test_the_news_are_caught_by_who_is_there(session: StompSession) -> None:
    learner = Learner("catch-the-news")
    subscribed(session, "/topic/morning")
    session.send("/topic/morning", "good morning")
    learner.passes()


def test_somebody_else_may_send_them_and_by_hand(shell: Any) -> None:
    learner = Learner("catch-the-news")
    run_cell(shell, "%stomp_connect --as reader")
    run_cell(shell, "%%stomp_raw\nSUBSCRIBE\ndestination:/topic/morning\nid:m\nreceipt:1\n\n^@")
    run_cell(shell, "%stomp_connect --as sender")
    run_cell(shell, "%%stomp_send /topic/morning --on sender\ngood morning")
    learner.passes()


def test_who_subscribes_too_late_is_told_to_send_again(session: StompSession) -> None:
    learner = Learner("catch-the-news")
    sent(session, "/topic/morning", "good morning")
    assert learner.told == {CAME: "nobody has subscribed to that topic"}
    subscribed(session, "/topic/morning")
    assert "send it again" in learner.told[CAME]
    session.send("/topic/morning", "good morning")
    learner.passes()


def test_something_else_is_not_the_news(session: StompSession) -> None:
    learner = Learner("catch-the-news")
    assert learner.told[SENT] == "nothing was sent there"
    session.send("/topic/morning", "good evening")
    assert learner.told[SENT] == "what was sent there is good evening"
    sent(session, "/queue/morning", "good morning")
    assert set(learner.told) == {SENT, CAME}


# -- who-gets-what ---------------------------------------------------------------------------


def shared(broker: Broker, prediction: str) -> Learner:
    """Somebody who has predicted, and run what the lesson does."""
    learner = Learner("who-gets-what")
    with (
        StompSession(broker.address, name="anna") as anna,
        StompSession(broker.address, name="ben") as ben,
    ):
        streams = [subscribed(anna, "/queue/jobs"), subscribed(anna, "/topic/alarm")]
        streams.append(subscribed(ben, "/queue/jobs"))
        learner.predicts(prediction)
        sent(anna, "/topic/alarm", "fire")
        streams.append(subscribed(ben, "/topic/alarm"))
        anna.send("/topic/alarm", "water")
        for number in range(1, 5):
            anna.send("/queue/jobs", f"job{number}")
        for stream, count in zip(streams, (2, 2, 2, 1), strict=True):
            stream.wait(count, timeout=5)
        until(lambda: BOTH not in learner.told)
    return learner


@pytest.mark.parametrize("prediction", ["water, job2, job4", "job4 job2 water"])
def test_ben_gets_his_share_and_what_the_topic_has_when_he_is_there(
    broker: Broker, prediction: str
) -> None:
    assert not shared(broker, prediction).told


@pytest.mark.parametrize(
    "prediction", ["fire water job2 job4", "job1 job2 job3 job4", "none"], ids=lambda said: said
)
def test_who_is_wrong_is_told_who_got_what(broker: Broker, prediction: str) -> None:
    told = shared(broker, prediction).told
    assert set(told) == {BEN}
    assert "In fact: job2, job4, water. And anna got fire," in told[BEN]


def test_who_has_not_run_it_is_told() -> None:
    learner = Learner("who-gets-what")
    learner.predicts("none")
    assert "run the cell below it" in learner.told[BOTH]
    assert BEN in learner.told


# -- stop-listening --------------------------------------------------------------------------


def test_the_sun_does_not_come_any_more(session: StompSession) -> None:
    learner = Learner("stop-listening")
    weather = subscribed(session, "/topic/weather")
    session.send("/topic/weather", "rain")
    weather.wait(1, timeout=5)
    weather.unsubscribe()
    sent(session, "/topic/weather", "sun")
    learner.passes()


def test_the_same_by_frames_typed_by_hand(shell: Any) -> None:
    learner = Learner("stop-listening")
    run_cell(shell, "%stomp_connect")
    for frame in (
        "SUBSCRIBE\ndestination:/topic/weather\nid:w\nreceipt:1\n\n^@",
        "SEND\ndestination:/topic/weather\nreceipt:2\n\nrain^@",
        "UNSUBSCRIBE\nid:w\nreceipt:3\n\n^@",
        "SEND\ndestination:/topic/weather\nreceipt:4\n\nsun^@",
    ):
        run_cell(shell, f"%%stomp_raw\n{frame}")
    learner.passes()


def test_an_unsubscribe_of_another_subscription_does_not_end_this_one(
    session: StompSession,
) -> None:
    learner = Learner("stop-listening")
    weather = subscribed(session, "/topic/weather", name="weather")
    other = subscribed(session, "/topic/weather", name="other")
    session.send("/topic/weather", "rain")
    weather.wait(1, timeout=5)
    weather.unsubscribe()
    session.send("/topic/weather", "sun")
    other.wait(2, timeout=5)
    told = learner.told
    assert set(told) == {NO_SUN}
    assert "each subscription has an id of its own" in told[NO_SUN]


def test_who_unsubscribes_from_something_else_is_told_the_ids(session: StompSession) -> None:
    learner = Learner("stop-listening")
    weather = subscribed(session, "/topic/weather")
    elsewhere = subscribed(session, "/topic/elsewhere")
    session.send("/topic/weather", "rain")
    weather.wait(1, timeout=5)
    elsewhere.unsubscribe()
    told = learner.told[ENDED]
    assert "has the id stream-3" in told
    assert "by the subscription stream-1" in told


def test_the_sun_that_was_sent_too_early_does_not_count(session: StompSession) -> None:
    learner = Learner("stop-listening")
    weather = subscribed(session, "/topic/weather")
    for body in ("rain", "sun"):
        session.send("/topic/weather", body)
    weather.wait(2, timeout=5)
    weather.unsubscribe()
    assert learner.told[SUN] == "it was sent before the subscription had ended"
    assert NO_SUN in learner.told
    learner.begins_anew()
    again = subscribed(session, "/topic/weather")
    session.send("/topic/weather", "rain")
    again.wait(1, timeout=5)
    again.unsubscribe()
    session.send("/topic/weather", "sun")
    learner.passes()


def test_who_goes_before_the_rain_has_come_is_told_to_wait(
    session: StompSession, broker: Broker
) -> None:
    learner = Learner("stop-listening")
    weather = subscribed(session, "/topic/weather")
    broker.set_faults(Faults(slow=0.3))
    session.send("/topic/weather", "rain")
    weather.unsubscribe()
    until(lambda: RAIN not in learner.told)
    assert learner.told[ENDED].startswith("it went out before `rain` had come: wait for the rain")
    assert learner.told[SUN] == "it was not sent"


def test_what_is_missing_is_said_step_by_step(session: StompSession) -> None:
    learner = Learner("stop-listening")
    assert learner.told[RAIN] == "nobody has subscribed to that topic"
    weather = subscribed(session, "/topic/weather")
    assert learner.told[RAIN] == "nothing was sent there"
    assert learner.told[ENDED] == "there was no UNSUBSCRIBE"
    weather.unsubscribe()
    assert learner.told[ENDED] == "`rain` has to come before it"
    sent(session, "/topic/weather", "rain")
    assert learner.told[RAIN].startswith("it did not come")
    assert learner.told[SUN] == "it was not sent"


@pytest.mark.parametrize("name", ["catch-the-news", "stop-listening"])
def test_the_solution_passes(shell: Any, name: str) -> None:
    learner = Learner(name)
    run_cell(shell, "%stomp_connect")
    run_cell(shell, exercises()[name].solution)
    learner.passes()

"""The log of a broker: bounded, in order, for people and for `logging`."""

from __future__ import annotations

import logging

from stompy.broker.events import MAX_EVENTS, EventLog


def test_an_event_is_plain_data_with_the_time_that_the_clock_shows():
    log = EventLog(clock=iter([1.5, 2.5]).__next__)
    log.note("connected", "1", detail="STOMP 1.2")
    log.note("dead letter", destination="/queue/q")
    assert log.events() == [
        {
            "time": 1.5,
            "event": "connected",
            "client": "1",
            "destination": "",
            "detail": "STOMP 1.2",
        },
        {
            "time": 2.5,
            "event": "dead letter",
            "client": "",
            "destination": "/queue/q",
            "detail": "",
        },
    ]


def test_only_the_newest_are_known_oldest_first():
    log = EventLog()
    for number in range(MAX_EVENTS + 5):
        log.note(str(number))
    names = [event["event"] for event in log.events()]
    assert names == [str(number) for number in range(5, MAX_EVENTS + 5)]


def test_what_is_given_out_may_be_changed_without_harm():
    log = EventLog()
    log.note("connected")
    events = log.events()
    events[0]["event"] = "changed"
    events.clear()
    assert [event["event"] for event in log.events()] == ["connected"]


def test_the_logger_has_them_at_info(caplog):
    with caplog.at_level(logging.INFO, "stompy.broker"):
        EventLog().note("subscribed", "7", "/queue/100%s", "well")
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("stompy.broker", logging.INFO)
    assert record.getMessage() == "subscribed 7 /queue/100%s well"

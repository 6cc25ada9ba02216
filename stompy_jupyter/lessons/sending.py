"""The exercises of ``11-send-and-subscribe.ipynb``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stompy_jupyter.display import visible
from stompy_jupyter.exercises import exercise, expect
from stompy_jupyter.lessons.predicting import in_any_order

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stompy_jupyter.exercises import Evidence, Outcome, Step

LESSON = "11-send-and-subscribe"

MORNING, WEATHER = "/topic/morning", "/topic/weather"

SHARED = ("/topic/alarm", "/queue/jobs")
"""Where Anna and Ben both listen."""

GREETING = "good morning"


@exercise(
    "catch-the-news",
    lesson=LESSON,
    task=f"Send `{GREETING}` to {MORNING}, and receive it yourself.",
    hint="A topic gives a message to those who have subscribed by then, and keeps nothing. So "
    "which comes first, SUBSCRIBE or SEND?",
    solution=f"""
%stomp_subscribe {MORNING} --as morning --no-widget
%stomp_send {MORNING} {GREETING}
%stomp_wait morning --timeout 10s
""",
)
def catch_the_news(evidence: Evidence) -> Iterator[Outcome]:
    """A topic forgets: the subscription has to be there before the message."""
    sends = evidence.sent("SEND", destination=MORNING)
    right = [step for step in sends if step.body.strip() == GREETING]
    yield expect(
        f"`{GREETING}` was sent to {MORNING}",
        right,
        f"what was sent there is {visible(sends[-1].body, 60)}"
        if sends
        else "nothing was sent there",
    )
    came = [s for s in evidence.came("MESSAGE", destination=MORNING) if s.body.strip() == GREETING]
    subscribed = evidence.everything.sent("SUBSCRIBE", destination=MORNING)
    yield expect(
        "it came as a MESSAGE",
        came,
        "nothing was sent there"
        if not right
        else "it was sent when nobody had subscribed to that topic, which keeps nothing. You have "
        "subscribed now: send it again"
        if subscribed
        else "nobody has subscribed to that topic",
    )


@exercise(
    "who-gets-what",
    lesson=LESSON,
    task="Say which of the messages fire, water (topic) and job1 to job4 (queue) Ben gets.",
    hint="A topic gives each message to all who have subscribed by then; a queue gives each to one "
    "of its subscribers, in turn, beginning with the one who was there first.",
    solution="""
%%stomp_predict who-gets-what
water, job2, job4
""",
    predicted="the bodies of the messages that Ben gets, in any order, or `none`",
)
def who_gets_what(evidence: Evidence) -> Iterator[Outcome]:
    """Of the topic what was sent when he was there; of the queue his share."""
    sent = [step for step in evidence.sent("SEND") if step.get("destination") in SHARED]
    came = [step for step in evidence.came("MESSAGE") if step.get("destination") in SHARED]
    both = {step.get("destination") for step in came} == {*SHARED}
    yield expect(
        "messages went to the topic and to the queue, and came",
        sent if both else [],
        "since your prediction they have not: run the cell below it",
    )
    of_ben = [step for step in came if step.session == "ben"]
    others = [f"{step.session} got {step.body}" for step in came if step.session != "ben"]
    yield in_any_order(
        "Ben got what you have predicted",
        evidence,
        [step.body for step in of_ben] or (["none"] if both else []),
        of_ben,
        remark=f"And {visible(', '.join(others), 200)}." if others else "",
    )


@exercise(
    "stop-listening",
    lesson=LESSON,
    task=f"Subscribe to {WEATHER} and receive `rain`. End the subscription. Then send `sun` to the "
    "same topic: it must not come any more.",
    hint="UNSUBSCRIBE has a header `id`: the same as that of the SUBSCRIBE. `%stomp_unsubscribe "
    "NAME` writes it for you. Wait for the rain before you go: `%stomp_wait NAME`.",
    solution=f"""
%stomp_subscribe {WEATHER} --as weather --no-widget
%stomp_send {WEATHER} rain
%stomp_wait weather --timeout 10s
%stomp_unsubscribe weather
%stomp_send --receipt {WEATHER} sun
""",
)
def stop_listening(evidence: Evidence) -> Iterator[Outcome]:
    """`rain` came, then UNSUBSCRIBE with the id of that subscription, and nothing after it."""
    came = evidence.came("MESSAGE", destination=WEATHER)
    rain = [step for step in came if step.body.strip() == "rain"]
    yield expect(f"`rain` came from {WEATHER}", rain, _why_no_rain(evidence))
    ends = [step for step in evidence.sent("UNSUBSCRIBE") if _ends_one_of(step, rain)]
    yield expect(
        "an UNSUBSCRIBE has ended the subscription by which it came",
        ends,
        _why_no_end(evidence, rain),
    )
    sends = [s for s in evidence.sent("SEND", destination=WEATHER) if s.body.strip() == "sun"]
    late = [s for s in sends if ends and s.entry.time >= ends[0].entry.time]
    yield expect(
        "`sun` was sent there after that",
        late,
        "it was not sent"
        if not sends
        else "it was sent before the subscription had ended"
        if ends
        else "no subscription had ended that `rain` had come by",
    )
    sun = [step for step in came if step.body.strip() == "sun"]
    yield expect(
        "`sun` did not come",
        bool(late) and not sun,
        f"it came by the subscription {visible(sun[-1].get('subscription'), 40)}: each "
        "subscription has an id of its own, and ends by itself. Begin again from `rain` on"
        if sun
        else "it was not sent after the end of the subscription yet",
    )


def _why_no_rain(evidence: Evidence) -> str:
    if not evidence.everything.sent("SUBSCRIBE", destination=WEATHER):
        return "nobody has subscribed to that topic"
    if not evidence.sent("SEND", destination=WEATHER):
        return "nothing was sent there"
    return "it did not come: was it sent when the subscription was there?"


def _ends_one_of(unsubscribe: Step, messages: Sequence[Step]) -> bool:
    """Whether an UNSUBSCRIBE ends the subscription by which one of the messages has come."""
    return any(
        unsubscribe.connection == message.connection
        and unsubscribe.get("id") == message.get("subscription")
        and unsubscribe.entry.number > message.entry.number
        for message in messages
    )


def _why_no_end(evidence: Evidence, rain: Sequence[Step]) -> str:
    ends = evidence.sent("UNSUBSCRIBE")
    if not ends:
        return "there was no UNSUBSCRIBE"
    if not rain:
        return "`rain` has to come before it"
    ended, wanted = ends[-1].get("id"), rain[-1].get("subscription")
    if ended == wanted:
        return (
            "it went out before `rain` had come: wait for the rain, e.g. with `%stomp_wait NAME`, "
            "and begin again from SUBSCRIBE on"
        )
    return (
        f"the newest UNSUBSCRIBE has the id {visible(ended, 40)}; the rain came by the "
        f"subscription {visible(wanted, 40)}"
    )

"""Journal: what has happened to a session, as text that can be shown."""

import time

from stompy import STOMPFrame
from stompy_jupyter.journal import MAX_BODY, MAX_ENTRIES, MAX_TEXT, Journal
from tests.unit.peer import in_threads

HOSTILE = "<b>\x1b[31m\u202e"
SHOWN = "<b>\\x1b[31m\\u202e"


def text_of(frame: STOMPFrame) -> str:
    """What the entry about an ERROR says."""
    journal = Journal()
    journal.note_error(frame)
    (entry,) = journal
    assert entry.kind == "error"
    return entry.text


def test_entries_have_running_numbers_and_the_time():
    journal, before = Journal(), time.time()
    journal.note("connected", "here")
    journal.note("lost", "there")
    assert [(entry.n, entry.kind, entry.text) for entry in journal] == [
        (1, "connected", "here"),
        (2, "lost", "there"),
    ]
    assert all(before <= entry.time <= time.time() for entry in journal)


def test_the_newest_entries_are_kept():
    journal = Journal()
    for number in range(MAX_ENTRIES + 10):
        journal.note("receipt", str(number))
    assert (journal.count, len(journal)) == (MAX_ENTRIES + 10, MAX_ENTRIES)
    assert [entry.text for entry in journal.newest(2)] == ["208", "209"]
    assert next(iter(journal)).n == 11
    assert journal.newest(0) == []


def test_threads_that_note_at_once_get_a_number_each():
    journal = Journal()
    in_threads(4, lambda _: [journal.note("receipt", "a") for _ in range(50)])
    assert [entry.n for entry in journal] == list(range(1, 201))


def test_hostile_text_is_visible_text_and_has_its_lines():
    journal = Journal()
    journal.note("lost", f"{HOSTILE}\n\tand\r")
    (entry,) = journal
    assert entry.text == f"{SHOWN}\n\tand\\r"


def test_a_text_is_bounded_whatever_its_characters_become():
    journal = Journal()
    journal.note("lost", "\u202e" * 1_000_000)
    (entry,) = journal
    assert len(entry.text) == MAX_TEXT


def test_an_error_is_noted_in_full():
    frame = STOMPFrame(
        "ERROR",
        {"message": "no such queue", "content-type": "text/plain", "receipt-id": "7"},
        "there is no queue 'q'\r\nin vhost '/'\r\n",
    )
    assert text_of(frame) == (
        "no such queue\ncontent-type: text/plain\nreceipt-id: 7\n\n"
        "there is no queue 'q'\nin vhost '/'"
    )


def test_an_error_that_says_nothing_says_so():
    assert text_of(STOMPFrame("ERROR")) == "ERROR, without a message"


def test_an_error_that_two_have_got_is_noted_once_and_one_like_it_again():
    journal, frame = Journal(), STOMPFrame("ERROR", {"message": "m"})
    journal.note_error(frame)
    journal.note_error(frame)
    assert len(journal) == 1
    journal.note_error(STOMPFrame("ERROR", {"message": "m"}))
    assert len(journal) == 2


def test_of_a_long_error_the_beginning_is_noted():
    text = text_of(STOMPFrame("ERROR", {"message": "m"}, "ä" * 100_000))
    assert text == "m\n\n" + "ä" * MAX_BODY


def test_an_error_of_a_stranger_is_visible_text():
    frame = STOMPFrame("ERROR", {"message": HOSTILE, HOSTILE: HOSTILE}, b"\xff" + HOSTILE.encode())
    assert text_of(frame) == f"{SHOWN}\n{SHOWN}: {SHOWN}\n\n\ufffd{SHOWN}"


def test_a_passcode_that_a_broker_repeats_is_masked():
    body = "bad frame:\nCONNECT\nlogin:me\npasscode:s3cr3t\n\nPassCode : s3cr3t"
    text = text_of(STOMPFrame("ERROR", {"message": "m", "Passcode": "s3cr3t"}, body))
    assert "s3cr3t" not in text
    assert "login:me\npasscode:***\n\nPassCode :***" in text


def test_what_is_to_be_hidden_is_in_no_entry():
    journal = Journal(lambda text: text.replace("s3cr3t", "***"))
    journal.note("lost", "no s3cr3t here")
    journal.note_error(STOMPFrame("ERROR", {"message": "s3cr3t", "s3cr3t": "a"}, "of s3cr3t"))
    assert "s3cr3t" not in repr(journal) + journal._repr_html_()
    assert [entry.text for entry in journal] == ["no *** here", "***\n***: a\n\nof ***"]


def test_a_journal_shows_itself_as_a_table_of_time_what_and_text():
    journal = Journal()
    assert repr(journal) == "<Journal, nothing noted yet>"
    assert journal
    journal.note("lost", "<b>why</b>\nindeed")
    assert repr(journal).endswith("  lost: <b>why</b>\nindeed")
    html = journal._repr_html_()
    assert "<th>time (UTC)</th><th>what</th><th>text</th>" in html
    assert "<td>lost</td><td>&lt;b&gt;why&lt;/b&gt;<br>indeed</td>" in html

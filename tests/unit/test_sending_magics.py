"""%stomp_send and %%stomp_transaction, in a real IPython shell against the embedded broker."""

import json
import time
from typing import Any

import pytest
from IPython.core.error import UsageError

import stompy
from stompy import Receipt, STOMPError
from stompy.broker import Faults
from stompy_jupyter import FrameStream, StompSession
from stompy_jupyter.embedded import embedded_broker
from tests.unit.shells import received, run, run_cell, shown_error
from tests.unit.waiting import until


@pytest.fixture
def queue(shell: Any) -> FrameStream:
    """A stream of /queue/q, on a session of the shell."""
    run(shell, "stomp_connect", "--as s")
    return run(shell, "stomp_subscribe", "/queue/q --as q")


# -- %stomp_send -----------------------------------------------------------------------------


BODIES = [
    '{"symbol": "ABC", "price": {x}}',
    "$x ${x} {x} {{x}}",
    "a -> b --header 'c: d' -H e --on f",
    "it's \"unbalanced",
    "--force",
    "# no comment; 100 % ? !",
    "two  spaces\tand a tab",
    "grün ☃ 😀",
    "back\\slash\\n",
]


@pytest.mark.parametrize("body", BODIES)
def test_the_rest_of_the_line_is_sent_as_it_stands(shell, queue, body):
    shell.user_ns["x"] = "expanded"
    shell.run_cell(f"%stomp_send /queue/q {body}").raise_error()
    assert received(queue) == [body]


@pytest.mark.parametrize(
    "body", [*BODIES, "two\nlines", "\nempty lines\n\n", "  indented\n", "%magic", ""]
)
def test_the_cell_is_sent_as_it_stands(shell, queue, body):
    shell.user_ns["x"] = "expanded"
    shell.run_cell(f"%%stomp_send /queue/q\n{body}\n").raise_error()
    assert received(queue) == [body]


def test_only_the_last_line_end_of_a_cell_is_not_sent(shell, queue):
    shell.run_cell_magic("stomp_send", "/queue/q", "a\n\n")
    shell.run_cell_magic("stomp_send", "/queue/q", "b")
    assert received(queue, 2) == ["a\n", "b"]


@pytest.mark.parametrize(
    ("typed", "name", "value"),
    [
        ("--header 'currency: EUR'", "currency", "EUR"),
        ('--header "currency: EUR"', "currency", "EUR"),
        ("--header currency:EUR", "currency", "EUR"),
        ("--header=currency:EUR", "currency", "EUR"),
        ("-H 'at: 12:30'", "at", "12:30"),
        ("-H 'empty:'", "empty", ""),
        ("""-H "selector: color = 'red'" """, "selector", "color = 'red'"),
        ("""-H 'etag: "abc"'""", "etag", '"abc"'),
        ("-H 'dollar: {x} $x'", "dollar", "{x} $x"),
    ],
)
def test_a_header_may_be_written_in_many_ways(shell, queue, typed, name, value):
    shell.user_ns["x"] = "expanded"
    run(shell, "stomp_send", f"{typed} /queue/q a")
    shell.run_cell_magic("stomp_send", f"/queue/q {typed}", "a\n")
    assert received(queue, 2) == ["a", "a"]
    assert queue.table.arrow()[name].to_pylist() == [value, value]


def test_several_headers_and_a_session_go_before_the_destination(shell, queue):
    run(shell, "stomp_connect", "--as newer")
    run(shell, "stomp_send", "-H a:1 --on s --header 'b: 2' /queue/q -H c:3")
    assert received(queue) == ["-H c:3"]
    assert queue.df[["a", "b"]].values.tolist() == [[1, 2]]


def test_two_dashes_end_the_options(shell, queue):
    run(shell, "stomp_send", "-H a:1 -- /queue/q --body")
    assert received(queue) == ["--body"]


@pytest.mark.parametrize("quote", ["'", '"'])
def test_quotes_around_a_destination_are_not_part_of_it(shell, quote):
    run(shell, "stomp_connect")
    stream = run(shell, "stomp_subscribe", f"{quote}/queue/a b{quote} --as q")
    assert stream.destination == "/queue/a b"
    run(shell, "stomp_send", f"{quote}/queue/a b{quote} line")
    shell.run_cell_magic("stomp_send", f"{quote}/queue/a b{quote}", "cell\n")
    stream.session.send("/queue/a b", "python")
    assert received(stream, 3) == ["line", "cell", "python"]


def test_what_is_sent_reaches_other_clients(shell, broker):
    with stompy.connect(broker.address) as client:
        client.subscribe("/queue/q")
        run(shell, "stomp_connect", "{}:{}".format(*broker.address))
        run(shell, "stomp_send", "/queue/q grün")
        frame = client.recv(timeout=5)
        assert (frame.text, frame["content-type"]) == ("grün", "text/plain;charset=utf-8")


def test_the_newest_session_is_used_where_none_is_named(shell, broker):
    run(shell, "stomp_connect", "--as old")
    new = run(shell, "stomp_connect", "{}:{} --as new".format(*broker.address))
    assert run(shell, "stomp_subscribe", "/topic/t").session is new
    old = run(shell, "stomp_connect", "--as old")
    assert run(shell, "stomp_subscribe", "/topic/t").session is old


# -- %stomp_send: its options ----------------------------------------------------------------


def test_without_receipt_nothing_is_returned(shell, queue):
    assert run(shell, "stomp_send", "/queue/q a") is None


@pytest.mark.parametrize(
    "code",
    [
        "%stomp_send --receipt /queue/q a",
        "%%stomp_send /queue/q --receipt\na",
        "%%stomp_send --receipt --timeout 5s /queue/q\na",
    ],
)
def test_with_receipt_it_has_been_confirmed(shell, queue, code):
    receipt = run_cell(shell, code)
    assert isinstance(receipt, Receipt)
    assert receipt.outcome == "confirmed"
    assert received(queue) == ["a"]


def test_a_receipt_that_does_not_come_is_a_timeout(shell, queue, capsys):
    embedded_broker().set_faults(Faults(no_receipts=True))
    lines = shown_error(shell, capsys, "%stomp_send --receipt --timeout 50ms /queue/q a")
    assert lines[0].startswith("STOMPTimeout: no receipt ")
    assert received(queue) == ["a"]


def test_what_the_broker_refuses_is_said_in_its_words(shell, queue, capsys):
    code = "%stomp_send --receipt --header 'transaction: none' /queue/q a"
    capsys.readouterr()
    error = shell.run_cell(code).error_in_exec
    assert isinstance(error, STOMPError)
    assert error.Frame.Command == "ERROR"
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("STOMPError: the broker says: ")
    assert "none" in lines[0]
    assert len(lines) <= 3


def test_json_is_checked_first_and_says_so(shell, queue):
    run(shell, "stomp_send", '--json /queue/q {"a": [1, 2.5, null]}')
    shell.run_cell_magic("stomp_send", "--json /queue/q", '{"a":\n 1}\n')
    assert received(queue, 2) == ['{"a": [1, 2.5, null]}', '{"a":\n 1}']
    assert queue.df["content_type"].tolist() == ["application/json"] * 2


def test_a_content_type_of_ones_own_goes_before_that_of_json(shell, queue):
    run(shell, "stomp_send", "--json -H content-type:application/geo+json /queue/q {}")
    assert received(queue) == ["{}"]
    assert queue.df["content_type"].tolist() == ["application/geo+json"]


@pytest.mark.parametrize("body", ["{'a': 1}", '{"a": NaN}', "{", "text", '{"a": 1,}', "{{x}}"])
def test_what_is_no_json_is_not_sent(shell, queue, body):
    with pytest.raises(UsageError, match="the body is no JSON: "):
        run(shell, "stomp_send", f"--json /queue/q {body}")
    with pytest.raises(UsageError, match="the body is no JSON: "):
        shell.run_cell_magic("stomp_send", "/queue/q --json", body)
    assert queue.session.sent == 0


def test_a_template_is_filled_from_the_notebook(shell, queue):
    shell.user_ns.update(symbol="A'B", price=1.5, nested={"a": "{{price}}"})
    run(shell, "stomp_send", "--template /queue/q {{symbol}} {{ price }} {price} $price")
    shell.run_cell_magic("stomp_send", "/queue/q --template", "{{nested}}\n{{symbol}}")
    assert received(queue, 2) == ["A'B 1.5 {price} $price", "{'a': '{{price}}'}\nA'B"]


def test_a_template_of_json_takes_text_between_quotes_and_other_values_as_they_are(shell, queue):
    shell.user_ns.update(text='say "hi"\n\\', number=1, rows=[{"a": None}], yes=True)
    template = '{"text": "{{text}}!", "number": {{number}}, "rows": {{rows}}, "yes": {{yes}}}'
    run(shell, "stomp_send", f"--json --template /queue/q {template}")
    (body,) = received(queue)
    assert json.loads(body) == {
        "text": 'say "hi"\n\\!',
        "number": 1,
        "rows": [{"a": None}],
        "yes": True,
    }


def test_a_template_with_an_unknown_name_is_not_sent(shell, queue):
    with pytest.raises(UsageError, match="no variable 'nobody'"):
        run(shell, "stomp_send", "--template /queue/q {{nobody}}")
    assert queue.session.sent == 0


def test_a_template_sees_no_code(shell, queue):
    shell.user_ns["x"] = 1
    run(shell, "stomp_send", "--template /queue/q {{x + 1}} {{x.real}} {{x()}}")
    assert received(queue) == ["{{x + 1}} {{x.real}} {{x()}}"]


def test_a_body_may_be_sent_several_times(shell, queue):
    last = run(shell, "stomp_send", "--repeat 3 --receipt /queue/q a")
    assert (received(queue, 3), last.outcome) == (["a"] * 3, "confirmed")
    assert queue.session.sent == 3


@pytest.mark.parametrize("repeat", ["0", "-1", "x", "1.5", ""])
def test_what_is_no_number_of_times_is_refused(shell, queue, repeat):
    with pytest.raises(UsageError):
        run(shell, "stomp_send", f"--repeat {repeat} /queue/q a")
    assert queue.session.sent == 0


def test_a_repetition_that_is_interrupted_has_sent_what_it_has_sent(shell, queue, monkeypatch):
    send = StompSession.send

    def interrupted(session: StompSession, *args: Any, **kwargs: Any) -> Any:
        if session.sent == 3:
            raise KeyboardInterrupt
        return send(session, *args, **kwargs)

    monkeypatch.setattr(StompSession, "send", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(shell, "stomp_send", "--repeat 10 /queue/q a")
    monkeypatch.undo()
    run(shell, "stomp_send", "/queue/q b")
    assert received(queue, 4) == ["a", "a", "a", "b"]


@pytest.mark.parametrize("line", ["/queue/q", "--receipt /queue/q", "/queue/q ", "--json /queue/q"])
def test_the_line_magic_wants_a_body(shell, queue, line):
    with pytest.raises(UsageError, match="no body: write it behind the destination, or use %%sto"):
        run(shell, "stomp_send", line)


def test_a_large_body_is_sent_whole(shell, queue):
    body = "x" * 3_000_000
    shell.run_cell_magic("stomp_send", "/queue/q", body)
    assert received(queue) == [body]


def test_headers_of_the_frame_itself_cannot_be_made_wrong(shell, queue):
    run(shell, "stomp_send", "-H destination:/queue/other /queue/q a")
    assert received(queue) == ["a"]


# -- %%stomp_transaction ---------------------------------------------------------------------


@pytest.mark.parametrize("line", ["", "--no-receipt", "--on s", "--on s --no-receipt"])
def test_what_a_transaction_sends_comes_together_at_its_end(shell, queue, line):
    shell.user_ns["seen"] = seen = []
    shell.user_ns["look"] = lambda: seen.append(_waiting(shell))
    run_cell(
        shell,
        f"%%stomp_transaction {line}\n"
        "%stomp_send --receipt /queue/t part 1\n"
        "s.send('/queue/t', 'part 2', receipt=True).wait()\n"
        "look()\n",
    )
    assert seen == [0]
    assert received(run(shell, "stomp_subscribe", "/queue/t"), 2) == ["part 1", "part 2"]


def _waiting(shell: Any) -> int:
    """How many messages wait in the queues of the embedded broker."""
    return sum(each["waiting"] for each in embedded_broker().destinations())


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        ("1 / 0", ZeroDivisionError),
        ("raise KeyError('x')", KeyError),
        ("raise KeyboardInterrupt", KeyboardInterrupt),
        ("raise SystemExit", SystemExit),
        ("f(:", SyntaxError),
        ("return", SyntaxError),
        ("await x", SyntaxError),
        ("%stomp_send --nonsense", UsageError),
        ("%stomp_wait q --n 99 --timeout 10ms", STOMPError),
        ("%stomp_send --json /queue/t {", UsageError),
    ],
)
def test_a_transaction_that_raises_sends_nothing(shell, queue, last, kind):
    cell = f"%stomp_send /queue/t part 1\n{last}\n"
    with pytest.raises(kind):
        shell.run_cell_magic("stomp_transaction", "", cell)
    assert queue.session.open_transaction is None
    run(shell, "stomp_send", "--receipt /queue/t after it")
    assert received(run(shell, "stomp_subscribe", "/queue/t")) == ["after it"]


def test_a_transaction_that_raises_says_that_nothing_takes_effect(shell, queue, capsys):
    shell.run_cell("%%stomp_transaction\nx = 1\nx / 0\n")
    shown = capsys.readouterr().out
    assert "ZeroDivisionError: division by zero" in shown
    assert "x / 0" in shown
    assert "The transaction was aborted: nothing in it takes effect." in shown


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("open('/no/such/file')", FileNotFoundError),
        ("raise STOMPError('mine')", STOMPError),
        ("raise TimeoutError('mine')", TimeoutError),
    ],
)
def test_an_error_of_the_users_lines_in_a_transaction_shows_them(shell, queue, capsys, line, kind):
    shell.user_ns["STOMPError"] = STOMPError
    error = shell.run_cell(f"%%stomp_transaction\nx = 1\n{line}\n").error_in_exec
    assert type(error) is kind
    assert line in capsys.readouterr().out


def test_a_magic_that_fails_in_a_transaction_is_shown_by_its_few_lines(shell, queue, capsys):
    shell.run_cell("%%stomp_transaction\n%stomp_wait q --n 9 --timeout 10ms\n")
    assert capsys.readouterr().out.splitlines() == [
        "STOMPTimeout: 0 of 9 frames had come after 0.01 s",
        "Try: check the destination's name and that something sends to it",
        "The transaction was aborted: nothing in it takes effect.",
    ]


def test_the_value_of_a_transactions_last_line_is_its_value(shell, queue):
    assert run_cell(shell, "%%stomp_transaction\nx = 20\nx + 1") == 21
    assert shell.user_ns["x"] == 20


def test_an_empty_transaction_is_one(shell, queue):
    run_cell(shell, "%%stomp_transaction\n# nothing yet")
    events = run(shell, "stomp_broker", "events")["event"].tolist()
    assert "aborted" not in events


def test_a_cell_magic_in_a_transaction_is_part_of_it(shell, queue):
    run_cell(shell, "%%stomp_transaction\n%%stomp_send /queue/q\ntwo\nlines\n")
    assert received(queue) == ["two\nlines"]


def test_a_transaction_does_not_hold_what_others_send(shell, queue):
    run(shell, "stomp_connect", "--as other")
    cell = "%stomp_send /queue/t inside\n%stomp_send --on other --receipt /queue/q outside\n1 / 0\n"
    with pytest.raises(ZeroDivisionError):
        shell.run_cell_magic("stomp_transaction", "--on s", cell)
    assert received(queue) == ["outside"]


def test_a_transaction_in_a_transaction_is_refused_and_aborts_the_outer_one(shell, queue):
    cell = "%stomp_send /queue/q a\nget_ipython().run_cell_magic('stomp_transaction', '', '1')\n"
    with pytest.raises(STOMPError, match="open already"):
        shell.run_cell_magic("stomp_transaction", "", cell)
    run(shell, "stomp_send", "/queue/q b")
    assert received(queue) == ["b"]


@pytest.mark.parametrize("commit", [True, False])
def test_acknowledgements_in_a_transaction_take_effect_with_it(shell, commit):
    run(shell, "stomp_connect", "--as s")
    orders = "/queue/o --as orders --ack client-individual --no-send-acks"
    stream = run(shell, "stomp_subscribe", orders)
    run(shell, "stomp_send", "--repeat 2 /queue/o a")
    stream.wait(2, 5)
    cell = "%stomp_ack orders 0\n%stomp_nack orders 1\n" + ("" if commit else "1 / 0\n")
    try:
        shell.run_cell_magic("stomp_transaction", "", cell)
    except ZeroDivisionError:
        assert not commit
    assert [number for number in stream.unacknowledged if number < 2] == ([] if commit else [0, 1])


def test_receipts_in_a_transaction_come_before_its_end(shell, queue):
    receipt = run_cell(shell, "%%stomp_transaction\n%stomp_send --receipt /queue/q a\n")
    assert receipt.outcome == "confirmed"
    assert received(queue) == ["a"]


def test_a_transaction_without_a_session_is_refused_before_its_cell_runs(shell):
    with pytest.raises(UsageError, match="no session yet"):
        shell.run_cell_magic("stomp_transaction", "", "x = 1\n")
    assert "x" not in shell.user_ns


def test_a_transaction_whose_connection_is_lost_says_so(shell, broker, capsys):
    run(shell, "stomp_connect", "{}:{} --as s --no-reconnect".format(*broker.address))
    shell.user_ns["broker"] = broker
    shell.user_ns["until"] = until
    cell = "%stomp_send /queue/q a\nbroker.stop()\nuntil(lambda: not s.connected)\n"
    result = shell.run_cell(f"%%stomp_transaction\n{cell}")
    assert isinstance(result.error_in_exec, STOMPError)
    assert len(capsys.readouterr().out.splitlines()) <= 3
    assert shell.user_ns["s"].open_transaction is None


def test_annotations_in_a_transaction_are_those_of_any_cell(shell, queue):
    cell = "def f(a: int) -> str: pass\nf.__annotations__"
    assert run_cell(shell, f"%%stomp_transaction\n{cell}") == {"a": int, "return": str}


def test_sending_while_the_broker_is_away_ends_in_its_time(shell, queue, capsys):
    embedded_broker().stop()
    until(lambda: queue.session.state == "reconnecting")
    started = time.monotonic()
    error = shell.run_cell("%stomp_send --timeout 500ms /queue/q a").error_in_exec
    assert isinstance(error, STOMPError)
    assert time.monotonic() - started < 5

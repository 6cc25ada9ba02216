"""Completion inside the magics, as a kernel asks an IPython shell for it.

In the cells of these tests ``|`` is the cursor.
"""

import json
import re
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from IPython.core.completer import context_matcher, provisionalcompleter, rectify_completions

from stompy import STOMPClient, STOMPFrame
from stompy_jupyter import FrameStream, embedded
from stompy_jupyter.cursor import place_of
from stompy_jupyter.known import OF_FRAME
from stompy_jupyter.magics import StompMagics
from tests.unit.conftest import our_threads

CURSOR = "|"


def completions(shell: Any, cell: str) -> list[Any]:
    """What a kernel answers to a cell."""
    before, after = cell.split(CURSOR)
    return completions_at(shell, before + after, len(before))


def completions_at(shell: Any, cell: str, offset: int) -> list[Any]:
    """The same, as ipykernel asks for it."""
    with provisionalcompleter():
        found = shell.Completer.completions(cell, offset)
        return list(rectify_completions(cell, found))


def offered(shell: Any, cell: str) -> list[str]:
    """The texts that are offered at the cursor."""
    return [found.text for found in completions(shell, cell)]


def becomes(shell: Any, cell: str) -> list[str]:
    """What the cell becomes by each of them."""
    whole = cell.replace(CURSOR, "")
    found = completions(shell, cell)
    return [whole[: one.start] + one.text + whole[one.end :] for one in found]


def kinds(shell: Any, cell: str) -> set[str]:
    return {found.type for found in completions(shell, cell)}


def our_matcher(shell: Any) -> Any:
    return shell.magics_manager.registry["StompMagics"].completion


def come(stream: FrameStream, body: str = "", **headers: str) -> None:
    """Have a message in a stream, as if it had come."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    stream.table.append(STOMPFrame("MESSAGE", {"destination": stream.destination, **named}, body))


@pytest.fixture
def prices(shell: Any) -> FrameStream:
    """The stream `prices` of /topic/prices, on a session called `main`; nothing has come."""
    shell.run_line_magic("stomp_connect", "--as main")
    return shell.run_line_magic("stomp_subscribe", "/topic/prices --as prices --no-widget")


# -- where it is our business, and where it is not -------------------------------------------


def test_the_names_of_magics_are_completed_by_ipython(shell):
    assert offered(shell, "%stomp_con|") == ["%stomp_connect"]
    assert offered(shell, "%%stomp_tr|") == ["%%stomp_transaction"]


ELSEWHERE = [
    "import js|",
    "pri|",
    "rate = 7 % pri|",
    "%time pri|",
    "%nosuch --a|",
    "%stomp_nosuch pri|",
    "%%timeit pri|",
    "%%time\npri|",
    "print('%stomp_wait pri|')",
    "# %stomp_wait pri|",
    "%%stomp_transaction\npri|",
    "%%stomp_on prices\npri|",
    "%%stomp_on prices\nmine.frame.te|",
    "\n|",
]


@pytest.mark.parametrize("cell", ELSEWHERE)
def test_all_other_python_is_completed_as_if_we_were_not_there(shell, prices, cell):
    found = offered(shell, cell)
    our_matcher(shell).unregister(shell)
    assert found == offered(shell, cell)


@pytest.mark.parametrize(
    "cell",
    [
        "%stomp_subscribe /topic/pr|",
        "  %stomp_subscribe /topic/pr|",
        "prices = %stomp_subscribe /topic/pr|",
        "a, b = 1, 2\nif a:\n    %stomp_subscribe /topic/pr|\nprint(b)",
        "%%stomp_send /topic/pr|\nbody",
        "\n\n  %%stomp_send /topic/pr|",
        "%%time\n%stomp_subscribe /topic/pr|",
        "%%stomp_on prices\n%stomp_subscribe /topic/pr|",
        "%%stomp_transaction\n%stomp_send /topic/pr|",
        "%stomp_subscribe --as x \\\n    /topic/pr|",
        "%stomp_subscribe '/topic/pr|'",
        "%stomp_subscribe --max-rows 7 -H 'a: b' -Hc:d --ack=auto /topic/pr| --as x",
        "%stomp_subscribe -- /topic/pr|",
    ],
)
def test_a_line_is_completed_wherever_a_magic_may_stand(shell, prices, cell):
    assert becomes(shell, cell) == [cell.replace("/pr|", "/prices")]


@pytest.mark.filterwarnings("ignore:`Completer.complete` is pending deprecation")
@pytest.mark.parametrize("magic", ["x = %stomp_subscribe", "%%stomp_send", "    %stomp_send"])
def test_a_front_end_may_send_the_line_of_the_cursor_alone(shell, prices, magic):
    line = f"{magic} /topic/pr"
    assert shell.complete("", line, len(line)) == ("/topic/pr", ["/topic/prices"])


@pytest.mark.parametrize(
    "cell",
    [
        "%stomp_wait --n |",
        "%stomp_wait prices --timeout pri|",
        "%stomp_wait prices pri|",
        "%stomp_subscribe '/topic/prices'|",
        "%stomp_connect --nosuch=|",
        "%stomp_connect --tls=|",
        "%stomp_send /topic/prices pri|",
        "%stomp_send /topic/prices --|",
        "%stomp_status |",
        "%%stomp_send /topic/prices\npri|",
        "%%stomp_send /topic/prices\n%stomp_wa|",
        "%%stomp_send /topic/prices\n%stomp_wait --|",
        "%%stomp_send /topic/prices\n'./|",
    ],
)
def test_where_nothing_fits_nothing_is_offered_and_no_python(shell, prices, cell):
    assert offered(shell, cell) == []


def test_unload_removes_our_matcher_and_no_other(shell):
    @context_matcher(identifier="another")
    def another(context: Any) -> Any:
        return {"completions": []}

    shell.Completer.custom_matchers.append(another)
    try:
        our_matcher(shell).register(shell)
        assert len(shell.Completer.custom_matchers) == 2
        shell.run_line_magic("unload_ext", "stompy_jupyter")
        assert shell.Completer.custom_matchers == [another]
    finally:
        shell.Completer.custom_matchers.remove(another)


def test_completion_starts_no_broker_and_leaves_no_thread(shell):
    for line in ("%stomp_subscribe |", "%stomp_connect |", "%stomp_broker faults --client |"):
        offered(shell, line)
    assert not embedded.embedded_broker(start=False).running
    assert our_threads() == []


def test_completion_does_not_wait_for_whoever_starts_or_stops_the_broker(shell, prices):
    with embedded._lock:
        assert offered(shell, "%stomp_subscribe /topic/pr|") == ["/topic/prices"]


# -- options ---------------------------------------------------------------------------------


@pytest.mark.parametrize("magic", ["%stomp_connect", "%stomp_subscribe", "%%stomp_send"])
def test_the_options_of_a_magic_are_those_of_its_parser(shell, magic):
    parser = getattr(StompMagics, magic.strip("%")).parser
    known = [name for action in parser._actions for name in action.option_strings]
    assert offered(shell, f"{magic} -|") == known
    assert offered(shell, f"{magic} --|") == [name for name in known if name != "-H"]
    assert kinds(shell, f"{magic} --|") == {"option"}


@pytest.mark.parametrize(
    ("cell", "whole"),
    [
        ("%stomp_connect --pass|", "%stomp_connect --passcode-env"),
        ("%stomp_connect --no-re|", "%stomp_connect --no-reconnect"),
        ("%stomp_connect localhost --ca| --tls", "%stomp_connect localhost --ca-file --tls"),
        ("%%stomp_send /topic/a --templ|\n{{x}}", "%%stomp_send /topic/a --template\n{{x}}"),
        ("x = %stomp_wait --time|", "x = %stomp_wait --timeout"),
    ],
)
def test_an_option_is_replaced_with_its_hyphens(shell, cell, whole):
    assert becomes(shell, cell) == [whole]


@pytest.mark.parametrize(
    ("line", "missing"),
    [
        ("%stomp_subscribe /topic/a --ack auto --|", "--ack"),
        ("%stomp_subscribe /topic/a --ack=auto --|", "--ack"),
        ("%stomp_subscribe --| /topic/a --no-widget", "--no-widget"),
        ("%stomp_connect --tls --|", "--tls"),
        ("%stomp_connect --tl --|", "--tls"),  # as argparse takes it
    ],
)
def test_an_option_that_was_given_is_not_offered_again(shell, line, missing):
    found = offered(shell, line)
    assert missing not in found
    assert "--header" in found


def test_a_function_of_the_notebook_may_decode(shell):
    shell.user_ns["jobs_of"] = lambda value: value
    assert offered(shell, "%stomp_subscribe /a --decode j|") == ["json", "jsonl", "jobs_of"]


def test_a_header_may_be_given_again(shell):
    assert offered(shell, "%%stomp_send /topic/a --header a:b --he|") == ["--header"]


def test_what_is_in_a_message_is_no_option(shell):
    assert "--json" in offered(shell, "%stomp_send --| /topic/a --json")


def test_after_two_dashes_there_are_no_options(shell, prices):
    assert offered(shell, "%stomp_wait -- -|") == []


def test_where_nothing_is_typed_the_options_come_after_the_values(shell, prices):
    assert offered(shell, "%stomp_wait |") == ["prices", "--n", "--timeout", "--on"]
    assert kinds(shell, "%stomp_wait |") == {"stream", "option"}


def test_a_frame_by_hand_has_options_and_is_no_python(shell):
    shell.run_line_magic("stomp_connect", "--as s")
    options = ["--lint-only", "--force", "--on", "--address", "--version", "--wait"]
    assert offered(shell, "%%stomp_raw |\nBEGIN") == options
    assert offered(shell, "%%stomp_raw --on |\nBEGIN") == ["s"]
    assert offered(shell, "%%stomp_raw --version 1.|\nBEGIN") == ["1.0", "1.1", "1.2"]
    assert offered(shell, "%%stomp_raw\npri|") == []


def test_the_broker_has_the_options_of_its_action(shell):
    actions = offered(shell, "%stomp_broker |")
    assert {"start", "stop", "faults"} <= set(actions)
    assert offered(shell, "%stomp_broker fau|") == ["faults"]
    assert offered(shell, "%stomp_broker start --|") == ["--port", "--websocket"]
    assert offered(shell, "%stomp_broker faults --dup|") == ["--duplicate"]
    assert offered(shell, "%stomp_broker stop --|") == []
    assert offered(shell, "%stomp_broker --|") == []


# -- values of options -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "whole"),
    [
        ("%stomp_subscribe /a --ack cl|", ["client", "client-individual"]),
        ("%stomp_subscribe /a --ack client-|", ["client-individual"]),
        ("%stomp_subscribe /a --ack=client-|", ["client-individual"]),
        ("%stomp_subscribe /a --ack 'client-|", ["client-individual'"]),
        ("%stomp_subscribe /a --ack 'client-|'", ["client-individual"]),
        ("%stomp_subscribe /a --decode js|", ["json", "jsonl"]),
    ],
)
def test_choices_are_offered(shell, cell, whole):
    assert offered(shell, cell) == whole


def test_on_takes_a_session(shell, prices):
    shell.run_line_magic("stomp_connect", "--as second")
    assert offered(shell, "%stomp_subscribe /topic/a --on |") == ["second", "main"]
    assert offered(shell, "%stomp_send --on=ma|") == ["main"]
    assert offered(shell, "%stomp_disconnect s|") == ["second"]
    assert offered(shell, "%stomp_widget |") == ["second", "main"]


def test_a_variable_that_is_a_session_is_one(shell, prices):
    shell.user_ns["mine"] = shell.user_ns["main"]
    assert offered(shell, "%stomp_disconnect |") == ["main", "mine"]


def test_a_passcode_is_looked_for_among_the_names_of_variables(shell, monkeypatch):
    monkeypatch.setenv("AAA", "v4lue")
    monkeypatch.setenv("BROKER_PASSCODE", "s3cr3t")
    found = offered(shell, "%stomp_connect --passcode-env |")
    assert found.index("BROKER_PASSCODE") < found.index("AAA")
    assert not {"v4lue", "s3cr3t"} & set(found)
    assert offered(shell, "%stomp_connect --passcode-env BROKER_|") == ["BROKER_PASSCODE"]


@pytest.mark.parametrize("option", ["--ca-file", "--cert-file", "--key-file"])
def test_files_are_completed_by_ipython(shell, tmp_path, monkeypatch, option):
    (tmp_path / "us-cert.pem").touch()
    monkeypatch.chdir(tmp_path)
    assert becomes(shell, f"%stomp_connect {option} ./us-c|") == [
        f"%stomp_connect {option} ./us-cert.pem"
    ]


def test_as_proposes_the_last_part_of_the_destination(shell, prices):
    assert offered(shell, "%stomp_subscribe /queue/orders --as |") == ["orders", "prices"]
    assert offered(shell, "%stomp_subscribe --as | /queue/eu.orders-2") == ["eu_orders_2", "prices"]


@pytest.mark.parametrize("destination", ["/queue/taken", "/queue/2", "/queue/class", "/queue/list"])
def test_as_proposes_no_name_that_is_taken_or_none(shell, prices, destination):
    shell.user_ns["taken"] = 1
    assert offered(shell, f"%stomp_subscribe {destination} --as |") == ["prices"]


def test_as_proposes_what_is_bound_to_the_like(shell, prices):
    assert offered(shell, "%stomp_subscribe /topic/prices --as |") == ["prices"]
    assert offered(shell, "%stomp_connect --as |") == ["main"]


# -- addresses, streams, destinations --------------------------------------------------------


def test_an_address_is_one_that_is_known_or_the_usual_one(shell, prices, monkeypatch):
    monkeypatch.setenv("STOMPY_URL", "stomp+ssl://me:s3cr3t@broker.example:61614/prices")
    found = offered(shell, "%stomp_connect |")
    assert found[:3] == [
        shell.user_ns["main"].address,
        "stomp+ssl://me@broker.example:61614/prices",
        "localhost:61613",
    ]
    assert {"stomp://", "stomp+ssl://", "ws://", "wss://"} <= set(found)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("localhost", "localhost:61613"),
        ("stomp://a%40b:s3cr3t@h/v%2Fw", "stomp://a%40b@h:61613/v%2Fw"),
        ("stomp://:s3cr3t@h:1", "h:1"),
        ("wss://me:s3cr3t@h:1/ws?token=s3cr3t", "wss://me@h:1/ws"),
        ("stomp+unix:///run/stomp", "stomp+unix:///run/stomp"),
    ],
)
def test_an_address_is_shown_without_its_passcode(shell, monkeypatch, url, shown):
    monkeypatch.setenv("STOMPY_URL", url)
    found = offered(shell, "%stomp_connect |")
    assert found[0] == shown
    assert "s3cr3t" not in str(found)


def test_an_address_that_is_none_is_not_shown(shell, monkeypatch):
    monkeypatch.setenv("STOMPY_URL", "me:s3cr3t@: no address")
    assert offered(shell, "%stomp_connect |")[0] == "localhost:61613"


@pytest.mark.parametrize(
    "magic", ["wait", "pause", "resume", "unsubscribe", "on", "ack", "nack", "wait --n 7"]
)
def test_a_stream_is_one_of_a_session_or_a_variable(shell, prices, magic):
    shell.run_line_magic("stomp_subscribe", "/queue/q --no-widget")
    shell.user_ns["mine"] = prices
    assert offered(shell, f"%stomp_{magic} |")[:3] == ["/queue/q", "prices", "mine"]
    assert becomes(shell, f"%stomp_{magic} /qu|") == [f"%stomp_{magic} /queue/q"]


def test_ack_takes_the_numbers_of_the_frames_that_wait(shell, prices):
    how = "/queue/orders --as orders --ack client-individual --no-send-acks --no-widget"
    orders = shell.run_line_magic("stomp_subscribe", how)
    for body in "abc":
        shell.run_line_magic("stomp_send", f"/queue/orders {body}")
    orders.wait(3, timeout=5)
    assert offered(shell, "%stomp_ack orders 1 |")[:2] == ["0", "2"]
    assert offered(shell, "%stomp_nack 0 |")[:2] == ["1", "2"]
    assert offered(shell, "%stomp_ack |")[:5] == ["orders", "prices", "0", "1", "2"]
    assert "0" not in offered(shell, "%stomp_ack prices |")


def test_destinations_are_those_that_were_sent_to_subscribed_or_at_the_broker(shell, prices):
    shell.run_line_magic("stomp_send", "/queue/sent a")
    prices.session.send("/queue/in-python", "a", receipt=True).wait(5)
    expected = ["/queue/sent", "/topic/prices", "/queue/in-python", "/topic/", "/queue/"]
    assert offered(shell, "%stomp_subscribe |")[:5] == expected
    assert offered(shell, "%%stomp_send /|") == expected
    assert becomes(shell, "%stomp_subscribe /queue/in-|") == ["%stomp_subscribe /queue/in-python"]


def test_without_any_destination_there_are_the_usual_beginnings(shell):
    assert offered(shell, "%%stomp_send |")[:2] == ["/topic/", "/queue/"]
    assert offered(shell, "%%stomp_send /t|") == ["/topic/"]


@pytest.mark.parametrize(
    ("typed", "whole"),
    [
        ("/queue/a|", "'/queue/a b'"),
        ("'/queue/a|", "'/queue/a b'"),
        ('"/queue/a |', '"/queue/a b"'),
        ("'/queue/a|'", "'/queue/a b'"),
        ('"/queue/a|" --as x', '"/queue/a b" --as x'),
    ],
)
def test_a_destination_with_spaces_gets_the_quotes_of_the_user_or_others(
    shell, prices, typed, whole
):
    shell.run_line_magic("stomp_subscribe", "'/queue/a b' --no-widget")
    assert becomes(shell, f"%stomp_subscribe {typed}") == [f"%stomp_subscribe {whole}"]


def test_a_beginning_leaves_the_quote_open(shell):
    assert offered(shell, "%stomp_subscribe '|") == ["/topic/", "/queue/"]


@pytest.mark.parametrize(
    ("destination", "written"),
    [
        ("/queue/it's", "/queue/it's"),
        ("/queue/it's a", '"/queue/it\'s a"'),
        ("-q", "'-q'"),
        ("'q'", "\"'q'\""),
        ("/queue/'a' \"b\"", None),
        ("/queue/a\nimport os", None),
        ("/queue/\x1b[31m", None),
        ("/queue/\u202eabc", None),
    ],
)
def test_what_is_offered_means_the_destination_or_is_not_offered(
    shell, prices, destination, written
):
    shell.magics_manager.registry["StompMagics"].notebook.note(destination)
    found = offered(shell, "%stomp_subscribe |")
    assert found[0] == (written or "/topic/prices")
    if written:
        parser = StompMagics.stomp_subscribe.parser
        assert parser.parse_argstring(written).destination == destination


# -- headers ---------------------------------------------------------------------------------


def test_a_header_is_one_of_the_frame_that_will_be_sent(shell):
    assert "content-type: " in offered(shell, "%%stomp_send /topic/a --header '|")
    assert "selector: " in offered(shell, "%stomp_subscribe /topic/a --header '|")
    assert "client-id: " in offered(shell, "%stomp_connect --header '|")
    assert "selector: " not in offered(shell, "%%stomp_send /topic/a --header '|")


def test_a_header_is_one_that_messages_had(shell, prices):
    come(prices, currency="EUR", message_id="1")
    assert offered(shell, "%%stomp_send /topic/a -H 'cu|") == ["currency: "]
    assert offered(shell, "%%stomp_send /topic/a -H 'message|") == []
    assert offered(shell, "%stomp_subscribe /topic/a -H 'cu|") == []


@pytest.mark.parametrize(
    ("typed", "whole"),
    [
        ("-H 'content-|", "-H 'content-type: "),
        ('-H "content-|"', '-H "content-type: "'),
        ("-H content-|", "-H 'content-type: "),
        ("--header content-|", "--header 'content-type: "),
        ("--header=content-|", "--header=content-type:"),
        ("-Hcontent-|", "-Hcontent-type:"),
        ("-H 'content-type: text/c|", "-H 'content-type: text/csv'"),
        ("-H 'content-type:text/c|'", "-H 'content-type:text/csv'"),
        ("-H content-type:text/c|", "-H content-type:text/csv"),
        ("--header=content-type:text/c|", "--header=content-type:text/csv"),
        ("-H 'reply-to: /topic/pr|", "-H 'reply-to: /topic/prices'"),
        ("-H 'persistent: t|", "-H 'persistent: true'"),
    ],
)
def test_a_header_is_completed_so_that_ipython_takes_it_for_one_word(shell, prices, typed, whole):
    assert becomes(shell, f"%%stomp_send /topic/prices {typed}") == [
        f"%%stomp_send /topic/prices {whole}"
    ]


def test_the_usual_content_types_are_offered(shell):
    found = offered(shell, "%%stomp_send /topic/a -H 'content-type: |")
    assert {"application/json'", "text/plain'", "text/csv'"} <= set(found)
    assert offered(shell, "%%stomp_send /topic/a -H 'nosuch: |") == []


# -- cells -----------------------------------------------------------------------------------


def test_a_callback_sees_what_a_frame_has(shell, prices):
    assert offered(shell, "%%stomp_on prices\nprint(frame.|)") == list(OF_FRAME)
    assert all(hasattr(STOMPFrame, name) for name in OF_FRAME)
    assert becomes(shell, "%%stomp_on prices\nx = [frame.te|]") == [
        "%%stomp_on prices\nx = [frame.text]"
    ]


def test_a_callback_sees_what_a_client_has(shell, prices):
    found = offered(shell, "%%stomp_on prices\nclient.|")
    assert {"message", "send", "unsubscribe"} <= set(found)
    assert all(hasattr(STOMPClient, name) and not name.startswith("_") for name in found)


@pytest.mark.parametrize(
    ("typed", "whole"),
    [
        ('frame["cur|', 'frame["currency"'),
        ("frame['cur|']", "frame['currency']"),
        ('frame.get("cur|")', 'frame.get("currency")'),
        ('print(frame.text, frame["cur|"])', 'print(frame.text, frame["currency"])'),
        ("frame['message-|']", "frame['message-id']"),
    ],
)
def test_a_callback_sees_the_headers_of_its_stream(shell, prices, typed, whole):
    come(prices, currency="EUR")
    other = shell.run_line_magic("stomp_subscribe", "/topic/b --as other --no-widget")
    come(other, curious="yes")
    assert becomes(shell, f"%%stomp_on prices\n{typed}") == [f"%%stomp_on prices\n{whole}"]


def test_a_header_that_is_called_like_a_column_is_called_by_its_own_name(shell, prices):
    come(prices, size="7")
    assert offered(shell, "%%stomp_on prices\nframe['si|']") == ["size"]


def test_names_of_strangers_cannot_leave_their_quotes(shell, prices):
    names = ['x"]; import os; os["', "x'", "x\\", "x\nimport os", "x\x1b[31m"]
    for name in (*names, "xyz"):
        prices.table.append(STOMPFrame("MESSAGE", {"destination": "/topic/prices", name: "1"}))
    assert offered(shell, "%%stomp_on prices\nframe['x|']") == ["xyz"]
    assert offered(shell, "%%stomp_send /topic/a -H 'x|'") == ["x\\: ", "xyz: "]


@pytest.mark.parametrize(
    ("typed", "whole"),
    [
        ('{"price": {{pri|', '{"price": {{price}}'),
        ('{"price": {{ pri|}', '{"price": {{ price}}'),
        ('{"price": {{pri|}}}', '{"price": {{price}}}'),
        ("first\n{{price}} and {{pri|", "first\n{{price}} and {{price}}"),
    ],
)
def test_a_template_is_filled_from_the_notebook(shell, typed, whole):
    shell.user_ns.update(price=4.2, print_=print, pri_module=json)
    for magic in ("%%stomp_send /topic/a --template\n", "%%stomp_send --json /a --template\n"):
        assert becomes(shell, magic + typed) == [magic + whole]
    line = "%stomp_send --template /topic/a "
    assert becomes(shell, (line + typed).replace("\n", " ")) == [(line + whole).replace("\n", " ")]


def test_what_is_not_the_users_is_not_offered_for_a_template(shell):
    shell.user_ns.update(mine=1, _private=2, Mine=int, function=len, module=re)
    found = offered(shell, "%%stomp_send /topic/a --template\n{{|")
    assert "mine}}" in found
    assert not {"_private}}", "Mine}}", "function}}", "module}}", "In}}", "Out}}"} & set(found)


def test_without_template_two_braces_are_two_braces(shell):
    shell.user_ns["price"] = 4.2
    assert offered(shell, "%%stomp_send /topic/a\n{{pri|") == []


@pytest.mark.parametrize(
    ("typed", "whole"),
    [
        ('{"pr|', '{"price": '),
        ('{"symbol": "A",\n "pr|"', '{"symbol": "A",\n "price"'),
    ],
)
def test_json_has_the_names_that_came_from_there(shell, prices, typed, whole):
    for body in ('{"symbol": "ABC", "price": 1}', "no JSON", '["list"]', "[" * 9000):
        come(prices, body)
    head = "%%stomp_send /topic/prices\n"
    assert becomes(shell, head + typed) == [head + whole]
    assert offered(shell, f"%%stomp_send /topic/another\n{typed}") == []


def test_text_that_is_no_json_has_no_names(shell, prices):
    come(prices, '{"price": 1}')
    assert offered(shell, '%%stomp_send /topic/prices\nhe said, "pr|') == []


# -- whatever is typed -----------------------------------------------------------------------

PIECES = [
    *("%stomp_subscribe", "%%stomp_send", "%stomp_send", "%%stomp_on", "%stomp_broker"),
    "%stomp_replay",
    *("%stomp_connect", "%stomp_ack", "%stomp", "%", "x = ", " ", "\n", "\\\n", "\t", "\r"),
    *("/topic/pr", "prices", "'", '"', "-", "--", "=", ":", "-H", "--header", "--as", "--on"),
    *("--json", "--template", "content-type", "faults", "{{", "}}", '{"', ",", "frame", "client"),
    *(".", "[", "(", "get", "\\", "é", "\u2028", "\0", "😀", "\udcff"),
]
TYPED = st.one_of(st.text(), st.lists(st.sampled_from(PIECES)).map("".join))


@settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cell=TYPED, share=st.floats(0, 1))
def test_whatever_is_typed_is_completed_without_an_error(shell, prices, cell, share):
    offset = round(share * len(cell))
    left = cell[:offset]
    line, column = left.count("\n"), len(left) - left.rfind("\n") - 1
    offer = our_matcher(shell).offer(cell, line, column)
    assert offer is None or left.endswith(offer.typed)


# IPython itself fails on a word that is nothing but white space of another kind.
USUAL = TYPED.map(lambda text: "".join(c for c in text if c in " \n" or not c.isspace()))
HEADS = [
    *("%stomp_subscribe ", "%%stomp_send ", "%%stomp_send --template /topic/prices\n"),
    *("%stomp_send --json /topic/prices ", "%%stomp_on prices\n", "x = %stomp_broker "),
    "%stomp_replay ",
]


@pytest.fixture
def printed(shell: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The exceptions that IPython prints of matchers; without jedi, which is slow and not ours."""
    errors: list[Any] = []
    monkeypatch.setattr(shell.Completer, "use_jedi", False)
    monkeypatch.setattr(sys, "excepthook", lambda *error: errors.append(error))
    return errors


@settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(head=st.sampled_from(HEADS), typed=USUAL, share=st.floats(0, 1))
def test_ipython_takes_whatever_is_offered(shell, prices, printed, head, typed, share):
    completions_at(shell, head + typed, len(head) + round(share * len(typed)))
    assert printed == []


class Awkward:
    """A variable that does not want to be looked at."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __bool__(self) -> bool:
        raise RuntimeError


def test_variables_are_not_touched(shell, prices):
    shell.user_ns["awkward"] = Awkward()
    assert offered(shell, "%stomp_wait pr|") == ["prices"]
    assert offered(shell, "%%stomp_send /a --template\n{{awk|") == ["awkward}}"]
    assert offered(shell, "%stomp_subscribe /topic/awkward --as aw|") == []


def test_an_error_of_ours_is_not_printed_into_the_notebook(shell, monkeypatch, capsys):
    def fail(*_: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr("stompy_jupyter.completion.place_of", fail)
    assert "json" in offered(shell, "import jso|")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "text", ["%stomp_subscribe " + " " * 200_000, " " * 200_000, "x" * 200_000]
)
def test_a_very_long_line_takes_no_longer_than_its_length(text):
    assert (place_of([text], 0, len(text)) is not None) == text.startswith("%")

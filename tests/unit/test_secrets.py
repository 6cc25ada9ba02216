"""Passcodes: how they come in, and that they come out nowhere."""

import getpass
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.error import StdinNotImplementedError, UsageError

from stompy import STOMPConnectError, TracedFrame
from stompy.broker import Broker
from stompy_jupyter import StompSession, StompWidget
from tests.unit.shells import run, run_cell, sessions
from tests.unit.waiting import until

pytestmark = pytest.mark.usefixtures("unconfigured")

SECRET = "s3cr3t-p4ss"


@pytest.fixture
def guarded() -> Iterator[Broker]:
    """A broker that lets in ``me`` with the passcode alone."""
    with Broker(logins={"me": SECRET}) as broker:
        yield broker


@pytest.fixture
def address(guarded: Broker) -> str:
    """Where it listens, as host and port."""
    return "{}:{}".format(*guarded.address)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The prompts that somebody saw, who typed the passcode."""
    prompts: list[str] = []
    monkeypatch.setattr(getpass, "getpass", lambda prompt: prompts.append(prompt) or SECRET)
    return prompts


@pytest.fixture
def unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is there who could be asked, and nobody is."""

    def fail(prompt: str) -> str:
        raise AssertionError(f"asked: {prompt}")

    monkeypatch.setattr(getpass, "getpass", fail)


# -- how they come in ------------------------------------------------------------------------


@pytest.mark.usefixtures("unasked")
def test_a_passcode_comes_from_the_variable_that_is_named(shell, address, monkeypatch):
    monkeypatch.setenv("MY_PASSCODE", SECRET)
    for typed in ("--passcode-env MY_PASSCODE", "--passcode-env='MY_PASSCODE'"):
        assert run(shell, "stomp_connect", f"{address} --login me {typed}").connected


@pytest.mark.parametrize("who", ["{} --login me", "stomp://me@{}", "stomp://other@{} --login me"])
def test_a_passcode_is_asked_for_where_there_is_none(shell, address, asked, who):
    assert run(shell, "stomp_connect", who.format(address)).connected
    assert asked == ["Passcode of me: "]


@pytest.mark.usefixtures("unasked")
@pytest.mark.parametrize("line", ["", "{}", "--vhost / {}"])
def test_nobody_is_asked_who_does_not_log_in(shell, broker, line):
    assert run(shell, "stomp_connect", line.format("{}:{}".format(*broker.address))).connected


@pytest.mark.usefixtures("unasked")
def test_nobody_is_asked_where_stompy_url_has_it_and_no_warning_is_given(
    shell, address, monkeypatch
):
    monkeypatch.setenv("STOMPY_URL", f"stomp://me:{SECRET}@{address}")
    assert run(shell, "stomp_connect").connected


@pytest.mark.usefixtures("unasked")
def test_a_passcode_comes_from_the_variable_that_is_configured(shell, address, monkeypatch):
    monkeypatch.setenv("MY_PASSCODE", SECRET)
    run_cell(shell, "%config StompMagics.passcode_env = 'MY_PASSCODE'")
    assert run(shell, "stomp_connect", f"{address} --login me").connected
    run_cell(shell, f"%config StompMagics.address = 'stomp://me@{address}'")
    assert run(shell, "stomp_connect").connected
    run_cell(shell, "%config StompMagics.passcode_env = 'NOT_THERE'")
    with pytest.raises(UsageError, match="NOT_THERE is not set"):
        run(shell, "stomp_connect")


def test_the_variable_of_the_line_goes_before_the_configured_one(shell, address, monkeypatch):
    monkeypatch.setenv("MY_PASSCODE", SECRET)
    run_cell(shell, "%config StompMagics.passcode_env = 'NOT_THERE'")
    assert run(shell, "stomp_connect", f"{address} --login me --passcode-env MY_PASSCODE").connected


def test_the_configured_address_cannot_have_one(shell, capsys, caplog):
    magics = shell.magics_manager.registry["StompMagics"]
    shell.run_cell(f"%config StompMagics.address = 'stomp://me:{SECRET}@localhost'")
    shell.run_cell("%config StompMagics")
    assert magics.address == ""
    printed = capsys.readouterr()
    assert "passcode_env" in printed.out + printed.err + caplog.text
    assert SECRET not in printed.out + printed.err + caplog.text


@pytest.mark.parametrize("error", [StdinNotImplementedError("no stdin"), EOFError()])
def test_where_nobody_can_be_asked_it_is_one_line(shell, address, monkeypatch, capsys, error):
    def refuse(_: str) -> str:
        raise error

    monkeypatch.setattr(getpass, "getpass", refuse)
    result = shell.run_cell(f"%stomp_connect {address} --login me --as s")
    assert type(result.error_in_exec) is UsageError
    shown = capsys.readouterr().err
    assert shown.startswith("UsageError: no passcode for me, ")
    assert "--passcode-env" in shown
    assert len(shown.splitlines()) == 1
    assert sessions(shell) == {}
    assert "s" not in shell.user_ns


def test_a_question_that_is_interrupted_leaves_the_session_before(
    shell, address, asked, monkeypatch
):
    first = run(shell, "stomp_connect", f"{address} --login me --as s")

    def interrupt(_: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(getpass, "getpass", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(shell, "stomp_connect", f"{address} --login me --as s")
    assert first.connected
    assert shell.user_ns["s"] is first


def test_a_passcode_in_the_line_is_warned_of(shell, address):
    line = f"stomp://me:{SECRET}@{address} --as s"
    with pytest.warns(UserWarning, match="--passcode-env") as warned:
        run(shell, "stomp_connect", line)
    assert shell.user_ns["s"].connected
    assert SECRET not in "".join(str(each.message) for each in warned)


@pytest.mark.usefixtures("unasked")
def test_a_variable_that_is_not_set_or_empty(shell, address, monkeypatch):
    monkeypatch.delenv("NOT_THERE", raising=False)
    with pytest.raises(UsageError, match="the environment variable NOT_THERE is not set"):
        run(shell, "stomp_connect", f"{address} --login me --passcode-env NOT_THERE")
    monkeypatch.setenv("NOT_THERE", "")
    with pytest.raises(STOMPConnectError, match="refused"):
        run(shell, "stomp_connect", f"{address} --login me --passcode-env NOT_THERE")


# -- that they come out nowhere --------------------------------------------------------------


def everything_shown(shell: Any, value: object) -> str:
    """All that a notebook shows of a value."""
    data, metadata = shell.display_formatter.format(value)
    return json.dumps([data, metadata], default=repr) + repr(value) + str(value)


@pytest.fixture(params=["environment", "question", "url", "python"])
def session(
    request: pytest.FixtureRequest,
    shell: Any,
    address: str,
    asked: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> StompSession:
    """A session with a passcode that came in one of the ways; everything is logged."""
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        caplog.set_level(logging.DEBUG, name)
    if request.param == "environment":
        monkeypatch.setenv("MY_PASSCODE", SECRET)
        line = f"{address} --login me --passcode-env MY_PASSCODE"
    elif request.param == "question":
        line = f"{address} --login me"
    elif request.param == "url":
        monkeypatch.setenv("STOMPY_URL", f"stomp://me:{SECRET}@{address}")
        line = ""
    else:
        shell.user_ns["mine"] = mine = StompSession(address, login="me", passcode=SECRET).connect()
        sessions(shell)["s"] = mine
        return mine
    return run(shell, "stomp_connect", f"{line} --as s")


def test_a_passcode_is_in_nothing_that_is_shown_or_logged(shell, session, capsys, caplog, guarded):
    stream = run(shell, "stomp_subscribe", "/queue/q --as q")
    widget = StompWidget(session)
    receipt = run(shell, "stomp_send", "--receipt /queue/q a")
    stream.wait(1, 5)
    values = [session, stream, stream.df, widget, receipt, session.client, guarded]
    values += [run(shell, magic) for magic in ("stomp_status", "stomp")]
    values += [session.traits(), session.trait_values(), session._addresses, session.address]
    shown = "".join(everything_shown(shell, value) for value in values)
    shown += json.dumps([widget.window(), widget.get_state()], default=repr)
    for code in ("%config StompMagics", "%config", "%whos", "%who_ls", "s", "dir(s)"):
        shell.run_cell(code)
    until(lambda: guarded.clients())
    shown += repr([guarded.clients(), guarded.events()])
    session.disconnect()
    widget.close()
    printed = capsys.readouterr()
    assert "StompSession" in printed.out
    assert SECRET not in shown + printed.out + printed.err + caplog.text
    assert not [r for r in caplog.records if SECRET in repr(r.__dict__)]


def test_a_passcode_is_in_no_error(shell, session, capsys, caplog, guarded, address):
    guarded.stop()
    until(lambda: session.state != "connected")
    for code in (
        f"%stomp_connect {address} --login me --as t",
        f"%stomp_connect stomp://me:{SECRET}@{address}:x",
        f"%stomp_connect tcp://me:{SECRET}@{address}",
        f"%stomp_connect stomp://me:{SECRET}@127.0.0.1:1:1",
        f"%stomp_connect stomp://{SECRET}@@127.0.0.1:1/?#",
        "%stomp_status",
        "s",
    ):
        shell.run_cell(code)
    session.disconnect()
    printed = capsys.readouterr()
    assert "STOMPConnectError" in printed.out
    assert SECRET not in printed.out + printed.err + caplog.text
    assert SECRET not in str(session.last_error)


def test_a_passcode_that_is_wrong_is_not_in_the_refusal(shell, address, monkeypatch, capsys):
    monkeypatch.setenv("MY_PASSCODE", f"{SECRET}-wrong")
    shell.run_cell(f"%stomp_connect {address} --login me --passcode-env MY_PASSCODE")
    printed = capsys.readouterr()
    assert "refused" in printed.out
    assert SECRET not in printed.out + printed.err


def test_a_passcode_is_in_no_traced_frame(shell, address):
    traced: list[TracedFrame] = []
    with StompSession(address, login="me", passcode=SECRET, trace=traced.append) as session:
        session.send("/queue/q", "a", receipt=True).wait(5)
    assert [each.frame.Command for each in traced if each.frame][:2] == ["CONNECT", "CONNECTED"]
    assert SECRET not in repr(traced) + "".join(map(str, traced))


def test_a_passcode_is_not_in_what_the_notebook_remembers(shell, address, asked):
    before = set(shell.user_ns)
    run_cell(shell, f"%stomp_connect {address} --login me --as s")
    remembered = {name: shell.user_ns[name] for name in set(shell.user_ns) - before}
    history = [shell.user_ns["In"], shell.history_manager.input_hist_raw, shell.user_ns["Out"]]
    assert SECRET not in repr(remembered) + repr(history)


@pytest.mark.parametrize("mode", ["Plain", "Context", "Minimal"])
def test_a_passcode_is_in_no_stack_that_an_expert_asks_for(
    shell, guarded, address, asked, capsys, mode
):
    shell.magics_manager.registry["StompMagics"].short_errors = False
    guarded.stop()
    try:
        shell.run_cell(f"%xmode {mode}")
        shell.run_cell(f"%stomp_connect {address} --login me")
    finally:
        shell.run_cell("%xmode Context")
    printed = capsys.readouterr()
    assert "STOMPConnectError" in printed.out
    assert SECRET not in printed.out + printed.err


def test_a_verbose_stack_shows_no_passcode(shell, capsys, monkeypatch):
    monkeypatch.setenv("SECRET", "s3cr3t")
    shell.magics_manager.registry["StompMagics"].short_errors = False
    shell.run_cell("%xmode Verbose")
    try:
        shell.run_cell("%stomp_connect 127.0.0.1:1 --login me --passcode-env SECRET")
    finally:
        shell.run_cell("%xmode Context")
    shown = capsys.readouterr()
    assert "STOMPConnectError" in shown.out
    assert "s3cr3t" not in shown.out + shown.err

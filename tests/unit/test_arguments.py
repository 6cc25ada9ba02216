"""How the arguments of magics are written, and how magics fail."""

import contextlib
import sys
from argparse import ArgumentTypeError
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.error import UsageError
from IPython.core.magic import Magics, magics_class
from IPython.core.magic_arguments import argument, parse_argstring

from stompy import STOMPConnectError, STOMPError, STOMPFrame, STOMPTimeout
from stompy_jupyter.arguments import (
    HEADER,
    StompMagicError,
    headers_of,
    heart_beat,
    magic,
    number,
    octets,
    parser_of,
    seconds,
    split_body,
    text,
)

# -- kinds of arguments ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("a", "a"),
        ("'a b'", "a b"),
        ('"a b"', "a b"),
        ("''", ""),
        ("'", "'"),
        ("", ""),
        ("'a", "'a"),
        ("'a\"", "'a\""),
        ('"it\'s"', "it's"),
        ("'\"a\"'", '"a"'),
        ("a'b'", "a'b'"),
    ],
)
def test_one_pair_of_quotes_is_no_part_of_a_text(given, plain):
    assert text(given) == plain


TIMES = {"30s": 30.0, "30": 30.0, "0": 0.0, "1.5min": 90.0, "1.5m": 90.0, ".5s": 0.5, "5.": 5.0}
TIMES |= {"250ms": 0.25, "2h": 7200.0, "2H": 7200.0, "3 sec": 3.0, "'7s'": 7.0}


@pytest.mark.parametrize(("given", "value"), TIMES.items())
def test_a_time_has_a_unit_or_is_in_seconds(given, value):
    assert seconds(given) == value


SIZES = {"1": 1, "1000": 1000, "1b": 1, "64MB": 64_000_000, "64mb": 64_000_000, "1k": 1024}
SIZES |= {"1kb": 1000, "1KiB": 1024, "1.5MiB": 1_572_864, "1m": 1_048_576, "1G": 1 << 30}
SIZES |= {"1GB": 10**9, "2 GiB": 2 << 30, '"5kB"': 5000}


@pytest.mark.parametrize(("given", "value"), SIZES.items())
def test_a_size_has_a_unit_or_is_in_bytes(given, value):
    assert octets(given) == value


@pytest.mark.parametrize("given", ["1", "2", "1000000", "'7'"])
def test_a_number_is_whole_and_positive(given):
    assert number(given) == int(given.strip("'"))


@pytest.mark.parametrize(
    ("given", "value"), [("0,0", (0, 0)), ("100,200", (100, 200)), ("'10 , 20'", (10, 20))]
)
def test_a_heart_beat_is_a_pair_of_milliseconds(given, value):
    assert heart_beat(given) == value


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [(seconds, wrong) for wrong in ("", "s", "-1", "-1s", "soon", "1y", "1,5s", "1 s s", "nan")]
    + [(seconds, wrong) for wrong in ("inf", "1e3", "0x10", "1..2", "1.2.3", "'", "30s; drop")]
    + [(octets, wrong) for wrong in ("", "mb", "-1", "1tb", "1.5.MB", "many", "1e6", "1 M B")]
    + [(number, wrong) for wrong in ("", "0", "-1", "1.5", "x", "1e3", "0x10", "''", "inf")]
    + [(heart_beat, wrong) for wrong in ("", "1", "1,", ",1", "-1,0", "1,2,3", "a,b", "1.5,1")],
)
def test_what_is_no_such_thing_is_repeated_in_the_error(kind, wrong):
    with pytest.raises(ArgumentTypeError) as failure:
        kind(wrong)
    assert repr(wrong) in str(failure.value)


@settings(deadline=None)
@given(st.text(max_size=12))
def test_whatever_is_written_is_a_value_or_an_error_that_argparse_knows(given):
    for kind, least in ((seconds, 0), (octets, 1), (number, 1)):
        with contextlib.suppress(ArgumentTypeError):
            assert kind(given) >= least


# -- headers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "headers"),
    [
        ([], {}),
        (["a:b"], {"a": "b"}),
        (["a: b", "c:d"], {"a": "b", "c": "d"}),
        (["'a : b c '"], {"a": "b c"}),
        (["a:b:c"], {"a": "b:c"}),
        (["a:"], {"a": ""}),
        (["a: 1", "a: 2"], {"a": "2"}),
    ],
)
def test_headers_are_names_and_values_without_the_spaces_around_them(given, headers):
    assert headers_of(given) == headers


@pytest.mark.parametrize("wrong", ["", "a", ":", ": b", "  :b", "''"])
def test_a_header_without_a_name_or_a_colon_is_refused(wrong):
    with pytest.raises(UsageError, match="write --header 'name: value'"):
        headers_of(["good: one", wrong])


# -- a magic ---------------------------------------------------------------------------------


@magics_class
class Examples(Magics):
    """Magics that do what the test wants."""

    class notebook:
        short_errors = True

    @magic(
        argument("what", nargs="?", type=text, help="e.g. $HOME or {x}"),
        HEADER,
        argument("--number", type=number, metavar="N", help="how many"),
        argument("--flag", action="store_true", help="yes"),
        argument("--flat", action="store_true", help="no"),
        kind="line_cell",
    )
    def example(self, line: str, cell: str | None = None) -> Any:
        """Show what was given.

        Example::

            %example a
        """
        return parse_argstring(self.example, line)

    @magic(argument("--kind", help="of the error"))
    def failing(self, line: str) -> None:
        """Fail."""
        raise self.error


@pytest.fixture
def examples(bare_shell: Any) -> Any:
    """The magics, in a shell that forgets them afterwards."""
    made = Examples(bare_shell)
    bare_shell.register_magics(made)
    yield made
    bare_shell.configurables.remove(made)
    del bare_shell.magics_manager.registry["Examples"]
    for kind, names in (("line", ("example", "failing")), ("cell", ("example",))):
        for name in names:
            del bare_shell.magics_manager.magics[kind][name]


def test_nothing_is_expanded_in_the_line_of_a_magic(bare_shell, examples):
    bare_shell.user_ns["x"] = "expanded"
    for what in ("{x}", "$x", "${x}", "$HOME"):
        assert bare_shell.run_line_magic("example", what).what == what
        assert bare_shell.run_cell_magic("example", what, "cell\n").what == what
    del bare_shell.user_ns["x"]


def test_the_help_of_a_magic_is_its_docstring(bare_shell, examples, capsys):
    shown = ["%example [--header 'NAME: VALUE'] [--number N]", "Show what was given.", "%example a"]
    for words in (*shown, "e.g. $HOME or {x}"):
        assert words in examples.example.__doc__
    bare_shell.run_cell("%example?").raise_error()
    assert "Show what was given." in capsys.readouterr().out


def error_lines(bare_shell: Any, magics: Examples, error: Exception) -> list[str]:
    """What a notebook shows of an error in a magic."""
    magics.error = error
    result = bare_shell.run_cell("%failing")
    return result.error_in_exec._render_traceback_()


def test_an_error_of_ours_is_shown_by_its_kind_and_its_lines(bare_shell, examples, capsys):
    error = STOMPTimeout("nothing came", hint="wait longer")
    lines = error_lines(bare_shell, examples, error)
    assert lines == ["STOMPTimeout: nothing came", "Try: wait longer"]
    assert capsys.readouterr().out.splitlines() == lines


def test_an_error_of_the_operating_system_is_shown_by_its_kind_and_its_line(bare_shell, examples):
    assert error_lines(bare_shell, examples, OSError(98, "in use")) == [
        "OSError: [Errno 98] in use"
    ]


def test_an_error_of_connecting_stays_what_it_is(bare_shell, examples):
    examples.error = STOMPConnectError("nobody there", hint="start it")
    result = bare_shell.run_cell("%failing")
    assert result.error_in_exec is examples.error


def test_a_short_error_keeps_the_error_and_its_frame(bare_shell, examples):
    examples.error = STOMPError("no", STOMPFrame("ERROR", {"message": "no"}))
    error = bare_shell.run_cell("%failing").error_in_exec
    assert isinstance(error, StompMagicError)
    assert error.__cause__ is examples.error
    assert error.Frame is examples.error.Frame


@pytest.mark.parametrize("kind", [ValueError, KeyError, ZeroDivisionError])
def test_any_other_error_keeps_its_stack(bare_shell, examples, kind, capsys):
    examples.error = kind("x")
    assert bare_shell.run_cell("%failing").error_in_exec is examples.error
    assert "Traceback" in capsys.readouterr().out


@pytest.mark.parametrize(
    "error", [STOMPTimeout("no"), STOMPConnectError("no"), OSError(2, "no"), STOMPError("no")]
)
def test_an_expert_may_see_the_stack(bare_shell, examples, error, capsys, monkeypatch):
    monkeypatch.setattr(examples.notebook, "short_errors", False)
    examples.error = error
    assert bare_shell.run_cell("%failing").error_in_exec is error
    shown = capsys.readouterr().out
    assert "raise self.error" in shown
    assert type(error).__name__ in shown


def test_an_interrupt_is_no_error_of_a_magic(bare_shell, examples):
    examples.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        bare_shell.run_line_magic("failing", "")


# -- the rest of a line ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "options", "body"),
    [
        ("dest body", "dest", "body"),
        ("dest  two  spaces ", "dest", "two  spaces "),
        ("--flag dest body", "--flag dest", "body"),
        ("--number 3 dest 4", "--number 3 dest", "4"),
        ("--number=3 dest 4", "--number=3 dest", "4"),
        ("--num 3 dest 4", "--num 3 dest", "4"),
        ("-H a:b dest c", "-H a:b dest", "c"),
        ("-Ha:b dest c", "-Ha:b dest", "c"),
        ("-H 'a: b' -H \"c: d\" dest e", "-H 'a: b' -H \"c: d\" dest", "e"),
        ("--header='a: b' dest c", "--header='a: b' dest", "c"),
        ("--head 'a: b' dest c", "--head 'a: b' dest", "c"),
        ("'dest ination' body", "'dest ination'", "body"),
        ("-- dest --body", "-- dest", "--body"),
        ("--flag -- dest -b", "--flag -- dest", "-b"),
        ("dest --flag body", "dest", "--flag body"),
        ("dest it's", "dest", "it's"),
        ("dest 'open", "dest", "'open"),
        ("dest", "dest", ""),
        ("", "", ""),
        ("   ", "", ""),
        ("--flag", "--flag", ""),
        ("--number", "--number", ""),
        ("--number -1 dest", "--number -1 dest", ""),
        ("dest\tbody", "dest", "body"),
    ],
)
def test_options_and_the_destination_are_told_from_the_body(line, options, body):
    found, rest = split_body(parser_of(Examples.example), line)
    assert (found.strip(), rest) == (options, body)


@settings(deadline=None)
@given(st.text(st.characters(exclude_characters="\n"), min_size=1).map(str.lstrip))
def test_whatever_follows_the_destination_is_the_body(body):
    found, rest = split_body(parser_of(Examples.example), f"-H 'a: b' --number 3 dest {body}")
    assert (found, rest) == ("-H 'a: b' --number 3 dest", body)


@pytest.mark.parametrize(
    "line", ["--nothing", "a b", "--number 0", "--number", "--fla", "--flag=1"]
)
def test_arguments_that_a_magic_does_not_have_are_a_usage_error(bare_shell, examples, line):
    with pytest.raises(UsageError):
        bare_shell.run_line_magic("example", line)


SPLIT = {"'a b'": "a b", '"a b"': "a b", "a'b": "a'b", "a#b": "a#b", r"a\b": r"a\b", "%": "%"}
SPLIT |= {"'it\"s'": 'it"s', "ä☃": "ä☃", "a;b": "a;b", "--flag 'a b'": "a b"}


@pytest.mark.skipif(sys.platform == "win32", reason="IPython splits lines in another way there")
@pytest.mark.parametrize(("line", "what"), SPLIT.items())
def test_an_argument_may_hold_any_character(bare_shell, examples, line, what):
    assert bare_shell.run_line_magic("example", line).what == what

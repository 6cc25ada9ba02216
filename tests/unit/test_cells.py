"""Cells as callbacks, cells that run now, templates, JSON: all on a bare IPython shell."""

import json
import math
import sys
import traceback
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.error import UsageError

from stompy import STOMPClient, STOMPFrame
from stompy_jupyter.cells import callback_of, check_json, filled, run

CLIENT = STOMPClient()


@pytest.fixture
def shell(bare_shell: Any) -> Any:
    """A shell whose variables are forgotten afterwards."""
    variables = dict(bare_shell.user_ns)
    yield bare_shell
    bare_shell.user_ns.clear()
    bare_shell.user_ns.update(variables)


def frame(body: str = "hello", **headers: str) -> STOMPFrame:
    return STOMPFrame("MESSAGE", {"destination": "/queue/q", **headers}, body)


def call(shell: Any, cell: str, *bodies: str) -> dict[str, Any]:
    """Call a cell for each body, or one; returns the notebook's variables."""
    function = callback_of(shell, cell, "<cell>")
    for body in bodies or ("hello",):
        function(frame(body), CLIENT)
    return shell.user_ns


# -- callbacks: names ------------------------------------------------------------------------


def test_a_callback_sees_the_frame_the_client_and_the_notebook(shell):
    shell.user_ns.update(seen=[], factor=2)
    variables = call(shell, "seen.append((frame.text * factor, client))", "a", "b")
    assert variables["seen"] == [("aa", CLIENT), ("bb", CLIENT)]


def test_a_callback_sees_a_variable_as_it_is_when_it_is_called(shell):
    function = callback_of(shell, "seen.append(factor)", "<cell>")
    shell.user_ns.update(seen=[], factor=1)
    function(frame(), CLIENT)
    shell.user_ns["factor"] = 2
    function(frame(), CLIENT)
    assert shell.user_ns["seen"] == [1, 2]


ASSIGNING = {
    "x = frame.text": "hello",
    "x = y = frame.text": "hello",
    "x, *y = frame.text": "h",
    "for x in frame.text: pass": "o",
    "x = 0\nfor letter in frame.text:\n    x += 1": 5,
    "with open(__file__) as x: pass\nx = x.closed": True,
    "if (x := frame.text): pass": "hello",
    "[x := letter for letter in frame.text]": "o",
    "any((x := letter) == 'l' for letter in frame.text)": "l",
    "if [[x := b for b in a] for a in frame.text]: pass": "o",
    "x: str = frame.text": "hello",
    "x: str\nx = frame.text": "hello",
    "if frame:\n    x: str = frame.text": "hello",
    "x: list[str] = []\nfor y in 'ab':\n    x += [y]": ["a", "b"],
    "class x:\n    y: int = 1\n    z: str\nx = x.y": 1,
    "def f():\n    x: int = 1\n    return x\nx = f()": 1,
    "x = {}\nx['a']: int = 1": {"a": 1},
    "def f(a=(x := 1)): pass": 1,
    "(lambda: (x := 1))()\nx = 2": 2,
    "match frame.json:\n    case {'a': x}: pass": 1,
    "match frame.json:\n    case {'a': [*x]} | {'a': x}: pass": 1,
    "match frame.json:\n    case {**x}: pass": {"a": 1},
    "import json as x\nx = x.loads('1')": 1,
    "import os.path\nx = os.path.sep": "/",
    "from json import loads as x\nx = x('1')": 1,
    "def x(): return frame.text\nx = x()": "hello",
    "async def x(): return await x()\nx = x.__name__": "x",
    "class x:\n    text = frame.text\nx = x.text": "hello",
    "global x\nx = frame.text": "hello",
    "def set_it():\n    global x\n    x = frame.text\nset_it()": "hello",
    "exec('x = 1')\nx = 2": 2,
    "x = [lambda: frame.text for _ in 'ab']\nx = x[1]()": "hello",
    "x = {letter: frame.text for letter in frame.text}['h']": "hello",
    "x = [client is not None and frame.text for _ in 'a' if frame]": ["hello"],
    "x = [[frame.text for b in 'b'] for a in 'a']": [["hello"]],
    "x = next(frame.text for _ in 'a')": "hello",
    "x = (lambda frame: frame)(1)": 1,
    "try:\n    1 / 0\nexcept ZeroDivisionError as x:\n    y = str(x)\nx = y": "division by zero",
    "try:\n    x = int(frame.text)\nexcept ValueError:\n    x = -1\nelse:\n    x = 0": -1,
    "def x(n): return n and x(n - 1)\nx = x(3)": 0,
    "x = [n for n in range(3) if n]": [1, 2],
    "x = 1\ndel x\nx = 2": 2,
    "(x) = frame.text": "hello",
    "import sys; x = sys.getrecursionlimit() > 0": True,
    "x = 1 if True else 2; y = 2": 1,
    "'a docstring'\nx = 1": 1,
    "x = f'{frame.text!r:>{9}}'": "  'hello'",
    "x = '''a\n  b'''": "a\n  b",
    "x = not None\n# a comment": True,
}


@pytest.mark.parametrize("cell", ASSIGNING)
def test_what_a_callback_assigns_is_a_variable_of_the_notebook(shell, cell):
    shell.user_ns["__file__"] = __file__
    body = '{"a": 1}' if "json" in cell else "hello"
    assert call(shell, cell, body)["x"] == ASSIGNING[cell]


DEFINING = ["def x(): pass", "class x: pass", "async def x(): pass", "import sys as x"]
if sys.version_info >= (3, 12):  # it has brought type parameters
    DEFINING += ["type x = int", "def x[T](): pass", "class x[T]: pass"]


@pytest.mark.parametrize("cell", DEFINING)
def test_what_a_callback_defines_is_a_variable_of_the_notebook(shell, cell):
    assert "x" in call(shell, cell)


def test_a_total_goes_on_from_frame_to_frame(shell):
    shell.user_ns["total"] = 0
    assert call(shell, "total += int(frame.text)", "1", "2", "3")["total"] == 6


def test_a_variable_that_does_not_exist_yet_is_missed_as_in_any_cell(shell):
    with pytest.raises(NameError, match="total"):
        call(shell, "total += 1")


def test_a_variable_can_be_deleted(shell):
    shell.user_ns["x"] = 1
    assert "x" not in call(shell, "del x")


def test_a_loop_variable_of_a_comprehension_stays_in_it(shell):
    shell.user_ns["n"] = "mine"
    assert call(shell, "x = [n for n in range(3)]")["n"] == "mine"


def test_the_name_of_an_exception_is_gone_after_it_as_in_any_cell(shell):
    shell.user_ns["error"] = "mine"
    variables = call(shell, "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    pass")
    assert "error" not in variables


@pytest.mark.parametrize(
    "cell",
    [
        "frame, client",
        "frame = client = 1",
        "for frame in 'ab': pass",
        "import os as client",
        "del frame, client",
        "[frame for frame in 'ab']",
        "def frame(): pass",
        "(frame := 2)",
    ],
)
def test_the_notebooks_own_frame_and_client_are_left_alone(shell, cell):
    shell.user_ns.update(frame="mine", client="mine as well")
    variables = call(shell, cell)
    assert (variables["frame"], variables["client"]) == ("mine", "mine as well")


def test_a_callback_leaves_no_other_name_in_the_notebook(shell):
    before = set(shell.user_ns)
    assert set(call(shell, "x = 1\nfor y in 'ab': pass")) - before == {"x", "y"}


def test_functions_of_a_callback_keep_the_frame_that_made_them(shell):
    shell.user_ns["later"] = []
    variables = call(shell, "later.append(lambda: frame.text)", "a", "b")
    assert [function() for function in variables["later"]] == ["a", "b"]


def test_a_function_of_a_callback_sees_the_notebooks_variables_and_they_may_be_new(shell):
    variables = call(shell, "def helper():\n    return new\nmade = helper")
    variables["new"] = 1
    assert variables["made"]() == 1


def test_return_ends_a_callback(shell):
    shell.user_ns["seen"] = []
    cell = "if frame.text == 'a':\n    return\nseen.append(frame.text)"
    assert call(shell, cell, "a", "b")["seen"] == ["b"]


@pytest.mark.parametrize("cell", ["", "\n\n", "   \n\t\n", "# only this", "#\n\n#\n", "pass"])
def test_a_cell_without_code_is_a_callback_that_does_nothing(shell, cell):
    before = dict(shell.user_ns)
    assert call(shell, cell) == before


def test_an_indented_cell_is_taken_as_ipython_takes_one(shell):
    assert call(shell, "    x = frame.text\n    y = 1\n")["x"] == "hello"


# -- callbacks: IPython's own syntax ---------------------------------------------------------


def test_a_callback_may_use_line_magics_and_commands(shell, capsys):
    variables = call(shell, "x = !echo {frame.text}\ny = %pwd\n!echo $x\n%time print(frame.text)")
    assert list(variables["x"]) == ["hello"]
    assert isinstance(variables["y"], str)
    assert "hello\n" in capsys.readouterr().out


def test_a_cell_magic_may_be_the_whole_callback(shell):
    assert call(shell, "%%time\nx = 1")["x"] == 1


# -- callbacks: what is refused --------------------------------------------------------------


@pytest.mark.parametrize("cell", ["yield 1", "x = yield", "if 0:\n    yield from ()"])
def test_a_callback_cannot_yield(shell, cell):
    with pytest.raises(UsageError, match="can neither await nor yield"):
        callback_of(shell, cell, "<cell>")


@pytest.mark.parametrize("cell", ["(lambda: (yield))", "def g():\n    yield 1\nx = list(g())"])
def test_functions_in_a_callback_may_yield(shell, cell):
    call(shell, cell)


@pytest.mark.parametrize(
    "cell", ["await x", "x = [await y for y in z]", "async for x in y: pass", "async with x: pass"]
)
def test_a_callback_cannot_await(shell, cell):
    with pytest.raises(UsageError, match="can neither await nor yield"):
        callback_of(shell, cell, "<cell>")


def test_a_callback_has_no_asynchronous_comprehension(shell):
    with pytest.raises((SyntaxError, UsageError), match=r"asynchronous|await"):
        callback_of(shell, "[x async for x in y]", "<cell>")


@pytest.mark.parametrize(
    ("cell", "line", "text", "words"),
    [
        ("x = 1\ny = = 2", 2, "y = = 2", "invalid syntax"),
        ("def f(:\n    pass", 1, "def f(:", "invalid syntax"),
        ("x = 1\nif x:\ny", 3, "y", "expected an indented block"),
        ("x = 'open", 1, "x = 'open", "unterminated string"),
        ("x = 1\nbreak", 2, "break", "outside loop"),
        ("from os import *", 1, "from os import *", "only allowed at module level"),
        ("x = 1\n\nglobal frame", 3, "global frame", "parameter and global"),
        ("nonlocal x", 1, "nonlocal x", "nonlocal"),
        ("x = 1\nglobal x", 2, "global x", "assigned to before global"),
        ("f(x) = 1", 1, "f(x) = 1", "cannot assign"),
    ],
)
def test_a_syntax_error_shows_the_line_of_the_cell(shell, capsys, cell, line, text, words):
    with pytest.raises(SyntaxError, match=words) as failure:
        callback_of(shell, cell, "<the cell>")
    assert (failure.value.filename, failure.value.lineno) == ("<the cell>", line)
    shell.showtraceback((SyntaxError, failure.value, failure.value.__traceback__))
    shown = capsys.readouterr().out
    assert f"File <the cell>:{line}\n    {text}\n" in shown


def test_a_traceback_shows_the_lines_of_the_cell(shell):
    function = callback_of(shell, "x = 1\n\ndef f():\n    return 1 / 0\nf()", "<the cell>")
    with pytest.raises(ZeroDivisionError) as failure:
        function(frame(), CLIENT)
    lines = [(at.lineno, at.line) for at in traceback.extract_tb(failure.value.__traceback__)][1:]
    assert lines == [(5, "f()"), (4, "return 1 / 0")]


# -- run -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("1 + 1", 2),
        ("x = 1", None),
        ("x = 1\nx + 1", 2),
        ("x: int = 1\nx", 1),
        ("if True:\n    1", None),
        ("", None),
        ("# nothing", None),
        ("'text'", "text"),
        ("None", None),
        ("from os.path import *\nsep", "/"),
        ("(x :=\n 3)", 3),
        ("%time 2", 2),
        ("x = %pwd\n1", 1),
        ("a = !echo b\na[0]", "b"),
        ("%%time\n3", 3),
        ("[y := 4 for _ in 'a'][0]", 4),
        ("def f():\n    return g()\ndef g():\n    return 5\nf()", 5),
        ("class A:\n    b = 6\nA.b", 6),
        ("import contextlib\nwith contextlib.suppress(ValueError):\n    int('x')\n7", 7),
    ],
)
def test_a_cell_that_runs_gives_the_value_of_its_last_line(shell, capsys, cell, value):
    assert run(shell, cell, "<cell>") == value


def test_a_cell_that_runs_has_the_notebooks_variables_for_its_own(shell):
    shell.user_ns["x"] = 1
    assert run(shell, "y = x + 1\nx = 5\ny", "<cell>") == 2
    assert (shell.user_ns["x"], shell.user_ns["y"]) == (5, 2)


@pytest.mark.parametrize("last", ["1 / 0", "x = 1 / 0"])
def test_a_cell_that_raises_shows_which_of_its_lines(shell, last):
    with pytest.raises(ZeroDivisionError) as failure:
        run(shell, f"x = 1\n{last}", "<the cell>")
    at = traceback.extract_tb(failure.value.__traceback__)[-1]
    assert (at.filename, at.lineno, at.line) == ("<the cell>", 2, last)


def test_a_cell_does_what_stands_before_the_line_that_raises(shell):
    with pytest.raises(ZeroDivisionError):
        run(shell, "x = 1\n1 / 0\nx = 2", "<cell>")
    assert shell.user_ns["x"] == 1


@pytest.mark.parametrize("cell", ["f(:", "return 1", "yield", "await x", "break"])
def test_a_cell_that_is_no_python_is_refused(shell, cell):
    with pytest.raises(SyntaxError) as failure:
        run(shell, f"x = 1\n{cell}", "<the cell>")
    assert (failure.value.filename, failure.value.lineno) == ("<the cell>", 2)


# -- templates -------------------------------------------------------------------------------

NAMES = st.from_regex(r"[^\W\d]\w{0,8}", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None)
@given(TEXTS, st.dictionaries(NAMES, TEXTS))
def test_text_without_places_stays_as_it_is(text, variables):
    text = text.replace("{{", "{ {")
    assert filled(text, variables) == text
    assert filled(text, variables, as_json=True) == text


@settings(deadline=None)
@given(NAMES, TEXTS, TEXTS, TEXTS, st.sampled_from(["", " ", "  ", "\t", "\n"]))
def test_a_place_is_filled_with_the_variable_as_it_stands(name, value, before, after, space):
    before, after = before.replace("{", ""), after.replace("{", "").replace("}", "")
    template = f"{before}{{{{{space}{name}{space}}}}}{after}"
    assert filled(template, {name: value}) == f"{before}{value}{after}"


@settings(deadline=None)
@given(TEXTS)
def test_text_in_json_stands_between_quotes_and_comes_out_as_it_was(value):
    made = filled('{"a": "{{ x }}"}', {"x": value}, as_json=True)
    assert json.loads(made) == {"a": value}
    check_json(made)


@settings(deadline=None)
@given(JSON)
def test_values_in_json_come_out_as_they_were(value):
    made = filled('{"a": {{x}}}', {"x": value}, as_json=True)
    assert json.loads(made) == {"a": value}
    check_json(made)


def test_what_was_filled_in_is_not_filled_again():
    assert filled("{{a}}{{b}}", {"a": "{{b}}", "b": "{{a}}"}) == "{{b}}{{a}}"


NO_PLACES = (
    *("{x}", "${x}", "$x", "{{x.y}}", "{{x[0]}}", "{{1}}", "{{x + 1}}", "{{f()}}", "{{x!r}}"),
    *("{{}}", "{{ }}", "{ {x}}", "{{x}", "{% x %}", "{{-x}}", "{{'x'}}", "{{x y}}"),
)


@pytest.mark.parametrize("text", NO_PLACES)
def test_nothing_but_a_name_is_filled_in(text):
    assert filled(text, {"x": "no", "y": "no", "f": print}) == text


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("name", ["x", "print", "__name__", "ünï"])
def test_a_variable_that_is_not_there_is_named(name, as_json):
    with pytest.raises(UsageError, match=f"no variable '{name}'"):
        filled(f"{{{{{name}}}}}", {}, as_json=as_json)


def test_three_braces_are_a_place_in_braces():
    assert filled('{{{x}}}, {"a": {{{x}}}}', {"x": 1}) == '{1}, {"a": {1}}'


def test_without_json_any_value_is_written_as_text():
    values = {"a": 1.5, "b": None, "c": [1, "x"], "d": True}
    assert filled("{{a}} {{b}} {{c}} {{d}}", values) == "1.5 None [1, 'x'] True"


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.int64(3), 3),
        (np.float32(1.5), 1.5),
        (np.bool_(True), True),
        ([np.int64(1), {"a": np.float64(2.5)}], [1, {"a": 2.5}]),
        (pd.DataFrame({"n": [1, 7]})["n"].max(), 7),
    ],
)
def test_numbers_of_pandas_and_numpy_are_numbers_in_json(value, plain):
    assert json.loads(filled("{{x}}", {"x": value}, as_json=True)) == plain


@pytest.mark.parametrize("value", [{1, 2}, b"x", object(), 1j, math.nan, math.inf, [math.nan]])
def test_a_value_that_json_does_not_have_is_refused_by_the_name_of_its_variable(value):
    with pytest.raises(UsageError, match="--template: mine cannot be written as JSON"):
        filled("{{mine}}", {"mine": value}, as_json=True)


def test_a_value_that_holds_itself_is_refused():
    value: list[Any] = []
    value.append(value)
    with pytest.raises(UsageError, match="cannot be written as JSON"):
        filled("{{value}}", {"value": value}, as_json=True)


# -- JSON ------------------------------------------------------------------------------------


@settings(deadline=None)
@given(JSON | TEXTS, st.sampled_from([None, 2]), st.booleans())
def test_whatever_is_json_passes(value, indent, ascii_only):
    check_json(json.dumps(value, indent=indent, ensure_ascii=ascii_only))


@settings(deadline=None)
@given(TEXTS)
def test_a_text_passes_or_is_refused_in_one_line(text):
    try:
        json.loads(text, parse_constant=int)
    except ValueError:
        with pytest.raises(UsageError, match=r"^the body is no JSON: ") as failure:
            check_json(text)
        assert str(failure.value).isprintable()
    else:
        check_json(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1, column 1"),
        ("{'a': 1}", "line 1, column 2"),
        ('{"a": 1,\n "b": }', "line 2, column 7"),
        ('{"a": 1,\n\n}', "line [13], column [18]"),
        ("[1, 2", "line 1, column 6"),
        ("1 2", "Extra data in line 1, column 3"),
        ('"a\nb"', "line 1, column 3"),
        ("NaN", "NaN is none of its numbers"),
        ("[-Infinity]", "-Infinity is none of its numbers"),
        ('{"a": Infinity}', "Infinity is none of its numbers"),
        ("True", "line 1, column 1"),
    ],
)
def test_what_is_no_json_is_said_with_its_place(text, words):
    with pytest.raises(UsageError, match=f"^the body is no JSON: .*{words}$"):
        check_json(text)


def test_json_that_is_nested_too_deeply_is_refused():
    with pytest.raises(UsageError, match=r"JSON that cannot be read: .*recursion"):
        check_json("[" * 100_000)


def test_a_number_that_python_does_not_read_is_refused():
    with pytest.raises(UsageError, match=r"JSON that cannot be read: .*4300 digits"):
        check_json("1" * 5000)


def test_annotations_in_a_callback_are_those_of_any_cell(shell):
    names = call(shell, "class x:\n    y: int = 1\ndef f(a: int): pass")
    assert names["x"].__annotations__ == {"y": int}
    assert names["f"].__annotations__ == {"a": int}

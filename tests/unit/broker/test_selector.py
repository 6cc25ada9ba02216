"""Message selectors: what matches, what is unknown, what is no selector."""

import inspect
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stompy.broker.selector import MAX_DEPTH, MAX_LENGTH, MAX_LIKE, Selector
from stompy.errors import STOMPProtocolError

HEADERS = {
    "colour": "red",
    "price": "11",
    "half": "0.5",
    "zero": "0",
    "yes": "True",
    "no": "FALSE",
    "more": "falsehood",
    "quote": "it's",
    "content-type": "text/plain",
    "a.b": "dotted",
    "price-1": "a name",
    "$x_1": "dollar",
    "größe": "klein",
    "with space": "spaced",
    'with "quotes"': "quoted",
    "NOT": "a keyword",
    "empty": "",
    "lines": "one\ntwo",
    "percent": "50%",
}


def truth(text: str, headers: dict[str, str] = HEADERS) -> bool | None:
    """What a condition is: neither false nor unknown matches, NOT tells them apart."""
    true = Selector(text).matches(headers)
    false = Selector(f"NOT ({text})").matches(headers)
    assert not (true and false)
    return None if not true and not false else true


def wrong(text: str) -> STOMPProtocolError:
    with pytest.raises(STOMPProtocolError) as caught:
        Selector(text)
    return caught.value


# -- what matches ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "colour = 'red'",
        "colour <> 'blue'",
        "colour='red'AND price=11",
        "colour = 'red' AND (price > 10.5 OR symbol LIKE 'AB%') AND note IS NULL",
        "price = 11.0",
        "price = 1.1e1 AND price = 110E-1 AND price = 11. AND half = .5",
        "price >= 11 AND price <= 11 AND price > 10 AND price < 12",
        "10 < price",
        "half = 0.5",
        "price = +11 AND -price = -11 AND - -price = 11",
        "'red' = colour",
        "'red' = 'red' AND 1 < 2 AND TRUE <> FALSE",
        "quote = 'it''s'",
        "empty = ''",
        "price = '11'",
    ],
)
def test_a_comparison_holds_as_in_sql(text):
    assert truth(text) is True


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("TRUE OR FALSE AND FALSE", True),
        ("(TRUE OR FALSE) AND FALSE", False),
        ("NOT FALSE AND FALSE", False),
        ("NOT (FALSE AND FALSE)", True),
        ("NOT colour = 'blue'", True),
        ("NOT NOT NOT TRUE", False),
        ("2 + 3 * 4 = 14", True),
        ("(2 + 3) * 4 = 20", True),
        ("10 - 4 - 3 = 3", True),
        ("16 / 4 / 2 = 2", True),
        ("-2 * -3 = 6", True),
        ("2 - -3 = 5", True),
        ("(1 + 1 < 3) = TRUE", True),
        ("price BETWEEN 10 AND 12 AND FALSE", False),
        ("price BETWEEN 5 + 5 AND 6 * 2", True),
    ],
)
def test_what_binds_tighter_is_done_first(text, what):
    assert truth(text) is what


@pytest.mark.parametrize(
    "text",
    [
        "price between 10 and 12",
        "Price IS null",
        "colour in ('red') Or false",
        "not colour LiKe 'b%'",
    ],
)
def test_keywords_are_written_in_any_case_and_names_are_not(text):
    assert truth(text) is True


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("content-type", "text/plain"),
        ("a.b", "dotted"),
        ("price-1", "a name"),
        ("$x_1", "dollar"),
        ("größe", "klein"),
        ('"with space"', "spaced"),
        ('"with ""quotes"""', "quoted"),
        ('"NOT"', "a keyword"),
        ('"content-type"', "text/plain"),
    ],
)
def test_a_name_is_what_a_header_may_be_called(name, value):
    assert truth(f"{name} = '{value}'") is True
    assert truth(f"{name}='{value}'") is True


@pytest.mark.parametrize(
    "text", ["price - 1 = 10", "price -1 = 10", "price- 1 = 10", "21-price=10"]
)
def test_a_hyphen_that_is_not_between_the_characters_of_a_name_is_a_minus(text):
    assert truth(text) is True


@pytest.mark.parametrize("text", ["and-more = 'x'", "not.x = 'x'", "NOT$ = 'x'", "inner = 'x'"])
def test_a_name_may_begin_like_a_keyword(text):
    assert truth(text, {"and-more": "x", "not.x": "x", "NOT$": "x", "inner": "x"}) is True


def test_a_letter_that_only_upper_case_makes_ascii_makes_no_keyword():
    assert truth("\u0131n = 'x'", {"\u0131n": "x"}) is True


@pytest.mark.parametrize("text", ["", " ", "\t\n"])
def test_an_empty_selector_is_none(text):
    assert Selector(text).matches({})


# -- how headers are read --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("more = FALSE", None),
        ("yes = TRUE", True),
        ("no = false", True),
        ("yes <> FALSE", True),
        ("yes AND NOT no", True),
        ("yes = 'TRUE'", False),
        ("colour = TRUE", None),
        ("colour", None),
        ("price AND TRUE", None),
        ("(price > 1) = yes", True),
    ],
)
def test_true_and_false_are_read_from_a_header_in_any_case(text, what):
    assert truth(text) is what


@pytest.mark.parametrize(
    ("one", "other", "equal", "less"),
    [
        ("10", "10.0", True, False),
        ("9", "10", False, True),
        ("1e1", "10", True, False),
        ("a", "a", True, None),
        ("a", "b", False, None),
        ("a", "1", False, None),
        ("1_0", "10", False, None),
        (None, "1", None, None),
        (None, None, None, None),
    ],
)
def test_two_headers_are_compared_as_numbers_or_else_as_text(one, other, equal, less):
    headers = {name: value for name, value in {"x": one, "y": other}.items() if value is not None}
    assert truth("x = y", headers) is equal
    assert truth("x <> y", headers) is (None if equal is None else not equal)
    assert truth("x < y", headers) is less


@pytest.mark.parametrize(
    "value",
    [
        *[
            "",
            " ",
            "\0",
            ".",
            "+",
            "e1",
            "abc",
            "nan",
            "inf",
            "-Infinity",
            "\u0661\u0662",
            "\u00b2",
        ],
        *["1_000", " 1", "1 ", "1\n", "0x10", "1e", "--1", "1,5", "1L", "1.5.5"],
        *["1e999999", "-1e999", "9" * 5000, "1" + "0" * 399, "0" * 400 + "1"],
    ],
)
def test_text_that_is_no_number_is_unknown_beside_a_number(value):
    headers = {"x": value}
    for text in ["x = 1", "x <> 1", "x < 1", "x + 1 > 0", "-x > 0", "x BETWEEN 0 AND 1"]:
        assert truth(text, headers) is None


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        ("+5", "5"),
        ("-5", "-5"),
        ("007", "7"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1E+2", "100"),
        ("1e-999999", "0"),
        ("0" * 300 + "7", "7"),
        ("9" * 300, "9" * 300),
        ("9223372036854775807", "9223372036854775807"),
        ("-9223372036854775808", "-9223372036854775808"),
    ],
)
def test_a_number_may_be_written_in_several_ways(value, literal):
    assert truth(f"x = {literal}", {"x": value}) is True


def test_integers_of_64_bits_are_exact():
    headers = {"id": "9007199254740993"}
    assert truth("id = 9007199254740992", headers) is False
    assert truth("id - 1 = 9007199254740992", headers) is True
    assert truth("id * 2 = 18014398509481986", headers) is True


def test_a_quotient_keeps_its_fraction():
    assert truth("7 / 2 = 3.5") is True


# -- what is unknown -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "missing = 'x'",
        "missing <> 'x'",
        "missing > 1",
        "missing = TRUE",
        "missing",
        "missing + 1 = 1",
        "missing BETWEEN 1 AND 2",
        "price BETWEEN missing AND 12",
        "missing IN ('a')",
        "missing NOT IN ('a')",
        "missing LIKE '%'",
        "missing NOT LIKE '%'",
        "Colour = 'red'",
        "colour + 1 = 1",
        "price / zero = 1",
        "price / 0 <> 1",
        "1e308 * price > 0",
        "1e308 * 10 - 1e308 * 10 = 0",
    ],
)
def test_what_rests_on_a_missing_header_or_on_no_number_is_unknown(text):
    assert truth(text) is None


TRUE, FALSE, UNKNOWN = "TRUE", "FALSE", "missing"


@pytest.mark.parametrize(
    ("one", "other", "both", "either"),
    [
        (TRUE, UNKNOWN, None, True),
        (FALSE, UNKNOWN, False, None),
        (UNKNOWN, UNKNOWN, None, None),
        (TRUE, TRUE, True, True),
        (TRUE, FALSE, False, True),
        (FALSE, FALSE, False, False),
    ],
)
def test_and_and_or_know_three_values(one, other, both, either):
    assert truth(f"{one} AND {other}") is truth(f"{other} AND {one}") is both
    assert truth(f"{one} OR {other}") is truth(f"{other} OR {one}") is either


def test_a_bound_that_fails_decides_between_whatever_the_other_is():
    assert truth("price BETWEEN missing AND 10") is False
    assert truth("price NOT BETWEEN missing AND 10") is True


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("missing IS NULL", True),
        ("missing IS NOT NULL", False),
        ("empty IS NULL", False),
        ("colour IS NOT NULL", True),
        ("NOT missing IS NULL", False),
    ],
)
def test_is_null_is_never_unknown(text, what):
    assert truth(text) is what


# -- IN and LIKE -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("colour IN ('red')", True),
        ("colour IN ('blue', 'red')", True),
        ("colour IN ('Red')", False),
        ("colour NOT IN ('blue','green')", True),
        ("colour NOT IN ('red')", False),
        ("price IN ('11')", True),
        ("price IN ('11.0')", False),
        ("quote IN ('it''s')", True),
    ],
)
def test_in_looks_for_the_same_text(text, what):
    assert truth(text) is what


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("colour LIKE 'red'", True),
        ("colour LIKE 'RED'", False),
        ("colour LIKE 're'", False),
        ("colour LIKE 'r%'", True),
        ("colour LIKE '%d'", True),
        ("colour LIKE '%e%'", True),
        ("colour LIKE '%r%e%d%'", True),
        ("colour LIKE '%d%e%'", False),
        ("colour LIKE 'r_d'", True),
        ("colour LIKE '__'", False),
        ("colour LIKE '___'", True),
        ("colour LIKE 're%ed'", False),
        ("colour LIKE ''", False),
        ("empty LIKE ''", True),
        ("empty LIKE '%'", True),
        ("empty LIKE '_'", False),
        ("colour NOT LIKE 'b%'", True),
        ("lines LIKE 'one_two'", True),
        ("lines LIKE '%two'", True),
        ("lines LIKE 'one'", False),
        ("colour LIKE '.*'", False),
        ("percent LIKE '50!%' ESCAPE '!'", True),
        ("colour LIKE 're!%' ESCAPE '!'", False),
        ("percent LIKE '__%%' ESCAPE '%'", True),
        ("under LIKE 'a\\_b' ESCAPE '\\'", None),
        ("quote LIKE 'it''''s' ESCAPE ''''", True),
    ],
)
def test_like_knows_any_text_and_any_character(text, what):
    assert truth(text) is what


@given(
    st.text("ab_\n", max_size=12),
    st.lists(st.sampled_from([*"ab%%__\n", "!%", "!_", "!!"]), max_size=12).map("".join),
)
def test_like_agrees_with_a_database(value, pattern):
    expected = sqlite("SELECT ? LIKE ? ESCAPE '!'", value, pattern)
    assert Selector(f"x LIKE '{pattern}' ESCAPE '!'").matches({"x": value}) is bool(expected)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", ["%a", "%a_", "%_", "_%"])
def test_a_pattern_of_many_wildcards_is_not_tried_in_every_way(piece):
    pattern = piece * (MAX_LENGTH // 2 // len(piece)) + "%b"
    assert not Selector(f"x LIKE '{pattern}'").matches({"x": "a" * MAX_LIKE})


def test_like_knows_nothing_of_a_header_that_is_too_long():
    for selector in ("x LIKE '%'", "x NOT LIKE '%'"):
        assert not Selector(selector).matches({"x": "a" * (MAX_LIKE + 1)})


# -- whole conditions against a database -----------------------------------------------------


def sqlite(query: str, *values: object) -> object:
    with closing(sqlite3.connect(":memory:")) as connection:
        return connection.execute(query, values).fetchone()[0]


def joined(symbols: list[str], parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds("{} {} {}".format, parts, st.sampled_from(symbols), parts)


def one_of_each(template: str, *parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(template.format, *parts)


# No quotient of two integers, and no order among texts: there SQLite differs.
NUMBERS = st.recursive(
    st.sampled_from(["n1", "n2", "n3", "1.0", "2.5", "1e1", "0.0"]),
    lambda inner: (
        joined(["+", "-", "*", "/"], inner)
        | one_of_each("({})", inner)
        | one_of_each("- {}", inner)
    ),
    max_leaves=5,
)
MAYBE_NOT = st.sampled_from(["", "NOT "])
TEXTS = st.sampled_from(["t1", "t2"])
LITERALS = st.text("ab%_", max_size=3).map("'{}'".format)
CONDITIONS = st.recursive(
    st.sampled_from(["b1", "b2", "b1 = TRUE", "b1 <> b2", "FALSE", "t1 = t2", "n1 <> n2"])
    | joined(["=", "<>", "<", "<=", ">", ">="], NUMBERS)
    | one_of_each("{} {}BETWEEN {} AND {}", NUMBERS, MAYBE_NOT, NUMBERS, NUMBERS)
    | one_of_each("{} {}IN ({}, {})", TEXTS, MAYBE_NOT, LITERALS, LITERALS)
    | one_of_each("{} {}LIKE {}", TEXTS, MAYBE_NOT, LITERALS)
    | one_of_each("{} IS {}NULL", TEXTS, MAYBE_NOT),
    lambda inner: (
        joined(["AND", "OR"], inner)
        | one_of_each("NOT {}", inner)
        | one_of_each("({})", inner)
        | one_of_each("({}) = ({})", inner, inner)
    ),
    max_leaves=6,
)
VALUES = st.fixed_dictionaries(
    dict.fromkeys(["n1", "n2", "n3"], st.sampled_from([None, 0.0, 1.0, -3.0, 2.5]))
    | dict.fromkeys(["t1", "t2"], st.none() | st.text("ab", max_size=3))
    | dict.fromkeys(["b1", "b2"], st.sampled_from([None, True, False]))
)


@given(CONDITIONS, VALUES)
def test_a_condition_is_what_a_database_finds_it_to_be(text, values):
    columns = ", ".join(f"? AS {name}" for name in values)
    expected = sqlite(f"SELECT {text} FROM (SELECT {columns})", *values.values())
    headers = {name: str(value) for name, value in values.items() if value is not None}
    assert truth(text, headers) is (None if expected is None else bool(expected))


# -- what is no selector ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("colour =", 9, "a value, found the end"),
        ("= 'red'", 1, "a value, found '='"),
        ("colour = 'red' AND", 19, "a value, found the end"),
        ("colour = 'red' price > 1", 16, "an operator or the end, found 'price'"),
        ("colour == 'red'", 9, "a value, found '='"),
        ("price != 1", 7, "an operator or the end, found '!'"),
        ("(price > 1", 11, "an operator or ), found the end"),
        ("price > 1)", 10, "an operator or the end, found ')'"),
        ("()", 2, "a value, found ')'"),
        ("1 < price < 3", 11, "an operator or the end, found '<'"),
        ("NOT a = b = c", 11, "an operator or the end, found '='"),
        ("a = NOT b", 5, "a value, found 'NOT'"),
        ("price NOT 5", 11, "BETWEEN, IN or LIKE, found '5'"),
        ("price NOT = 5", 11, "BETWEEN, IN or LIKE, found '='"),
        ("price BETWEEN 1", 16, "AND, found the end"),
        ("price BETWEEN 1 OR 2", 17, "AND, found 'OR'"),
        ("colour IN 'red'", 11, "(, found \"'red'\""),
        ("colour IN ()", 12, "text in single quotes, found ')'"),
        ("price IN (1, 2)", 11, "text in single quotes, found '1'"),
        ("colour IN ('a' 'b')", 16, ", or ), found \"'b'\""),
        ("colour LIKE red", 13, "a pattern in single quotes, found 'red'"),
        ("colour LIKE 'a' ESCAPE 'bc'", 24, "one character in single quotes"),
        ("colour LIKE 'a' ESCAPE ''", 24, "one character in single quotes"),
        ("colour LIKE 'a' ESCAPE", 23, "one character in single quotes, found the end"),
        ("colour LIKE 'a!b' ESCAPE '!'", 13, "%, _ or ! behind each ! of the pattern"),
        ("colour LIKE 'a!' ESCAPE '!'", 13, "%, _ or ! behind each ! of the pattern"),
        ("colour IS 'red'", 11, "NULL or NOT NULL, found \"'red'\""),
        ("colour IS NOT 'red'", 15, "NULL, found \"'red'\""),
        ("colour = 'red", 10, 'a value, found "\'"'),
        ('"colour = 1', 1, "a value, found '\"'"),
        ("price > 1e999", 9, "a number within the range of a double"),
        ("price > 10abc", 11, "an operator or the end, found 'abc'"),
        ("price > 1_000", 10, "an operator or the end, found '_000'"),
        ("price > 1;", 10, "an operator or the end, found ';'"),
    ],
)
def test_an_error_says_what_was_expected_and_where(text, place, expected):
    error = wrong(text)
    assert error.Message == f"a selector is wrong at character {place}: expected {expected}"
    assert error.hint


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("'red'", 1, "a condition"),
        ("price > 1 AND price + 1", 15, "a condition"),
        ("NOT 5", 5, "a condition"),
        ("'5' + 1 > 2", 1, "a number"),
        ("price > -'5'", 10, "a number"),
        ("price + TRUE > 1", 9, "a number"),
        ("price BETWEEN '1' AND '2'", 15, "a number"),
        ("'red' IN ('red')", 1, "a header"),
        ("price + 1 IS NULL", 1, "a header"),
        ("1 LIKE '1'", 1, "a header"),
        ("colour < 'red'", 8, "numbers around <"),
        ("yes >= TRUE", 5, "numbers around >="),
        ("price + 1 = '12'", 11, "two values of a kind around ="),
        ("'1' <> 1", 5, "two values of a kind around <>"),
    ],
)
def test_a_literal_of_the_wrong_kind_is_an_error_and_not_just_unknown(text, place, expected):
    message = wrong(text).Message
    assert message == f"a selector is wrong at character {place}: expected {expected}"


def test_an_error_helps_with_what_is_often_meant():
    assert "write it twice" in str(wrong("quote = 'it''s"))
    assert "IS NULL" in str(wrong("note = NULL"))
    assert "without quotes" in str(wrong("price > '10'"))


# -- bounds ----------------------------------------------------------------------------------

DEEPEST = [
    "(" * (MAX_DEPTH - 1) + "yes" + ")" * (MAX_DEPTH - 1),
    "NOT " * (MAX_DEPTH - 1) + "no",
    "0 < " + "- " * (MAX_DEPTH - 2) + "price",
    "(" * (MAX_DEPTH - 2) + "yes" + " = TRUE AND yes OR no)" * (MAX_DEPTH - 2),
    "0 < " + "(" * (MAX_DEPTH - 3) + "price" + " * 1 + 1)" * (MAX_DEPTH - 3),
    "no OR (" * (MAX_DEPTH // 2 - 1) + "yes" + ")" * (MAX_DEPTH // 2 - 1),
]


@pytest.fixture
def little_stack() -> Iterator[None]:
    """Leave 400 frames of the 1000 that Python has."""
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 400)
    yield
    sys.setrecursionlimit(usual)


@pytest.mark.usefixtures("little_stack")
@pytest.mark.parametrize("text", DEEPEST)
def test_the_deepest_selectors_leave_most_of_the_stack_free(text):
    assert Selector(text).matches(HEADERS)


@pytest.mark.parametrize("nested", ["(", "NOT ", "- ", "yes AND (", "yes = (NOT "])
def test_what_is_nested_deeper_is_an_error(nested):
    message = wrong(nested * (MAX_LENGTH // len(nested))).Message
    assert message.endswith(f"expected at most {MAX_DEPTH} levels of nesting")


@pytest.mark.parametrize(
    "text",
    [
        " AND ".join(["yes"] * 400),
        "no" + " OR no" * 400 + " OR yes",
        "0 < " + " + ".join(["price"] * 400),
        "0 < " + "*".join(["price"] * 300) + " OR " + "*".join(["1"] * 1000) + " = 1",
        "colour IN (" + "'x'," * 900 + "'red')",
    ],
    ids=["and", "or", "sum", "product", "in"],
)
def test_a_chain_may_be_as_long_as_a_selector(text):
    assert Selector(text).matches(HEADERS)


def test_a_selector_has_a_longest_size():
    assert Selector("colour = 'red'".ljust(MAX_LENGTH)).matches(HEADERS)
    assert str(MAX_LENGTH) in wrong("colour = 'red'".ljust(MAX_LENGTH + 1)).Message


@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", ["'", '"', "'\"", "9", "a-", "a.", " ", "1.", "1e", "<", "''' "])
def test_no_text_takes_long_to_be_refused(piece):
    wrong(("x = 1 " + piece * MAX_LENGTH)[: MAX_LENGTH - 1] + "!")


WORDS = [*"=<>+-*/(),'\"!%", "<>", "<=", "a", "b-c", "'x'", "1", "2.5", "1e999", " ", "TRUE"]
WORDS += ["AND", "OR", "NOT", "BETWEEN", "IN", "LIKE", "ESCAPE", "'!'", "IS", "NULL", '"q"']


@given(
    st.text() | st.lists(st.sampled_from(WORDS), max_size=15).map(" ".join),
    st.dictionaries(st.sampled_from(["a", "b-c", "q"]), st.text()),
)
def test_any_text_is_a_selector_or_a_protocol_error(text, headers):
    with suppress(STOMPProtocolError):
        assert Selector(text).matches(headers) in {True, False}


NUMBERISH = st.text("0123456789+-.eE_x ", max_size=30) | st.integers().map(str)
NUMBERISH |= st.floats().map(str) | st.text("9", min_size=300, max_size=500)


@given(st.dictionaries(st.sampled_from(["x", "y"]), st.text() | NUMBERISH))
def test_no_headers_make_a_selector_fail(headers):
    for text in [
        "x * x * x * x / y - y > -x",
        "x = y OR x < y OR x <> TRUE OR y",
        "x BETWEEN y AND 1e308 * x",
        "x LIKE '%1_%' OR x IN ('1') OR y IS NULL",
    ]:
        assert Selector(text).matches(headers) in {True, False}


# -- itself ----------------------------------------------------------------------------------


def test_a_selector_shows_its_text():
    selector = Selector("colour = 'red'")
    assert selector.text == "colour = 'red'"
    assert repr(selector) == "Selector(\"colour = 'red'\")"

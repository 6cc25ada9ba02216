"""Message selectors: a condition on headers, in the subset of SQL-92 that JMS knows.

STOMP 1.0 ("SUBSCRIBE") names the header ``selector`` and leaves the language to SQL-92; this is
the one of Jakarta Messaging ("Message selector syntax"). Pure: no sockets, no clock, no threads.

A selector may come from anybody: its length and depth are bounded, and a LIKE takes at the worst
the product of the lengths of its pattern and the header.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from operator import add, eq, ge, gt, le, lt, mul, ne, not_, sub
from typing import Any, NamedTuple, NoReturn

from stompy.errors import STOMPProtocolError

MAX_LENGTH = 4 * 1024  # characters
MAX_LIKE = 8 * 1024  # characters of a header; LIKE knows nothing of longer ones
MAX_DEPTH = 100  # each level takes a few of Python's 1000 stack frames
MAX_NUMBER = 400  # characters; enough for every double written without an exponent

Headers = Mapping[str, str]
Part = Callable[[Headers], Any]  # of a selector, compiled; None is SQL's NULL: unknown


class Selector:
    """A condition that the headers of a message meet or do not.

    It knows ``= <> < <= > >=``, ``+ - * /``, AND, OR, NOT, [NOT] BETWEEN … AND …, [NOT] IN (…),
    [NOT] LIKE … [ESCAPE …], IS [NOT] NULL, parentheses, 'text' (with '' for a quote), numbers,
    TRUE and FALSE. Keywords may be written in any case; names of headers are as they are.

    Names: letters, digits, ``_`` and ``$``. A hyphen or dot right between two of these belongs to
    the name: ``content-type`` is one header, ``price - 1`` a subtraction, ``price-1`` a header
    again. Any other name goes in double quotes: ``"a name"``.

    Headers are text, and what they are compared with says how they are read:

    - with a number, as a number. Text that is none, or is beyond the range of a double or longer
      than 400 characters, is unknown. Integers of 64 bits are exact; all others, and what a
      division gives, are doubles.
    - with text, as text, for LIKE of 8192 characters at the most; with TRUE or FALSE, as ``true``
      or ``false`` in any case. By JMS both know ``=`` and ``<>`` only; to ask for an order among
      texts is an error.
    - with another header, as numbers if both are, else as text by ``=`` and ``<>``.

    A header that is missing is NULL, and what rests on an unknown value is unknown too, as are a
    division by zero and a result beyond a double; only what is surely true matches. An empty
    selector is none, and matches everything.

    Attributes:
        text: the selector as it was given.

    Raises:
        STOMPProtocolError: the text is no selector; the message says where, counted from 1.

    Example:
        >>> selector = Selector("colour = 'red' AND price > 10.5")
        >>> selector.matches({"colour": "red", "price": "11"})
        True
        >>> selector.matches({"colour": "red"})
        False
    """

    __slots__ = ("_condition", "text")

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise STOMPProtocolError(f"a selector is longer than {MAX_LENGTH} characters")
        self.text = text
        self._condition = _Parser(text).parse() if text.strip() else _constant(True)

    def __repr__(self) -> str:
        return f"Selector({self.text!r})"

    def matches(self, headers: Headers) -> bool:
        """Whether the condition is true, neither false nor unknown; never raises."""
        return self._condition(headers) is True


_DIGITS = r"(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?+"  # possessive: no way back
_NUMBER = re.compile(r"[+-]?" + _DIGITS)
_TOKEN = re.compile(
    rf"""\s*+(?:(?P<number>{_DIGITS})
    | (?P<symbol><>|<=|>=|[=<>+\-*/(),]
        | (?ai:AND|OR|NOT|BETWEEN|IN|LIKE|ESCAPE|IS|NULL|TRUE|FALSE)(?![-.]?[\w$]))
    | (?P<name>(?:[^\W\d]|\$)[\w$]*+(?:[-.][\w$]++)*+)
    | (?P<quoted>"(?:[^"]++|"")*+")
    | (?P<text>'(?:[^']++|'')*+')
    | (?P<end>\Z)
    | (?P<stray>.))""",
    re.DOTALL | re.VERBOSE,
)
_OR, _AND, _NOT, _COMPARISON, _SUM, _PRODUCT, _SIGN = range(1, 8)  # what binds tighter is higher
_LEVELS = {"OR": _OR, "AND": _AND, "+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT}
_COMPARE = {"=": eq, "<>": ne, "<": lt, "<=": le, ">": gt, ">=": ge}
_LEVELS |= dict.fromkeys([*_COMPARE, "IS", "NOT", "BETWEEN", "IN", "LIKE"], _COMPARISON)


class _Token(NamedTuple):
    kind: str  # the keyword or symbol itself, else the name of the group in _TOKEN
    source: str
    at: int

    @property
    def unquoted(self) -> str:
        return self.source[1:-1].replace(self.source[0] * 2, self.source[0])


class _Node(NamedTuple):
    """What was read, and all that it can be used as: condition, number, text, header."""

    at: int
    uses: dict[str, Part]

    def use(self, kind: str) -> Part:
        return self.uses.get(kind) or _wrong(self.at, f"expected a {kind}")


class _Parser:
    """Reads by precedence, with a call of `_expression` for each operand.

    Chains of AND, OR, sums and products are flat however long: only nesting takes stack, here and
    in what is made of it.
    """

    def __init__(self, selector: str) -> None:
        self._selector = selector
        self._depth = 0
        self._token = _Token("start", "", 0)
        self._take()

    def parse(self) -> Part:
        condition = self._expression(0).use("condition")
        self._expect("end", "an operator or the end")
        return condition

    def _take(self) -> _Token:
        token = self._token
        found = _TOKEN.match(self._selector, token.at + len(token.source))
        assert found
        group = str(found.lastgroup)
        kind = found[group].upper() if group == "symbol" else group
        self._token = _Token(kind, found[group], found.start(group))
        return token

    def _skip(self, kind: str) -> bool:
        return self._token.kind == kind and bool(self._take())

    def _expect(self, kind: str, expected: str) -> _Token:
        token, hint = self._token, ""
        if token.kind != kind:
            if token.source in {"'", '"'}:
                hint = f"a {token.source} needs a second one; inside the text, write it twice"
            elif token.kind == "NULL":
                hint = "IS NULL asks for a header that is missing"
            found = repr(token.source[:20]) if token.source else "the end"
            _wrong(token.at, f"expected {expected}, found {found}", hint)
        return self._take()

    def _expression(self, floor: int) -> _Node:
        """Read on while operators bind tighter than `floor`."""
        if self._depth == MAX_DEPTH:
            _wrong(self._token.at, f"expected at most {MAX_DEPTH} levels of nesting")
        self._depth += 1
        at, ceiling = self._token.at, _SIGN
        if floor <= _NOT and self._skip("NOT"):
            negation = _strict(not_, self._expression(_NOT).use("condition"))
            node, ceiling = _condition(at, negation), _NOT
        else:
            node = self._operand()
        # Levels only fall: what is left at the last one is a second comparison, as in a = b = c.
        while floor < (level := _LEVELS.get(self._token.kind, 0)) < ceiling:
            node = self._comparison(node) if level == _COMPARISON else self._chain(node, level)
            ceiling = level
        self._depth -= 1
        return node

    def _operand(self) -> _Node:
        token = self._token
        if token.kind in {"name", "quoted", "number", "text", "TRUE", "FALSE"}:
            return _value(self._take())
        if token.kind in {"+", "-"}:
            self._take()
            operand = self._expression(_SIGN).use("number")
            return _Node(token.at, {"number": _arithmetic([token.kind], _constant(0), operand)})
        self._expect("(", "a value")
        node = self._expression(0)
        self._expect(")", "an operator or )")
        return node

    def _chain(self, first: _Node, level: int) -> _Node:
        """Read all operands that operators of one level join: ``a AND b AND c``, ``a - b + c``."""
        symbols, nodes = [], [first]
        while _LEVELS.get(self._token.kind) == level:
            symbols.append(self._take().kind)
            nodes.append(self._expression(level))
        if level in {_SUM, _PRODUCT}:
            numbers = [node.use("number") for node in nodes]
            return _Node(first.at, {"number": _arithmetic(symbols, *numbers)})
        conditions = [node.use("condition") for node in nodes]
        return _condition(first.at, _junction(level == _OR, *conditions))

    def _comparison(self, left: _Node) -> _Node:
        if self._token.kind in _COMPARE:
            token = self._take()
            return _condition(left.at, _comparison(left, token, self._expression(_COMPARISON)))
        if self._skip("IS"):
            negated = self._skip("NOT")
            self._expect("NULL", "NULL" if negated else "NULL or NOT NULL")
            header = left.use("header")
            return _condition(left.at, lambda headers: (header(headers) is None) is not negated)
        negated = self._skip("NOT")
        if self._skip("BETWEEN"):
            test = self._between(left.use("number"))
        elif self._skip("IN"):
            test = _strict(self._texts().__contains__, left.use("header"))
        else:
            self._expect("LIKE", "BETWEEN, IN or LIKE")
            test = _strict(self._pattern(), left.use("header"))
        return _condition(left.at, _strict(not_, test) if negated else test)

    def _between(self, number: Part) -> Part:
        low = self._expression(_COMPARISON).use("number")
        self._expect("AND", "AND")
        high = self._expression(_COMPARISON).use("number")
        return _junction(False, _strict(ge, number, low), _strict(le, number, high))

    def _texts(self) -> frozenset[str]:
        self._expect("(", "(")
        texts = [self._expect("text", "text in single quotes").unquoted]
        while self._skip(","):
            texts.append(self._expect("text", "text in single quotes").unquoted)
        self._expect(")", ", or )")
        return frozenset(texts)

    def _pattern(self) -> Callable[[str], bool | None]:
        pattern, escape = self._expect("text", "a pattern in single quotes"), ""
        if self._skip("ESCAPE"):
            token = self._expect("text", "one character in single quotes")
            escape = token.unquoted
            if len(escape) != 1:
                _wrong(token.at, "expected one character in single quotes")
        like = _like(_pieces(pattern, escape))
        return lambda text: like(text) if len(text) <= MAX_LIKE else None


def _wrong(at: int, what: str, hint: str = "") -> NoReturn:
    hint = hint or "a selector reads like: colour = 'red' AND (price > 10.5 OR symbol LIKE 'AB%')"
    raise STOMPProtocolError(f"a selector is wrong at character {at + 1}: {what}", hint=hint)


def _value(token: _Token) -> _Node:
    """The node of a name or a literal; a header may turn out to be anything."""
    if token.kind in {"name", "quoted"}:
        name = token.source if token.kind == "name" else token.unquoted
        header: Part = lambda headers: headers.get(name)  # noqa: E731
        number, condition = _strict(_to_number, header), _strict(_to_truth, header)
        uses = {"header": header, "text": header, "number": number, "condition": condition}
        return _Node(token.at, uses)
    if token.kind == "text":
        return _Node(token.at, {"text": _constant(token.unquoted)})
    if token.kind != "number":
        return _condition(token.at, _constant(token.kind == "TRUE"))
    literal = _to_number(token.source)
    if literal is None:
        _wrong(token.at, "expected a number within the range of a double")
    return _Node(token.at, {"number": _constant(literal)})


def _condition(at: int, condition: Part) -> _Node:
    return _Node(at, {"condition": condition})


def _constant(value: Any) -> Part:
    return lambda headers: value


def _strict(apply: Callable[..., Any], *parts: Part) -> Part:
    """Apply a function to what the parts say; where one is unknown, so is the whole."""

    def evaluate(headers: Headers) -> Any:
        values = []
        for part in parts:
            values.append(part(headers))
            if values[-1] is None:
                return None
        return apply(*values)

    return evaluate


def _to_truth(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text[:6].lower())


def _to_number(text: str) -> float | None:
    """The number that a text is; None if it is none, or beyond the range of a double.

    Example:
        >>> _to_number("1.5e1"), _to_number("1_000"), _to_number("1e999")
        (15.0, None, None)
    """
    if len(text) > MAX_NUMBER or not _NUMBER.fullmatch(text):
        return None
    # An integer of 64 bits has 20 characters at the most.
    return int(text) if len(text) <= 20 and text.lstrip("+-").isdigit() else _bounded(float(text))


def _bounded(number: float) -> float | None:
    """Keep integers from growing beyond 64 bits, where they would take more and more time."""
    if isinstance(number, int) and not -(2**63) <= number < 2**63:
        number = float(number)
    return number if math.isfinite(number) else None


def _divide(number: float, divisor: float) -> float:
    return number / divisor if divisor else math.nan


_OPERATE: dict[str, Callable[[Any, Any], Any]] = {"+": add, "-": sub, "*": mul, "/": _divide}


def _arithmetic(symbols: list[str], *numbers: Part) -> Part:
    def apply(result: float | None, *operands: float) -> float | None:
        for symbol, operand in zip(symbols, operands, strict=True):
            result = None if result is None else _bounded(_OPERATE[symbol](result, operand))
        return result

    return _strict(apply, *numbers)


def _comparison(left: _Node, token: _Token, right: _Node) -> Part:
    """Compare as what both sides can be used as: two headers as numbers, or else as text."""
    kinds = ["number", "text", "condition"] if token.kind in {"=", "<>"} else ["number"]
    ways = [
        _strict(_COMPARE[token.kind], left.uses[kind], right.uses[kind])
        for kind in kinds
        if kind in left.uses and kind in right.uses
    ]
    if not ways:
        what = "numbers" if len(kinds) == 1 else "two values of a kind"
        hint = "numbers are written without quotes; text is compared by = and <> only"
        _wrong(token.at, f"expected {what} around {token.kind}", hint)
    if len(ways) == 1:
        return ways[0]
    return lambda headers: next(
        (known for way in ways if (known := way(headers)) is not None), None
    )


def _junction(decisive: bool, *conditions: Part) -> Part:
    """AND, which one false condition decides, or OR, which one true condition decides."""

    def evaluate(headers: Headers) -> Any:
        result: bool | None = not decisive
        for condition in conditions:
            value = condition(headers)
            if value is decisive:
                return decisive
            result = None if value is None else result
        return result

    return evaluate


def _pieces(pattern: _Token, escape: str) -> list[list[str]]:
    """What stands between the % of a pattern, as a regular expression for each character."""
    pieces: list[list[str]] = [[]]
    characters = iter(pattern.unquoted)
    for character in characters:
        if character == escape:
            literal = next(characters, "")
            if literal not in {"%", "_", escape}:
                _wrong(pattern.at, f"expected %, _ or {escape} behind each {escape} of the pattern")
            pieces[-1].append(re.escape(literal))
        elif character == "%":
            pieces.append([])
        else:
            pieces[-1].append("." if character == "_" else re.escape(character))
    return pieces


def _like(pieces: list[list[str]]) -> Callable[[str], bool]:
    """Search the pieces in turn: none has a quantifier, and the first place that fits will do."""
    head, *others = [re.compile("".join(piece), re.DOTALL) for piece in pieces]
    if not others:
        return lambda text: head.fullmatch(text) is not None
    tail, width = others.pop(), len(pieces[-1])

    def matches(text: str) -> bool:
        found = head.match(text)
        for piece in others:
            found = found and piece.search(text, found.end())
        start = len(text) - width
        return found is not None and found.end() <= start and tail.match(text, start) is not None

    return matches

"""What the magics do with the text of a cell: run it, call it for each frame, fill it in."""

from __future__ import annotations

import ast
import json
import linecache
import re
import symtable
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from IPython.core.interactiveshell import InteractiveShell

    from stompy import STOMPClient, STOMPFrame

_OWN = ("frame", "client")
"""The names that a callback has for itself; all others are the notebook's."""


def callback_of(
    shell: InteractiveShell, cell: str, title: str
) -> Callable[[STOMPFrame, STOMPClient], object]:
    """A cell as a function of `frame` and `client`.

    Whatever else the cell assigns, imports or defines is a variable of the notebook, as in any
    other cell. ``return`` ends it. A cell magic in it has the notebook's variables alone.

    Args:
        title: what tracebacks call the cell.

    Raises:
        SyntaxError: the cell is no Python.
        UsageError: it awaits or yields, which nobody would wait for.
    """
    __tracebackhide__ = True  # of a SyntaxError the cell's line is what helps
    module = _parsed(shell, cell, title)
    names = _bound(module, title)
    declared: list[ast.stmt] = [ast.Global(names)] if names else []
    # Async, so that a cell that awaits is told of that, and not that it is no async function.
    function = ast.parse("async def callback(frame, client): pass").body[0]
    assert isinstance(function, ast.AsyncFunctionDef)
    function.body = [*declared, *_WithoutAnnotations().visit(module).body] or [ast.Pass()]
    if any(isinstance(node, _AWAITS) for node in _of_the_cell(function)):
        raise UsageError("a cell that is called for each frame can neither await nor yield")
    module.body = [ast.FunctionDef(**dict(ast.iter_fields(function)))]
    scope: dict[str, Any] = {}
    exec(_compiled(ast.fix_missing_locations(module), title, "exec"), shell.user_ns, scope)
    made: Callable[[STOMPFrame, STOMPClient], object] = scope["callback"]
    return made


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_AWAITS = (ast.Await, ast.AsyncFor, ast.AsyncWith, ast.Yield, ast.YieldFrom)


def _of_the_cell(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below one, without what belongs to functions and classes that it defines."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, _FUNCTIONS):
            yield from _of_the_cell(child)


class _WithoutAnnotations(ast.NodeTransformer):
    """Makes ``x: int = 3`` an ``x = 3``: a name that is declared global has no annotation."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        if not isinstance(node.target, ast.Name):
            return node
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        return ast.copy_location(ast.Assign([node.target], node.value), node)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        return node if isinstance(node, _FUNCTIONS) else super().generic_visit(node)


def _bound(module: ast.Module, title: str) -> list[str]:
    """The names that a cell assigns, imports or defines, without a callback's own."""
    source = ast.unparse(module)
    symbols = symtable.symtable(source, title, "exec").get_symbols()
    names = {s.get_name() for s in symbols if s.is_assigned() or s.is_imported()}
    # In a comprehension it binds a name around that, and the table of symbols does not say so.
    walruses = (node for node in _of_the_cell(module) if isinstance(node, ast.NamedExpr))
    names |= {node.target.id for node in walruses}
    return sorted(names.difference(_OWN))


def run(shell: InteractiveShell, cell: str, title: str) -> object:
    """Run a cell in the notebook, now; returns the value of its last line, if that has one."""
    __tracebackhide__ = True  # the user looks for a line of the cell
    module = _parsed(shell, cell, title)
    last = module.body.pop() if module.body and isinstance(module.body[-1], ast.Expr) else None
    exec(_compiled(module, title, "exec"), shell.user_ns)
    if not isinstance(last, ast.Expr):
        return None
    return eval(_compiled(ast.Expression(last.value), title, "eval"), shell.user_ns)


def _compiled(tree: ast.Module | ast.Expression, title: str, mode: str) -> Any:
    """Code that inherits nothing from this module, such as what it imports from the future."""
    return compile(tree, title, mode, dont_inherit=True)


def _parsed(shell: InteractiveShell, cell: str, title: str) -> ast.Module:
    __tracebackhide__ = True
    source = shell.transform_cell(cell)
    linecache.cache[title] = (len(source), None, source.splitlines(keepends=True), title)
    module: ast.Module = ast.parse(source, title)
    return module


_PLACE = re.compile(r"\{\{\s*([^\W\d]\w*)\s*\}\}")


def filled(template: str, variables: Mapping[str, Any], *, as_json: bool = False) -> str:
    """A text in which each ``{{name}}`` is the variable of that name; names only, no code.

    Args:
        as_json: whether the text is JSON: then text is escaped, to stand between quotes, and all
            else is written as JSON.

    Raises:
        UsageError: there is no such variable, or it cannot be written as JSON.

    Example:
        >>> filled('{"symbol": "{{symbol}}", "price": {{price}}}', {"symbol": "A", "price": 1.5})
        '{"symbol": "A", "price": 1.5}'
    """

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in variables:
            raise UsageError(f"--template: there is no variable {name!r}")
        found = variables[name]
        if not as_json:
            return str(found)
        try:
            written = json.dumps(found, allow_nan=False, default=_plain)
        except (TypeError, ValueError) as error:
            raise UsageError(f"--template: {name} cannot be written as JSON: {error}") from error
        return written[1:-1] if isinstance(found, str) else written

    return _PLACE.sub(value, template)


def _plain(value: Any) -> object:
    """A number of NumPy, as pandas has them, as one of Python.

    Raises:
        TypeError: it is something else.
    """
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return value.item()
    raise TypeError(f"it is a {type(value).__name__}")


def check_json(text: str) -> None:
    """Refuse what is no JSON.

    Raises:
        UsageError: it says what is wrong and where.
    """

    def refuse(constant: str) -> None:
        raise UsageError(f"the body is no JSON: {constant} is none of its numbers")

    try:
        json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise UsageError(
            f"the body is no JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        ) from error
    except (ValueError, RecursionError) as error:  # too many digits, nested too deeply
        raise UsageError(f"the body is JSON that cannot be read: {error}") from error

"""An XML document as dicts, lists and text."""

from __future__ import annotations

from typing import Any
from xml.parsers import expat

MAX_DEPTH = 200
"""Elements may be nested so deeply."""


def from_xml(document: bytes | str) -> dict[str, Any]:
    """What an XML document says: ``{root: value}``.

    An element is its text; with attributes or children it is a dict of these: attributes as
    ``@name``, children by their names, and text as ``#text``. Those of one name are a list, an
    empty element is None. Names are without their name space.

    Args:
        document: text; or octets, in UTF-8 or what the document itself declares.

    Raises:
        ValueError: it is not well-formed, is nested more deeply than `MAX_DEPTH`, or has a
            document type declaration: entities are not read.

    Example:
        >>> from_xml(b'<a x="1"><b>one</b><b/><c>two</c></a>')
        {'a': {'@x': '1', 'b': ['one', None], 'c': 'two'}}
    """
    tree = _Tree()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = tree.start
    parser.EndElementHandler = tree.end
    parser.CharacterDataHandler = tree.text
    parser.StartDoctypeDeclHandler = tree.doctype
    try:
        parser.Parse(document, True)
    except expat.ExpatError as error:
        raise ValueError(f"no XML: {error}") from None
    return tree.root


class _Tree:
    """The handlers of a parser, and the elements that are open."""

    def __init__(self) -> None:
        self.root: dict[str, Any] = {}
        self._open: list[dict[str, Any]] = [self.root]
        self._texts: list[list[str]] = [[]]

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._open) > MAX_DEPTH:
            raise ValueError(f"XML that is nested more than {MAX_DEPTH} deep")
        element: dict[str, Any] = {}
        for known, value in attributes.items():
            _add(element, f"@{_local(known)}", value)
        self._open.append(element)
        self._texts.append([])

    def end(self, name: str) -> None:
        element: Any = self._open.pop()
        text = "".join(self._texts.pop())
        if not element:
            element = text or None
        elif text.strip():
            element["#text"] = text
        _add(self._open[-1], _local(name), element)

    def text(self, text: str) -> None:
        self._texts[-1].append(text)

    def doctype(self, *_: object) -> None:
        raise ValueError("XML with a document type declaration, which is not read")


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


def _add(parent: dict[str, Any], name: str, element: Any) -> None:
    """Put an element under its name; the second of a name makes a list of them."""
    if name not in parent:
        parent[name] = element
    elif isinstance(parent[name], list):
        parent[name].append(element)
    else:
        parent[name] = [parent[name], element]

"""Values as flat records, and back: nested keys become paths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from stompy_jupyter.decode import sayable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Path: TypeAlias = "tuple[str, ...]"
"""The keys from a record down to a value; empty where the record itself is one, e.g. a number."""

MAX_DEPTH = 200
"""Objects may be nested so deeply."""

VALUE = "value"
"""What the column of the empty path is called."""


def records_of(value: object) -> Sequence[object]:
    """The records of a decoded body: the items of an array, else the value itself.

    Example:
        >>> records_of([{"a": 1}, {"a": 2}]), records_of(5)
        ([{'a': 1}, {'a': 2}], [5])
    """
    return value if isinstance(value, list | tuple) else [value]


def flatten(record: object) -> dict[Path, object]:
    """The values of a record by their paths. Arrays, and objects without keys, are values.

    Raises:
        ValueError: it is nested more deeply than `MAX_DEPTH`.

    Example:
        >>> flatten({"id": 1, "place": {"name": "York", "tags": ["a"]}})
        {('id',): 1, ('place', 'name'): 'York', ('place', 'tags'): ['a']}
    """
    if not isinstance(record, dict):
        return {(): record}
    flat: dict[Path, object] = {}
    open_: list[tuple[Path, Any]] = [((), iter(record.items()))]
    while open_:
        above, items = open_[-1]
        for key, value in items:
            path = (*above, sayable(str(key)))
            if isinstance(value, dict) and value:
                if len(path) == MAX_DEPTH:
                    raise ValueError(f"objects that are nested more than {MAX_DEPTH} deep")
                open_.append((path, iter(value.items())))
                break
            flat[path] = value
        else:
            open_.pop()
    return flat


def unflatten(flat: Mapping[Path, object]) -> object:
    """The record that `flatten` has made these of.

    Example:
        >>> unflatten({("id",): 1, ("place", "name"): "York"})
        {'id': 1, 'place': {'name': 'York'}}
    """
    if () in flat:
        return flat[()]
    record: dict[str, Any] = {}
    for path, value in flat.items():
        place = record
        for key in path[:-1]:
            place = place.setdefault(key, {})
        place[path[-1]] = value
    return record


class Paths:
    """The paths that have occurred, in the order of a tree of them: siblings side by side.

    The order is that in which keys have come, and does not depend on how many come at a time.

    Example:
        >>> paths = Paths()
        >>> paths.learn([("a", "b"), ("c",)])
        >>> paths.learn([("a", "d")])
        >>> list(paths)
        [('a', 'b'), ('a', 'd'), ('c',)]
    """

    def __init__(self) -> None:
        self._tree: dict[str, Any] = {}
        self._known: dict[Path, None] = {}
        self._sorted: list[Path] | None = []

    def learn(self, paths: Iterable[Path]) -> None:
        """Add those that are new."""
        for path in paths:
            if path not in self._known:
                self._known[path] = None
                self._sorted = None
                place = self._tree
                for key in path:
                    place = place.setdefault(key, {})

    def is_above(self, path: Path) -> bool:
        """Whether there are others below a path: what is an object there, now and then."""
        place = self._tree
        for key in path:
            place = place[key]
        return bool(place)

    def __iter__(self) -> Iterator[Path]:
        if self._sorted is None:
            self._sorted = [path for path in _in_order(self._tree) if path in self._known]
        return iter(self._sorted)


def _in_order(tree: dict[str, Any]) -> Iterator[Path]:
    """All places of a tree, each before those below it."""
    open_: list[tuple[Path, Any]] = [((), iter(tree.items()))]
    yield ()
    while open_:
        above, items = open_[-1]
        for key, below in items:
            path = (*above, key)
            yield path
            open_.append((path, iter(below.items())))
            break
        else:
            open_.pop()


def name_of(path: Path) -> str:
    """The keys of a path with dots in between.

    Example:
        >>> name_of(("place", "name")), name_of(())
        ('place.name', 'value')
    """
    return ".".join(path) if path else VALUE


def names_of(paths: Iterable[Path], taken: Iterable[str] = ()) -> dict[Path, str]:
    """A name for each path, no two alike: `name_of` it.

    Where two paths come to one name (a key may have a dot in it), the one with more keys has it and
    the others get ``_2``, ``_3`` behind it. Names in `taken` get ``record_`` in front, and so do
    those that begin with that.

    Example:
        >>> names_of([("a.b",), ("a", "b"), ("frame",)], taken=["frame"])
        {('a.b',): 'a.b_2', ('a', 'b'): 'a.b', ('frame',): 'record_frame'}
    """
    reserved = set(taken)
    paths = list(paths)
    names: dict[Path, str] = {}
    used: set[str] = set()
    for path in sorted(paths, key=lambda path: (-len(path), path)):
        plain = name_of(path)
        if plain in reserved or plain.startswith("record_"):
            plain = f"record_{plain}"
        name, number = plain, 1
        while name in used:
            number += 1
            name = f"{plain}_{number}"
        used.add(name)
        names[path] = name
    return {path: names[path] for path in paths}

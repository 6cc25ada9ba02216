"""Solved copies of lessons: their exercises, each with the solution that it shows in the end.

A cell of a notebook that has the tag ``exercise:NAME`` is where a learner works; a solved copy has
the solution of that exercise there. So there is one place for it, and what is shown is what is
tested.
"""

from __future__ import annotations

import argparse
import copy
import json
import pathlib
import sys
from typing import TYPE_CHECKING, Any

import stompy_jupyter.lessons  # noqa: F401 - its exercises are known from then on
from stompy_jupyter.exercises import exercises

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TAG = "exercise:"


def solved(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """A notebook, as its JSON says it, with the solutions in the cells of its exercises.

    Raises:
        KeyError: it has an exercise that nobody knows.

    Example:
        >>> solved(json.loads(pathlib.Path("13-acknowledgement.ipynb").read_text("utf-8")))
    """
    copied: dict[str, Any] = copy.deepcopy(dict(notebook))
    for cell in copied["cells"]:
        if (name := exercise_of(cell)) is not None:
            cell["source"] = exercises()[name].solution.splitlines(keepends=True)
    return copied


def exercise_of(cell: Mapping[str, Any]) -> str | None:
    """The exercise that is done in a cell; None if there is none."""
    tags = cell.get("metadata", {}).get("tags", [])
    return next((tag.removeprefix(TAG) for tag in tags if tag.startswith(TAG)), None)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write solved copies of notebooks into a folder."""
    parser = argparse.ArgumentParser(
        prog="python -m stompy_jupyter.solving",
        description="Write copies of lessons with the solutions of their exercises.",
    )
    parser.add_argument("notebooks", nargs="+", type=pathlib.Path, metavar="NOTEBOOK")
    parser.add_argument("--into", type=pathlib.Path, required=True, metavar="DIR")
    args = parser.parse_args(arguments)
    args.into.mkdir(parents=True, exist_ok=True)
    for path in args.notebooks:
        target = args.into / path.name
        if target.exists():
            sys.exit(f"{target} is there already")
        notebook = json.loads(path.read_text("utf-8"))
        target.write_text(
            json.dumps(solved(notebook), ensure_ascii=False, indent=1) + "\n", "utf-8"
        )


if __name__ == "__main__":
    main()

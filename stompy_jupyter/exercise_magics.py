"""``%stomp_check`` and ``%%stomp_predict``: exercises, and whether they are done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from IPython.core.error import UsageError
from IPython.core.magic import Magics, magics_class
from IPython.core.magic_arguments import argument

import stompy_jupyter.lessons  # noqa: F401 - its exercises are known from then on
from stompy_jupyter.arguments import magic, parse, text
from stompy_jupyter.attempts import Attempts
from stompy_jupyter.exercises import exercises, words

if TYPE_CHECKING:
    import pandas as pd
    from IPython.core.interactiveshell import InteractiveShell

    from stompy_jupyter.attempts import CheckResult
    from stompy_jupyter.exercises import Exercise
    from stompy_jupyter.notebook import Notebook

EXERCISE = argument("exercise", type=text, help="the exercise's name; %%stomp_check lists them")


UNSAID = "?"
"""What lessons have in the place of a prediction: a check must not tell what comes before it."""


@magics_class
class StompExerciseMagics(Magics):
    """The magics of the exercises."""

    def __init__(self, shell: InteractiveShell, notebook: Notebook) -> None:
        super().__init__(shell)
        self.notebook = notebook
        self.attempts = Attempts()

    @magic(argument("exercise", nargs="?", type=text, help="its name (default: list them all)"))
    def stomp_check(self, line: str) -> CheckResult | pd.DataFrame:
        """See whether an exercise is done: green or red, with the frames that show it.

        It looks at the frames that have passed, so that any way that is right passes. A hint comes
        with the second try that fails, a solution with the fourth. Its result has a DataFrame `df`;
        without a name all exercises are listed in one, with how often each was tried. The same in
        Python: `Attempts().check(exercises()[name])`.

        Example::

            %stomp_check five-by-one
        """
        args = parse(self.stomp_check, line)
        if args.exercise is None:
            return self.attempts.df
        return self.attempts.check(_named(args.exercise))

    @magic(EXERCISE, kind="cell")
    def stomp_predict(self, line: str, cell: str) -> None:
        """Say what you expect, before it happens; %stomp_check compares.

        The cell is words, parted by blanks, commas or lines; `#` begins a comment. It counts for
        what happens from then on; saying it again replaces it. The same in Python:
        `attempts.predict(exercises()[name], words)`.

        Example::

            %%stomp_predict which-come-again
            b, c
        """
        args = parse(self.stomp_predict, line)
        chosen = _named(args.exercise)
        if not chosen.predicted:
            raise UsageError(f"there is nothing to predict in {chosen.name!r}")
        said = words(cell)
        if not said:
            raise UsageError(f"say what you expect: {chosen.predicted}")
        if said == [UNSAID]:
            print(f"Nothing is noted yet. Write here what you expect: {chosen.predicted}")
            return
        self.attempts.predict(chosen, said)
        print(f"Noted: {', '.join(said)}. Now run the next cells, up to %stomp_check {chosen.name}")


def _named(name: str) -> Exercise:
    known = exercises()
    if name not in known:
        raise UsageError(f"there is no exercise {name!r}; there are: {', '.join(known)}")
    return known[name]

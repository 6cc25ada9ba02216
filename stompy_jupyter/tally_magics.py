"""``%stomp_tally``: what was sent against what has come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from IPython.core.error import UsageError
from IPython.core.magic import Magics, magics_class
from IPython.core.magic_arguments import argument

from stompy_jupyter.arguments import ON, STREAM, magic, parse, text
from stompy_jupyter.display import visible

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from stompy_jupyter.notebook import Notebook
    from stompy_jupyter.tally import Tally


@magics_class
class StompTallyMagics(Magics):
    """The magic of the tallies."""

    def __init__(self, shell: InteractiveShell, notebook: Notebook) -> None:
        super().__init__(shell)
        self.notebook = notebook

    @magic(
        STREAM,
        argument(
            "--by",
            type=text,
            metavar="HEADER",
            help="tell messages from each other by this header (default: by their bodies)",
        ),
        argument("--off", action="store_true", help="count no more"),
        ON,
    )
    def stomp_tally(self, line: str) -> Tally:
        """Count what is sent to a stream's destination against what comes of it, from now on.

        All sessions of the notebook count as senders, also those that come later. Running it again
        shows how it stands: what was expected and arrived, what is lost, doubled, or on its way;
        the widget shows it live. Another `--by` begins anew. The same in Python:
        `stream.tally(by)`.

        Example::

            %stomp_tally prices --by n
            %stomp_tally prices
            %stomp_tally prices --off
        """
        args = parse(self.stomp_tally, line)
        if args.off and args.by is not None:
            raise UsageError("--off has no --by: it ends the tally that runs")
        stream = self.notebook.stream(args.stream, args.on)
        newest = stream.tallies[-1] if stream.tallies else None
        if args.off:
            if newest is None:
                raise UsageError(f"no tally runs: %stomp_tally {visible(stream.name)}")
            newest.stop()
            return newest
        if newest is not None and args.by in (None, newest.by):
            return newest
        tally = stream.tally(args.by, self.notebook.traces)
        if newest is not None:
            newest.stop()
        return tally

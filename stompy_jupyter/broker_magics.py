"""``%stomp_broker``: the broker that is embedded in the kernel."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pandas as pd
from IPython.core.error import UsageError
from IPython.core.magic import Magics, magics_class
from IPython.core.magic_arguments import argument

from stompy.broker import Broker, Faults
from stompy_jupyter.arguments import magic, parse, parser_of, text
from stompy_jupyter.embedded import (
    embedded_broker,
    start_embedded_broker,
    stop_embedded_broker,
)

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.core.magic_arguments import MagicArgumentParser

    from stompy_jupyter.notebook import Notebook


@magics_class
class StompBrokerMagics(Magics):
    """The magic of the embedded broker."""

    def __init__(self, shell: InteractiveShell, notebook: Notebook) -> None:
        super().__init__(shell)
        self.notebook = notebook

    @magic(
        argument(
            "action",
            choices=["start", "stop", "status", "destinations", "clients", "events", "faults"],
            help="what to do",
        ),
        argument("--port", type=int, metavar="PORT", help="start: for TCP (default: a free one)"),
        argument(
            "--websocket", type=int, metavar="PORT", help="start: for browsers; 0: a free one"
        ),
        argument("--client", type=text, metavar="C", help="faults: with this one (default: all)"),
        argument("--slow", type=float, default=0.0, metavar="S", help="faults: S seconds late"),
        argument("--split", type=int, default=0, metavar="N", help="faults: N octets at a time"),
        argument("--no-receipts", action="store_true", help="faults: no RECEIPT is sent"),
        argument("--no-heart-beats", action="store_true", help="faults: no heart-beats"),
        argument("--duplicate", action="store_true", help="faults: each MESSAGE comes twice"),
        argument(
            "--reorder", type=int, default=0, metavar="N", help="faults: N MESSAGEs in reverse"
        ),
        argument(
            "--lose", type=int, default=0, metavar="N", help="faults: every Nth MESSAGE is lost"
        ),
        argument(
            "--drop-after", type=int, default=0, metavar="N", help="faults: cut after N frames"
        ),
        argument("--drop", action="store_true", help="faults: cut the connection now"),
        argument("--off", action="store_true", help="faults: none any more"),
    )
    def stomp_broker(self, line: str) -> Any:
        """Start, stop, look into, or disturb the broker that is embedded in the kernel.

        `status`, `destinations`, `clients` and `events` give a DataFrame. `faults` lets go wrong
        what it names, from now on, and nothing else; without options it says what is on. The same
        in Python: the methods of `stompy_jupyter.embedded.embedded_broker()`.

        Example::

            %stomp_broker start --websocket 15674
            %stomp_broker destinations
            %stomp_broker faults --slow 0.5 --duplicate
            %stomp_broker faults --off
        """
        args = parse(self.stomp_broker, line)
        _check_options(args, parser_of(self.stomp_broker))
        if args.action == "start":
            wanted = {"port": args.port, "websocket_port": args.websocket}
            return start_embedded_broker(**{k: v for k, v in wanted.items() if v is not None})
        if args.action == "stop":
            return stop_embedded_broker()
        broker = embedded_broker(start=False)
        if not broker.running and args.action != "events":
            raise UsageError("the broker does not run: %stomp_broker start")
        if args.action == "faults":
            return _disturb(broker, args)
        return _look(broker, args.action)


OPTIONS = {
    "start": {"port", "websocket"},
    "faults": {"client", "drop", "off", *(field.name for field in dataclasses.fields(Faults))},
}
"""The options of each action that has some."""


def _check_options(args: Any, parser: MagicArgumentParser) -> None:
    """Refuse options that the action does not have, and those that contradict each other."""
    known = OPTIONS.get(args.action, set())
    given = {name for name, value in vars(args).items() if value != parser.get_default(name)}
    for name in sorted(given - known - {"action"}):
        raise UsageError(f"%stomp_broker {args.action} has no --{name.replace('_', '-')}")
    if args.off and given - {"action", "off", "client", "drop"}:
        raise UsageError("--off ends all faults: say those that are to be on without it")


_COLUMNS = {
    "destinations": ["destination"],
    "clients": ["client"],
    "events": ["time", "event"],
}
"""What a look has at the least, also when there is nothing to see."""


def _look(broker: Broker, action: str) -> pd.DataFrame:
    """What there is to see of the broker, with seconds since the epoch as times."""
    if action == "status":
        return pd.DataFrame([broker.stats()])
    rows = getattr(broker, action)()
    table = pd.DataFrame(rows) if rows else pd.DataFrame(columns=_COLUMNS[action])
    for name in {"time", "connected_at"}.intersection(table.columns):
        table[name] = pd.to_datetime(table[name], unit="s", utc=True).dt.as_unit("us")
    return table


def _disturb(broker: Broker, args: Any) -> Faults:
    """Set the faults that are named, cut connections, or say what is on."""
    names = [field.name for field in dataclasses.fields(Faults)]
    try:
        faults = Faults(**{name: getattr(args, name) for name in names})
    except ValueError as error:
        raise UsageError(str(error)) from error
    if args.off or faults != Faults():
        broker.set_faults(faults, args.client)
    if args.drop:
        broker.drop(args.client)
    return broker.faults

"""What `import stompy` brings, and what it does not do."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import stompy
from stompy import errors

ROOT = Path(stompy.__file__).parent.parent

CONTRACT = {
    "AckMode",
    "STOMPClient",
    "STOMPError",
    "STOMPFrame",
    "STOMPSubscription",
    "STOMPTimeout",
    "STOMPTransaction",
    "connect",
}
FURTHER = {
    *("ClientState", "Receipt", "ReceiptOutcome", "ReconnectPolicy", "Tape", "TracedFrame"),
}
ERROR_KINDS = {name for name, value in vars(errors).items() if isinstance(value, type)}

WATCHED = """
import sys

before = set(sys.modules)
events = []
sys.addaudithook(lambda event, _: events.append(event))
sys.path.insert(0, sys.argv[1])
import stompy

loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print("foreign modules", sorted(loaded - sys.stdlib_module_names - {"stompy"}))
print("threads", events.count("_thread.start_new_thread"))
print("sockets", sum(event.startswith("socket.") for event in events))
"""


def test_importing_stompy_loads_the_standard_library_alone_and_starts_nothing() -> None:
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-W", "error", "-c", WATCHED, str(ROOT)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.stderr == ""
    assert result.stdout == "foreign modules []\nthreads 0\nsockets 0\n"


def test_the_names_to_import_are_those_of_the_contract_and_few_more() -> None:
    names = {
        name
        for name, value in vars(stompy).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert names == set(stompy.__all__) == CONTRACT | FURTHER | ERROR_KINDS


def test_the_package_knows_its_version() -> None:
    assert stompy.__version__.count(".") == 2


def test_the_contracts_paths_lead_to_the_same_classes() -> None:
    assert stompy.client.STOMPTransaction is stompy.STOMPTransaction
    assert stompy.frame.STOMPFrame is stompy.STOMPFrame

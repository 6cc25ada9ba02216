"""What holds for every test."""

import signal
from collections.abc import Iterator

import pytest

# A shell that runs pytest in the background has it ignore Ctrl-C, and tests raise it themselves.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def jupyter_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what Jupyter, IPython and matplotlib write to folders of this run's own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "MPLCONFIGDIR"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
        patch.delenv("STOMPY_URL", raising=False)
        yield

"""The programs in which people run notebooks, each with its settings in a folder of its own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.request import urlopen

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from tests.processes import HOST, free_port, running
from tests.requirements import need

NO_NEWS = {"fetchNews": "false", "checkForUpdates": False}
"""Settings that keep Jupyter from asking, across the page, whether it may fetch news."""


@contextmanager
def jupyterlab(folder: Path) -> Iterator[str]:
    """A JupyterLab that serves a folder, without a token; gives its address."""
    options = ["--LabApp.expose_app_in_browser=True", *_apart("LabApp", folder)]
    with _jupyter("JupyterLab", "jupyterlab", folder, options) as url:
        yield url


@contextmanager
def notebook7(folder: Path) -> Iterator[str]:
    """The same with Notebook 7."""
    options = ["--JupyterNotebookApp.expose_app_in_browser=True"]
    options += _apart("JupyterNotebookApp", folder)
    with _jupyter("Notebook", "notebook", folder, options) as url:
        yield url


@contextmanager
def marimo(app: Path) -> Iterator[str]:
    """A marimo that runs an app and shows what its cells give; gives its address."""
    need(None if find_spec("marimo") else "marimo is not installed: pip install marimo")
    port = free_port()
    url = f"http://{HOST}:{port}"
    command = [
        *(sys.executable, "-m", "marimo", "run", str(app), "--headless", "--no-token"),
        *(f"--host={HOST}", f"--port={port}"),
    ]
    with running("marimo", command, app.parent, _at_home(app.parent), _is_up(f"{url}/health")):
        yield url


def write_notebook(folder: Path, *cells: str) -> Path:
    """A new notebook of these code cells, in a folder that is served; returns where it is."""
    path = folder / f"test-{os.urandom(4).hex()}.ipynb"
    kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = new_notebook(
        cells=[new_code_cell(source) for source in cells], metadata={"kernelspec": kernelspec}
    )
    nbformat.write(notebook, path)
    return path


def _apart(app: str, folder: Path) -> list[str]:
    return [
        f"--{app}.workspaces_dir={folder / 'workspaces'}",
        f"--{app}.user_settings_dir={folder / 'settings'}",
    ]


@contextmanager
def _jupyter(name: str, module: str, folder: Path, options: list[str]) -> Iterator[str]:
    need(None if find_spec(module) else f"{module} is not installed: pip install {module}")
    notifications = folder / "settings/@jupyterlab/apputils-extension"
    notifications.mkdir(parents=True)
    (notifications / "notification.jupyterlab-settings").write_text(json.dumps(NO_NEWS))
    port = free_port()
    url = f"http://{HOST}:{port}"
    command = [
        *(sys.executable, "-m", module, "--no-browser", "--allow-root"),
        *(f"--ip={HOST}", f"--port={port}", "--ServerApp.port_retries=0"),
        *("--IdentityProvider.token=", f"--ServerApp.root_dir={folder}"),
        *options,
    ]
    with running(name, command, folder, _at_home(folder), _is_up(f"{url}/api/status")):
        yield url


def _at_home(folder: Path) -> dict[str, str]:
    """The environment of a program that keeps what it knows of its user in a folder."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")}
    return {**kept, "HOME": str(folder)}


def _is_up(url: str) -> Callable[[], bool]:
    def ready() -> bool:
        try:
            with urlopen(url, timeout=5) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    return ready

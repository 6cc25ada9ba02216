"""Notebooks in real front ends, and a real browser that shows them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

import stompy
from stompy.broker import Broker
from tests.brokers.servers import Server
from tests.brokers.tap import Tap
from tests.browser.hosts import jupyterlab, notebook7, write_notebook
from tests.browser.pages import NotebookPage
from tests.browser.problems import Problems
from tests.requirements import need

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 15_000
"""Milliseconds that `expect` waits; reached only when a test fails."""

SCREENSHOTS = Path(__file__).parent / "screenshots"

HOSTS = {"JupyterLab": (jupyterlab, "lab/tree"), "Notebook 7": (notebook7, "notebooks")}
"""How each front end is run, and where it shows a notebook."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--screenshots",
        action="store_true",
        help="write the pictures of the widget to tests/browser/screenshots, to be committed",
    )


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    need(None if CHROMIUM else "chromium is not installed: sudo apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        expect.set_options(timeout=PATIENCE)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """What all pages share: a cache, and the permission to copy."""
    context = browser.new_context(
        viewport={"width": 1200, "height": 900},
        permissions=["clipboard-read", "clipboard-write"],
    )
    context.set_default_timeout(PATIENCE)
    yield context
    context.close()


@pytest.fixture(scope="package")
def open_in(
    context: BrowserContext, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., NotebookPage]]:
    """`open_in(host, cell, …)` gives a notebook of these cells, open and with its kernel ready."""
    served: dict[str, tuple[str, Path]] = {}
    with ExitStack() as stack:

        def open_in(host: str, *cells: str) -> NotebookPage:
            serve, where = HOSTS[host]
            if host not in served:
                folder = tmp_path_factory.mktemp("served")
                served[host] = stack.enter_context(serve(folder)), folder
            url, folder = served[host]
            path = write_notebook(folder, *cells)
            page = context.new_page()
            opened = NotebookPage(page, path, Problems(page))
            page.goto(f"{url}/{where}/{path.name}{'?reset' if host == 'JupyterLab' else ''}")
            opened.wait_until_ready()
            if host == "JupyterLab":
                opened.command("application:toggle-left-area")  # it would take a third of the page
            return opened

        yield open_in


@pytest.fixture(scope="package")
def broker() -> Iterator[Broker]:
    """A broker outside of the kernels, which sees what they do."""
    with Broker() as broker:
        yield broker


@pytest.fixture(scope="package")
def tap(broker: Broker) -> Iterator[Tap]:
    """The line between the kernels and the broker, where octets can be read."""
    host, port = broker.address
    tap = Tap(Server("stompy", host, port, None, None))
    yield tap
    tap.close()


@pytest.fixture(scope="package")
def sender(broker: Broker) -> Iterator[stompy.STOMPClient]:
    """A client of the broker outside of the kernels."""
    with stompy.connect(broker.address) as client:
        yield client


@pytest.fixture(scope="package")
def connect(tap: Tap) -> str:
    """A cell that connects to it, as `session`."""
    host, port = tap.address
    return f"%load_ext stompy_jupyter\n%stomp_connect {host}:{port} --as session"


@pytest.fixture(scope="package")
def desks(open_in: Callable[..., NotebookPage], connect: str) -> Callable[[str], NotebookPage]:
    """`desks(host)` gives the notebook that tests share in a front end, with a session."""

    @cache
    def desk(host: str) -> NotebookPage:
        notebook = open_in(host, connect)
        notebook.run(0)
        notebook.expect_done(0)
        return notebook

    return desk


@pytest.fixture(scope="package", params=HOSTS)
def host(request: pytest.FixtureRequest) -> str:
    """Each front end in turn."""
    return str(request.param)


def use(desk: NotebookPage) -> Iterator[NotebookPage]:
    """Let a test have it; its streams are ended, for what lives is told of to the page."""
    with desk.in_front():
        yield desk
        desk.execute("for each in list(session.streams.values()): each.unsubscribe()")


@pytest.fixture
def notebook(host: str, desks: Callable[[str], NotebookPage]) -> Iterator[NotebookPage]:
    """A notebook with a session, in each front end; nothing may go wrong in its page."""
    yield from use(desks(host))


@pytest.fixture
def lab(desks: Callable[[str], NotebookPage]) -> Iterator[NotebookPage]:
    """The same in JupyterLab alone."""
    yield from use(desks("JupyterLab"))


@pytest.fixture
def word() -> str:
    """A word for names of the test's own: all tests share a broker."""
    return f"w{os.urandom(3).hex()}"


@pytest.fixture
def pictures(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder for pictures of the widget."""
    if not request.config.getoption("--screenshots", False):
        return tmp_path
    SCREENSHOTS.mkdir(exist_ok=True)
    return SCREENSHOTS

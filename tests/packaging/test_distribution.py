"""What users install: a wheel and an sdist, built and installed as on a machine that is new."""

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
NODE = {"node", "nodejs", "npm", "npx", "corepack"}
MEANINGS = "stompy_jupyter/meanings.json"
STATIC = {"stompy_jupyter/static/widget.js", "stompy_jupyter/static/widget.css"}

LOAD = """
import stompy
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "stompy_jupyter")
session = shell.run_line_magic("stomp_connect", "")
stream = shell.run_line_magic("stomp_subscribe", "/topic/T")
shell.run_line_magic("stomp_send", "/topic/T hello")
assert stream.wait(1, timeout=10) == 1
data, _ = shell.display_formatter.format(stream)
assert "application/vnd.jupyter.widget-view+json" in data
shell.run_line_magic("unload_ext", "stompy_jupyter")
print(stompy.__file__, stream.df["body"].tolist())
"""


@pytest.fixture(scope="module")
def without_node(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose PATH has everything but Node.js."""
    folder = tmp_path_factory.mktemp("path")
    programs: dict[str, Path] = {}
    for place in os.environ["PATH"].split(os.pathsep):
        for program in Path(place).glob("*"):
            programs.setdefault(program.name, program)
    for name in programs.keys() - NODE:
        (folder / name).symlink_to(programs[name])
    assert not any(shutil.which(name, path=str(folder)) for name in NODE)
    hidden = {"PYTHONPATH", "VIRTUAL_ENV", "SKIP_JUPYTER_BUILDER"}
    return {k: v for k, v in os.environ.items() if k not in hidden} | {"PATH": str(folder)}


@pytest.fixture(scope="module")
def distributions(
    tmp_path_factory: pytest.TempPathFactory, without_node: dict[str, str]
) -> dict[str, Path]:
    """The sdist and the wheel of what git has, built from a clean copy."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    listed = run(["git", "ls-files", "-z"], ROOT, without_node)
    for name in filter(None, listed.split("\0")):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name)
    run([sys.executable, "-m", "build", "--outdir", str(out), str(source)], source, without_node)
    [sdist], [wheel] = out.glob("*.tar.gz"), out.glob("*.whl")
    return {"sdist": sdist, "wheel": wheel}


@pytest.fixture(params=["wheel", "sdist"])
def installed(
    request: pytest.FixtureRequest,
    distributions: dict[str, Path],
    without_node: dict[str, str],
    tmp_path: Path,
) -> Iterator[Path]:
    """The Python of an environment that holds the distribution and what it needs."""
    python = new_environment(tmp_path)
    given = str(distributions[request.param])
    run([str(python), "-m", "pip", "install", "--quiet", given], tmp_path, without_node)
    yield python
    shutil.rmtree(tmp_path / "environment")  # some hundred megabytes


def new_environment(folder: Path) -> Path:
    venv.create(folder / "environment", with_pip=True)
    return folder / "environment" / "bin" / "python"


def run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    outcome = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert outcome.returncode == 0, f"{command}\n{outcome.stdout[-3000:]}\n{outcome.stderr[-3000:]}"
    return outcome.stdout


def test_the_wheel_holds_both_packages_and_the_front_end(distributions: dict[str, Path]) -> None:
    with zipfile.ZipFile(distributions["wheel"]) as wheel:
        names = set(wheel.namelist())
        sizes = {name: wheel.getinfo(name).file_size for name in STATIC & names}
    assert names >= STATIC | {"stompy/py.typed", "stompy_jupyter/py.typed", MEANINGS}
    assert all(sizes.values())
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"stompy", "stompy_jupyter"}


def test_the_sdist_holds_the_front_end_and_its_sources(distributions: dict[str, Path]) -> None:
    with tarfile.open(distributions["sdist"]) as sdist:
        names = {name.split("/", 1)[1] for name in sdist.getnames() if "/" in name}
    sources = {"js/src/widget.tsx", MEANINGS, "notebooks/01-quickstart.ipynb", "README.md"}
    assert names >= STATIC | sources
    assert not any("node_modules" in name or "__pycache__" in name for name in names)


def test_an_installed_distribution_loads_and_works(
    installed: Path, without_node: dict[str, str], tmp_path: Path
) -> None:
    shown = run(
        [str(installed), "-W", "error::ResourceWarning", "-c", LOAD], tmp_path, without_node
    )
    assert "site-packages" in shown
    assert shown.strip().endswith("['hello']")


def test_the_client_alone_needs_nothing_but_python(
    distributions: dict[str, Path], without_node: dict[str, str], tmp_path: Path
) -> None:
    python = new_environment(tmp_path)
    wheel = str(distributions["wheel"])
    command = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", wheel]
    run(command, tmp_path, without_node)
    code = (
        "import stompy; from stompy.broker import Broker\n"
        "with Broker() as broker, stompy.connect(broker.address) as client:\n"
        "    client.subscribe('/queue/Q'); client.message('/queue/Q', 'hello')\n"
        "    print(client.recv(timeout=10).text)"
    )
    assert run([str(python), "-c", code], tmp_path, without_node) == "hello\n"
    version = run([str(python.parent / "stompy"), "--version"], tmp_path, without_node)
    assert version.startswith("stompy ")

"""The content of the wheel, and which modules its imports load."""

import os
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import sst_cloud

ROOT = Path(__file__).parents[3]

CHECK = """
import sys
import {module}
loaded = {{name.split(".")[0] for name in sys.modules}}
print(sorted(loaded & {{"boto3", "botocore", "aioboto3", "aiobotocore", "rich", "click", "sqlite3",
    "duckdb", "matplotlib", "pandas", "platformdirs", "polars", "prometheus_client", "pytest",
    "sst_cloud_sinks"}}))
"""


def built(tree: Path, target: str, folder: Path) -> Path:
    """Build a distribution from a source tree."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=tree, check=True, stdout=subprocess.DEVNULL)
    (archive,) = folder.iterdir()
    return archive


def content(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this source tree."""
    return built(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.mark.source
def test_source_distribution_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(built(ROOT, "sdist", tmp_path / "sdist")) as archive:
        archive.extractall(tmp_path, filter="data")
    tree = tmp_path / f"sst_cloud-{sst_cloud.__version__}"
    assert (tree / "tests/deploy/wheel/test_wheel.py").exists()
    assert content(built(tree, "wheel", tmp_path / "wheel")) == content(wheel)


@pytest.mark.source
def test_wheel_has_two_top_level_packages(wheel: Path) -> None:
    names = content(wheel)
    top = {name.split("/")[0] for name in names}
    info = f"sst_cloud-{sst_cloud.__version__}.dist-info"
    assert top == {"sst_cloud", "sst_cloud_sinks", info}
    assert {"sst_cloud/py.typed", "sst_cloud_sinks/py.typed"} <= names.keys()
    assert "sst_cloud/testing/fake/cloud.py" in names


@pytest.mark.source
def test_wheel_has_only_five_base_dependencies(wheel: Path) -> None:
    info = f"sst_cloud-{sst_cloud.__version__}.dist-info"
    metadata = Parser().parsestr(content(wheel)[f"{info}/METADATA"].decode())
    needed = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    names = sorted(line.split(">")[0].strip() for line in needed)
    assert names == ["aiohttp", "attrs", "cattrs", "yarl"]


@pytest.mark.parametrize(
    "module",
    ["sst_cloud", "sst_cloud.testing", "sst_cloud.collector", "sst_cloud.collector.metrics"],
)
def test_importing_a_module_loads_no_optional_dependency(module: str) -> None:
    code = CHECK.format(module=module)
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_collector_loads_no_unneeded_modules() -> None:
    """A collector in the background needs no tables, plots or web server."""
    code = """
import sys
import sst_cloud.cli.app
from sst_cloud.cli.commands import check, collect, status
heavy = ("rich", "prometheus_client", "aiohttp.web", "matplotlib", "sst_cloud_sinks")
print([name for name in heavy if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_available() -> None:
    for name in dir(sst_cloud):
        assert getattr(sst_cloud, name) is not None
    assert {"SSTCloud", "Reading", "open_sink", "__version__"} < set(dir(sst_cloud))
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = sst_cloud.Nonsense  # type: ignore[attr-defined]


def test_importing_reading_does_not_load_the_client() -> None:
    code = "import sys; from sst_cloud import Reading, open_sink; print('aiohttp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

"""The sources of the page about writing one pass the contract, and are used by their URLs."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from docs.snippets import snippets

PAGE = Path(__file__).parents[2] / "docs" / "writing-a-source.md"
GROUP = "sst_cloud.sources"

Done = subprocess.CompletedProcess[str]

pytestmark = pytest.mark.not_quick


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder with the package of the page, as an installer would leave it, and its tests."""
    dial, tap, contracts = (s.text for s in snippets(PAGE) if s.language == "python")
    (toml,) = (s.text for s in snippets(PAGE) if s.language == "toml")
    points = tomllib.loads(toml)["project"]["entry-points"][GROUP]
    (tmp_path / "my_package.py").write_text(dial + tap, "utf-8")
    (tmp_path / "test_my_package.py").write_text(f"from my_package import *\n{contracts}", "utf-8")
    info = tmp_path / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    lines = [f"[{GROUP}]", *(f"{name} = {target}" for name, target in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines))
    (tmp_path / "meter.txt").write_text("123456\n")
    return tmp_path


def run(package: Path, *args: str) -> Done:
    return subprocess.run(
        [sys.executable, "-m", *args],
        cwd=package,
        env=os.environ | {"PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_sources_pass_the_contract(package: Path) -> None:
    done = run(package, "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["sources"], ["dial:PATH", "A water meter whose total", "tap:"]),
        (["tree", "--source", "dial:meter.txt?house=Dacha"], ["Dacha", "Dial", "123.456"]),
        (["read", "--source", "dial:meter.txt"], ['"value":123456']),
        (["valves", "close", "--source", "tap:"], ["Tap", "confirmed"]),
    ],
)
def test_commands(package: Path, command: list[str], words: list[str]) -> None:
    done = run(package, "sst_cloud.cli", *command)
    assert done.returncode == 0, done.stderr
    assert [word for word in words if word not in done.stdout] == []


def test_command_that_a_source_does_not_have(package: Path) -> None:
    done = run(package, "sst_cloud.cli", "valves", "close", "--source", "dial:meter.txt")
    assert (done.returncode, done.stderr) == (1, "Error: dial meter.txt takes no commands\n")

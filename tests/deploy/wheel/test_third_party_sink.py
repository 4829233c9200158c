"""A third-party sink, really installed, works like the built-in sinks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "third_party_sink"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which pip has installed the example beside sst-cloud."""
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--target", str(folder), str(EXAMPLE)]
    subprocess.run(command, check=True)
    return os.environ | {"PYTHONPATH": str(folder)}


def run(environment: dict[str, str], *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *args],
        env=environment,
        cwd=EXAMPLE,
        capture_output=True,
        text=True,
        check=False,
    )


def test_installed_sink_is_listed(environment: dict[str, str]) -> None:
    done = run(environment, "sst_cloud.cli", "sinks", "--json")
    listed = {sink["scheme"]: sink for sink in json.loads(done.stdout)}
    assert listed["webhook"]["distribution"] == "sst-cloud-webhook 1.0.0"
    assert listed["webhook"]["url"] == "webhook:https://HOST/PATH"
    assert list(listed["webhook"]["options"]) == ["batch"]


def test_errors_of_a_third_party_sink_look_like_builtin_ones(environment: dict[str, str]) -> None:
    done = run(environment, "sst_cloud.cli", "read", "--sink", "webhook:nowhere")
    assert done.returncode == 2
    assert done.stderr == ("Error: the webhook sink needs an address: webhook:https://HOST/PATH\n")


def test_example_sink_passes_its_own_tests(environment: dict[str, str]) -> None:
    done = run(environment, "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_sink_contract_without_pytest_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['pytest'] = None; from sst_cloud.testing import FakeCloud, "
        "SinkContract"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: SinkContract needs pytest: pip install pytest"
    )

"""The Makefile, CI and other development files are consistent."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from lowest_versions import floors

ROOT: Final = Path(__file__).parents[2]
WORKFLOWS: Final = sorted((ROOT / ".github/workflows").glob("*.yml"))
BEYOND_CI_RUN: Final = {"image", "test-floors"}
"""What needs Docker, or takes longer than the half minute that it would be worth."""
PINNED: Final = re.compile(r"uses: (\./\S+|[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+)$")

pytestmark = pytest.mark.source


def targets() -> set[str]:
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    return {name for line in lines if line.startswith(".PHONY:") for name in line.split()[1:]}


def steps(workflow: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"].values()
    return [step for job in jobs for step in job.get("steps", ())]


def test_make_help_lists_every_target() -> None:
    # If the tests run under make, a nested make would print its directory.
    command = ["make", "--no-print-directory", "help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    listed = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    assert {target for _, target, _ in listed} == targets()


def test_failed_venv_creation_is_retried(tmp_path: Path) -> None:
    """Without Debian's python3-venv, Python leaves an incomplete venv behind."""
    python = tmp_path / "python-without-ensurepip"
    python.write_text("""#!/bin/sh
if [ "$2" = venv ]; then mkdir -p "$3/bin"; ln -sf "$0" "$3/bin/python"; exit 1; fi
""")
    python.chmod(0o755)
    command = ["make", "-f", str(ROOT / "Makefile"), f"PYTHON={python}", "demo"]
    done = [
        subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        for _ in range(2)
    ]
    assert all(attempt.returncode for attempt in done)
    assert all("Setting up .venv" in attempt.stdout for attempt in done)


def test_workflow_runs_the_make_targets_of_the_ci() -> None:
    match = re.search(r"for target in (.+); do", (ROOT / ".ci/run").read_text(encoding="utf-8"))
    assert match
    commands = [
        step["run"].split() for step in steps(ROOT / ".github/workflows/ci.yml") if "run" in step
    ]
    assert all(command[0] == "make" for command in commands)
    called = {target for command in commands for target in command[1:]}
    assert called == set(match[1].split()) | BEYOND_CI_RUN
    assert called <= targets()


def test_ci_container_may_mount_the_full_disk() -> None:
    """Without the capability its test fails there: where CI is set, nothing is skipped."""
    ci = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    container = ci["jobs"]["test"]["container"]
    assert {"run": "make test"} in ci["jobs"]["test"]["steps"]
    assert {"--cap-add SYS_ADMIN", "--security-opt apparmor=unconfined"} == {
        f"--{option.strip()}" for option in container["options"].split("--")[1:]
    }


def test_release_publishes_the_tested_artifact() -> None:
    tested = steps(ROOT / ".github/workflows/ci.yml")
    (artifact,) = [
        step["with"]["name"] for step in tested if "upload-artifact" in step.get("uses", "")
    ]
    released = steps(ROOT / ".github/workflows/release.yml")
    assert [step["with"]["name"] for step in released if "download" in step.get("uses", "")] == [
        artifact
    ]
    assert [step["run"] for step in released if "make" in step.get("run", "")] == []


def test_every_dependency_has_a_lower_bound() -> None:
    assert len(floors()) >= 10
    assert [floor for floor in floors() if not re.fullmatch(r"[\w-]+==[\d.]+", floor)] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit(workflow: Path) -> None:
    lines = workflow.read_text(encoding="utf-8").splitlines()
    used = [line.strip().removeprefix("- ") for line in lines if "uses:" in line]
    assert used
    assert [line for line in used if not PINNED.fullmatch(line)] == []


def test_every_supported_python_is_tested() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    named = re.findall(r"Python :: (3\.\d+)", project)
    ci = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    assert ci["jobs"]["test"]["strategy"]["matrix"]["python"] == named


def test_dev_container_and_hooks_call_existing_make_targets() -> None:
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text(encoding="utf-8"))
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    called = re.findall(r"make (\w+)", container["postCreateCommand"])
    called += re.findall(r"entry: make (\w+)", hooks)
    assert called
    assert set(called) <= targets()

"""Type checkers accept correct uses of the public API and report wrong ones."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from mypy import api

pytestmark = pytest.mark.slow

CONFIG: Final = Path(__file__).parents[2] / "pyproject.toml"
RIGHT: Final = Path(__file__).with_name("public_api.py")
WRONG: Final = {
    "await cloud.set_valves(thermostat, ValveState.OPENED)": ("arg-type", "ArgumentType"),
    "await cloud.set_valves(module, 'opened')": ("arg-type", "ArgumentType"),
    "await cloud.set_power(module, True)": ("arg-type", "ArgumentType"),
    "await cloud.set_target_temperature(thermostat, '21')": ("arg-type", "ArgumentType"),
    "await cloud.counters('1')": ("arg-type", "ArgumentType"),
    "readings_frame(await cloud.snapshot(), library='dask')": ("call-overload", "ArgumentType"),
    "SSTCloud()": ("call-arg", "CallIssue"),
    "SSTCloud(TokenAuth('x'), timeut=3)": ("call-arg", "CallIssue"),
    "module.valve_groups[0].state.value": ("union-attr", "OptionalMemberAccess"),
    "thermostat.valve_groups": ("attr-defined", "AttributeAccessIssue"),
    "(await cloud.houses())[0].timezone.lower()": ("union-attr", "OptionalMemberAccess"),
    "module.name = 'another'": ("misc", "AttributeAccessIssue"),
    "assert_type(module.id, str)": ("assert-type", "AssertTypeFailure"),
    "assert_type(await cloud.devices(1), list[Device])": ("assert-type", "AssertTypeFailure"),
    "number: int = (await cloud.devices(1))[0]": ("assignment", "AssignmentType"),
    "Collector(cloud, [sink], folder)": ("arg-type", "ArgumentType"),
    "Collector(cloud, {'here': sink}, 'folder')": ("arg-type", "ArgumentType"),
    "Collector(sink, {'here': sink}, folder)": ("arg-type", "ArgumentType"),
    "Collector(cloud, {'here': sink}, folder, every=20)": ("arg-type", "ArgumentType"),
    "ValidationRules(max_flow='much')": ("arg-type", "ArgumentType"),
    "event.kind = EventKind.LEAK": ("misc", "AttributeAccessIssue"),
    "event.device.upper()": ("union-attr", "OptionalMemberAccess"),
}
"""A wrong use, and the error codes of mypy and pyright for it."""
BEGINNING: Final = """\
from pathlib import Path
from typing import assert_type

from sst_cloud import (
    Device, NeptunSmart, Sink, SSTCloud, Thermostat, TokenAuth, ValveState, readings_frame,
)
from sst_cloud.collector import Collector
from sst_cloud.monitoring import Event, EventKind, ValidationRules


async def wrong(
    cloud: SSTCloud, module: NeptunSmart, thermostat: Thermostat, sink: Sink, folder: Path,
    event: Event,
) -> None:
"""
UNTYPED: Final = ("sst_cloud.cli.", "sst_cloud_sinks.timestream.http.HTTPSession")
"""Made with click, or from a class of aiobotocore, neither of which says its types."""
COMPLAINT: Final = re.compile(r"^[^:]+:(\d+): error: .*\[([a-z-]+)\]$", re.MULTILINE)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One mypy cache for all tests."""
    return tmp_path_factory.mktemp("mypy")


@pytest.fixture
def wrong_uses(tmp_path: Path) -> Path:
    file = tmp_path / "wrong_uses.py"
    file.write_text(BEGINNING + "".join(f"    {line}\n" for line in WRONG))
    return file


def mypy(file: Path, cache: Path) -> tuple[str, int]:
    """The output of mypy --strict, and its exit status."""
    options = ["--strict", "--config-file", str(CONFIG), "--cache-dir", str(cache)]
    out, err, status = api.run([*options, str(file)])
    assert err == ""
    return out, status


def pyright(cwd: Path, *arguments: str) -> dict[str, Any]:
    """The report of pyright; basedpyright is the variant that pip installs with its engine."""
    here = str(Path(sys.executable).parent)
    done = subprocess.run(
        [sys.executable, "-m", "basedpyright", "--outputjson", *arguments],
        cwd=cwd,
        env=os.environ | {"PATH": os.pathsep.join([here, os.environ["PATH"]])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def strictly(file: Path, tmp_path: Path) -> list[dict[str, Any]]:
    """The report of pyright in strict mode, without the extra rules of basedpyright."""
    project = tmp_path / "pyrightconfig.json"
    project.write_text(json.dumps({"include": [str(file)], "typeCheckingMode": "strict"}))
    diagnostics: list[dict[str, Any]] = pyright(tmp_path, "--project", str(project))[
        "generalDiagnostics"
    ]
    return diagnostics


def test_mypy_accepts_correct_uses(cache: Path) -> None:
    out, status = mypy(RIGHT, cache)
    assert (out.splitlines()[-1:], status) == (["Success: no issues found in 1 source file"], 0)


def test_mypy_reports_every_wrong_use(cache: Path, wrong_uses: Path) -> None:
    out, status = mypy(wrong_uses, cache)
    assert status == 1
    begin = BEGINNING.count("\n") + 1
    complaints = {int(line) - begin: code for line, code in COMPLAINT.findall(out)}
    assert complaints == dict(enumerate(code for code, _ in WRONG.values())), out


def test_pyright_accepts_correct_uses(tmp_path: Path) -> None:
    assert strictly(RIGHT, tmp_path) == []


def test_pyright_reports_every_wrong_use(tmp_path: Path, wrong_uses: Path) -> None:
    begin = BEGINNING.count("\n")
    complaints: dict[int, set[str]] = {}
    for diagnostic in strictly(wrong_uses, tmp_path):
        line = diagnostic["range"]["start"]["line"] - begin
        complaints.setdefault(line, set()).add(diagnostic.get("rule", "").removeprefix("report"))
    assert complaints.keys() == set(range(len(WRONG)))
    missing = [
        use for line, (use, (_, rule)) in enumerate(WRONG.items()) if rule not in complaints[line]
    ]
    assert missing == [], complaints


@pytest.mark.parametrize("package", ["sst_cloud", "sst_cloud_sinks"])
def test_every_public_name_has_a_complete_type(package: str, tmp_path: Path) -> None:
    """Every public name has an unambiguous type for all type checkers; options are click's."""
    report = pyright(tmp_path, "--verifytypes", package, "--ignoreexternal")["typeCompleteness"]
    assert report["pyTypedPath"].endswith(f"{package}/py.typed")
    guessed = [
        symbol["name"]
        for symbol in report["symbols"]
        if symbol["isExported"] and (symbol["isTypeAmbiguous"] or not symbol["isTypeKnown"])
    ]
    assert [name for name in guessed if not name.startswith(UNTYPED)] == []

"""Type checkers see the public API as its users do: right uses pass, wrong ones are reported."""

import re
from pathlib import Path

from mypy import api

CONFIG = Path(__file__).parents[2] / "pyproject.toml"
RIGHT = Path(__file__).with_name("public_api.py")
WRONG = {
    "await cloud.set_valves(thermostat, ValveState.OPENED)": "arg-type",
    "await cloud.set_valves(module, 'opened')": "arg-type",
    "await cloud.set_power(module, True)": "arg-type",
    "await cloud.set_target_temperature(thermostat, '21')": "arg-type",
    "await cloud.counters('1')": "arg-type",
    "SSTCloud()": "call-arg",
    "SSTCloud(TokenAuth('x'), timeut=3)": "call-arg",
    "module.valve_groups[0].state.value": "union-attr",
    "thermostat.valve_groups": "attr-defined",
    "(await cloud.houses())[0].timezone.lower()": "union-attr",
    "module.name = 'another'": "misc",
    "assert_type(module.id, str)": "assert-type",
    "assert_type(await cloud.devices(1), list[Device])": "assert-type",
    "number: int = (await cloud.devices(1))[0]": "assignment",
}
BEGINNING = """\
from typing import assert_type

from sst_cloud import Device, NeptunSmart, SSTCloud, Thermostat, TokenAuth, ValveState


async def wrong(cloud: SSTCloud, module: NeptunSmart, thermostat: Thermostat) -> None:
"""
COMPLAINT = re.compile(r"^[^:]+:(\d+): error: .*\[([a-z-]+)\]$", re.MULTILINE)


def mypy(file: Path, tmp_path: Path) -> tuple[str, int]:
    """What mypy --strict says, and its exit status."""
    options = ["--strict", "--config-file", str(CONFIG), "--cache-dir", str(tmp_path / "cache")]
    out, err, status = api.run([*options, str(file)])
    assert err == ""
    return out, status


def test_right_uses_pass(tmp_path: Path) -> None:
    out, status = mypy(RIGHT, tmp_path)
    assert (out.splitlines()[-1:], status) == (["Success: no issues found in 1 source file"], 0)


def test_every_wrong_use_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "wrong_uses.py"
    file.write_text(BEGINNING + "".join(f"    {line}\n" for line in WRONG))
    out, status = mypy(file, tmp_path)
    assert status == 1
    begin = BEGINNING.count("\n") + 1
    complaints = {int(line) - begin: code for line, code in COMPLAINT.findall(out)}
    assert complaints == dict(enumerate(WRONG.values())), out

"""Write docs/devices.md: the readings and commands of every device in `payloads/`.

Run it as `make devices-page` when a model or a case has been added; a test compares.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import payload_files as files
from sst_cloud import (
    Command,
    CommandError,
    Device,
    SetBrightness,
    SetFloorWashing,
    SetMode,
    SetPower,
    SetTargetTemperature,
    SetValves,
    ThermostatMode,
    UnknownDevice,
    ValveState,
    readings_from,
)
from sst_cloud.cloud.requests import request_for

PAGE: Final = Path(__file__).parents[1] / "docs" / "devices.md"
EVIDENCE: Final = {
    "mcs300": "several public clients agree",
    "mcs350": "several public clients agree; schedule as in recorded frames",
    "neptun_prow": "recorded radio sensors; module as several public clients read it",
    "equation": "one public client",
    "equation_prow": "one public client and its users: a rebadged type 2",
    "oke_20": "users, and two public clients",
    "ecosmart_25": "recorded",
    "neptun_smart": "recorded, with its binary frame",
    "unknown": "type numbers not seen so far",
}
INTRODUCTION: Final = """\
# Supported devices

Every model that SST Cloud is known to serve. *Read* lists a model's readings, *commanded* the
commands that the client sends to it; any other raises `CommandError` before a request is made.
`make devices-page` generates this page from the payloads in `tests/payloads/`.
"""
NOTES: Final = """\
*Evidence* says how the format of the model's payloads is known. If yours is read wrongly, or not at
all, please send the output of `sst-cloud dump --redact`: it becomes a payload here.
"""


def page() -> str:
    """The content of the page."""
    rows = ["| type | model | class | read | commanded | evidence |", "|---|---|---|---|---|---|"]
    rows += ["| " + " | ".join(_row(model)) + " |" for model in files.MODELS]
    return "\n".join([INTRODUCTION, *rows, "", NOTES.rstrip(), "", *_cases()]) + "\n"


def _row(model: str) -> Iterator[str]:
    device = files.device(f"{model}/device")
    is_known = not isinstance(device, UnknownDevice)
    yield f"{device.raw['type']}" if is_known else "any other"
    yield device.model if is_known else "—"
    yield f"[`{type(device).__name__}`](reference.md#sst_cloud.models.{type(device).__name__})"
    yield ", ".join(f"`{quantity}`" for quantity in _quantities(model))
    yield ", ".join(f"`{name}`" for name in _commands(device)) or "—"
    yield EVIDENCE[model]


def _quantities(model: str) -> list[str]:
    names = [name for name in files.ALL if files.folder(name) == model]
    quantities = {r.quantity: None for name in names for r in readings_from(files.snapshot(name))}
    return [quantity.value for quantity in quantities]


def _commands(device: Device) -> Iterator[str]:
    """The commands that are not refused, by trying them."""
    attempts: dict[str, Callable[[], Command]] = {
        "set_valves": lambda: SetValves(device, ValveState.CLOSED),
        "set_floor_washing": lambda: SetFloorWashing(device, on=True),
        "set_power": lambda: SetPower(device, on=True),
        "set_mode": lambda: SetMode(device, ThermostatMode.CHART),
        "set_target_temperature": lambda: SetTargetTemperature(device, 21),
        "set_brightness": lambda: SetBrightness(device, 5),
    }
    for name, attempt in attempts.items():
        try:
            request_for(attempt())
        except CommandError:
            continue
        yield name


def _cases() -> Iterator[str]:
    """The payloads that each model is tested with."""
    yield "## What is tested"
    yield ""
    for model in files.MODELS:
        cases = [name.partition("/")[2] for name in files.ALL if files.folder(name) == model]
        device = files.device(f"{model}/device")
        title = device.model if model != "unknown" else "Any other type"
        yield f"* {title}: " + ", ".join(f"`{case}`" for case in cases)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

"""The table of quantities, and what a new row needs elsewhere: nothing."""

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from sst_cloud import Quantity, quantities

ROOT = Path(__file__).parents[1]
FIRST_ROW = "    VOLUME = "
ADDED_ROWS = """\
    VOLTAGE = "voltage", Scale(ValueKind.NUMBER, "V", "volts"), "Mains voltage.", "voltage"
    FROST = "frost", _BOOLEAN, "Whether it is freezing.", "cold", {True: "frost"}
    GAS = "gas", Scale(ValueKind.TOTAL, "m³", "cubic_metres"), "Total of a gas meter.", "gas"
"""
START = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("sst_cloud.quantities", sys.argv[1])
sys.modules[spec.name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules[spec.name])
import pytest
sys.exit(pytest.main(sys.argv[2:]))
"""
"""Runs tests with another file as the module of quantities."""
BINARY_SENSORS = {"battery", "connectivity", "heat", "moisture", "opening", "problem"}
SENSORS = {"battery", "temperature", "water"}
"""Home Assistant's device classes, as far as there are quantities of them."""


@pytest.mark.parametrize("quantity", Quantity)
def test_row_is_complete(quantity: Quantity) -> None:
    assert quantity.value == quantity.name.lower()
    assert quantity.help[0].isupper()
    assert quantity.help.endswith(".")
    assert "cloud" not in quantity.help.lower(), "the source may be another one"
    classes = BINARY_SENSORS if quantity.is_boolean else SENSORS
    assert quantity.device_class in {*classes, None}
    assert quantity.is_boolean or not quantity.problems
    assert quantity.is_boolean or quantity.unit_name
    assert not quantity.unit or quantity.unit_name


def test_names_in_stores_and_metrics_are_unique() -> None:
    assert len({quantity.name_with_unit for quantity in Quantity}) == len(Quantity)
    assert len({quantity.metric for quantity in Quantity}) == len(Quantity)


@pytest.mark.parametrize("quantity", Quantity)
def test_quantity_is_its_name(quantity: Quantity) -> None:
    """A row has more, but is still a text that can be stored, copied and looked up."""
    assert Quantity(str(quantity)) is quantity
    assert quantity == quantity.value == f"{quantity}"
    assert pickle.loads(pickle.dumps(quantity)) is quantity
    assert copy.deepcopy(quantity) is quantity


@pytest.mark.not_quick
def test_new_row_is_all_that_a_new_quantity_needs(tmp_path: Path) -> None:
    """Every sink stores it and gives it back, and everything that shows readings shows it."""
    source = Path(quantities.__file__).read_text("utf-8")
    assert source.count(FIRST_ROW) == 1
    table = tmp_path / "quantities.py"
    table.write_text(source.replace(FIRST_ROW, ADDED_ROWS + FIRST_ROW), "utf-8")
    settings = [f"--config-file={ROOT / 'pyproject.toml'}", f"--rootdir={ROOT}"]
    done = subprocess.run(
        [sys.executable, "-c", START, table, *settings, ROOT / "tests/added_quantities.py"],
        cwd=tmp_path,  # where no other sst_cloud is than the installed one
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

"""`sst-cloud latest`, and what a store that cannot be read does to it and to `usage`."""

import json
from pathlib import Path

import pytest

from sst_cloud import Quantity, Reading
from sst_cloud.testing import FakeCloud

from .conftest import Run


def test_latest_and_usage_read_a_store(sst: Run, logged_in: FakeCloud, folder: Path) -> None:
    sst("collect", "--once", "--quiet", "--sink", "sqlite:a.db")
    status, out, _ = sst("latest", "sqlite:a.db")
    assert status == 0
    garden = next(line for line in out.splitlines() if "Garden" in line)
    assert garden.split()[:6] == ["Summer", "house", "Well", "Garden", "cold", "volume"]
    assert garden.split()[7] == "m³"
    words = ("latest", "sqlite:a.db", "--quantity", "volume", "--json")
    assert len(json.loads(sst(*words).out)) == 5
    status, out, err = sst("usage", "sqlite:a.db")
    assert (status, out) == (0, "")
    assert "Only one reading so far; usage needs at least two." in err
    sst("read", "--house", "Summer house", "--sink", "sqlite:b.db")
    status, out, err = sst("latest", "sqlite:b.db", "--quantity", "heating")
    assert (status, out) == (0, "")
    assert "no such readings in the store" in err


def test_latest_shows_one_line_per_meter_in_local_time(
    sst: Run, sst_on_terminal: Run, logged_in: FakeCloud, folder: Path
) -> None:
    sst("collect", "--once", "--quiet", "--sink", "sqlite:a.db")
    status, out, err = sst_on_terminal(80, "latest", "sqlite:a.db", "--quantity", "volume")
    assert (status, err) == (0, "")
    head, *meters = out.splitlines()
    assert head.split() == ["house", "device", "name", "water", "value", "time"]
    assert len(meters) == 5
    assert all(meter.endswith(" m³  2026-01-01 03:00") for meter in meters)
    words = ("latest", "sqlite:a.db", "--quantity", "leak", "--timezone", "UTC")
    leaks = sst_on_terminal(80, *words).out
    head, leak, *_ = leaks.splitlines()
    assert head.split() == ["house", "device", "name", "quantity", "value", "time"]
    assert leak.endswith("2026-01-01 00:00")


def test_latest_on_a_narrow_terminal_wraps_its_rows(
    sst: Run, sst_on_terminal: Run, logged_in: FakeCloud, folder: Path
) -> None:
    sst("collect", "--once", "--quiet", "--sink", "sqlite:a.db")
    out = sst_on_terminal(30, "latest", "sqlite:a.db", "--quantity", "volume").out
    assert "Flat" in out
    assert "Kitch" in out
    assert len(out.splitlines()) < 25


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("latest", "stdout:"), 1),
        (("usage", "sqlite:no.db", "--timezone", "Mars/Olympus"), 2),
        (("usage", "sqlite:no.db", "--from", "yesterday"), 2),
        (("usage", "sqlite:no.db", "--from", "2026-01-01", "--json"), 1),
        (("latest", "csv:no.csv"), 1),
    ],
)
def test_empty_or_invalid_stores_set_the_exit_status(
    sst: Run, folder: Path, words: tuple[str, ...], status: int
) -> None:
    assert sst(*words).status == status


def test_quantities_are_printed_in_plain_words(sst: Run, folder: Path) -> None:
    records = [
        {"quantity": Quantity.LEAK, "value": True, "point": "wired_line"},
        {"quantity": Quantity.ONLINE, "value": False, "point": "module"},
        {"quantity": Quantity.FLOOR_TEMPERATURE, "value": 21.5, "point": "thermostat"},
    ]
    common = {"time": "2026-01-01T00:00:00Z", "house_id": 1, "house": "H", "device_id": 2}
    common |= {"device": "D", "model": "M", "point_id": "p"}
    from sst_cloud.testing.sink_contract import sample_reading  # noqa: PLC0415
    from sst_cloud_sinks.csv import _encode  # noqa: PLC0415

    header = ",".join(sample_reading().as_dict()) + "\r\n"
    rows = _encode(Reading.from_dict(common | record) for record in records)
    (folder / "r.csv").write_bytes(header.encode() + rows)
    out = sst("latest", "csv:r.csv").out
    assert "yes" in out
    assert "no" in out
    assert "floor temperature  21.5 °C" in out.splitlines()[1]

"""Objects as JSON values."""

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal

from sst_cloud import House, Quantity
from sst_cloud.json_values import json_value


def test_secrets_and_raw_payloads_are_left_out() -> None:
    house = House(id=1, name="Flat", owner="me@example.com", raw={"token": "hunter2"})
    value = json_value([house, {"password": "hunter2", "name": "Дом"}])
    assert value[0]["name"] == "Flat"
    assert not {"raw", "owner"} & value[0].keys()
    assert value[1] == {"name": "Дом"}
    assert "hunter2" not in json.dumps(value)


def test_values_without_a_json_type_are_converted() -> None:
    moment = datetime(2026, 11, 23, 17, 20, tzinfo=UTC)
    values = (Quantity.LEAK, moment, date(2026, 11, 1), time(1, 2), None, True)
    assert json_value(values) == [
        "leak", "2026-11-23T17:20:00+00:00", "2026-11-01", "01:02:00", None, True,
    ]  # fmt: skip
    numbers = json_value([Decimal(21), Decimal("6.6"), 3, 0.5])
    assert numbers == [21, 6.6, 3, 0.5]
    assert [type(number) for number in numbers] == [int, float, int, float]

"""Draw the pictures of docs/usage.md from the water of the fake household.

python docs/make_pictures.py [FOLDER]
"""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from sst_cloud import Reading
from sst_cloud.cli.plot import draw
from sst_cloud.testing import FakeCloud
from sst_cloud.usage import usage

FOLDER = Path(__file__).parent / "pictures"
ZONE = ZoneInfo("Europe/Moscow")
BEGIN = datetime(2025, 10, 1, tzinfo=ZONE).astimezone(UTC)
END = datetime(2026, 11, 1, tzinfo=ZONE).astimezone(UTC)
AWAY = (datetime(2026, 10, 14, 5, tzinfo=UTC), datetime(2026, 10, 16, 17, tzinfo=UTC))
"""When nothing could be read."""


def readings() -> Iterator[Reading]:
    """The meters of the flat, every hour of a year and a month."""
    house = FakeCloud().houses[0]
    time = BEGIN
    while time <= END:
        if not AWAY[0] < time < AWAY[1]:
            for device in house.devices:
                for counter in device.counters:
                    yield Reading(
                        time=time,
                        quantity="volume",
                        value=counter.value_l(time),
                        house_id=house.id,
                        house=house.name,
                        device_id=device.id,
                        device=device.name,
                        model="Neptun",
                        point="counter",
                        point_id=f"{counter.id}",
                        name=counter.name,
                        water="hot" if counter.hot else "cold",
                    )
        time += timedelta(hours=1)


def main(folder: Path = FOLDER) -> None:
    """Draw them all."""
    found = list(readings())
    month = datetime(2026, 10, 1, tzinfo=ZONE)
    year = datetime(2025, 11, 1, tzinfo=ZONE)
    draw(usage(found, "day", ZONE, since=month), "day", folder / "usage-days.png")
    draw(usage(found, "month", ZONE, since=year), "month", folder / "usage-months.png")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

"""Make the pictures of the documentation, by running the program.

python tools/make_pictures.py [FOLDER]

Terminal screens are commands run in a pseudo-terminal, against a fake cloud; plots are of the water
of the fake household.
"""

import asyncio
import fcntl
import os
import pty
import shlex
import struct
import sys
import termios
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from sst_cloud import Reading, open_sink
from sst_cloud.clock import SystemClock
from sst_cloud.display.plot import draw
from sst_cloud.metering.usage import usage
from sst_cloud.testing import FakeCloud, demo_account

FOLDER: Final = Path(__file__).parents[1] / "docs" / "pictures"
ZONE: Final = ZoneInfo("Europe/Moscow")
START: Final = datetime(2025, 10, 1, tzinfo=ZONE).astimezone(UTC)
END: Final = datetime(2026, 11, 1, tzinfo=ZONE).astimezone(UTC)
OUTAGE: Final = (datetime(2026, 10, 14, 5, tzinfo=UTC), datetime(2026, 10, 16, 17, tzinfo=UTC))
"""Without readings."""

_ENVIRONMENT: Final = ("HOME", "LANG", "LC_ALL", "TMPDIR")
"""The only environment variables that are passed on: pictures do not depend on the machine."""

_THEME: Final = TerminalTheme(
    (30, 36, 46),
    (222, 228, 234),
    [
        (60, 70, 84),
        (240, 113, 120),
        (126, 200, 140),
        (240, 184, 102),
        (97, 175, 239),
        (198, 140, 220),
        (94, 200, 200),
        (222, 228, 234),
    ],
    [
        (110, 122, 138),
        (255, 140, 140),
        (150, 220, 165),
        (255, 205, 130),
        (130, 195, 255),
        (215, 165, 235),
        (130, 220, 220),
        (255, 255, 255),
    ],
)
_SVG_FORMAT: Final = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width;
}}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""rich's own, without the fonts that it would fetch from elsewhere."""


def main(folder: Path = FOLDER) -> None:
    """Make all pictures."""
    meter_readings = list(readings())
    draw_plots(meter_readings, folder)
    asyncio.run(take_screenshots(meter_readings, folder))


def readings() -> Iterator[Reading]:
    """The meters of the flat, every hour of a year and a month."""
    house = FakeCloud().houses[0]
    time = START
    while time <= END:
        if not OUTAGE[0] < time < OUTAGE[1]:
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


def draw_plots(meter_readings: Sequence[Reading], folder: Path) -> None:
    """A month by day, a year by month."""
    month = datetime(2026, 10, 1, tzinfo=ZONE)
    year = datetime(2025, 11, 1, tzinfo=ZONE)
    draw(usage(meter_readings, "day", ZONE, since=month), "day", folder / "usage-days.png")
    draw(usage(meter_readings, "month", ZONE, since=year), "month", folder / "usage-months.png")


async def take_screenshots(meter_readings: Sequence[Reading], folder: Path) -> None:
    """Make pictures of commands on a terminal."""
    with TemporaryDirectory(prefix="sst-cloud-") as name:
        screenshots = Screenshots(Path(name), folder)
        async with open_sink(f"sqlite:{name}/home.db") as sink:
            await sink.write(meter_readings)
        await screenshots.take("demo", "sst-cloud demo", width=104, last_lines=32)
        october = "--from 2026-10-12 --to 2026-10-18 --timezone Europe/Moscow"
        await screenshots.take("usage", f"sst-cloud usage sqlite:home.db {october}", width=104)
        async with FakeCloud([demo_account()], clock=SystemClock()) as cloud:
            screenshots.log_in(cloud)
            await screenshots.take("tree", "sst-cloud tree", width=112)
            sinks = "--sink sqlite:home.db --sink influxdb:http://localhost:8086/home"
            await screenshots.take("check", f"sst-cloud check {sinks}", width=110, fails=True)
            await screenshots.run(f"sst-cloud collect --once --quiet {sinks}", fails=True)
            await screenshots.take("status", "sst-cloud status", width=124)


class Screenshots:
    """Runs commands in a folder, and takes pictures of them."""

    def __init__(self, folder: Path, pictures: Path) -> None:
        self._folder = folder
        self._pictures = pictures
        self._environ = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ} | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "TERM": "xterm-256color",
        }

    def log_in(self, cloud: FakeCloud) -> None:
        """Use this account from now on, and a state folder beside it."""
        self._environ |= {
            "SST_CLOUD_URL": cloud.url,
            "SST_CLOUD_TOKEN": cloud.token,
            "SST_CLOUD_STATE": "state",
        }

    async def run(self, command: str, *, width: int = 100, fails: bool = False) -> str:
        """The output of a command on a terminal of this width."""
        parent_end, child_end = pty.openpty()
        fcntl.ioctl(child_end, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
        environ = self._environ | {"COLUMNS": str(width)}
        process = await asyncio.create_subprocess_exec(
            *shlex.split(command), stdout=child_end, stderr=child_end, cwd=self._folder, env=environ
        )
        os.close(child_end)
        output = await asyncio.to_thread(_read, parent_end)
        os.close(parent_end)
        if (await process.wait() != 0) is not fails:
            raise RuntimeError(f"{command} ended with {process.returncode}:\n{output}")
        return output

    async def take(
        self, name: str, command: str, *, width: int, last_lines: int = 0, fails: bool = False
    ) -> None:
        """Take a picture of a command and its output, or of the last lines of that."""
        output = (await self.run(command, width=width, fails=fails)).replace("\r\n", "\n").rstrip()
        console = Console(record=True, width=width, file=open(os.devnull, "w"))  # noqa: ASYNC230, PTH123, SIM115
        if last_lines:
            output = "\n".join(output.split("\n")[-last_lines:])
        else:
            console.print(Text.assemble(("$ ", "bright_black"), (command, "bold")))
        console.print(Text.from_ansi(output), end="\n\n")
        svg = console.export_svg(title="", theme=_THEME, code_format=_SVG_FORMAT, unique_id=name)
        (self._pictures / f"{name}.svg").write_text(svg, encoding="utf-8")


def _read(terminal: int) -> str:
    """All that is written to a terminal until it is closed."""
    output = b""
    with suppress(OSError):  # Linux ends a pseudo-terminal with EIO
        while block := os.read(terminal, 65536):
            output += block
    return output.decode()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

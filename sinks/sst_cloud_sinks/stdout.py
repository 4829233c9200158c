"""Readings on standard output: JSON Lines for programs, a table for people."""

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Final, Literal, TextIO

from sst_cloud.errors import SinkClosedError, SinkOptionsError, SinkUnavailableError
from sst_cloud.extras import require
from sst_cloud.readings import Quality, Reading
from sst_cloud.sink import Guarantee, Option, WriteReport, choice
from sst_cloud.wording import point_of, printable, quantity_of

from .base import BaseSink

if TYPE_CHECKING:
    from rich.table import Table

_COLUMNS: Final = ("time", "house", "device", "name", "quantity", "value", "water", "quality")
_WIDTH_IF_NO_TERMINAL: Final = 250
"""Characters: in a pipe or a file, nothing is cut."""


class StdoutSink(BaseSink):
    """Prints readings: one JSON object per line, or a table.

    Raises `SinkClosedError` once the reader of a pipe has closed it.
    """

    options: ClassVar[Sequence[Option]] = (
        Option("format", "jsonl (default) or table", choice("jsonl", "table")),
    )
    guarantee: ClassVar[Guarantee] = Guarantee.FLEETING

    def __init__(
        self,
        *,
        format: Literal["jsonl", "table"] = "jsonl",  # noqa: A002  the option's name
        stream: TextIO | None = None,
    ) -> None:
        if format == "table":  # report a missing rich now, not after the first poll
            require("format=table", "rich", extra="cli", error=SinkOptionsError)
        self._format = format
        self._stream = stream
        self._pipe_closed = False

    async def check(self) -> None:
        """Raise `SinkUnavailableError` if standard output is closed."""
        if self._pipe_closed:
            raise SinkClosedError("the reader has closed the pipe")
        is_closed = self._stream is None and sys.__stdout__ is None
        if is_closed or self._output.closed:
            raise SinkUnavailableError("standard output is closed")

    async def write(self, readings: Sequence[Reading]) -> WriteReport:
        """Print and flush; a full pipe does not block other tasks."""
        await self.check()
        try:
            if readings:
                await asyncio.to_thread(self._print, readings)
        except BrokenPipeError:
            self._pipe_closed = True
        await self.check()
        return WriteReport(accepted=len(readings))

    @property
    def _output(self) -> TextIO:
        return self._stream or sys.stdout

    def _print(self, readings: Sequence[Reading]) -> None:
        if self._format == "table":
            from rich.console import Console  # noqa: PLC0415  only for tables

            width = None if self._output.isatty() else _WIDTH_IF_NO_TERMINAL
            console = Console(file=self._output, width=width)
            with console.capture() as text:  # rich itself would exit on a closed pipe
                console.print(_table(readings))
            self._output.writelines(f"{line.rstrip()}\n" for line in text.get().splitlines())
        else:
            self._output.write("".join(f"{_json(reading)}\n" for reading in readings))
        self._output.flush()


def _json(reading: Reading) -> str:
    return json.dumps(reading.as_dict(), ensure_ascii=False, separators=(",", ":"))


def _table(readings: Sequence[Reading]) -> "Table":
    from rich.table import Table  # noqa: PLC0415  only for tables
    from rich.text import Text  # noqa: PLC0415

    rows = [_row(reading) for reading in readings]
    columns = [column for column in _COLUMNS if any(row[column] for row in rows)]
    table = Table(box=None, pad_edge=False, title_justify="left", title_style="")
    if len({row["time"] for row in rows}) == 1:
        columns.remove("time")
        table.title = rows[0]["time"]
    for column in columns:
        is_value = column == "value"
        table.add_column(
            column,
            justify="right" if is_value else "left",
            no_wrap=is_value or column == "time",
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(printable(row[column])) for column in columns))
    return table


def _row(reading: Reading) -> dict[str, str]:
    return {
        "time": reading.time.strftime("%Y-%m-%d %H:%M:%SZ"),
        "house": reading.house,
        "device": reading.device or str(reading.device_id),
        "name": point_of(reading),
        "quantity": quantity_of(reading),
        "value": f"{_value_text(reading)} {reading.unit}".rstrip(),
        "water": reading.water or "",
        "quality": "" if reading.quality is Quality.GOOD else reading.quality,
    }


def _value_text(reading: Reading) -> str:
    if isinstance(reading.value, bool):
        return "yes" if reading.value else "no"
    return f"{reading.value:,}".replace(",", " ")

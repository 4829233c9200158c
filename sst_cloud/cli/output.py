"""What commands print: tables for people, JSON for programs.

rich is imported only when a table is printed: long-running commands print none.
"""

import json
import sys
from collections.abc import Container, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import attrs
import click

from sst_cloud.models import House, Unreadable
from sst_cloud.redaction import is_sensitive
from sst_cloud.text import printable
from sst_cloud.wording import NO_HOUSES

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_PAD: Final = 2
"""Between columns."""
_LEAST: Final = 5
"""Minimum columns for text to be readable."""
_WIDE: Final = 250
"""Width of a table in a pipe or a file: nothing is cut."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def console() -> "Console":
    """Standard output."""
    from rich.console import Console as RichConsole  # noqa: PLC0415

    class Console(RichConsole):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # and not rich's own exit with status 1

        def print(self, *objects: Any, **options: Any) -> None:
            """As rich does, without trailing spaces."""
            if self.is_terminal:
                super().print(*objects, **options)
                return
            with self.capture() as printed:
                super().print(*objects, **options)
            sys.stdout.write("\n".join(line.rstrip(" ") for line in printed.get().split("\n")))

    return Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)


def table(*columns: str, right: Container[str] = (), whole: Container[str] = ()) -> "Table":
    """A table without borders; columns in `right` contain numbers.

    If space is short, text is wrapped, except numbers and the columns in `whole`.
    """
    from rich.table import Table  # noqa: PLC0415

    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _PAD, 0, 0))
    for column in columns:
        made.add_column(
            column,
            justify="right" if column in right else "left",
            no_wrap=column in right or column in whole,
            overflow="fold",
        )
    return made


def add_row(made: "Table", *cells: object) -> None:
    """Add a row of plain text: names given by the owner are never treated as markup."""
    from rich.text import Text  # noqa: PLC0415

    made.add_row(*(Text("" if cell is None else printable(str(cell))) for cell in cells))


def print_table(made: "Table") -> None:
    """Print a table, wider than the terminal if that is too narrow to be readable."""
    from rich.cells import cell_len  # noqa: PLC0415

    out = console()
    least = 0
    for column in made.columns:
        longest = max(cell_len(str(cell)) for cell in (column.header, *column.cells))
        least += _PAD + (longest if column.no_wrap else min(longest, _LEAST))
    out.width = max(out.width, least)
    out.print(made)


def say(line: str) -> None:
    """Print a message to stderr; if that fails, because its disk is full, go on without."""
    with suppress(OSError):
        click.echo(printable(line), err=True)


def minute(moment: datetime | None) -> str:
    """A time in UTC, to the minute; empty for None."""
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%MZ}"


def print_json(content: Any) -> None:
    """Print as JSON, without escaping non-ASCII names."""
    click.echo(json.dumps(plain(content), ensure_ascii=False, indent=2))


def warn_missing(houses: Sequence[House], unreadable: Sequence[Unreadable]) -> None:
    """Print to stderr what is missing from the output."""
    for bad in unreadable:
        say(f"Warning: {bad.kind} {bad.id} cannot be read: {bad.reason}")
    if not houses and not unreadable:
        say(f"Warning: {NO_HOUSES}")


def plain(value: Any) -> Any:
    """Models as plain JSON values, without secrets and raw payloads."""
    if attrs.has(type(value)):
        return {
            field.name: plain(getattr(value, field.name))
            for field in attrs.fields(type(value))
            if field.name != "raw" and not is_sensitive(field.name)
        }
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if not is_sensitive(str(key))}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date | time):
        return value.isoformat()
    return _number(value) if isinstance(value, Decimal) else value


def _number(value: Decimal) -> float:
    """With its own digits: an int if it has no fraction."""
    return float(value) if value.as_tuple().exponent else int(value)

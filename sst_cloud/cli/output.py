"""What commands print: tables for people, JSON for programs.

rich is imported only when a table is printed: long-running commands print none.
"""

import csv
import json
import sys
from collections.abc import Container, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import attrs
import click

from sst_cloud.controls import CommandResult
from sst_cloud.models import Device, House, Unreadable
from sst_cloud.redaction import is_sensitive
from sst_cloud.source import NO_HOUSES
from sst_cloud.wording import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_PAD: Final = 2
"""Spaces between columns."""
_MIN_WIDTH: Final = 5
"""Characters: text in a narrower column is unreadable."""
_PIPE_WIDTH: Final = 250
"""Width of a table in a pipe or a file: nothing is cut."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def stdout_console() -> "Console":
    """A rich console on standard output."""
    from rich.console import Console as RichConsole  # noqa: PLC0415

    class Console(RichConsole):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # and not rich's own exit with status 1

        def print(self, *objects: Any, **options: Any) -> None:
            """As rich does, without trailing spaces."""
            if self.is_terminal:
                super().print(*objects, **options)
                return
            with self.capture() as capture:
                super().print(*objects, **options)
            sys.stdout.write("\n".join(line.rstrip(" ") for line in capture.get().split("\n")))

    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)


def new_table(*columns: str, right: Container[str] = (), whole: Container[str] = ()) -> "Table":
    """A table without borders; columns in `right` contain numbers.

    If space is short, text is wrapped, except numbers and the columns in `whole`.
    """
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _PAD, 0, 0))
    for column in columns:
        table.add_column(
            column,
            justify="right" if column in right else "left",
            no_wrap=column in right or column in whole,
            overflow="fold",
        )
    return table


def add_row(table: "Table", *cells: object) -> None:
    """Add a row of plain text: names given by the owner are never treated as markup."""
    from rich.text import Text  # noqa: PLC0415

    table.add_row(*(Text("" if cell is None else printable(str(cell))) for cell in cells))


def print_table(table: "Table") -> None:
    """Print a table, wider than the terminal if that is too narrow to be readable."""
    from rich.cells import cell_len  # noqa: PLC0415

    console = stdout_console()
    min_width = 0
    for column in table.columns:
        longest = max(cell_len(str(cell)) for cell in (column.header, *column.cells))
        min_width += _PAD + (longest if column.no_wrap else min(longest, _MIN_WIDTH))
    console.width = max(console.width, min_width)
    console.print(table)


def print_message(message: str) -> None:
    """Print a message to stderr; ignore failures, such as a full disk."""
    with suppress(OSError):
        click.echo(printable(message), err=True)


def format_minute(moment: datetime | None) -> str:
    """A time in UTC, to the minute; empty for None."""
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%MZ}"


def print_json(content: Any) -> None:
    """Print as JSON, without escaping non-ASCII names."""
    click.echo(json.dumps(to_json_value(content), ensure_ascii=False, indent=2))


def print_command_results(
    results: Sequence[tuple[Device, str, CommandResult]], *, as_json: bool
) -> None:
    """Print the results of commands; exits with status 1 if one was not confirmed."""
    if as_json:
        print_json(
            [
                {
                    "device_id": device.id,
                    "device": device.name,
                    "action": action,
                    "confirmed": result.confirmed,
                }
                for device, action, result in results
            ]
        )
    for device, action, result in () if as_json else results:
        outcome = {
            True: "confirmed by the device",
            None: "accepted",
            False: "accepted, but not confirmed by the device; is it online?",
        }[result.confirmed]
        click.echo(printable(f"{device.name or device.id}: {action}, {outcome}."))
    if any(result.confirmed is False for _, _, result in results):
        raise click.exceptions.Exit(1)


def warn_missing(houses: Sequence[House], unreadable: Sequence[Unreadable]) -> None:
    """Print to stderr what could not be read, or that the account is empty."""
    for item in unreadable:
        print_message(f"Warning: {item.kind} {item.id} cannot be read: {item.reason}")
    if not houses and not unreadable:
        print_message(f"Warning: {NO_HOUSES}")


def to_json_value(value: Any) -> Any:
    """Models as plain JSON values, without secrets and raw payloads."""
    if attrs.has(type(value)):
        return {
            field.name: to_json_value(getattr(value, field.name))
            for field in attrs.fields(type(value))
            if field.name != "raw" and not is_sensitive(field.name)
        }
    if isinstance(value, dict):
        return {
            key: to_json_value(item) for key, item in value.items() if not is_sensitive(str(key))
        }
    if isinstance(value, list | tuple):
        return [to_json_value(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date | time):
        return value.isoformat()
    return _number(value) if isinstance(value, Decimal) else value


def _number(value: Decimal) -> float:
    """An int if it has no fraction, else a float."""
    return float(value) if value.as_tuple().exponent else int(value)


csv_option: Final = click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")


def check_one_format(*, as_json: bool, as_csv: bool) -> None:
    """Raise `UsageError` for two output formats at once."""
    if as_json and as_csv:
        raise click.UsageError("--json and --csv cannot be combined")


def print_csv(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Print as CSV."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)

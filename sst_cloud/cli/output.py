"""What commands print: tables for people, JSON for programs.

rich is imported only when a table is printed: long-running commands print none.
"""

import csv
import json
import sys
from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import click

from sst_cloud.controls import CommandResult
from sst_cloud.errors import (
    AlarmActiveError,
    BadCredentialsError,
    NotLoggedInError,
    OutboxInUseError,
    OutboxMissingError,
    SSTCloudError,
    StoreMissingError,
    TokenRejectedError,
)
from sst_cloud.json_values import json_value
from sst_cloud.models import Device, Snapshot
from sst_cloud.wording import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_HINTS: Final[Mapping[type[SSTCloudError], str]] = {
    NotLoggedInError: "; run `sst-cloud login`, or set SST_CLOUD_TOKEN, or SST_CLOUD_EMAIL and "
    "SST_CLOUD_PASSWORD",
    AlarmActiveError: "; to open them anyway, use --despite-alarm",
    OutboxInUseError: "; use another folder with --state",
    OutboxMissingError: "; run `sst-cloud collect` first",
    StoreMissingError: ": run `sst-cloud provision` with the URL of the sink",
}
"""What the command line can do about an error."""
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


def print_table(table: "Table") -> None:
    """Print a table, wider than the terminal if that is too narrow to be readable."""
    from rich.cells import cell_len  # noqa: PLC0415

    from sst_cloud.display.terminal.tables import PAD  # noqa: PLC0415

    console = stdout_console()
    min_width = 0
    for column in table.columns:
        longest = max(cell_len(str(cell)) for cell in (column.header, *column.cells))
        min_width += PAD + (longest if column.no_wrap else min(longest, _MIN_WIDTH))
    console.width = max(console.width, min_width)
    console.print(table)


def print_rows(
    columns: Sequence[str],
    rows: Iterable[Iterable[object]],
    *,
    right: Container[str] = (),
    whole: Container[str] = (),
) -> None:
    """Print rows of plain text as a table."""
    from sst_cloud.display.terminal.tables import add_row, new_table  # noqa: PLC0415

    table = new_table(*columns, right=right, whole=whole)
    for row in rows:
        add_row(table, *row)
    print_table(table)


def print_message(message: str) -> None:
    """Print a message to stderr; ignore failures, such as a full disk."""
    with suppress(OSError):
        click.echo(printable(message), err=True)


def error_message(error: SSTCloudError) -> str:
    """What the error says, and which command or option helps."""
    if isinstance(error, BadCredentialsError):
        return f"the e-mail or the password was refused: {error.detail}"
    if isinstance(error, TokenRejectedError):
        return f"the token was refused: {error.detail} Run `sst-cloud login` for a new one."
    return f"{error}{hint_for(type(error))}"


def hint_for(kind: type[Exception]) -> str:
    """Which command or option helps, to follow the message of an error of this kind."""
    return next((hint for known, hint in _HINTS.items() if issubclass(kind, known)), "")


def print_json(content: Any) -> None:
    """Print as JSON, without escaping non-ASCII names."""
    click.echo(json.dumps(json_value(content), ensure_ascii=False, indent=2))


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


def warn_missing(snapshot: Snapshot) -> None:
    """Print to stderr what could not be read, or that there are no houses."""
    for problem in snapshot.problems:
        print_message(f"Warning: {problem}")


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

"""`sst-cloud dead-letters`: readings that a sink permanently rejected."""

import asyncio
from collections import Counter

import click

from sst_cloud.cli.config import config_option
from sst_cloud.cli.output import error_message, json_option, print_json, print_message, print_rows
from sst_cloud.cli.settings import Settings, state_folder, state_option, verbose_option
from sst_cloud.cli.sink_options import sink_name
from sst_cloud.errors import OutboxMissingError, SinkOptionsError, SSTCloudError
from sst_cloud.outbox import DeadLetter, DeadLetters, ReplayResult
from sst_cloud.outbox import replay as replay_letters
from sst_cloud.outbox.consumer import as_library_error
from sst_cloud.redaction import MASK
from sst_cloud.wording import count, format_minute, point_of, quantity_of, value_of

only_sink_option = click.option("--sink", metavar="URL", help="Only those for this sink.")


@click.group("dead-letters")
def dead_letters() -> None:
    """Manage readings that a sink permanently rejected.

    The collector keeps them in `dead-letters.jsonl` in its state folder, with the sink, the reason
    and the time.
    """


@dead_letters.command("list")
@only_sink_option
@json_option
@config_option
@state_option
@verbose_option
@click.pass_obj
def list_(settings: Settings, *, sink: str | None, as_json: bool) -> None:
    """List the dead letters, oldest first."""
    letters = _read_letters(settings, DeadLetters(settings.state), sink)
    if as_json:
        print_json([letter.as_dict() for letter in letters])
        return
    if not letters:
        print_message("There are no dead letters.")
        return
    columns = ("rejected", "sink", "reason", "name", "quantity", "value", "time")
    rows = (
        (
            format_minute(letter.time),
            letter.sink,
            letter.reason,
            point_of(letter.reading),
            quantity_of(letter.reading),
            value_of(letter.reading),
            format_minute(letter.reading.time),
        )
        for letter in letters
    )
    print_rows(columns, rows, right=("value",), whole=("rejected", "time"))


@dead_letters.command()
@only_sink_option
@config_option
@state_option
@verbose_option
@click.pass_obj
def replay(settings: Settings, *, sink: str | None) -> None:
    """Write the dead letters to their sinks again.

    Those accepted are removed. The collector may be running. Exit status 1 if any is left.
    """
    letters = DeadLetters(settings.state)
    totals = Counter(letter.sink for letter in _read_letters(settings, letters, sink))
    errors: list[SSTCloudError] = []
    rejected = 0
    for name, total in totals.items():
        result = ReplayResult()
        try:
            asyncio.run(_replay(settings, letters, name, sink or name, result))
        except Exception as error:  # noqa: BLE001  a third-party sink may raise anything
            errors.append(as_library_error(error, name))
            print_message(f"{name}: {result.delivered or 'none'} of {total} delivered")
        else:
            click.echo(f"{name}: {result.delivered} delivered, {result.rejected} rejected again")
        for reason in result.reasons:
            print_message(f"Warning: {name}: {reason}")
        rejected += result.rejected
    for other_error in errors[:-1]:
        print_message(f"Error: {error_message(other_error)}")
    if errors:
        raise errors[-1]
    if rejected:
        raise click.exceptions.Exit(1)


async def _replay(
    settings: Settings, letters: DeadLetters, name: str, url: str, result: ReplayResult
) -> None:
    if MASK in url:
        raise SinkOptionsError(f"{url} has secrets masked: pass the full URL to --sink")
    async with settings.open_sink(url) as sink:
        await replay_letters(letters, name, sink, result=result)


@dead_letters.command()
@only_sink_option
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@config_option
@state_option
@verbose_option
@click.pass_obj
def drop(settings: Settings, *, sink: str | None, yes: bool) -> None:
    """Delete dead letters."""
    letters = DeadLetters(settings.state)
    chosen = set(_read_letters(settings, letters, sink))
    if chosen and not yes:
        click.confirm(f"Permanently delete {count(len(chosen), 'reading')}?", abort=True, err=True)
    dropped_count = letters.remove(chosen.__contains__)
    click.echo(f"{dropped_count} dropped")


def _read_letters(settings: Settings, letters: DeadLetters, sink: str | None) -> list[DeadLetter]:
    """The dead letters for a sink, by its URL or its name in `list`; all without a sink."""
    if settings.state != state_folder() and not settings.state.is_dir():  # probably a typo
        raise OutboxMissingError(f"there is no folder {settings.state}")
    names = {sink, sink and sink_name(sink)}
    return [letter for letter in letters.read() if sink is None or letter.sink in names]

"""`sst-cloud dead-letters`: readings that a sink permanently rejected."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import attrs
import click

from sst_cloud.cli.config import config_option
from sst_cloud.cli.output import json_option, print_json, print_message, print_rows
from sst_cloud.cli.settings import Settings, state_folder, state_option, verbose_option
from sst_cloud.cli.sink_options import sink_name
from sst_cloud.errors import (
    OutboxMissingError,
    SinkOptionsError,
    SinkUnavailableError,
    SSTCloudError,
)
from sst_cloud.outbox.consumer import as_library_error, rejections_of
from sst_cloud.outbox.dead_letters import DeadLetter, DeadLetters
from sst_cloud.readings import Quality, Quantity
from sst_cloud.redaction import MASK
from sst_cloud.sink import History, Sink
from sst_cloud.wording import count, format_minute, point_of, value_of

_BATCH_SIZE: Final = 2_000

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
    letters = _read_letters(settings, sink)
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
            str(letter.reading.quantity).replace("_", " "),
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
    by_sink: dict[str, list[DeadLetter]] = defaultdict(list)
    for letter in _read_letters(settings, sink):
        by_sink[letter.sink].append(letter)
    errors: list[SSTCloudError] = []
    rejected = 0
    for name, letters in by_sink.items():
        sink_replay = _Replay(name, letters, DeadLetters(settings.state))
        try:
            asyncio.run(sink_replay.run(settings.open_sink(_require_full_url(sink or name))))
        except Exception as error:  # noqa: BLE001  a third-party sink may raise anything
            errors.append(as_library_error(error, name))
            print_message(f"{name}: {sink_replay.delivered or 'none'} of {len(letters)} delivered")
            continue
        rejected += sink_replay.rejected
        click.echo(
            f"{name}: {sink_replay.delivered} delivered, {sink_replay.rejected} rejected again"
        )
    for other_error in errors[:-1]:
        print_message(f"Error: {other_error}")
    if errors:
        raise errors[-1]
    if rejected:
        raise click.exceptions.Exit(1)


@dead_letters.command()
@only_sink_option
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@config_option
@state_option
@verbose_option
@click.pass_obj
def drop(settings: Settings, *, sink: str | None, yes: bool) -> None:
    """Delete dead letters."""
    letters = set(_read_letters(settings, sink))
    if letters and not yes:
        click.confirm(f"Permanently delete {count(len(letters), 'reading')}?", abort=True, err=True)
    dropped_count = DeadLetters(settings.state).remove(letters.__contains__)
    click.echo(f"{dropped_count} dropped")


def _read_letters(settings: Settings, sink: str | None) -> list[DeadLetter]:
    """The dead letters for a sink, by its URL or its name in `list`; all without a sink."""
    if settings.state != state_folder() and not settings.state.is_dir():  # probably a typo
        raise OutboxMissingError(f"there is no folder {settings.state}")
    names = {sink, sink and sink_name(sink)}
    letters = DeadLetters(settings.state).read()
    return [letter for letter in letters if sink is None or letter.sink in names]


def _require_full_url(url: str) -> str:
    """A sink's URL. Raises `SinkOptionsError` for a name with masked parts."""
    if MASK in url:
        raise SinkOptionsError(f"{url} has secrets masked: pass the full URL to --sink")
    return url


@attrs.define
class _Replay:
    """The dead letters for one sink; they are removed when it has accepted them."""

    name: str
    letters: Sequence[DeadLetter]
    file: DeadLetters
    delivered: int = 0
    rejected: int = 0

    async def run(self, sink: Sink) -> None:
        """Write all readings, oldest first, a few thousand at a time."""
        async with sink:
            reasons: dict[str, None] = {}
            for first in range(0, len(self.letters), _BATCH_SIZE):
                letters = self.letters[first : first + _BATCH_SIZE]
                rejected = await self._write(sink, letters)
                accepted_letters = {
                    letter for letter in letters if letter.reading.key not in rejected
                }
                await asyncio.to_thread(self.file.remove, accepted_letters.__contains__)
                rejected_count = sum(letter not in accepted_letters for letter in letters)
                self.delivered += len(letters) - rejected_count
                self.rejected += rejected_count
                reasons |= dict.fromkeys(rejected.values())
        for reason in reasons:
            print_message(f"Warning: {self.name}: {reason}")

    async def _write(self, sink: Sink, letters: Sequence[DeadLetter]) -> dict[object, str]:
        """Write the readings; returns the key of each rejected one → the reason."""
        confirmed = await _confirmed_letters(sink, letters)
        latest_first = (letter.reading for letter in reversed(letters) if letter not in confirmed)
        readings = list(dict.fromkeys(latest_first))[::-1]
        if not readings:
            return {}
        rejections = rejections_of(await sink.write(readings), readings)
        rejected = {rejection.reading.key: str(rejection.reason) for rejection in rejections}
        if rejected.keys() - {reading.key for reading in readings}:
            raise SinkUnavailableError("it rejected readings that it was not given")
        return rejected


async def _confirmed_letters(sink: Sink, letters: Sequence[DeadLetter]) -> set[DeadLetter]:
    """The dead letters whose suspect reading has since been delivered as good."""
    if not isinstance(sink, History):
        return set()
    suspect_letters = [letter for letter in letters if letter.reading.quality is Quality.SUSPECT]
    good_values = set()
    times = {letter.reading.time for letter in suspect_letters}
    for moment in times:  # only totals can be suspect
        async for stored in sink.read(Quantity.VOLUME, moment, moment + timedelta(seconds=1)):
            if stored.quality is not Quality.SUSPECT:
                good_values.add((stored.key, stored.value))
    return {
        letter
        for letter in suspect_letters
        if (letter.reading.key, letter.reading.value) in good_values
    }

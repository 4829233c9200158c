"""`sst-cloud dead-letters`: readings that a sink permanently rejected."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import attrs
import click

from sst_cloud.collector.consumer import one_of_ours, rejections_of
from sst_cloud.collector.dead_letters import DeadLetter, DeadLetters
from sst_cloud.errors import OutboxError, SinkOptionsError, SinkUnavailableError, SSTCloudError
from sst_cloud.readings import Quality, Quantity
from sst_cloud.redaction import MASK
from sst_cloud.sink import History, Sink
from sst_cloud.wording import count, point_of, value_of

from .config import config_option
from .output import add_row, json_option, minute, print_json, print_table, say, table
from .settings import Settings, state_folder, state_option, verbose_option
from .sink_names import sink_name

_AT_ONCE: Final = 2_000

sink_option = click.option("--sink", metavar="URL", help="Only those for this sink.")


@click.group("dead-letters")
def dead_letters() -> None:
    """Manage readings that a sink permanently rejected.

    The collector keeps them in `dead-letters.jsonl` in its state folder, with the sink, the reason
    and the time.
    """


@dead_letters.command("list")
@sink_option
@json_option
@config_option
@state_option
@verbose_option
@click.pass_obj
def list_(settings: Settings, *, sink: str | None, as_json: bool) -> None:
    """List them, oldest first."""
    letters = _letters(settings, sink)
    if as_json:
        print_json([letter.as_dict() for letter in letters])
        return
    if not letters:
        say("There are no dead letters.")
        return
    columns = ("rejected", "sink", "because", "name", "what", "value", "of")
    made = table(*columns, right=("value",), whole=("rejected", "of"))
    for letter in letters:
        reading = letter.reading
        add_row(
            made,
            minute(letter.time),
            letter.sink,
            letter.reason,
            point_of(reading),
            str(reading.quantity).replace("_", " "),
            value_of(reading),
            minute(reading.time),
        )
    print_table(made)


@dead_letters.command()
@sink_option
@config_option
@state_option
@verbose_option
@click.pass_obj
def replay(settings: Settings, *, sink: str | None) -> None:
    """Write them to their sinks again.

    Those accepted are removed. The collector may be running. Exit status 1 if any is left.
    """
    by_sink: dict[str, list[DeadLetter]] = defaultdict(list)
    for letter in _letters(settings, sink):
        by_sink[letter.sink].append(letter)
    errors: list[SSTCloudError] = []
    rejected = 0
    for name, letters in by_sink.items():
        replaying = _Replay(name, letters, DeadLetters(settings.state))
        try:
            asyncio.run(replaying.run(settings.open_sink(_whole(sink or name))))
        except Exception as error:  # noqa: BLE001  a sink may be anybody's; the others come next
            errors.append(one_of_ours(error, name))
            say(f"{name}: {replaying.delivered or 'none'} of {len(letters)} delivered")
            continue
        rejected += replaying.rejected
        click.echo(f"{name}: {replaying.delivered} delivered, {replaying.rejected} rejected again")
    for earlier in errors[:-1]:
        say(f"Error: {earlier}")
    if errors:
        raise errors[-1]
    if rejected:
        raise click.exceptions.Exit(1)


@dead_letters.command()
@sink_option
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@config_option
@state_option
@verbose_option
@click.pass_obj
def drop(settings: Settings, *, sink: str | None, yes: bool) -> None:
    """Delete them."""
    letters = set(_letters(settings, sink))
    if letters and not yes:
        click.confirm(f"Permanently delete {count(len(letters), 'reading')}?", abort=True, err=True)
    dropped = DeadLetters(settings.state).remove(letters.__contains__)
    click.echo(f"{dropped} dropped")


def _letters(settings: Settings, sink: str | None) -> list[DeadLetter]:
    """Those for a sink, by its URL or its name in `list`; all if none is given."""
    if settings.state != state_folder() and not settings.state.is_dir():  # probably a typo
        raise OutboxError(f"there is no folder {settings.state}; run `sst-cloud collect` first")
    names = {sink, sink and sink_name(sink)}
    letters = DeadLetters(settings.state).read()
    return [letter for letter in letters if sink is None or letter.sink in names]


def _whole(url: str) -> str:
    """A sink's URL. Raises `SinkOptionsError` if it is only a name with parts masked."""
    if MASK in url:
        raise SinkOptionsError(f"{url} has secrets masked: pass the full URL to --sink")
    return url


@attrs.define
class _Replay:
    """The letters for one sink; they are removed as soon as it has accepted them."""

    name: str
    letters: Sequence[DeadLetter]
    file: DeadLetters
    delivered: int = 0
    rejected: int = 0

    async def run(self, sink: Sink) -> None:
        """Write them all, oldest first, a few thousand at a time."""
        async with sink:
            reasons: dict[str, None] = {}
            for first in range(0, len(self.letters), _AT_ONCE):
                letters = self.letters[first : first + _AT_ONCE]
                rejected = await self._write(sink, letters)
                gone = {letter for letter in letters if letter.reading.key not in rejected}
                await asyncio.to_thread(self.file.remove, gone.__contains__)
                again = sum(letter not in gone for letter in letters)
                self.delivered += len(letters) - again
                self.rejected += again
                reasons |= dict.fromkeys(rejected.values())
        for reason in reasons:
            say(f"Warning: {self.name}: {reason}")

    async def _write(self, sink: Sink, letters: Sequence[DeadLetter]) -> dict[object, str]:
        """What was rejected, by its key, and why."""
        confirmed = await _confirmed(sink, letters)
        latest_first = (letter.reading for letter in reversed(letters) if letter not in confirmed)
        readings = list(dict.fromkeys(latest_first))[::-1]
        if not readings:
            return {}
        rejections = rejections_of(await sink.write(readings), readings)
        rejected = {rejection.reading.key: str(rejection.reason) for rejection in rejections}
        if rejected.keys() - {reading.key for reading in readings}:
            raise SinkUnavailableError("it rejected other readings than it was given")
        return rejected


async def _confirmed(sink: Sink, letters: Sequence[DeadLetter]) -> set[DeadLetter]:
    """Those whose reading was suspect and has since been delivered again as good."""
    if not isinstance(sink, History):
        return set()
    doubted = [letter for letter in letters if letter.reading.quality is Quality.SUSPECT]
    believed = set()
    for moment in {letter.reading.time for letter in doubted}:  # only totals are ever suspect
        async for stored in sink.read(Quantity.VOLUME, moment, moment + timedelta(seconds=1)):
            if stored.quality is not Quality.SUSPECT:
                believed.add((stored.key, stored.value))
    return {letter for letter in doubted if (letter.reading.key, letter.reading.value) in believed}

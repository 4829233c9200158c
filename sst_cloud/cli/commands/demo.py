"""`sst-cloud demo`: a day of water usage in a few seconds."""

import asyncio
import os
import shlex
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import click

from sst_cloud.cli.output import stdout_console
from sst_cloud.cli.settings import Settings, verbose_option
from sst_cloud.clock import ManualClock
from sst_cloud.cloud.credentials import Account
from sst_cloud.redaction import redact_text
from sst_cloud.testing import FakeCloud

_HOURS: Final = 24
_POLLS: Final = 1 + _HOURS * 3
"""Every 20 minutes, including both ends."""


@click.command()
@click.option(
    "--store", default="sqlite:demo.db", show_default=True, help="Where to store the readings."
)
@verbose_option
def demo(store: str) -> None:
    """Simulate a day of water usage in a few seconds.

    Starts a fake cloud on a free port of this machine, collects the last 24 hours from it over
    HTTP into a store, and shows the result. It runs the commands that you would type; only the
    clock is simulated.
    """
    with _without_environment():
        asyncio.run(_demo(store))


@contextmanager
def _without_environment() -> Iterator[None]:
    """Ignore the environment variables of a real collector, such as its configuration file."""
    variables = {name: value for name, value in os.environ.items() if name.startswith("SST_CLOUD_")}
    for name in variables:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(variables)


async def _demo(store: str) -> None:
    from sst_cloud.cli.app import invoke  # noqa: PLC0415  circular: it imports this module

    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    start = end - timedelta(hours=_HOURS)
    clock = ManualClock(start)
    async with FakeCloud(clock=clock) as cloud, AsyncExitStack() as stack:
        # Its own outbox: that of a real collector may be in use.
        state = Path(stack.enter_context(TemporaryDirectory(prefix="sst-cloud-")))
        settings = Settings(Account(url=cloud.url, token=cloud.token), clock=clock, state=state)
        settings.open_sink(store)  # fails if the URL is wrong, before anything is printed
        zone = cloud.houses[0].zone
        since, until = (f"{moment.astimezone(zone):%Y-%m-%dT%H:%M}" for moment in (start, end))
        click.echo(f"A fake cloud is running at {cloud.url}: two houses, five water meters.")
        for command in (
            ["collect", "--sink", store, *f"--every 20m --polls {_POLLS} --quiet".split()],
            ["latest", store, *f"--quantity volume --timezone {zone}".split()],
            ["usage", store, *f"--by hour --from {since} --to {until} --timezone {zone}".split()],
        ):
            prompt = redact_text(f"\n$ {shlex.join(['sst-cloud', *command])}")
            stdout_console().print(prompt, style="bold", markup=False, soft_wrap=True)
            await asyncio.to_thread(invoke, command, settings)
    click.echo(
        "\nNext: `sst-cloud fake` for a cloud to play with, `sst-cloud login` for your account."
    )

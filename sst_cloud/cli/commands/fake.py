"""`sst-cloud fake`."""

import asyncio
import os
from typing import Final

import click

from sst_cloud.cli.params import FiniteRange
from sst_cloud.cli.settings import verbose_option
from sst_cloud.clock import SystemClock
from sst_cloud.testing import FakeCloud, Latency

_MAX_REQUESTS: Final = 100
"""Requests to keep in memory, as the program may run for months."""


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port to listen on; default: a free one.",
)
@click.option(
    "--latency", type=FiniteRange(min=0), default=0.0, help="Delay of each response in seconds."
)
@verbose_option
def fake(port: int, latency: float) -> None:
    """Run a fake cloud on this machine, until stopped.

    It has the HTTP API of SST Cloud and a made-up account with meters that follow a household's
    daily rhythm.
    """
    asyncio.run(_serve(port, latency))


async def _serve(port: int, latency: float) -> None:
    cloud = FakeCloud(clock=SystemClock(), port=port, remember=_MAX_REQUESTS)
    if latency:
        cloud.inject(Latency(latency))
    try:
        await cloud.__aenter__()
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise click.ClickException(f"port {port} cannot be used: {reason}") from None
    try:
        click.echo(
            f"A fake SST Cloud is running at {cloud.url} (Ctrl-C to stop). In another shell:\n"
        )
        click.echo(f"  export SST_CLOUD_URL={cloud.url}")
        click.echo(f"  export SST_CLOUD_EMAIL={cloud.email} SST_CLOUD_PASSWORD={cloud.password}")
        click.echo("  sst-cloud counters")
        await asyncio.Event().wait()
    finally:
        await cloud.__aexit__(None, None, None)

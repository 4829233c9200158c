"""`sst-cloud dump`."""

import asyncio
import json
from typing import Any

import click

from sst_cloud.cli.output import print_message
from sst_cloud.cli.settings import Settings, account_options
from sst_cloud.cloud.anonymize import anonymize
from sst_cloud.cloud.dump import dump as dump_account


@click.command()
@click.option("--redact/--no-redact", default=True, show_default=True, help="Mask secrets.")
@account_options
@click.pass_obj
def dump(settings: Settings, *, redact: bool) -> None:
    """Print the raw data of the account, by path.

    Attach it to a bug report. Secrets are masked, with their format kept. Names that you gave to
    houses and devices are included: check before sending it.
    """
    payloads = asyncio.run(_dump(settings))
    if not redact:
        print_message("Warning: this contains secrets; do not share it.")
    output = anonymize(payloads) if redact else payloads
    click.echo(json.dumps(output, ensure_ascii=False, indent=2))


async def _dump(settings: Settings) -> dict[str, Any]:
    async with settings.client() as cloud:
        return await dump_account(cloud)

"""`--metrics` and `--on-event`: options of what runs for years."""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


class Address(click.ParamType[tuple[str, int]]):
    """`PORT` of this machine alone, or `HOST:PORT`."""

    name = "address"
    also_takes: ClassVar[tuple[type, ...]] = (int,)
    """What TOML may say beside text."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """Read an address."""
        from sst_cloud.collector.metrics import address_from  # noqa: PLC0415

        try:
            return address_from(str(value))
        except ValueError as error:
            self.fail(f"{value!r} is not {error}", param, ctx)


def metrics_option(command: F) -> F:
    """`--metrics [HOST:]PORT`, as `metrics`: host and port, or None."""
    return click.option(
        "--metrics",
        type=Address(),
        metavar="[HOST:]PORT",
        help="Serve /metrics for Prometheus and /health, to this machine if no host is named.",
    )(command)


def on_event_option(command: F) -> F:
    """`--on-event COMMAND|URL`, as `on_event`: any number of texts."""
    return click.option(
        "--on-event",
        multiple=True,
        metavar="COMMAND|URL",
        help="Whom to tell of leaks and the like: gets JSON on stdin, or by POST.",
    )(command)

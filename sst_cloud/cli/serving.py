"""`--metrics` and `--on-event`: options of long-running commands."""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import click

from sst_cloud.collector.handler import Handler
from sst_cloud.collector.handlers import handler_from

from .settings import Settings

F = TypeVar("F", bound=Callable[..., Any])


class Address(click.ParamType[tuple[str, int]]):
    """`PORT` on localhost, or `HOST:PORT`."""

    name = "address"
    also_takes: ClassVar[tuple[type, ...]] = (int,)
    """What TOML may have besides text."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """Parse an address."""
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
        help="Serve Prometheus /metrics and /health, on localhost unless a host is given.",
    )(command)


def handler_for(text: str, settings: Settings) -> Handler:
    """The handler for an option, with the environment that is meant for it.

    Raises `SinkOptionsError`.
    """
    return handler_from(
        text, env=settings.handler_env, secrets=settings.withheld, clock=settings.clock
    )


def on_event_option(command: F) -> F:
    """`--on-event COMMAND|URL`, as `on_event`: repeatable."""
    return click.option(
        "--on-event",
        multiple=True,
        metavar="COMMAND|URL",
        help="Run a command or POST to a URL, with JSON, on leaks and other events; repeatable.",
    )(command)

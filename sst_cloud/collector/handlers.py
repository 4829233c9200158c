"""Event handlers from command-line options."""

import shlex

from sst_cloud.clock import Clock
from sst_cloud.errors import SinkOptionsError

from .command import CommandHandler
from .handler import Handler
from .webhook import WebhookHandler


def handler_from(text: str, *, clock: Clock | None = None) -> Handler:
    """The handler for an option: a URL, or a command with its arguments.

    Raises `SinkOptionsError`.
    """
    if text.lower().startswith(("http://", "https://")):
        return WebhookHandler(text, clock=clock)
    try:
        return CommandHandler(shlex.split(text), clock=clock)
    except ValueError as error:
        raise SinkOptionsError(f"cannot parse the command of a handler: {error}") from None

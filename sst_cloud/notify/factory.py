"""Makes an event handler from its URL or command."""

import shlex
import shutil
from collections.abc import Mapping

from sst_cloud.clock import Clock
from sst_cloud.errors import SinkOptionsError

from .base import Handler
from .command import CommandHandler
from .webhook import WebhookHandler


def handler_from(
    text: str,
    *,
    env: Mapping[str, str] | None = None,
    withheld: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> Handler:
    """The handler for a text: a URL, or a command with its arguments.

    A command gets `env`, and not what is `withheld`, as in `CommandHandler`. Raises
    `SinkOptionsError`.
    """
    if text.lower().startswith(("http://", "https://")):
        return WebhookHandler(text, clock=clock)
    if is_mail_address(text):
        raise SinkOptionsError("a handler must be a command or a URL, not a mail address")
    try:
        argv = shlex.split(text)
    except ValueError as error:
        raise SinkOptionsError(f"cannot parse the command of a handler: {error}") from None
    return CommandHandler(argv, env=env, withheld=withheld, clock=clock)


def is_mail_address(text: str) -> bool:
    """Whether this is like `me@example.com` or `Me <me@example.com>`, and is no command."""
    *name, address = text.split() or [""]
    bracketed = address.startswith("<") and address.endswith(">")
    if "@" not in address or "/" in text or "\0" in text or (name and not bracketed):
        return False
    return shutil.which(address) is None

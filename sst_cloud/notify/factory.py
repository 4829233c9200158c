"""Makes an event handler from its URL or command."""

import os
import re
import shlex
import shutil
from collections.abc import Mapping
from typing import Final

from sst_cloud.clock import Clock
from sst_cloud.errors import SinkOptionsError
from sst_cloud.plugins import installed_handlers, open_handler

from .base import Handler
from .command import CommandHandler
from .webhook import WebhookHandler

_PLUGIN_URL: Final = re.compile(r"([a-z][a-z0-9+.-]+):\S*", re.IGNORECASE)
"""Of at least two letters: a drive of Windows has one."""


def handler_from(
    text: str,
    *,
    env: Mapping[str, str] | None = None,
    withheld: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> Handler:
    """The handler for a text: a URL, also of a third party's handler, or a command.

    A command gets `env`, and not what is `withheld`, as in `CommandHandler`; a third party's
    handler finds its secrets in the environment and `env`. Raises `SinkOptionsError`.
    """
    if text.lower().startswith(("http://", "https://")):
        return WebhookHandler(text, clock=clock)
    if (url := _PLUGIN_URL.fullmatch(text)) is not None:
        schemes = {plugin.scheme for plugin in installed_handlers()}
        if url[1].lower() in schemes:
            handler: Handler = open_handler(text, {**os.environ, **(env or {})})
            return handler
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

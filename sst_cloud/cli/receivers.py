"""Receivers of `sst-cloud report --send-to`: a mailbox, a URL, a command."""

from collections.abc import Sequence
from typing import Protocol

import attrs
import click

from sst_cloud.errors import SinkOptionsError
from sst_cloud.notify.base import Handler
from sst_cloud.notify.factory import is_mail_address
from sst_cloud.notify.mail import Mailbox, MailServer, Message, addresses_of

from .collect_options import handler_from_option
from .settings import Settings


class Receiver(Protocol):
    """Where reports can be sent."""

    @property
    def name(self) -> str:
        """The receiver, for display; without secrets."""

    async def send(self, messages: Sequence[Message]) -> None:
        """Send them all. Raises `SinkError`."""


def receiver_from(text: str, settings: Settings) -> Receiver:
    """The receiver for an option. Raises `UsageError`."""
    try:
        if text.lower().startswith("mailto:"):
            server = MailServer.from_secrets(settings.secrets)
            return Mailbox(addresses_of(text), server, settings.clock)
        if is_mail_address(text):
            raise click.UsageError("--send-to: write mailto:ADDRESS to send it by mail")
        return _HandlerReceiver(handler_from_option(text, settings))
    except SinkOptionsError as error:
        raise click.UsageError(f"--send-to: {error}") from None


@attrs.frozen
class _HandlerReceiver:
    handler: Handler

    @property
    def name(self) -> str:
        return f"to {self.handler.name}"

    async def send(self, messages: Sequence[Message]) -> None:
        async with self.handler as handler:
            for message in messages:
                await handler.send(message.content)

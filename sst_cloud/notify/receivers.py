"""Where reports are sent: a mailbox, a URL, a command."""

import os
from collections.abc import Mapping, Sequence
from typing import Protocol

import attrs

from sst_cloud.clock import Clock, SystemClock
from sst_cloud.errors import SinkOptionsError
from sst_cloud.json_values import json_value
from sst_cloud.metering.utility_report import Report

from .base import Handler
from .factory import handler_from, is_mail_address
from .mail import Mailbox, MailServer, Message, addresses_of


class Receiver(Protocol):
    """Where reports can be sent."""

    @property
    def name(self) -> str:
        """The receiver, for display; without secrets."""

    async def send(self, messages: Sequence[Message]) -> None:
        """Send them all. Raises `SinkError`."""


def receiver_from(
    text: str,
    *,
    secrets: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    withheld: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> Receiver:
    """The receiver for a text: `mailto:` and addresses, a URL, or a command with its arguments.

    `secrets` are by name, by default from the environment: mail goes through the server that
    `SST_CLOUD_SMTP` names. A command gets `env`, and not what is `withheld`. Raises
    `SinkOptionsError`.
    """
    if text.lower().startswith("mailto:"):
        server = MailServer.from_secrets(os.environ if secrets is None else secrets)
        return Mailbox(addresses_of(text), server, clock or SystemClock())
    if is_mail_address(text):
        raise SinkOptionsError("write mailto:ADDRESS to send it by mail")
    return _HandlerReceiver(handler_from(text, env=env, withheld=withheld, clock=clock))


def report_message(report: Report) -> Message:
    """A report to send: a mailbox gets the text, a URL or a command gets JSON. Needs rich."""
    from sst_cloud.display.terminal.report import report_text  # noqa: PLC0415  an extra

    return Message(f"Water meters: {report.title}", report_text(report), json_value(report))


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

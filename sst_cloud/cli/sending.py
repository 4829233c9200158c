"""Receivers of `sst-cloud report --send-to`: a mailbox, a URL, a command."""

import asyncio
import html
import smtplib
import ssl
from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Any, Final, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

import attrs
import click

from sst_cloud.clock import Clock
from sst_cloud.collector.handler import Handler
from sst_cloud.collector.handlers import is_mail_address
from sst_cloud.errors import SinkOptionsError
from sst_cloud.over_http import DETAIL, is_this_machine
from sst_cloud.sent_secrets import Secrets

from . import smtp
from .serving import handler_for
from .settings import Settings

_PORTS: Final = {"smtp": 587, "smtps": 465}
_HOW: Final = "SST_CLOUD_SMTP must look like smtps://me@mail.example.com or smtp://me@host:587"
_SAID: Final = 200
"""Characters of a mail server's response that are shown."""
_TELLING: Final = 6
"""A shorter user's name is part of many words, and no secret."""


@attrs.frozen
class Letter:
    """A report to send: to people as text, to programs as JSON."""

    subject: str
    text: str
    content: Mapping[str, Any]


class Receiver(Protocol):
    """Receives reports."""

    @property
    def name(self) -> str:
        """The receiver, for display; without secrets."""

    async def hand_over(self, letters: Sequence[Letter]) -> None:
        """Send them all. Raises `ClickException` or `SinkError`."""


def receiver_from(text: str, settings: Settings) -> Receiver:
    """The receiver for an option. Raises `UsageError`."""
    if text.lower().startswith("mailto:"):
        return _Mail(_addresses(text), _Server.from_secrets(settings.secrets), settings.clock)
    if is_mail_address(text):
        raise click.UsageError("--send-to: write mailto:ADDRESS to send it by mail")
    try:
        return _Program(handler_for(text, settings))
    except SinkOptionsError as error:
        raise click.UsageError(f"--send-to: {error}") from None


@attrs.frozen
class _Program:
    handler: Handler

    @property
    def name(self) -> str:
        return f"to {self.handler.name}"

    async def hand_over(self, letters: Sequence[Letter]) -> None:
        async with self.handler as handler:
            for letter in letters:
                await handler.send(letter.content)


@attrs.frozen
class _Server:
    """A mail server."""

    host: str
    port: int
    tls: bool
    """TLS from the start; otherwise STARTTLS."""
    user: str | None
    password: str | None = attrs.field(repr=False)

    @classmethod
    def from_secrets(cls, secrets: Mapping[str, str]) -> "_Server":
        given = secrets.get("SST_CLOUD_SMTP", "")
        if not given:
            raise click.UsageError(f"--send-to mailto: needs a mail server: {_HOW}")
        try:
            url = urlsplit(given)
            host, port = url.hostname, url.port
        except ValueError:
            host, port, url = None, None, SplitResult("", "", "", "", "")
        if url.scheme not in _PORTS or not host or url.path.strip("/") or url.query:
            raise click.UsageError(_HOW)
        if url.password is not None:
            raise click.UsageError("the password belongs in SST_CLOUD_SMTP_PASSWORD, not the URL")
        user = unquote(url.username) if url.username else None
        password = secrets.get("SST_CLOUD_SMTP_PASSWORD")
        if user and not password:
            raise click.UsageError("SST_CLOUD_SMTP has a user: also set SST_CLOUD_SMTP_PASSWORD")
        return cls(host, port or _PORTS[url.scheme], url.scheme == "smtps", user, password)

    def send(self, mails: Sequence[EmailMessage]) -> None:
        """Send the mails; blocks, so run it in a thread."""
        context = ssl.create_default_context()
        with smtp.connect(self.host, self.port, tls=self.tls, context=context) as server:
            server.ehlo_or_helo_if_needed()
            secure = self.tls
            if not secure and server.has_extn("starttls"):
                server.starttls(context=context)
                secure = True
            if self.user and self.password:
                if not secure and not is_this_machine(self.host):
                    raise click.ClickException(
                        f"{self.host} offers no TLS, so the password was not sent; try smtps://"
                    )
                server.login(self.user, self.password)
            for mail in mails:
                if refused := server.send_message(mail):  # but accepted for the others
                    raise smtplib.SMTPRecipientsRefused(refused)

    def without_tls(self, error: ssl.SSLError) -> str:
        """Why there was no TLS."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"has a certificate that is not trusted: {error.verify_message}"
        if self.tls:
            return f"does not use implicit TLS on port {self.port}; try smtp://"
        return f"broke off TLS: {error.reason}"


@attrs.frozen
class _Mail:
    to: Sequence[str]
    server: _Server
    clock: Clock

    @property
    def name(self) -> str:
        return f"by mail to {', '.join(self.to)}"

    async def hand_over(self, letters: Sequence[Letter]) -> None:
        try:
            await asyncio.to_thread(self.server.send, [self._mail(letter) for letter in letters])
        except smtplib.SMTPAuthenticationError:
            why = "rejected the credentials; see SST_CLOUD_SMTP and SST_CLOUD_SMTP_PASSWORD"
        except smtplib.SMTPException as error:
            why = self._refusal(error)
        except UnicodeEncodeError:  # which holds the password
            why = "takes no user or password with other letters than those of ASCII"
        except ssl.SSLError as error:
            why = self.server.without_tls(error)
        except ValueError:  # after those of TLS, of which one is a ValueError, too
            why = "did not answer as mail servers do"
        except TimeoutError:
            why = "did not respond in time"
        except OSError as error:
            why = f"cannot be reached: {error.strerror or error}"
        else:
            return
        raise click.ClickException(f"the mail server {self.server.host} {why}")

    def _refusal(self, error: smtplib.SMTPException) -> str:
        if isinstance(error, smtplib.SMTPRecipientsRefused):
            return f"does not accept mail for {self._answers(error.recipients)}"
        if isinstance(
            error, smtplib.SMTPResponseException
        ):  # its text is code and words in a tuple
            answer = self._answer(error.smtp_code, error.smtp_error)
            return f"did not accept the mail: {answer}"
        return f"did not accept the mail: {self._shorten(str(error))}"

    def _answers(self, recipients: Mapping[str, tuple[int, bytes]]) -> str:
        answers = (f"{name}: {self._answer(*answer)}" for name, answer in recipients.items())
        return "; ".join(sorted(answers))

    def _answer(self, code: int, answer: bytes | str) -> str:
        words = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
        return self._shorten(f"{code} {words}")

    def _shorten(self, text: str) -> str:
        """Without user and password, and cut to a readable length."""
        user, password = self.server.user or "", self.server.password or ""
        secrets = Secrets(password, user if len(user) >= _TELLING else "")
        return " ".join(secrets.mask(text[:DETAIL]).split())[:_SAID]

    def _mail(self, letter: Letter) -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = " ".join(letter.subject.split())
        user = self.server.user
        sender = user if user and "@" in user else self.to[0]
        mail["From"] = sender
        mail["To"] = ", ".join(self.to)
        mail["Date"] = format_datetime(self.clock.now())
        mail["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
        mail.set_content(letter.text)
        # A table falls apart in a proportional font.
        mail.add_alternative(f"<pre>{html.escape(letter.text)}</pre>\n", subtype="html")
        return mail


def _addresses(text: str) -> Sequence[str]:
    found = [unquote(address).strip() for address in text.partition(":")[2].split(",")]
    for address in found:
        name, at, host = address.partition("@")
        if not (name and at and host) or any(c in address for c in " \t\r\n?"):
            raise click.UsageError("--send-to mailto: needs an address, like mailto:me@example.com")
    return found

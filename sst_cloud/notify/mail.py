"""Mail, through an SMTP server."""

import asyncio
import html
import smtplib
import ssl
from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

import attrs

from sst_cloud.clock import Clock
from sst_cloud.errors import SinkError, SinkOptionsError, SinkRefusedError, SinkUnavailableError
from sst_cloud.http_bodies import EXCERPT_LENGTH
from sst_cloud.sent_secrets import Secrets, is_local

from . import smtp

_PORTS: Final = {"smtp": 587, "smtps": 465}
_SMTP_FORMAT: Final = (
    "SST_CLOUD_SMTP must look like smtps://me@mail.example.com or smtp://me@host:587"
)
_RESPONSE_LENGTH: Final = 200
"""Most characters of a mail server's response in an error's message."""
_MIN_SECRET_LENGTH: Final = 6
"""A shorter user name is part of many words, so it is not masked."""


@attrs.frozen
class Message:
    """A report to send: text for people, JSON for programs."""

    subject: str
    text: str
    content: Mapping[str, Any]


@attrs.frozen
class MailServer:
    """A mail server."""

    host: str
    port: int
    tls: bool
    """TLS from the start; otherwise STARTTLS."""
    user: str | None
    password: str | None = attrs.field(repr=False)

    @classmethod
    def from_secrets(cls, secrets: Mapping[str, str]) -> "MailServer":
        """The server that `SST_CLOUD_SMTP` names. Raises `SinkOptionsError`."""
        address = secrets.get("SST_CLOUD_SMTP", "")
        if not address:
            raise SinkOptionsError(f"mail needs a server: {_SMTP_FORMAT}")
        try:
            url = urlsplit(address)
            host, port = url.hostname, url.port
        except ValueError:
            host, port, url = None, None, SplitResult("", "", "", "", "")
        if url.scheme not in _PORTS or not host or url.path.strip("/") or url.query:
            raise SinkOptionsError(_SMTP_FORMAT)
        if url.password is not None:
            raise SinkOptionsError("the password belongs in SST_CLOUD_SMTP_PASSWORD, not the URL")
        user = unquote(url.username) if url.username else None
        password = secrets.get("SST_CLOUD_SMTP_PASSWORD")
        if user and not password:
            raise SinkOptionsError("SST_CLOUD_SMTP has a user: also set SST_CLOUD_SMTP_PASSWORD")
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
                if not secure and not is_local(self.host):
                    raise SinkRefusedError(
                        f"{self.host} offers no TLS, so the password was not sent; try smtps://"
                    )
                server.login(self.user, self.password)
            for mail in mails:
                if rejected := server.send_message(mail):  # but accepted for the others
                    raise smtplib.SMTPRecipientsRefused(rejected)

    def tls_failure(self, error: ssl.SSLError) -> str:
        """Why TLS failed, to follow the server's name."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"has a certificate that is not trusted: {error.verify_message}"
        if self.tls:
            return f"does not use implicit TLS on port {self.port}; try smtp://"
        return f"broke off TLS: {error.reason}"


@attrs.frozen
class Mailbox:
    """Addresses to which messages are sent by mail."""

    to: Sequence[str]
    server: MailServer
    clock: Clock

    @property
    def name(self) -> str:
        """The addresses, for display."""
        return f"by mail to {', '.join(self.to)}"

    async def send(self, messages: Sequence[Message]) -> None:
        """Send the messages. Raises `SinkUnavailableError` (retry) or `SinkRefusedError`."""
        kind: type[SinkError] = SinkRefusedError
        try:
            await asyncio.to_thread(self.server.send, [self._mail(message) for message in messages])
        except smtplib.SMTPAuthenticationError:
            reason = "rejected the credentials; see SST_CLOUD_SMTP and SST_CLOUD_SMTP_PASSWORD"
        except smtplib.SMTPException as error:
            reason = self._refusal(error)
        except UnicodeEncodeError:  # which holds the password
            reason = "accepts only a user and a password in ASCII"
        except ssl.SSLError as error:
            reason = self.server.tls_failure(error)
        except ValueError:  # after ssl.SSLError: one kind of it is a ValueError, too
            reason = "did not respond as a mail server does"
        except TimeoutError:
            kind, reason = SinkUnavailableError, "did not respond in time"
        except OSError as error:
            kind = SinkUnavailableError
            reason = f"cannot be reached: {error.strerror or error}"
        else:
            return
        raise kind(f"the mail server {self.server.host} {reason}")

    def _refusal(self, error: smtplib.SMTPException) -> str:
        if isinstance(error, smtplib.SMTPRecipientsRefused):
            return f"does not accept mail for {self._responses(error.recipients)}"
        if isinstance(
            error, smtplib.SMTPResponseException
        ):  # its text is code and words in a tuple
            response = self._response(error.smtp_code, error.smtp_error)
            return f"did not accept the mail: {response}"
        return f"did not accept the mail: {self._shorten(str(error))}"

    def _responses(self, recipients: Mapping[str, tuple[int, bytes]]) -> str:
        responses = (
            f"{name}: {self._response(*response)}" for name, response in recipients.items()
        )
        return "; ".join(sorted(responses))

    def _response(self, code: int, response: bytes | str) -> str:
        text = response.decode("utf-8", "replace") if isinstance(response, bytes) else response
        return self._shorten(f"{code} {text}")

    def _shorten(self, text: str) -> str:
        """Mask user and password, and cut to a readable length."""
        user, password = self.server.user or "", self.server.password or ""
        secrets = Secrets(password, user if len(user) >= _MIN_SECRET_LENGTH else "")
        return " ".join(secrets.mask(text[:EXCERPT_LENGTH]).split())[:_RESPONSE_LENGTH]

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = " ".join(message.subject.split())
        user = self.server.user
        sender = user if user and "@" in user else self.to[0]
        mail["From"] = sender
        mail["To"] = ", ".join(self.to)
        mail["Date"] = format_datetime(self.clock.now())
        mail["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
        mail.set_content(message.text)
        # A table falls apart in a proportional font.
        mail.add_alternative(f"<pre>{html.escape(message.text)}</pre>\n", subtype="html")
        return mail


def addresses_of(text: str) -> Sequence[str]:
    """The addresses of a `mailto:` URL. Raises `SinkOptionsError`."""
    addresses = [unquote(address).strip() for address in text.partition(":")[2].split(",")]
    for address in addresses:
        name, at, host = address.partition("@")
        if not (name and at and host) or any(c in address for c in " \t\r\n?"):
            raise SinkOptionsError("mailto: needs an address, like mailto:me@example.com")
    return addresses

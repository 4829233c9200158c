"""The cloud and the credentials, from one place: command line, environment or file."""

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import attrs
import click

from sst_cloud.auth import Auth, PasswordAuth, StoredTokenAuth, TokenAuth
from sst_cloud.errors import SSTCloudError
from sst_cloud.redaction import redact_text

from .output import say

_IN_CONTAINERS: Final = Path("/run/secrets")
"""Docker mounts secrets here, readable by everyone in the container."""


class CredentialsMissingError(click.ClickException):
    """There are no credentials."""

    exit_code = 3


@attrs.define
class Account:
    """The settings from one place. A secret may be in its own file."""

    url: str | None = None
    token: str | None = attrs.field(default=None, repr=False)
    token_file: Path | None = None
    email: str | None = attrs.field(default=None, repr=False)
    password: str | None = attrs.field(default=None, repr=False)
    password_file: Path | None = None

    @property
    def logs_in(self) -> bool:
        """Whether an e-mail or a password is set here."""
        return bool(self.email or self.password or self.password_file)

    def secret_password(self) -> str | None:
        """The password, from its file if necessary. Raises `CredentialsMissingError`."""
        if self.password or self.password_file is None:
            return self.password
        return read_secret(self.password_file, "password")

    def by_token(self) -> Auth | None:
        """The token set here. A token file is read again when the cloud rejects the token."""
        if self.token:
            return checked(TokenAuth, self.token)
        if self.token_file is None:
            return None
        file = self.token_file
        checked(TokenAuth, read_secret(file, "token"))

        async def read_again() -> str:
            try:
                token = read_secret(file, "token", warn=False)
                checked(TokenAuth, token)
            except CredentialsMissingError as error:
                raise SSTCloudError(error.message) from None
            return token

        return StoredTokenAuth(read_again)


def told(accounts: Sequence[Account]) -> Auth | None:
    """The authentication from the first account with a token, e-mail or password.

    A token is enough by itself. E-mail and password may come from different accounts. None if
    the credentials are incomplete.
    """
    for account in accounts:
        if (auth := account.by_token()) is not None:
            return auth
        if account.logs_in:
            email = first_email([account, *accounts])
            password = first_password([account, *accounts])
            if email and password:
                return checked(PasswordAuth, email, password)
    return None


def what_lacks(accounts: Sequence[Account]) -> str | None:
    """What is missing if only one of e-mail and password is set."""
    if first_password(accounts):
        return "--password needs --email"
    if first_email(accounts):
        return "--email needs --password or --password-file"
    return None


def first_email(accounts: Sequence[Account]) -> str | None:
    """The e-mail of the first account that has one."""
    return next((account.email for account in accounts if account.email), None)


def first_password(accounts: Sequence[Account]) -> str | None:
    """The password of the first account that has one. Raises `CredentialsMissingError`."""
    return next(filter(None, (account.secret_password() for account in accounts)), None)


def read_secret(file: Path, what: str, *, warn: bool = True) -> str:
    """A secret from a file. Raises `CredentialsMissingError`.

    Warns if the file is readable by everyone.
    """
    try:
        mode = file.stat().st_mode
        secret = file.read_text(encoding="utf-8-sig").strip("\r\n")
    except OSError as error:
        reason = error.strerror
    except ValueError:
        reason = "it is not text"
    else:
        reason = "it is empty"
        if secret:
            if warn:
                _warn_if_open(file, mode)
            return secret
    masked = redact_text(str(file))  # it may be the secret, where the name of its file belongs
    raise CredentialsMissingError(f"the {what} cannot be read from {masked}: {reason}")


def _warn_if_open(file: Path, mode: int) -> None:
    if os.name == "posix" and mode & stat.S_IROTH and _IN_CONTAINERS not in file.parents:
        say(f"Warning: {file} is readable by everyone on this machine; run chmod 600 on it")


def checked(kind: Callable[..., Auth], *secrets: str) -> Auth:
    """Authentication with these secrets, if valid. Raises `CredentialsMissingError`."""
    try:
        return kind(*secrets)
    except ValueError as error:
        raise CredentialsMissingError(str(error)) from None

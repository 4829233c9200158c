"""Whom to ask and as whom, as one place tells it: the command line, the environment or a file."""

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import attrs
import click

from sst_cloud.auth import Auth, PasswordAuth, StoredTokenAuth, TokenAuth
from sst_cloud.errors import SSTCloudError

_IN_CONTAINERS: Final = Path("/run/secrets")
"""Docker puts secrets here so that all may read them: all who are in the container."""


class CredentialsMissingError(click.ClickException):
    """Nobody has said who they are."""

    exit_code = 3


@attrs.define
class Account:
    """What one place says. A secret may stand in a file of its own."""

    url: str | None = None
    token: str | None = attrs.field(default=None, repr=False)
    token_file: Path | None = None
    email: str | None = attrs.field(default=None, repr=False)
    password: str | None = attrs.field(default=None, repr=False)
    password_file: Path | None = None

    @property
    def logs_in(self) -> bool:
        """Whether e-mail or password are told here."""
        return bool(self.email or self.password or self.password_file)

    def secret_password(self) -> str | None:
        """The password, from its file if need be. Raises `CredentialsMissingError`."""
        if self.password or self.password_file is None:
            return self.password
        return read_secret(self.password_file, "password")

    def by_token(self) -> Auth | None:
        """The token told here. That of a file is read again when the cloud rejects it."""
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
    """A way in: the first account that tells of one decides.

    A token stands for itself. Of e-mail and password either may be told elsewhere. None if no
    account tells enough.
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
    """What is missing where only a part of e-mail and password is told."""
    if first_password(accounts):
        return "--password needs --email"
    if first_email(accounts):
        return "--email needs --password or --password-file"
    return None


def first_email(accounts: Sequence[Account]) -> str | None:
    """The e-mail of the first account that tells one."""
    return next((account.email for account in accounts if account.email), None)


def first_password(accounts: Sequence[Account]) -> str | None:
    """The password of the first account that tells one. Raises `CredentialsMissingError`."""
    return next(filter(None, (account.secret_password() for account in accounts)), None)


def read_secret(file: Path, what: str, *, warn: bool = True) -> str:
    """A secret from a file of its own. Raises `CredentialsMissingError`.

    Warns if everybody can read the file.
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
    raise CredentialsMissingError(f"the {what} cannot be read from {file}: {reason}")


def _warn_if_open(file: Path, mode: int) -> None:
    if os.name == "posix" and mode & stat.S_IROTH and _IN_CONTAINERS not in file.parents:
        click.echo(f"Warning: everybody on this machine can read {file}: chmod 600 it", err=True)


def checked(kind: Callable[..., Auth], *secrets: str) -> Auth:
    """A way in, if the secrets can be used at all. Raises `CredentialsMissingError`."""
    try:
        return kind(*secrets)
    except ValueError as error:
        raise CredentialsMissingError(str(error)) from None

"""The cloud's URL and the credentials from one source: command line, environment or file."""

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import attrs
import click

from sst_cloud.cloud.auth import TOKEN_VARIABLES, Auth, PasswordAuth, StoredTokenAuth, TokenAuth
from sst_cloud.errors import SSTCloudError
from sst_cloud.redaction import redact_text

from .output import print_message

_CONTAINER_SECRETS: Final = Path("/run/secrets")
"""Docker mounts secrets here, readable by everyone in the container."""


class CredentialsMissingError(click.ClickException):
    """There are no credentials."""

    exit_code = 3


@attrs.define
class Account:
    """The cloud's URL and the credentials from one source. A secret may be in its own file."""

    url: str | None = None
    token: str | None = attrs.field(default=None, repr=False)
    token_file: Path | None = None
    email: str | None = attrs.field(default=None, repr=False)
    password: str | None = attrs.field(default=None, repr=False)
    password_file: Path | None = None

    @property
    def has_login(self) -> bool:
        """Whether an e-mail or a password is set here."""
        return bool(self.email or self.password or self.password_file)

    def read_password(self) -> str | None:
        """The password, from its file if necessary. Raises `CredentialsMissingError`."""
        if self.password or self.password_file is None:
            return self.password
        return read_secret(self.password_file, "password")

    def token_auth(self) -> Auth | None:
        """Authentication by token; a token file is read again if the cloud rejects the token."""
        if self.token:
            return make_auth(TokenAuth, self.token)
        if self.token_file is None:
            return None
        file = self.token_file
        make_auth(TokenAuth, read_secret(file, "token"))

        async def reload_token() -> str:
            try:
                token = read_secret(file, "token", warn=False)
                make_auth(TokenAuth, token)
            except CredentialsMissingError as error:
                raise SSTCloudError(error.message) from None
            return token

        return StoredTokenAuth(reload_token)


def first_auth(accounts: Sequence[Account]) -> Auth | None:
    """The authentication from the first account with a token, e-mail or password.

    A token is enough by itself. E-mail and password may come from different accounts. None if
    the credentials are incomplete.
    """
    for account in accounts:
        if (auth := account.token_auth()) is not None:
            return auth
        if account.has_login:
            email = first_email([account, *accounts])
            password = first_password([account, *accounts])
            if email and password:
                return make_auth(PasswordAuth, email, password)
    return None


def missing_credential(accounts: Sequence[Account]) -> str | None:
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
    return next(filter(None, (account.read_password() for account in accounts)), None)


def read_secret(file: Path, name: str, *, warn: bool = True) -> str:
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
                _warn_if_world_readable(file, mode)
            return secret
    masked = redact_text(str(file))  # the secret may have been given instead of its file
    raise CredentialsMissingError(f"the {name} cannot be read from {masked}: {reason}")


def _warn_if_world_readable(file: Path, mode: int) -> None:
    if os.name == "posix" and mode & stat.S_IROTH and _CONTAINER_SECRETS not in file.parents:
        print_message(
            f"Warning: {file} is readable by everyone on this machine; run chmod 600 on it"
        )


def make_auth(kind: Callable[..., Auth], *secrets: str) -> Auth:
    """Authentication with these secrets, if valid. Raises `CredentialsMissingError`."""
    try:
        return kind(*secrets)
    except ValueError as error:
        raise CredentialsMissingError(str(error)) from None


ACCOUNT_VARIABLES: Final = {
    **dict.fromkeys(TOKEN_VARIABLES, "token_file or token_env"),
    "SST_CLOUD_EMAIL": "email",
    "SST_CLOUD_PASSWORD": "password_file or password_env",
}

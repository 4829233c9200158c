"""Which account to read: the cloud's URL and credentials, from several places, by precedence."""

import logging
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from sst_cloud.errors import CredentialsError, NotLoggedInError
from sst_cloud.redaction import TOKEN_VARIABLES, redact_text

from .auth import Auth, PasswordAuth, StoredTokenAuth, TokenAuth
from .token_file import TokenFile
from .transport import BASE_URL

_log = logging.getLogger(__name__)

_CONTAINER_SECRETS: Final = Path("/run/secrets")
"""Docker mounts secrets here, readable by everyone in the container."""


@attrs.define
class Account:
    """The cloud's URL and the credentials from one place. A secret may be in its own file."""

    url: str | None = None
    token: str | None = attrs.field(default=None, repr=False)
    token_file: Path | None = None
    email: str | None = attrs.field(default=None, repr=False)
    password: str | None = attrs.field(default=None, repr=False)
    password_file: Path | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Account":
        """The account in the variables `SST_CLOUD_URL`, `SST_CLOUD_TOKEN` and so on."""

        def path(name: str) -> Path | None:
            return Path(environ[name]) if environ.get(name) else None

        return cls(
            url=environ.get("SST_CLOUD_URL"),
            token=next(filter(None, map(environ.get, TOKEN_VARIABLES)), None),
            token_file=path("SST_CLOUD_TOKEN_FILE"),
            email=environ.get("SST_CLOUD_EMAIL"),
            password=environ.get("SST_CLOUD_PASSWORD"),
            password_file=path("SST_CLOUD_PASSWORD_FILE"),
        )

    @property
    def has_login(self) -> bool:
        """Whether an e-mail or a password is set here."""
        return bool(self.email or self.password or self.password_file)

    def read_password(self) -> str | None:
        """The password, from its file if necessary. Raises `CredentialsError`."""
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
            token = read_secret(file, "token", warn=False)
            make_auth(TokenAuth, token)
            return token

        return StoredTokenAuth(reload_token)


def base_url(accounts: Sequence[Account]) -> str:
    """The URL of the cloud: that of the first account that has one."""
    return next((account.url for account in accounts if account.url), BASE_URL)


def find_auth(accounts: Sequence[Account], saved_tokens: TokenFile | None = None) -> Auth:
    """The authentication of the first account with credentials, else with the saved token.

    A token is enough by itself. E-mail and password may come from different accounts. Raises
    `NotLoggedInError` without any credentials, `CredentialsError` for incomplete or unusable ones.
    """
    for account in accounts:
        if (auth := account.token_auth()) is not None:
            return auth
        if account.has_login:
            email = first_email([account, *accounts])
            password = first_password([account, *accounts])
            if email and password:
                return make_auth(PasswordAuth, email, password)
    url = base_url(accounts)
    failure = f"not logged in to {redact_text(url)}"
    if saved_tokens is not None and (auth := _saved_auth(saved_tokens, url)) is not None:
        return auth
    if first_password(accounts):
        raise CredentialsError(f"{failure}; the password needs an e-mail")
    if first_email(accounts):
        raise CredentialsError(f"{failure}; the e-mail needs a password")
    raise NotLoggedInError(f"{failure}: there is no token, and no e-mail with a password")


def _saved_auth(saved_tokens: TokenFile, url: str) -> Auth | None:
    """Authentication by the saved token: a long-running program picks up a new one."""
    token = saved_tokens.load(url)
    if token is None:
        return None
    make_auth(TokenAuth, token)

    async def reload_token() -> str:
        if token := saved_tokens.load(url):
            return token
        raise CredentialsError(f"no longer logged in to {redact_text(url)}")

    return StoredTokenAuth(reload_token)


def first_email(accounts: Sequence[Account]) -> str | None:
    """The e-mail of the first account that has one."""
    return next((account.email for account in accounts if account.email), None)


def first_password(accounts: Sequence[Account]) -> str | None:
    """The password of the first account that has one. Raises `CredentialsError`."""
    return next(filter(None, (account.read_password() for account in accounts)), None)


def read_secret(file: Path, name: str, *, warn: bool = True) -> str:
    """A secret from a file. Raises `CredentialsError`; warns if everyone can read the file."""
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
    raise CredentialsError(f"the {name} cannot be read from {masked}: {reason}")


def _warn_if_world_readable(file: Path, mode: int) -> None:
    if os.name == "posix" and mode & stat.S_IROTH and _CONTAINER_SECRETS not in file.parents:
        _log.warning("%s is readable by everyone on this machine; run chmod 600 on it", file)


def make_auth(kind: Callable[..., Auth], *secrets: str) -> Auth:
    """Authentication with these secrets, if valid. Raises `CredentialsError`."""
    try:
        return kind(*secrets)
    except ValueError as error:
        raise CredentialsError(str(error)) from None

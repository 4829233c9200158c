"""Authentication: with a token, or with e-mail and password."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from sst_cloud.errors import PayloadError, TokenRejectedError
from sst_cloud.redaction import MASK

from .transport import LOGIN_PATH, Transport


class Auth(ABC):
    """Supplies the token that requests carry."""

    @abstractmethod
    async def token(self, transport: Transport) -> str:
        """The token to use now; logs in first if necessary."""

    @abstractmethod
    async def renew(self, transport: Transport, rejected: TokenRejectedError, token: str) -> str:
        """A replacement for a token the cloud rejected. Raises `rejected` if there is none."""

    def forget(self) -> None:  # noqa: B027  a bare token has nothing to forget
        """Forget the token: it is no longer valid."""


class TokenAuth(Auth):
    """A token from an earlier login. Tokens are known to last for months; rejection is an error."""

    def __init__(self, token: str) -> None:
        self._token = _clean_token(token)

    def __repr__(self) -> str:
        return f"TokenAuth({MASK})"

    async def token(self, transport: Transport) -> str:  # noqa: ARG002  no request is needed
        """The token passed to the constructor."""
        return self._token

    async def renew(self, transport: Transport, rejected: TokenRejectedError, token: str) -> str:  # noqa: ARG002
        """Raise `rejected`: a bare token cannot be renewed."""
        raise rejected


class StoredTokenAuth(Auth):
    """A token stored elsewhere: fetched when first needed, and again when it is rejected."""

    def __init__(self, fetch: Callable[[], Awaitable[str]]) -> None:
        """`fetch` gets the token from where it is stored. Its exceptions are passed on."""
        self._fetch = fetch
        self._token: str | None = None
        self._shared_fetch = _SharedCall(self._fetch_token)

    def __repr__(self) -> str:
        return f"StoredTokenAuth({MASK})"

    async def token(self, transport: Transport) -> str:
        """The token last fetched."""
        return self._token or await self._shared_fetch.result(transport)

    async def renew(self, transport: Transport, rejected: TokenRejectedError, token: str) -> str:
        """Fetch again: it may have been replaced. Raises `rejected` if it has not."""
        if self._token == token:
            self._token = None
        renewed = await self.token(transport)
        if renewed == token:
            raise rejected
        return renewed

    async def _fetch_token(self, _: Transport) -> str:
        self._token = _clean_token(await self._fetch())
        return self._token


class PasswordAuth(Auth):
    """E-mail and password. Logs in when first needed, and once more when the token is rejected."""

    def __init__(self, email: str, password: str) -> None:
        if not email or not password:
            raise ValueError("both an e-mail and a password are needed to log in")
        self._email = email
        self._password = password
        self._token: str | None = None
        self._shared_login = _SharedCall(self._log_in)

    def __repr__(self) -> str:
        return f"PasswordAuth({MASK}, {MASK})"

    async def token(self, transport: Transport) -> str:
        """The token from the last login; logs in if there was none."""
        return self._token or await self._shared_login.result(transport)

    async def renew(self, transport: Transport, rejected: TokenRejectedError, token: str) -> str:  # noqa: ARG002
        """Log in again, unless another request has done so since `token` was issued."""
        if self._token is not None and self._token != token:
            return self._token
        self._token = None
        return await self._shared_login.result(transport)

    def forget(self) -> None:
        """Forget the token; log in again when next needed."""
        self._token = None

    async def _log_in(self, transport: Transport) -> str:
        body = {
            "username": self._email,
            "password": self._password,
            "email": self._email,
            "language": "ru",
        }
        self._token = await transport.request(
            "POST", LOGIN_PATH, json=body, repeatable=True, read=_token_from
        )
        return self._token


def _token_from(response: Any) -> str:
    """The token in the response to a login."""
    key = response.get("key") if isinstance(response, dict) else None
    if not isinstance(key, str):
        raise PayloadError("the response contains no token", LOGIN_PATH)
    try:
        return _clean_token(key)
    except ValueError:
        raise PayloadError("the token cannot be used in a header", LOGIN_PATH) from None


class _SharedCall:
    """Calls a function once for all requests that need its token at the same time.

    Shared per transport only: a login over another one may be waiting for a client that has been
    closed, or for an event loop that has ended.
    """

    def __init__(self, call: Callable[[Transport], Coroutine[Any, Any, str]]) -> None:
        self._call = call
        self._tasks: dict[Transport, asyncio.Task[str]] = {}

    async def result(self, transport: Transport) -> str:
        """The result of the call in progress, or of a new one."""
        task = self._tasks.get(transport)
        if task is None:
            task = self._tasks[transport] = asyncio.create_task(self._call(transport))
            task.add_done_callback(partial(self._remove_task, transport))
        return await asyncio.shield(task)

    def _remove_task(self, transport: Transport, task: asyncio.Task[str]) -> None:
        del self._tasks[transport]
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio does not warn if no one awaits it


def _clean_token(token: str) -> str:
    token = token.strip().removeprefix("Token ").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("a token is a single word of letters and digits")
    return token

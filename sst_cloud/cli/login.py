"""`sst-cloud login` and `sst-cloud token`."""

import asyncio
import sys

import click

from sst_cloud.auth import PasswordAuth

from . import credentials
from .identity import CredentialsMissingError, first_email, first_password
from .settings import Settings, account_options


@click.command()
@account_options
@click.pass_obj
def login(settings: Settings) -> None:
    """Log in and keep the token.

    Asks for e-mail and password. The token is kept in your config folder, readable by you alone;
    the password is not kept.
    """
    email = first_email(settings.accounts) or _ask_email()
    password = first_password(settings.accounts) or _ask_password()
    try:
        auth = PasswordAuth(email, password)
    except ValueError as error:
        raise CredentialsMissingError(str(error)) from None
    file = credentials.save(settings.base_url, asyncio.run(_log_in(settings, auth)))
    click.echo(f"Logged in to {settings.base_url}. The token is kept in {file}", err=True)


@click.command()
@account_options
@click.pass_obj
def token(settings: Settings) -> None:
    """Print the token that `login` has kept.

    For a service, a container or a function: sst-cloud token > token
    """
    kept = credentials.load(settings.base_url)
    if kept is None:
        raise CredentialsMissingError(
            f"no token is kept for {settings.base_url}. Run `sst-cloud login` first."
        )
    click.echo(kept)


def _ask_email() -> str:
    try:
        answer: str = click.prompt("E-mail")
    except click.Abort:
        if sys.stdin.isatty():
            raise
        click.echo(err=True)
        raise CredentialsMissingError(
            "there is nobody to ask: give --email, and write the password to the standard input"
        ) from None
    return answer


def _ask_password() -> str:
    if sys.stdin.isatty():
        answer: str = click.prompt("Password", hide_input=True)
        return answer
    return sys.stdin.readline().rstrip("\r\n")


async def _log_in(settings: Settings, auth: PasswordAuth) -> str:
    async with settings.client(auth) as cloud:
        return await cloud.login()

"""`sst-cloud login`, `logout` and `token`."""

import asyncio
import sys

import click

from sst_cloud.cli.output import print_message
from sst_cloud.cli.settings import Settings, account_options
from sst_cloud.cloud.auth import Auth, PasswordAuth, TokenAuth
from sst_cloud.cloud.credentials import first_email, first_password, make_auth
from sst_cloud.cloud.token_file import TokenFile
from sst_cloud.errors import CredentialsError, SSTCloudError
from sst_cloud.redaction import redact_text


@click.command()
@account_options
@click.pass_obj
def login(settings: Settings) -> None:
    """Log in and save the token.

    Asks for e-mail and password. The token is saved in your config folder, readable only by you;
    the password is not saved.
    """
    email = first_email(settings.accounts) or _ask_email()
    password = first_password(settings.accounts) or _ask_password()
    auth = make_auth(PasswordAuth, email, password)
    file = TokenFile.of_user()
    file.save(settings.base_url, asyncio.run(_log_in(settings, auth)))
    print_message(f"Logged in to {settings.base_url}. The token is saved in {file.path}")


@click.command()
@click.option("--local", is_flag=True, help="Do not revoke the token, as other programs use it.")
@account_options
@click.pass_obj
def logout(settings: Settings, *, local: bool) -> None:
    """Log out: revoke the token saved by `login`, and delete it.

    It stops working for every program that uses it, including services.
    """
    file = TokenFile.of_user()
    saved_token = file.load(settings.base_url)
    if saved_token is None:
        print_message(f"Not logged in to {redact_text(settings.base_url)}.")
        return
    file.delete(settings.base_url)
    message = f"Logged out of {settings.base_url}. The token was deleted from {file.path}"
    if not local:
        try:
            asyncio.run(_log_out(settings, saved_token))
        except SSTCloudError as error:
            message += f", but may still be valid: {error}"
    print_message(message)


@click.command()
@account_options
@click.pass_obj
def token(settings: Settings) -> None:
    """Print the token saved by `login`.

    For a service, a container or a function: sst-cloud token > token
    """
    saved_token = TokenFile.of_user().load(settings.base_url)
    if saved_token is None:
        url = redact_text(settings.base_url)
        raise CredentialsError(f"there is no saved token for {url}. Run `sst-cloud login` first.")
    click.echo(saved_token)


def _ask_email() -> str:
    try:
        answer: str = click.prompt("E-mail")
    except click.Abort:
        if sys.stdin.isatty():
            raise
        print_message("")
        raise CredentialsError(
            "cannot ask without a terminal: pass --email, and the password on standard input"
        ) from None
    return answer


def _ask_password() -> str:
    if sys.stdin.isatty():
        answer: str = click.prompt("Password", hide_input=True)
        return answer
    return sys.stdin.readline().rstrip("\r\n")


async def _log_out(settings: Settings, token: str) -> None:
    async with settings.client(TokenAuth(token)) as cloud:
        await cloud.logout()


async def _log_in(settings: Settings, auth: Auth) -> str:
    async with settings.client(auth) as cloud:
        return await cloud.login()

"""The cloud and the credentials: options, else environment, else the token saved by `login`."""

import logging
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import attrs
import click
import platformdirs
from click.core import ParameterSource

from sst_cloud.auth import TOKEN_VARIABLES, Auth, StoredTokenAuth, TokenAuth
from sst_cloud.client import SSTCloud
from sst_cloud.clock import Clock, SystemClock
from sst_cloud.errors import SSTCloudError
from sst_cloud.jsonlog import JsonLines
from sst_cloud.redaction import redact_text
from sst_cloud.sink import Sink, open_sink
from sst_cloud.text import printable
from sst_cloud.transport import BASE_URL

from . import credentials, identity
from .identity import Account, CredentialsMissingError

F = TypeVar("F", bound=Callable[..., Any])

_ROOTS: Final = ("sst_cloud", "sst_cloud_sinks")
_LOGGERS: Final = {
    "sst_cloud": logging.WARNING,
    "sst_cloud.transport": logging.INFO,
    "sst_cloud_sinks": logging.WARNING,
}


def state_folder() -> Path:
    """The state folder from systemd, or the user's."""
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(given) if given else platformdirs.user_state_path("sst-cloud")


class _Printable(logging.Formatter):
    """Keeps text from outside on one line, without secrets and terminal control characters."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  as logging calls it
        return printable(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        return redact_text(super().format(record))


@attrs.define
class Settings:
    """The settings of one run of the program."""

    command_line: Account = attrs.field(factory=Account)
    environment: Account = attrs.field(factory=Account)
    file: Account = attrs.field(factory=Account)
    """The account in `--config`: the other two take precedence."""
    file_secrets: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """Those for sinks in `--config`, by their names."""
    handler_env: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """What `--config` gives to the commands of handlers, by variable."""
    variables: Collection[str] = ()
    """The environment variables that `--config` takes secrets from."""
    clock: Clock = attrs.field(factory=SystemClock)
    state: Path = attrs.field(factory=state_folder)
    """The collector's state folder: outbox, dead letters."""
    _handler: logging.Handler = attrs.field(
        factory=lambda: logging.StreamHandler(sys.stderr), init=False, repr=False
    )

    @contextmanager
    def logging_to_stderr(self) -> Iterator[None]:
        """Show warnings on stderr, and retries of requests, as these may take a while."""
        self._handler.setFormatter(_Printable("%(message)s"))
        levels = {name: logging.getLogger(name).level for name in _LOGGERS}
        for name, level in _LOGGERS.items():
            logging.getLogger(name).setLevel(level)
        for name in _ROOTS:
            logging.getLogger(name).addHandler(self._handler)
        try:
            yield
        finally:
            for name in _ROOTS:
                logging.getLogger(name).removeHandler(self._handler)
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)

    def be_verbose(self) -> None:
        """Show everything on stderr."""
        self._handler.setFormatter(_Printable("%(asctime)s %(levelname)s %(message)s"))
        for name in _LOGGERS:
            logging.getLogger(name).setLevel(logging.DEBUG)

    def expect_outages(self) -> None:
        """Do not show retries of requests, unless verbose."""
        transport = logging.getLogger("sst_cloud.transport")
        transport.setLevel(logging.DEBUG if transport.level == logging.DEBUG else logging.WARNING)

    def log_as_json(self) -> None:
        """Log JSON lines, for machines."""
        self._handler.setFormatter(JsonLines())

    @property
    def accounts(self) -> tuple[Account, ...]:
        """The sources of credentials, most explicit first."""
        return (self.command_line, self.environment, self.file)

    @property
    def base_url(self) -> str:
        """The URL of the cloud."""
        return next((told.url for told in self.accounts if told.url), BASE_URL)

    @property
    def asks_this_machine(self) -> bool:
        """Whether the cloud is a fake one on this machine."""
        return urlsplit(self.base_url).hostname in ("localhost", "127.0.0.1", "::1")

    def auth(self) -> Auth:
        """The most explicit credentials, else the token saved by `login`."""
        auth = identity.told(self.accounts)
        if auth is not None:
            return auth
        kept = credentials.load(self.base_url)
        if kept is None:
            if lacks := identity.what_lacks(self.accounts):
                raise CredentialsMissingError(f"not logged in to {self.base_url}; {lacks}")
            raise CredentialsMissingError(
                f"not logged in to {self.base_url}. Run `sst-cloud login`, or set "
                "SST_CLOUD_TOKEN, or SST_CLOUD_EMAIL and SST_CLOUD_PASSWORD."
            )
        identity.checked(TokenAuth, kept)
        return StoredTokenAuth(self._kept_again)

    async def _kept_again(self) -> str:
        """The token currently saved by `login`: a long-running program picks up a new one."""
        if token := credentials.load(self.base_url):
            return token
        raise SSTCloudError(f"no longer logged in to {self.base_url}")

    @property
    def secrets(self) -> Mapping[str, str]:
        """The secrets by their names: from the environment, else from [secrets] of the file."""
        set_here = {name: value for name, value in os.environ.items() if value}
        return {**self.file_secrets, **set_here}

    @property
    def withheld(self) -> Mapping[str, str]:
        """The secrets that a command does not get, by the names of variables or any other."""
        account = {
            f"{field} {number}": value
            for number, account in enumerate(self.accounts)
            for field in ("token", "email", "password")
            if (value := getattr(account, field))
        }
        return {**dict.fromkeys(self.variables, ""), **self.file_secrets, **account}

    def open_sink(self, url: str) -> Sink:
        """The sink that a URL names, with its secrets: the only way for commands to open one."""
        return open_sink(url, self.secrets)

    def client(self, auth: Auth | None = None) -> SSTCloud:
        """A client of the cloud."""
        auth = auth or self.auth()
        try:
            return SSTCloud(auth, base_url=self.base_url, clock=self.clock)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--url") from None


def _store(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Store an option given before or after the command, and where it came from."""
    settings = ctx.ensure_object(Settings)
    name = param.name or ""
    explicit = ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
    if value:
        setattr(settings.command_line if explicit else settings.environment, name, value)


def _verbose(ctx: click.Context, _param: click.Parameter, value: bool) -> None:  # noqa: FBT001
    if value:
        ctx.ensure_object(Settings).be_verbose()


def _keep_state(ctx: click.Context, _param: click.Parameter, value: Path | None) -> None:
    if value is not None:
        ctx.ensure_object(Settings).state = value


state_option: Final = click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    expose_value=False,
    callback=_keep_state,
    envvar="SST_CLOUD_STATE",
    help="State folder for outbox and dead letters; one per collector.",
)
verbose_option: Final = click.option(
    "-v",
    "--verbose",
    is_flag=True,
    expose_value=False,
    callback=_verbose,
    help="Log everything to stderr.",
)


def account_options(command: F) -> F:
    """Options for the cloud and the credentials, before or after the command's name."""
    store: dict[str, Any] = {"expose_value": False, "callback": _store}
    file: Any = click.Path(dir_okay=False, path_type=Path)
    for option in (
        verbose_option,
        click.option(
            "--password-file",
            envvar="SST_CLOUD_PASSWORD_FILE",
            type=file,
            help="File with the password.",
            **store,
        ),
        click.option(
            "--password", envvar="SST_CLOUD_PASSWORD", help="Password for --email.", **store
        ),
        click.option("--email", envvar="SST_CLOUD_EMAIL", help="Log in with this e-mail.", **store),
        click.option(
            "--token-file",
            envvar="SST_CLOUD_TOKEN_FILE",
            type=file,
            help="File with the token.",
            **store,
        ),
        click.option(
            "--token", envvar=TOKEN_VARIABLES, help="Token from an earlier login.", **store
        ),
        click.option("--url", envvar="SST_CLOUD_URL", help=f"Default: {BASE_URL}", **store),
    ):
        command = option(command)
    return command

"""The settings of a command: sources, credentials, secrets, state folder, logging."""

import logging
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import attrs
import click
import platformdirs

from sst_cloud.clock import Clock, SystemClock
from sst_cloud.cloud.auth import Auth
from sst_cloud.cloud.client import SSTCloud
from sst_cloud.cloud.credentials import Account, base_url, find_auth
from sst_cloud.cloud.token_file import TokenFile
from sst_cloud.cloud.transport import BASE_URL
from sst_cloud.combined_sources import FirstAnswering, SelectedHouses
from sst_cloud.json_logging import JsonLines
from sst_cloud.plugin_url import SourceURL
from sst_cloud.plugins import open_history, open_sink, open_source
from sst_cloud.redaction import redact_text
from sst_cloud.sink import History, Sink
from sst_cloud.source import DEFAULT_SOURCE, Source, opened
from sst_cloud.wording import printable

F = TypeVar("F", bound=Callable[..., Any])

_ROOT_LOGGERS: Final = ("sst_cloud", "sst_cloud_sinks")
_LOG_LEVELS: Final = {
    "sst_cloud": logging.WARNING,
    "sst_cloud.cloud.transport": logging.INFO,
    "sst_cloud_sinks": logging.WARNING,
}


def state_folder() -> Path:
    """The state folder from systemd, or the user's."""
    systemd_folder = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(systemd_folder) if systemd_folder else platformdirs.user_state_path("sst-cloud")


class _PrintableFormatter(logging.Formatter):
    """Keeps text from outside on one line, without secrets and terminal control characters."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the name in logging
        return printable(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        return redact_text(super().format(record))


@attrs.define
class Settings:
    """The settings of one run of the program."""

    command_line_account: Account = attrs.field(factory=Account)
    environment_account: Account = attrs.field(factory=Account.from_environment)
    config_account: Account = attrs.field(factory=Account)
    """From `--config`; the other two take precedence."""
    config_secrets: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """Secrets for sinks and sources from `--config`, by name."""
    handler_env: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """Environment from `--config` for the commands of event handlers, by variable."""
    config_variables: Collection[str] = ()
    """The environment variables that `--config` takes secrets from."""
    sources: Sequence[str] = (DEFAULT_SOURCE,)
    """The URLs of `--source`, in the order in which they are asked."""
    clock: Clock = attrs.field(factory=SystemClock)
    state: Path = attrs.field(factory=state_folder)
    """The collector's state folder: outbox, dead letters."""
    _handler: logging.Handler = attrs.field(
        factory=lambda: logging.StreamHandler(sys.stderr), init=False, repr=False
    )

    @contextmanager
    def logging_to_stderr(self) -> Iterator[None]:
        """Show warnings on stderr, and retries of requests, as these may take a while."""
        self._handler.setFormatter(_PrintableFormatter("%(message)s"))
        levels = {name: logging.getLogger(name).level for name in _LOG_LEVELS}
        for name, level in _LOG_LEVELS.items():
            logging.getLogger(name).setLevel(level)
        for name in _ROOT_LOGGERS:
            logging.getLogger(name).addHandler(self._handler)
        try:
            yield
        finally:
            for name in _ROOT_LOGGERS:
                logging.getLogger(name).removeHandler(self._handler)
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)

    def enable_debug(self) -> None:
        """Show everything on stderr."""
        self._handler.setFormatter(_PrintableFormatter("%(asctime)s %(levelname)s %(message)s"))
        for name in _LOG_LEVELS:
            logging.getLogger(name).setLevel(logging.DEBUG)

    def hide_retries(self) -> None:
        """Do not show retries of requests, unless verbose."""
        transport = logging.getLogger("sst_cloud.cloud.transport")
        transport.setLevel(logging.DEBUG if transport.level == logging.DEBUG else logging.WARNING)

    def log_as_json(self) -> None:
        """Log JSON lines, for machines."""
        self._handler.setFormatter(JsonLines())

    @property
    def accounts(self) -> tuple[Account, ...]:
        """The cloud's URLs and credentials, from the most explicit place to the least."""
        return (self.command_line_account, self.environment_account, self.config_account)

    @property
    def base_url(self) -> str:
        """The URL of the cloud."""
        return base_url(self.accounts)

    @property
    def is_local_cloud(self) -> bool:
        """Whether the cloud is a fake one on this machine."""
        return urlsplit(self.base_url).hostname in ("localhost", "127.0.0.1", "::1")

    @property
    def secrets(self) -> Mapping[str, str]:
        """The secrets by their names: from the environment, else from [secrets] of the file."""
        environment = {name: value for name, value in os.environ.items() if value}
        return {**self.config_secrets, **environment}

    @property
    def withheld_secrets(self) -> Mapping[str, str]:
        """Secrets that event handlers' commands do not get, by variable or any other key."""
        account = {
            f"{field} {number}": value
            for number, account in enumerate(self.accounts)
            for field in ("token", "email", "password")
            if (value := getattr(account, field))
        }
        return {**dict.fromkeys(self.config_variables, ""), **self.config_secrets, **account}

    def open_sink(self, url: str) -> Sink:
        """The sink that a URL names, with its secrets: the only way for commands to open one."""
        return open_sink(url, self.secrets)

    def open_history(self, url: str) -> AbstractAsyncContextManager[History]:
        """The same, for reading."""
        return open_history(url, self.secrets)

    def source(self, house_names: Collection[str] = ()) -> AbstractAsyncContextManager[Source]:
        """The sources as one, limited to some houses: an async context manager."""
        sources = [self.open_source(url, house_names) for url in dict.fromkeys(self.sources)]
        if len(sources) == 1:
            return opened(sources[0])
        return FirstAnswering(sources, clock=self.clock)

    def open_source(self, text: str, house_names: Collection[str] = ()) -> Source:
        """The source that a URL names, with its secrets or credentials, limited to some houses."""
        url = SourceURL.parse(text, self.secrets)
        source: Source
        if url.scheme == "cloud":  # its credentials have options of their own
            url.convert(SSTCloud.options)
            source = self.client(url=url.target)
        else:
            source = open_source(text, self.secrets)
        return SelectedHouses(source, house_names) if house_names else source

    def client(self, auth: Auth | None = None, url: str | None = None) -> SSTCloud:
        """A client of the cloud: with the most explicit credentials, else with the saved token."""
        accounts = (Account(url=url), *self.accounts)
        auth = auth or find_auth(accounts, TokenFile.of_user())
        try:
            return SSTCloud(auth, base_url=base_url(accounts), clock=self.clock)
        except ValueError as error:
            raise click.BadParameter(
                str(error), param_hint="--source" if url else "--url"
            ) from None


def _set_account_option(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Store an option, given before or after the command."""
    if value:
        setattr(ctx.ensure_object(Settings).command_line_account, param.name or "", value)


def _set_verbose(ctx: click.Context, _param: click.Parameter, value: bool) -> None:  # noqa: FBT001
    if value:
        ctx.ensure_object(Settings).enable_debug()


def _set_state(ctx: click.Context, _param: click.Parameter, value: Path | None) -> None:
    if value is not None:
        ctx.ensure_object(Settings).state = value


state_option: Final = click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    expose_value=False,
    callback=_set_state,
    envvar="SST_CLOUD_STATE",
    help="State folder for outbox and dead letters; one per collector.",
)
verbose_option: Final = click.option(
    "-v",
    "--verbose",
    is_flag=True,
    expose_value=False,
    callback=_set_verbose,
    help="Log everything to stderr.",
)


def _set_sources(ctx: click.Context, _param: click.Parameter, value: Sequence[str]) -> None:
    if value:
        ctx.ensure_object(Settings).sources = value


source_option: Final = click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="URL",
    envvar="SST_CLOUD_SOURCE",
    expose_value=False,
    callback=_set_sources,
    help="Source to read, see `sst-cloud sources`; the next one if it does not answer; repeatable. "
    f"Default: {DEFAULT_SOURCE}",
)


def source_options(command: F) -> F:
    """`--source`, and the options for the cloud and the credentials."""
    return source_option(account_options(command))


def account_options(command: F) -> F:
    """Options for the cloud and the credentials, before or after the command's name."""
    common: dict[str, Any] = {"expose_value": False, "callback": _set_account_option}
    file_type: Any = click.Path(dir_okay=False, path_type=Path)
    for option in (
        verbose_option,
        click.option("--password-file", type=file_type, help="File with the password.", **common),
        click.option("--password", help="Password for --email.", **common),
        click.option("--email", help="Log in with this e-mail.", **common),
        click.option("--token-file", type=file_type, help="File with the token.", **common),
        click.option("--token", help="Token from an earlier login.", **common),
        click.option("--url", help=f"Default: {BASE_URL}", **common),
    ):
        command = option(command)
    return command

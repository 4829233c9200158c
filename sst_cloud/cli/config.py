"""`--config FILE`: the options of `collect` in TOML, for services."""

import os
import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs
import click

from sst_cloud.auth import TOKEN_VARIABLES
from sst_cloud.redaction import MASK

from .identity import Account, read_secret
from .settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

_ACCOUNT: Final = (
    "url",
    "email",
    "token_file",
    "token_env",
    "password_file",
    "password_env",
)
_LITERAL: Final = ("token", "password")
_TABLES: Final = ("account", "secrets", "handlers")
_NOT_HERE: Final = frozenset({"config", "help", *_ACCOUNT, *_LITERAL})
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN: Final = re.compile(r"[A-Z][A-Z0-9_]{0,40}")
"""A variable's name that may be shown: anything else may be the secret itself."""
_OF_ACCOUNT: Final = {
    **dict.fromkeys(TOKEN_VARIABLES, "token_file or token_env"),
    "SST_CLOUD_EMAIL": "email",
    "SST_CLOUD_PASSWORD": "password_file or password_env",
}
_KINDS: Final[Mapping[type, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text in quotes",
    list: "a list",
    dict: "a table",
}


def config_option(command: F) -> F:
    """`--config FILE`: defaults for the other options, the account, and secrets for sinks."""
    return click.option(
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar="SST_CLOUD_CONFIG",
        is_eager=True,
        expose_value=False,
        callback=_load,
        help="Read options from this TOML file; the command line takes precedence.",
    )(command)


def _load(ctx: click.Context, _param: click.Parameter, file: Path | None) -> None:
    if file is None:
        return
    from .collect import collect  # noqa: PLC0415  circular: it has this option

    config = Config.read(file, options_of(collect), ctx)  # one file serves all commands
    known = {param.name for param in ctx.command.params}
    found = {name: value for name, value in config.options.items() if name in known}
    ctx.default_map = {**(ctx.default_map or {}), **found}
    settings = ctx.ensure_object(Settings)
    settings.file = config.account
    settings.file_secrets = config.secrets
    settings.handler_env = config.handler_env
    settings.variables = config.variables


def options_of(command: click.Command) -> dict[str, click.Option]:
    """The options that a file can set, by their names there."""
    options = [param for param in command.params if isinstance(param, click.Option)]
    named = {_long_name(option): option for option in options}
    return {key: option for key, option in named.items() if key not in _NOT_HERE}


def _long_name(option: click.Option) -> str:
    return max(option.opts, key=len).removeprefix("--").replace("-", "_")


@attrs.frozen
class Config:
    """A file that was read and validated."""

    options: Mapping[str, Any]
    """By parameter name."""
    account: Account
    secrets: Mapping[str, str] = attrs.field(repr=False)
    """For sinks: name → value."""
    handler_env: Mapping[str, str] = attrs.field(repr=False)
    """For commands of handlers: environment variable → value."""
    variables: Collection[str]
    """The environment variables that secrets were taken from."""

    @classmethod
    def read(cls, file: Path, options: Mapping[str, click.Option], ctx: click.Context) -> "Config":
        """Read a file; unknown keys and wrong values are errors that name it."""
        return _Reader(file, options, ctx).read()


class _Reader:
    """Parses one file."""

    def __init__(self, file: Path, options: Mapping[str, click.Option], ctx: click.Context) -> None:
        self._file = file
        self._options = options
        self._ctx = ctx
        self._variables: set[str] = set()

    def read(self) -> Config:
        content = self._content()
        account = self._table(content, "account")
        secrets = self._table(content, "secrets")
        handlers = self._table(content, "handlers")
        values = {}
        for key, value in content.items():
            if key in (*_ACCOUNT, *_LITERAL):
                raise self._error(f"{key} belongs in the table [account]")
            if key not in self._options:
                raise self._unknown(key, [*self._options, *_TABLES])
            option = self._options[key]
            values[option.name or key] = self._checked(key, option, value)
        return Config(
            values,
            self._account(account),
            self._sink_secrets(secrets),
            self._handler_env(handlers),
            self._variables,
        )

    def _content(self) -> dict[str, Any]:
        try:
            return tomllib.loads(
                self._file.read_text(encoding="utf-8-sig")
            )  # Windows editors add a BOM
        except OSError as error:
            raise self._error(f"cannot be read: {error.strerror}") from None
        except ValueError as error:  # not TOML, or not even text
            raise self._error(f"is not TOML: {error}") from None
        except RecursionError:
            raise self._error("is not a configuration: it is nested too deeply") from None

    def _table(self, content: dict[str, Any], name: str) -> dict[str, Any]:
        table = content.pop(name, {})
        if not isinstance(table, dict):
            raise self._error(f"[{name}] must be a table, not {_kind(table)}")
        return table

    def _checked(self, key: str, option: click.Option, value: Any) -> Any:
        """A validated value, as click expects it for a default."""
        if option.multiple:
            if not isinstance(value, list):
                raise self._wrong(key, "a list, like [" + '"…"]', value)
            made: Any = [self._single(f"an item of {key}", option, item) for item in value]
        else:
            made = self._single(key, option, value)
        try:
            option.type_cast_value(self._ctx, made)
        except click.BadParameter as error:
            raise self._error(f"{key}: {error.message}") from None
        return made

    def _single(self, key: str, option: click.Option, value: Any) -> Any:
        if option.is_flag:
            allowed: tuple[type, ...] = (bool,)
        elif isinstance(option.type, click.types.FloatParamType):
            allowed = (int, float)
        elif isinstance(option.type, click.types.IntParamType):
            allowed = (int,)
        else:
            allowed = (str, *getattr(option.type, "also_takes", ()))
        if type(value) not in allowed:  # to Python, True is an int
            raise self._wrong(key, _KINDS[allowed[0]], value)
        if isinstance(option.type, click.Path):
            return str(self._path(value))
        return value

    def _account(self, table: dict[str, Any]) -> Account:
        for key, value in table.items():
            if key in _LITERAL:
                raise self._error(
                    f'a {key} does not belong here: write {key}_file = "…" or {key}_env = "…"'
                )
            if key not in _ACCOUNT:
                raise self._unknown(key, _ACCOUNT)
            if not isinstance(value, str):
                raise self._wrong(f"{key} in [account]", _KINDS[str], value)
        for secret in _LITERAL:
            if f"{secret}_file" in table and f"{secret}_env" in table:
                raise self._error(f"[account] has both {secret}_file and {secret}_env")
        files = {key: self._path(table[key]) for key in table if key.endswith("_file")}
        variables = {key: self._variable(table[key]) for key in table if key.endswith("_env")}
        return Account(
            url=table.get("url"),
            token=variables.get("token_env"),
            token_file=files.get("token_file"),
            email=table.get("email"),
            password=variables.get("password_env"),
            password_file=files.get("password_file"),
        )

    def _sink_secrets(self, table: dict[str, Any]) -> dict[str, str]:
        for name in table:
            if name in _OF_ACCOUNT:
                raise self._error(
                    f"{name} does not belong in [secrets]: write {_OF_ACCOUNT[name]} in [account]"
                )
        return self._secrets("secrets", table)

    def _handler_env(self, table: dict[str, Any]) -> dict[str, str]:
        for key in table:
            if key != "env":
                raise self._unknown(key, ["env"])
        env = table.get("env", {})
        if not isinstance(env, dict):
            raise self._error(f"[handlers.env] must be a table, not {_kind(env)}")
        return self._secrets("handlers.env", env)

    def _secrets(self, where: str, table: dict[str, Any]) -> dict[str, str]:
        return {name: self._secret(where, name, source) for name, source in table.items()}

    def _secret(self, where: str, name: str, source: Any) -> str:
        if not _VARIABLE.fullmatch(name):
            raise self._error(
                f"{name!r} in [{where}] is not a valid name for an environment variable"
            )
        match source:
            case {"file": str(path), **others} if not others:
                return read_secret(self._path(path), name)
            case {"env": str(variable), **others} if not others:
                return self._variable(variable)
        raise self._error(
            f'a secret does not belong here: write {name} = {{ file = "…" }} or {{ env = "…" }}'
        )

    def _variable(self, name: str) -> str:
        value = os.environ.get(name)
        if not value:
            masked = name if _PLAIN.fullmatch(name) else MASK
            raise self._error(f"the environment variable {masked!r} is not set")
        self._variables.add(name)
        return value

    def _path(self, text: str) -> Path:
        """Relative to the file's folder; `~` and `$NAME` are expanded as in a shell."""
        if "\0" in text:
            raise self._error(f"{text!r} is not a valid path: it contains a NUL")
        return self._file.absolute().parent / os.path.expanduser(os.path.expandvars(text))  # noqa: PTH111  raises nothing

    def _unknown(self, key: str, known: Iterable[str]) -> click.ClickException:
        near = get_close_matches(key, [*known])
        hint = f"did you mean {' or '.join(near)}?" if near else f"it knows {', '.join(known)}"
        return self._error(f"there is no {key!r} here; {hint}")

    def _wrong(self, key: str, expected: str, value: Any) -> click.ClickException:
        return self._error(f"{key} must be {expected}, not {_kind(value)}")

    def _error(self, words: str) -> click.ClickException:
        return ConfigError(f"{self._file}: {words}")


class ConfigError(click.ClickException):
    """The file of `--config` cannot be used."""

    exit_code = 2


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), f"a {type(value).__name__}")

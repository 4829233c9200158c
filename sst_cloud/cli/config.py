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

from sst_cloud.cloud.credentials import Account, read_secret
from sst_cloud.redaction import MASK, TOKEN_VARIABLES

from .collect_options import options_of_file
from .settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

_ACCOUNT_KEYS: Final = (
    "url",
    "email",
    "token_file",
    "token_env",
    "password_file",
    "password_env",
)
_SECRET_KEYS: Final = ("token", "password")
_ACCOUNT_VARIABLES: Final = {
    **dict.fromkeys(TOKEN_VARIABLES, "token_file or token_env"),
    "SST_CLOUD_EMAIL": "email",
    "SST_CLOUD_PASSWORD": "password_file or password_env",
}
_TABLES: Final = ("account", "secrets", "handlers")
_VARIABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HARMLESS_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]{0,40}")
"""A variable's name that is safe to print: anything else may be the secret itself."""
_TYPE_NAMES: Final[Mapping[type, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text in quotes",
    list: "a list",
    dict: "a table",
}


def config_option(command: F) -> F:
    """`--config FILE`: defaults for the other options, the account, and other secrets."""
    return click.option(
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar="SST_CLOUD_CONFIG",
        is_eager=True,
        expose_value=False,
        callback=_load_config,
        help="Read options from this TOML file; the command line takes precedence.",
    )(command)


def _load_config(ctx: click.Context, _param: click.Parameter, file: Path | None) -> None:
    if file is None:
        return
    config = Config.read(file, options_of_file(), ctx)  # one file serves all commands
    own_options = {param.name for param in ctx.command.params}
    defaults = {name: value for name, value in config.options.items() if name in own_options}
    ctx.default_map = {**(ctx.default_map or {}), **defaults}
    settings = ctx.ensure_object(Settings)
    settings.config_account = config.account
    settings.config_secrets = config.secrets
    settings.handler_env = config.handler_env
    settings.config_variables = config.variables


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
        content = self._parse_toml()
        account = self._pop_table(content, "account")
        secrets = self._pop_table(content, "secrets")
        handlers = self._pop_table(content, "handlers")
        values = {}
        for key, value in content.items():
            if key in (*_ACCOUNT_KEYS, *_SECRET_KEYS):
                raise self._error(f"{key} belongs in the table [account]")
            if key not in self._options:
                raise self._unknown_key(key, [*self._options, *_TABLES])
            option = self._options[key]
            values[option.name or key] = self._validate(key, option, value)
        return Config(
            values,
            self._account(account),
            self._sink_secrets(secrets),
            self._handler_env(handlers),
            self._variables,
        )

    def _parse_toml(self) -> dict[str, Any]:
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

    def _pop_table(self, content: dict[str, Any], name: str) -> dict[str, Any]:
        table = content.pop(name, {})
        if not isinstance(table, dict):
            raise self._error(f"[{name}] must be a table, not {_type_name(table)}")
        return table

    def _validate(self, key: str, option: click.Option, value: Any) -> Any:
        """Validate a value; returns it as click expects a default."""
        if option.multiple:
            if not isinstance(value, list):
                raise self._wrong_type(key, "a list, like [" + '"…"]', value)
            default: Any = [
                self._validate_single(f"an item of {key}", option, item) for item in value
            ]
        else:
            default = self._validate_single(key, option, value)
        try:
            option.type_cast_value(self._ctx, default)
        except click.BadParameter as error:
            raise self._error(f"{key}: {error.message}") from None
        return default

    def _validate_single(self, key: str, option: click.Option, value: Any) -> Any:
        if option.is_flag:
            allowed: tuple[type, ...] = (bool,)
        elif isinstance(option.type, click.types.FloatParamType):
            allowed = (int, float)
        elif isinstance(option.type, click.types.IntParamType):
            allowed = (int,)
        else:
            allowed = (str, *getattr(option.type, "extra_toml_types", ()))
        if type(value) not in allowed:  # to Python, True is an int
            raise self._wrong_type(key, _TYPE_NAMES[allowed[0]], value)
        if isinstance(option.type, click.Path):
            return str(self._path(value))
        return value

    def _account(self, table: dict[str, Any]) -> Account:
        for key, value in table.items():
            if key in _SECRET_KEYS:
                raise self._error(
                    f'a {key} does not belong here: write {key}_file = "…" or {key}_env = "…"'
                )
            if key not in _ACCOUNT_KEYS:
                raise self._unknown_key(key, _ACCOUNT_KEYS)
            if not isinstance(value, str):
                raise self._wrong_type(f"{key} in [account]", _TYPE_NAMES[str], value)
        for secret in _SECRET_KEYS:
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
            if name in _ACCOUNT_VARIABLES:
                raise self._error(
                    f"{name} does not belong in [secrets]: write {_ACCOUNT_VARIABLES[name]} "
                    "in [account]"
                )
        return self._secrets("secrets", table)

    def _handler_env(self, table: dict[str, Any]) -> dict[str, str]:
        for key in table:
            if key != "env":
                raise self._unknown_key(key, ["env"])
        env = table.get("env", {})
        if not isinstance(env, dict):
            raise self._error(f"[handlers.env] must be a table, not {_type_name(env)}")
        return self._secrets("handlers.env", env)

    def _secrets(self, table_name: str, table: dict[str, Any]) -> dict[str, str]:
        return {name: self._secret(table_name, name, source) for name, source in table.items()}

    def _secret(self, table_name: str, name: str, source: Any) -> str:
        if not _VARIABLE_NAME.fullmatch(name):
            raise self._error(
                f"{name!r} in [{table_name}] is not a valid name for an environment variable"
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
            masked = name if _HARMLESS_NAME.fullmatch(name) else MASK
            raise self._error(f"the environment variable {masked!r} is not set")
        self._variables.add(name)
        return value

    def _path(self, text: str) -> Path:
        """Relative to the file's folder; `~` and `$NAME` are expanded as in a shell."""
        if "\0" in text:
            raise self._error(f"{text!r} is not a valid path: it contains a NUL")
        return self._file.absolute().parent / os.path.expanduser(os.path.expandvars(text))  # noqa: PTH111  raises nothing

    def _unknown_key(self, key: str, names: Iterable[str]) -> click.ClickException:
        matches = get_close_matches(key, [*names])
        hint = (
            f"did you mean {' or '.join(matches)}?" if matches else f"use one of {', '.join(names)}"
        )
        return self._error(f"there is no {key!r} here; {hint}")

    def _wrong_type(self, key: str, expected: str, value: Any) -> click.ClickException:
        return self._error(f"{key} must be {expected}, not {_type_name(value)}")

    def _error(self, message: str) -> click.ClickException:
        return ConfigError(f"{self._file}: {message}")


class ConfigError(click.ClickException):
    """The file of `--config` cannot be used."""

    exit_code = 2


def _type_name(value: Any) -> str:
    return _TYPE_NAMES.get(type(value), f"a {type(value).__name__}")

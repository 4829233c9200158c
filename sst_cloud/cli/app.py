"""The command group: imports a command when it is run, and prints its errors."""

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from io import TextIOWrapper
from keyword import iskeyword
from typing import Final, TextIO

import click

from sst_cloud._version import __version__
from sst_cloud.errors import (
    AuthenticationError,
    CredentialsError,
    ServiceUnavailableError,
    SinkClosedError,
    SinkOptionsError,
    SourceOptionsError,
    SSTCloudError,
    TransportError,
    UnknownSinkError,
    UnknownSourceError,
)
from sst_cloud.redaction import redact_text

from .output import error_message, print_message
from .settings import Settings, account_options

_COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "login": ("login", "Log in and save the token."),
    "logout": ("login", "Log out: revoke and delete the saved token."),
    "token": ("login", "Print the token saved by `login`."),
    "houses": ("listings", "List the houses."),
    "devices": ("listings", "List the devices."),
    "counters": ("listings", "List the water meters."),
    "tree": ("tree", "Show the source as a tree."),
    "watch": ("tree", "Show a live table of the source."),
    "valves": ("valves", "Open or close the valves of a leak module."),
    "thermostat": ("thermostat", "Control thermostats."),
    "dump": ("dump", "Print the raw data of the account, for a bug report."),
    "read": ("read", "Read the source once, into any sink."),
    "collect": ("collect", "Poll continuously, and deliver to any sinks without loss."),
    "dead-letters": ("dead_letters", "Manage readings that a sink rejected."),
    "check": ("check", "Test the configuration of `collect`, without writing."),
    "status": ("status", "Show the status of the collector."),
    "latest": ("latest", "Show the latest readings in a store."),
    "usage": ("usage", "Show water usage by hour, day, week or month."),
    "report": ("report", "Show the meter readings for the water utility."),
    "import": ("import_csv", "Import a CSV file into any sink."),
    "provision": ("provision", "Create the store of a sink, if it is missing."),
    "sinks": ("plugins", "List the installed sinks."),
    "sources": ("plugins", "List the installed sources."),
    "handlers": ("plugins", "List the installed event handlers."),
    "fake": ("fake", "Run a fake cloud on this machine."),
    "demo": ("demo", "Simulate a day of water usage in a few seconds."),
}
"""Command → its module, and its line in the help, which does not import the module."""

_EXIT_CODES: Final = (
    ((AuthenticationError, CredentialsError), 3),
    ((TransportError, ServiceUnavailableError), 4),
    ((UnknownSinkError, SinkOptionsError, UnknownSourceError, SourceOptionsError), 2),
    (SSTCloudError, 1),
)
_INTERRUPTED: Final = 130
_PROGRAM: Final = "sst-cloud"
_COMPLETE_VARIABLE: Final = "_SST_CLOUD_COMPLETE"
"""The environment variable that a shell sets to get completions."""


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"{__package__}.commands.{_COMMANDS[cmd_name][0]}")
        function = cmd_name.replace("-", "_") + "_" * iskeyword(cmd_name)
        command: click.Command = getattr(module, function)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in _COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            matches = get_close_matches(name, _COMMANDS, cutoff=0.7)
            hint = f"; did you mean {' or '.join(matches)}?" if matches else ""
            raise click.UsageError(f"there is no command {name!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=_PROGRAM)
@account_options
def app() -> None:
    """Read and control water meters, leak modules and thermostats, of SST Cloud or another source.

    Log in once with `sst-cloud login`, or set SST_CLOUD_TOKEN. `sst-cloud demo` needs no account.

    Exit status: 0 success, 1 failure, 2 usage error, 3 credentials missing or refused, 4 source
    unreachable.
    """


def run(args: Sequence[str] | None = None, settings: Settings | None = None) -> int:
    """Run a command line; returns the exit status."""
    try:
        return _run(sys.argv[1:] if args is None else args, settings or Settings())
    finally:
        try:
            if sys.stderr is not None:
                sys.stderr.flush()
        except OSError:
            _discard_output(sys.stderr)  # or Python would exit with another status


def _run(args: Sequence[str], settings: Settings) -> int:
    if sys.stdout is None:  # it is closed
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123  until the exit
    _set_encoding()
    with settings.logging_to_stderr():
        try:
            _complete(settings)
            invoke(args, settings)
            sys.stdout.flush()
        except click.exceptions.Exit as exit_:
            return exit_.exit_code
        except click.ClickException as error:
            _print_click_error(error, args)
            return error.exit_code
        except (click.Abort, KeyboardInterrupt):
            return _INTERRUPTED
        except (BrokenPipeError, SinkClosedError):
            _discard_output(sys.stdout)  # the reader has closed the pipe
        except SSTCloudError as error:
            print_message(f"Error: {error_message(error)}")
            return next(code for kinds, code in _EXIT_CODES if isinstance(error, kinds))
        except OSError as error:
            _discard_output(sys.stdout)  # usually the cause: its disk is full
            file = f"{error.filename}: " if error.filename else ""
            print_message(f"Error: {file}{error.strerror or error}")
            return 1
    return 0


def _complete(settings: Settings) -> None:
    """Print completions for a shell, and exit."""
    if instruction := os.environ.get(_COMPLETE_VARIABLE):
        from click.shell_completion import shell_complete  # noqa: PLC0415

        status = shell_complete(app, {"obj": settings}, _PROGRAM, _COMPLETE_VARIABLE, instruction)
        raise click.exceptions.Exit(status)


def _set_encoding() -> None:
    """Write UTF-8 to pipes and files on every system, unless Python was configured otherwise.

    Characters that a terminal cannot show are replaced.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        configured = sys.stdout.isatty() or "PYTHONIOENCODING" in os.environ
        sys.stdout.reconfigure(encoding=None if configured else "utf-8", errors="replace")


def _discard_output(stream: TextIO) -> None:
    """Discard unwritten output, or Python would report the error again on exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def invoke(args: Sequence[str], settings: Settings) -> None:
    """Run a command line within this program; its exceptions are passed on."""
    with app.make_context(_PROGRAM, list(args), obj=settings) as ctx:
        app.invoke(ctx)


def _print_click_error(error: click.ClickException, args: Sequence[str]) -> None:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        with suppress(OSError):
            error.show()
        return
    message = error.format_message()
    for arg in args:  # click quotes some of them
        message = message.replace(arg, redact_text(arg))
    print_message(f"Error: {message}")
    if isinstance(error, click.UsageError) and error.ctx is not None:
        print_message(f"See: {error.ctx.command_path} --help")

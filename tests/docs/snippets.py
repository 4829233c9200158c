"""Fenced blocks of the documentation, as things to run."""

import ast
import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
from markdown_it import MarkdownIt

from sst_cloud.cli.app import app


class Snippet(NamedTuple):
    """A fenced block and where it stands."""

    file: Path
    line: int
    language: str
    text: str


def snippets(file: Path) -> Iterator[Snippet]:
    """The fenced blocks of a Markdown file."""
    for token in MarkdownIt().parse(file.read_text(encoding="utf-8")):
        if token.type == "fence" and token.map:
            yield Snippet(file, token.map[0] + 1, token.info.strip(), token.content)


def link_targets(markdown: str) -> Iterator[str]:
    """The targets of links and pictures in a Markdown text."""
    for block in MarkdownIt().parse(markdown):
        for token in block.children or ():
            target = token.attrGet("href") or token.attrGet("src")
            if target is not None:
                yield str(target)


async def run_python(snippet: Snippet, names: dict[str, Any]) -> None:
    """Run Python as a notebook would: `await` is allowed at the top level."""
    source = "\n" * (snippet.line - 1) + snippet.text
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(source, str(snippet.file), "exec", flags=flags)
    result = eval(code, names)  # the documentation's own code
    if inspect.iscoroutine(result):
        await result


def command_lines(text: str) -> Iterator[list[str]]:
    """The commands of a shell text, as words, without comments and redirections."""
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word in ("|", "||", "&&", "&", ";"):
                if words:
                    yield words
                words = []
            else:
                words.append(word)


def arguments_of_ours(words: list[str]) -> list[str] | None:
    """The arguments a command passes to `sst-cloud`, also through sudo or a container, or None."""
    while words and (words[0] == "sudo" or re.match(r"[A-Z_]+=", words[0])):
        words = words[1:]
    if words[:2] == ["docker", "compose"] and words[2] in ("run", "exec"):
        place = next(n for n, word in enumerate(words[3:], 3) if not word.startswith("-"))
        words = words[place + (words[2] == "exec") :]  # `run` begins with the entry point
    if not words or words[0].rpartition("/")[2] != "sst-cloud":
        return None
    redirected = [n for n, word in enumerate(words) if word in (">", ">>", "<")]
    return words[1 : redirected[0] if redirected else None]


def parse_options(arguments: list[str]) -> str:
    """Parse arguments like `sst-cloud` without running it; returns the name of the command."""
    command: click.Command = app
    # A command keeps the help option of its first context.
    context = click.Context(command, info_name="sst-cloud", **command.context_settings)
    while isinstance(command, click.Group):
        _, rest, _ = command.make_parser(context).parse_args(arguments)
        name, chosen, arguments = command.resolve_command(context, rest)
        assert chosen is not None
        command, context = chosen, click.Context(chosen, info_name=name, parent=context)
    given, rest, _ = command.make_parser(context).parse_args(list(arguments))
    assert not rest, f"too much: {rest}"
    for param in command.params:
        value = given.get(param.name)
        if isinstance(param, click.Argument) and param.required:
            assert value, f"{param.name} is missing"
        if param.name in given and not isinstance(param.type, click.Path):
            param.type_cast_value(context, value)
    return command.name or ""

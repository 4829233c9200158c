"""Fenced blocks of the documentation, as things to run."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from markdown_it import MarkdownIt


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
    """Where the links and pictures of a Markdown text lead."""
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

"""No external text, however malicious, makes a regular expression slow.

All of them are found in the source. Each is tried with parts of what it matches, begun and then
repeated without an end.
"""

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import pytest

import sst_cloud
import sst_cloud_sinks
from linear import LIMIT, Run, growth, seconds
from sst_cloud.cli.params import _TIME_FORMATS
from sst_cloud.sent_secrets import _ESCAPE

pytestmark = [pytest.mark.slow, pytest.mark.source]

ESCAPES: Final = "=\r\n%2F\\ud83d\\ude00\\160&#x2f;"
MATCHES: Final[Mapping[str, str]] = {
    # What the cloud and other servers answer
    r"\s*[+-]?\d{1,19}\s*": " +12 ",
    r"\d{1,9}": "120",
    "invalid token|credentials were not|токен|уч[её]тные данные": "учётные данные",
    "time-?out|max-concurrent-queries|engine is closed": "time-out",
    "time range|retention|memory store|ingestion window": "ingestion window",
    r"\bdropped=(\d+)": " dropped=12",
    'input field "([^"]+)" on measurement "([^"]+)"': 'input field "a" on measurement "b"',
    # Names
    r"[\t\n\r]+": "\t\n",
    r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]": "\x1b",
    "([0-9]+)": "a12b",
    # Secrets
    r"\b[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}\b": "02:00:aB:00-00:01",
    r"(?<![\w.+%-])[\w.+%-]++@[\w-]++(?:\.[\w-]++)+": "<me.a@example.com.ru>",
    r"(?<=Token )\S+": "Token abc",
    r"(?<=Basic )[\w+/=-]{16,}|(?<=Bearer )[\w+/=.~-]{16,}": "Basic YTpiYTpiYTpiYTpiYQ==",
    "(?<![0-9A-Za-z])[0-9A-Za-z]{32,}": "-0123456789abcdef0123456789abcdefA",
    r"(?<=//)[^/@\s]++(?=@)": "https://me:pw@host/",
    r"([a-z][a-z0-9+.-]+):\S*": "note:events.txt?prefix=!",
    r"([?&][\w.-]*(?:token|passw(?:or)?d|pwd|secret|key|auth|sig|signature|session|credentials?)=)"
    r"([^&#\s]+)": "?my.token=abc&",
    _ESCAPE.pattern.decode(): ESCAPES,
    "[0-9A-Fa-f]": "A",
    r"\w": "a",
    r"\d": "1",
    r"[^\W\d_]": "a",
    # Files, options and other user input
    r"\d+": "12",
    r"[A-Za-z][A-Za-z0-9+.-]*": "a1+.-",
    "[A-Za-z_][A-Za-z0-9_]*": "A_1",
    "[A-Za-z0-9_.-]{3,256}": "a_.-1",
    r"(\d{1,10})([smhdw])": "1h30m",
    r"([1-9]\d{0,5})([hdwy])": "73d",
    r"(\d{1,9}) ?([kMG]B)": "512 MB",
    r"\d{4}": "2026",
    r"\d{4}-\d\d": "2026-11",
    r"\d{4}-W\d\d": "2026-W11",
    r"\d{4}-\d\d-\d\d": "2026-11-23",
    r"\d{4}-\d\d-\d\d[T ].+": "2026-11-23T17:20",
    r"[\s='\"]+": "a =b",
    "[?&;#]": "a?b",
    "[a-z][a-z_-]{0,30}": "an_option",
    "[A-Z][A-Z0-9_]{0,40}": "A_NAME",
    "[A-Za-z_][A-Za-z0-9_]*=.*": "NAME=value",
    "[a-z]++(?:[-_.][a-z]++)*+|v[0-9]++": "api-name.x",
    # Damaged files
    "(?=[\\x04-\\x0c]\\0[\\x01-\\x06])": "\x05\0\x03",
    # The fake cloud
    r"\.0*\s*$": "1.00 ",
    r"\s*[+-]?[0-9]{1,9}": " +12",
}
"""Pattern → text with a match that has all its parts."""
COMPUTED: Final = {
    ("sst_cloud.cli.params", "pattern"): [pattern for pattern, _, _ in _TIME_FORMATS]
}
"""Module and expression of a pattern that is not a literal → its possible values."""

_WHOLE: Final = frozenset({"fullmatch", "match"})
_COMMON: Final = " \n0aZ_-.:/<>\"'@\x00é"
"""Beginnings and ends of something in many patterns."""
_BRIEF: Final = 1_000
"""Enough repetitions to recognise slow patterns."""
_LASTS: Final = 0.004
"""Seconds, enough to measure."""


class Expression(NamedTuple):
    pattern: str
    flags: int
    anywhere: bool
    """Whether a match may begin anywhere in the text."""

    def on(self, text: str) -> Run:
        compiled = re.compile(self.pattern, self.flags)
        return (
            partial(compiled.sub, "", text) if self.anywhere else partial(compiled.fullmatch, text)
        )


def expressions() -> Iterator[Expression]:
    """Every use of a regular expression in the packages."""
    for package in (sst_cloud, sst_cloud_sinks):
        root = Path(*package.__path__)
        for file in root.rglob("*.py"):
            module = ".".join((package.__name__, *file.relative_to(root).with_suffix("").parts))
            yield from in_module(module, ast.parse(file.read_text("utf-8")))


def in_module(module: str, tree: ast.Module) -> Iterator[Expression]:
    methods = methods_of_assigned(tree)
    for node in ast.walk(tree):
        assert not (isinstance(node, ast.ImportFrom) and node.module == "re"), (
            f"{module}: import re"
        )
        if not (isinstance(node, ast.Call) and ast.unparse(node.func).startswith("re.")):
            continue
        uses = [ast.unparse(node.func).removeprefix("re.")]
        if uses == ["escape"]:
            continue
        if uses == ["compile"]:
            uses = methods.get(node, ["sub"])
        first, *others = node.args
        flags = sum(
            getattr(re, each.attr)
            for other in others
            for each in ast.walk(other)
            if isinstance(each, ast.Attribute) and each.attr.isupper()
        )
        computed = COMPUTED.get((module, ast.unparse(first)))
        patterns: Sequence[str | bytes] = computed or [ast.literal_eval(first)]
        for pattern in patterns:
            text = pattern if isinstance(pattern, str) else pattern.decode()
            yield Expression(text, flags, not _WHOLE.issuperset(uses))


def methods_of_assigned(tree: ast.Module) -> dict[ast.expr, list[str]]:
    """The methods called on what is assigned to a name, if the name occurs nowhere else."""
    assigned: dict[ast.expr, str] = {}
    called: dict[str, list[str]] = defaultdict(list)
    mentioned: Counter[str] = Counter()
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(name)], value=value):
                assigned[value] = name
            case ast.AnnAssign(target=ast.Name(name), value=ast.expr() as value):
                assigned[value] = name
            case ast.Call(func=ast.Attribute(value=ast.Name(name), attr=method)):
                called[name].append(method)
            case ast.Name(name, ctx=ast.Load()):
                mentioned[name] += 1
    return {
        value: called[name]
        for value, name in assigned.items()
        if 0 < len(called[name]) == mentioned[name]
    }


def vicious(match: str) -> Iterator[tuple[str, str, str]]:
    """Texts as their beginning, their repeated part, and their end."""
    parts = {match[at : at + length] for at in range(len(match)) for length in (1, 2, 3)}
    for at in range(len(match) + 1):
        for part in sorted(parts | set(_COMMON)):
            for end in ("", "\x00", match[-1]):
                yield match[:at], part, end


FOUND: Final = sorted(set(expressions()))


def test_every_regular_expression_has_a_matching_text() -> None:
    patterns = {expression.pattern for expression in FOUND}
    assert patterns == MATCHES.keys(), "give each a text that it matches"
    assert all(re.search(e.pattern, MATCHES[e.pattern], e.flags) for e in FOUND
               if e.pattern in MATCHES)  # fmt: skip


@pytest.mark.parametrize(
    "expression", [e for e in FOUND if e.pattern in MATCHES], ids=lambda e: e.pattern[:40]
)
def test_malicious_text_is_matched_in_linear_time(expression: Expression) -> None:
    def tried(text: tuple[str, str, str], size: int) -> float:
        begin, part, end = text
        return seconds(expression.on(begin + part * size + end))

    texts = list(vicious(MATCHES[expression.pattern]))
    for size in (25, 250):  # anything worse than quadratic would not finish below
        for text in texts:
            assert any(tried(text, size) < _LASTS for _ in range(3)), f"{text} {size} times"
    begin, part, end = max(texts, key=lambda text: tried(text, _BRIEF // len(text[1])))

    def prepared(size: int) -> Run:
        return expression.on(begin + part * size + end)

    size = _BRIEF
    while size < 10**6 and seconds(prepared(size)) < _LASTS:
        size *= 2
    assert growth(prepared, size) <= LIMIT, f"{begin!r}, then {part!r} again and again, {end!r}"

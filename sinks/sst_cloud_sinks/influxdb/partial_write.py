"""Errors that InfluxDB, in any of its versions, reports for the lines of a write."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Container, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import attrs

from sst_cloud.http_bodies import EXCERPT_LENGTH, html_page
from sst_cloud.readings import Reading

_UNPARSABLE: Final = "unable to parse '"
_QUOTE_END: Final = "': "
"""What follows the quoted line."""
_DROPPED: Final = re.compile(r"\bdropped=(\d+)")
_DIGITS: Final = 9
"""Digits that are read of a number; Python refuses very long ones."""
_TOO_OLD: Final = "beyond retention policy"
_CONFLICT: Final = re.compile(r'input field "([^"]+)" on measurement "([^"]+)"')
_MAX_REASON: Final = 200
_MAX_SEARCHED: Final = 4 * _MAX_REASON
"""Characters of a reason that are read, as there may be thousands of reasons."""

Mask = Callable[[str], str]
"""Removes secrets from a text."""


class Line(NamedTuple):
    """A line as sent, and the reading that it was made from."""

    text: str
    reading: Reading


@attrs.frozen
class BatchResult:
    """The rejected lines, and groups of lines to send again, so as to store or reject the rest."""

    rejected: Mapping[int, str] = attrs.field(factory=dict)
    """Index of a line → why the server will never accept it."""
    to_resend: Sequence[Sequence[Line]] = ()


@attrs.frozen
class ErrorBody:
    """The body of a response that is not a full success."""

    message: str
    """On one line, short enough to show, without what was sent."""
    is_json: bool = False
    _mask: Mask = attrs.field(default=str, repr=False)
    _text: str = attrs.field(default="", repr=False)
    """The full text, as it was sent."""
    _line_errors: Sequence[Mapping[str, Any]] = attrs.field(default=(), repr=False)

    @classmethod
    def parse(cls, body: bytes, mask: Mask, *, is_whole: bool = True) -> "ErrorBody":
        """Parse a body: InfluxDB 1, 2 and 3 word it differently, and proxies send HTML pages.

        `mask` removes secrets from messages.
        """
        text = body.decode("utf-8", "replace")
        try:
            content = json.loads(text) if is_whole else None
            message_text = _message_of(content) if isinstance(content, Mapping) else ""
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, Mapping):
            # A body too long to be read may be JSON about very many lines.
            long = not is_whole and text.startswith("{")
            page = html_page(text, mask)
            return cls(page or shorten(text, mask) or "no reason given", is_json=long)
        line_errors = content.get("data")
        entries = line_errors if isinstance(line_errors, list) else [line_errors]
        return cls(
            shorten(message_text, mask) or "no reason given",
            is_json=True,
            mask=mask,
            text=message_text,
            line_errors=[entry for entry in entries if isinstance(entry, Mapping)],
        )

    def mentions(self, phrases: Sequence[str]) -> bool:
        """Whether its text contains any of these."""
        return any(phrase in (self._text or self.message) for phrase in phrases)

    @property
    def is_about_lines(self) -> bool:
        """Whether it is certain that lines are at fault, and not the whole request."""
        return bool(self._line_errors or _UNPARSABLE in self._text or _DROPPED.search(self._text))

    def result_of(self, lines: Sequence[Line]) -> BatchResult:
        """Reject the lines that are named; send the others again, to be certain.

        Some versions have already stored the others, some have not, and some do not mention a
        second kind of error. A line that is sent again overwrites itself.
        """
        if len(lines) == 1:
            return BatchResult({0: self._reason_for(lines[0])})
        if rejected := self._reasons_by_line(lines):
            rest = [line for index, line in enumerate(lines) if index not in rejected]
            return BatchResult(rejected, [rest] if rest else [])
        dropped = int(count[1][:_DIGITS]) if (count := _DROPPED.search(self._text)) else 0
        if dropped == len(lines):
            return BatchResult(dict.fromkeys(range(len(lines)), self._general_reason))
        return BatchResult(to_resend=self._split(lines, dropped))

    @property
    def _general_reason(self) -> str:
        return self._shorten(self._text) or self.message

    def _reason_for(self, line: Line) -> str:
        return self._reasons_by_line([line]).get(0) or self._general_reason

    def _reasons_by_line(self, lines: Sequence[Line]) -> dict[int, str]:
        rejected: dict[int, str] = {}
        shorten = cache(self._shorten)  # it is the same for most lines
        for entry in self._line_errors:
            number, reason = entry.get("line_number"), entry.get("error_message")
            if isinstance(number, int) and 1 <= number <= len(lines):
                has_reason = isinstance(reason, str) and reason
                rejected[number - 1] = shorten(reason) if has_reason else self.message
        if _UNPARSABLE in self._text:
            indexes: dict[str, list[int]] = defaultdict(list)
            for index, line in enumerate(lines):
                indexes[line.text].append(index)
            lengths = {len(line) for line in indexes}
            for quoted in self._text.split(_UNPARSABLE)[1:]:
                if end := _end_of_line(quoted, indexes, lengths):
                    start = end + len(_QUOTE_END)
                    reason = shorten(quoted[start : start + _MAX_SEARCHED])
                    rejected |= dict.fromkeys(indexes.pop(quoted[:end]), reason)
        return rejected

    def _shorten(self, text: str) -> str:
        return shorten(_DROPPED.sub("", text[:_MAX_SEARCHED]), self._mask)

    def _split(self, lines: Sequence[Line], dropped: int) -> Sequence[Sequence[Line]]:
        if _TOO_OLD in self._text and 0 < dropped < len(lines):
            by_age = sorted(lines, key=lambda line: line.reading.time)
            return by_age[:dropped], by_age[dropped:]
        if conflict := _CONFLICT.search(self._text):
            field, measurement = f" {conflict[1]}=", f"{conflict[2]},"
            groups: tuple[list[Line], list[Line]] = ([], [])
            for line in lines:
                is_unrelated = not (line.text.startswith(measurement) and field in line.text)
                groups[is_unrelated].append(line)
            if all(groups):
                return groups
        middle = len(lines) // 2
        return lines[:middle], lines[middle:]


def _end_of_line(quoted: str, positions: Container[str], lengths: Container[int]) -> int:
    """Where the line ends in `LINE': reason`; it may contain `': ` itself. 0 if it is not known."""
    end = quoted.find(_QUOTE_END)
    while end >= 0:
        # Of any length, a long text with many ends would be cut out once for each of them.
        if end in lengths and quoted[:end] in positions:
            return end
        end = quoted.find(_QUOTE_END, end + 1)
    return 0


def _message_of(content: Mapping[str, Any]) -> str:
    """The message in a response; raises RecursionError."""
    text = content.get("error") or content.get("message") or content.get("code") or ""
    return text if isinstance(text, str) else json.dumps(text)


def shorten(text: str, mask: Mask) -> str:
    """Without secrets, on one line, and cut to a readable length."""
    text = " ".join(mask(text[:EXCERPT_LENGTH]).split())
    return text if len(text) <= _MAX_REASON else f"{text[:_MAX_REASON]}…"

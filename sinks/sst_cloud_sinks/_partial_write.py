"""What InfluxDB's response says about the lines it was sent, as worded by every version."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Container, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import attrs

from sst_cloud.over_http import DETAIL, html_page
from sst_cloud.readings import Reading

_UNPARSABLE: Final = "unable to parse '"
_END: Final = "': "
"""Follows the line that is quoted."""
_DROPPED: Final = re.compile(r"\bdropped=(\d+)")
_DIGITS: Final = 9
"""Of a number of lines; Python refuses to read very long ones."""
_TOO_OLD: Final = "beyond retention policy"
_CONFLICT: Final = re.compile(r'input field "([^"]+)" on measurement "([^"]+)"')
_MAX_REASON: Final = 200
_MAX_LOOKED_AT: Final = 4 * _MAX_REASON
"""Characters of a reason: there may be thousands of them."""

Mask = Callable[[str], str]
"""Removes secrets from a text."""


class Line(NamedTuple):
    """A line as sent, and the reading that it was made from."""

    text: str
    reading: Reading


@attrs.frozen
class Verdict:
    """The rejected lines, and the groups of lines to send again to find or store the rest."""

    blamed: Mapping[int, str] = attrs.field(factory=dict)
    """Index of a line → why the server will never accept it."""
    again: Sequence[Sequence[Line]] = ()


@attrs.frozen
class Complaint:
    """The body of a response that is not a full success."""

    message: str
    """On one line, short enough to show, without what was sent."""
    is_json: bool = False
    _mask: Mask = attrs.field(default=str, repr=False)
    _text: str = attrs.field(default="", repr=False)
    """The full text, as it was sent."""
    _data: Sequence[Mapping[str, Any]] = attrs.field(default=(), repr=False)

    @classmethod
    def parse(cls, body: bytes, mask: Mask, *, is_whole: bool = True) -> "Complaint":
        """Parse a body: InfluxDB 1, 2 and 3 word it differently, and proxies send HTML pages.

        `mask` removes secrets from what is shown.
        """
        text = body.decode("utf-8", "replace")
        try:
            content = json.loads(text) if is_whole else None
            complaint = _text_of(content) if isinstance(content, Mapping) else ""
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, Mapping):
            # What was too long to be read may have been JSON about very many lines.
            long = not is_whole and text.startswith("{")
            page = html_page(text, mask)
            return cls(page or shorten(text, mask) or "no reason given", is_json=long)
        data = content.get("data")
        entries = data if isinstance(data, list) else [data]
        return cls(
            shorten(complaint, mask) or "no reason given",
            is_json=True,
            mask=mask,
            text=complaint,
            data=[entry for entry in entries if isinstance(entry, Mapping)],
        )

    def mentions(self, words: Sequence[str]) -> bool:
        """Whether any of these is in its text."""
        return any(each in (self._text or self.message) for each in words)

    @property
    def is_about_lines(self) -> bool:
        """Whether it is certain that lines are at fault, and not the whole request."""
        return bool(self._data or _UNPARSABLE in self._text or _DROPPED.search(self._text))

    def judge(self, lines: Sequence[Line]) -> Verdict:
        """Reject the lines that are named; send the others again, to be certain.

        Some versions have already stored the others, some have not, and some do not mention a
        second kind of error. A line that is sent again overwrites itself.
        """
        if len(lines) == 1:
            return Verdict({0: self._reason_of_one(lines[0])})
        if blamed := self._named(lines):
            rest = [line for index, line in enumerate(lines) if index not in blamed]
            return Verdict(blamed, [rest] if rest else [])
        dropped = int(count[1][:_DIGITS]) if (count := _DROPPED.search(self._text)) else 0
        if dropped == len(lines):
            return Verdict(dict.fromkeys(range(len(lines)), self._general_reason))
        return Verdict(again=self._suspects_and_others(lines, dropped))

    @property
    def _general_reason(self) -> str:
        return self._shorten(self._text) or self.message

    def _reason_of_one(self, line: Line) -> str:
        return self._named([line]).get(0) or self._general_reason

    def _named(self, lines: Sequence[Line]) -> dict[int, str]:
        blamed: dict[int, str] = {}
        shorten = cache(self._shorten)  # it is the same for most lines
        for entry in self._data:
            number, reason = entry.get("line_number"), entry.get("error_message")
            if isinstance(number, int) and 1 <= number <= len(lines):
                has_one = isinstance(reason, str) and reason
                blamed[number - 1] = shorten(reason) if has_one else self.message
        if _UNPARSABLE in self._text:
            indexes: dict[str, list[int]] = defaultdict(list)
            for index, line in enumerate(lines):
                indexes[line.text].append(index)
            lengths = {len(line) for line in indexes}
            for quoted in self._text.split(_UNPARSABLE)[1:]:
                if end := _end_of_line(quoted, indexes, lengths):
                    start = end + len(_END)
                    reason = shorten(quoted[start : start + _MAX_LOOKED_AT])
                    blamed |= dict.fromkeys(indexes.pop(quoted[:end]), reason)
        return blamed

    def _shorten(self, text: str) -> str:
        return shorten(_DROPPED.sub("", text[:_MAX_LOOKED_AT]), self._mask)

    def _suspects_and_others(self, lines: Sequence[Line], dropped: int) -> Sequence[Sequence[Line]]:
        if _TOO_OLD in self._text and 0 < dropped < len(lines):
            by_age = sorted(lines, key=lambda line: line.reading.time)
            return by_age[:dropped], by_age[dropped:]
        if conflict := _CONFLICT.search(self._text):
            field, measurement = f" {conflict[1]}=", f"{conflict[2]},"
            groups: tuple[list[Line], list[Line]] = ([], [])
            for line in lines:
                innocent = not (line.text.startswith(measurement) and field in line.text)
                groups[innocent].append(line)
            if all(groups):
                return groups
        middle = len(lines) // 2
        return lines[:middle], lines[middle:]


def _end_of_line(quoted: str, known: Container[str], lengths: Container[int]) -> int:
    """Where the line ends in `LINE': reason`; it may contain `': ` itself. 0 if it is not known."""
    end = quoted.find(_END)
    while end >= 0:
        # Of any length, a long text with many ends would be cut out once for each of them.
        if end in lengths and quoted[:end] in known:
            return end
        end = quoted.find(_END, end + 1)
    return 0


def _text_of(content: Mapping[str, Any]) -> str:
    """The message in an answer; raises RecursionError."""
    text = content.get("error") or content.get("message") or content.get("code") or ""
    return text if isinstance(text, str) else json.dumps(text)


def shorten(text: str, mask: Mask) -> str:
    """Without secrets, on one line, and cut to a readable length."""
    text = " ".join(mask(text[:DETAIL]).split())
    return text if len(text) <= _MAX_REASON else f"{text[:_MAX_REASON]}…"

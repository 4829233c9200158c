"""What InfluxDB's response says about the lines it was sent, as worded by every version."""

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import attrs

from sst_cloud.readings import Reading

_UNPARSABLE: Final = "unable to parse '"
_DROPPED: Final = re.compile(r"\bdropped=(\d+)")
_TOO_OLD: Final = "beyond retention policy"
_CONFLICT: Final = re.compile(r'input field "([^"]+)" on measurement "([^"]+)"')
_MAX_REASON: Final = 200


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
    """On one line, short enough to show."""
    is_json: bool = False
    _text: str = attrs.field(default="", repr=False)
    """The full text."""
    _data: Sequence[Mapping[str, Any]] = attrs.field(default=(), repr=False)

    @classmethod
    def parse(cls, body: bytes) -> "Complaint":
        """Parse a body: InfluxDB 1, 2 and 3 word it differently, and proxies send HTML pages."""
        text = body.decode("utf-8", "replace")
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            return cls(_describe(text))
        if not isinstance(content, Mapping):
            return cls(_describe(text))
        said = content.get("error") or content.get("message") or content.get("code") or ""
        said = said if isinstance(said, str) else json.dumps(said)
        data = content.get("data")
        entries = data if isinstance(data, list) else [data]
        return cls(
            shorten(said) or "no reason given",
            is_json=True,
            text=said,
            data=[entry for entry in entries if isinstance(entry, Mapping)],
        )

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
        dropped = int(found[1]) if (found := _DROPPED.search(self._text)) else 0
        if dropped == len(lines):
            return Verdict(dict.fromkeys(range(len(lines)), self._general_reason))
        return Verdict(again=self._suspects_and_others(lines, dropped))

    @property
    def _general_reason(self) -> str:
        return shorten(_DROPPED.sub("", self._text)) or self.message

    def _reason_of_one(self, line: Line) -> str:
        return self._named([line]).get(0) or self._general_reason

    def _named(self, lines: Sequence[Line]) -> dict[int, str]:
        blamed: dict[int, str] = {}
        for entry in self._data:
            number, reason = entry.get("line_number"), entry.get("error_message")
            if isinstance(number, int) and 1 <= number <= len(lines):
                blamed[number - 1] = shorten(str(reason or self.message))
        if _UNPARSABLE in self._text:
            indexes: dict[str, list[int]] = defaultdict(list)
            for index, line in enumerate(lines):
                indexes[line.text].append(index)
            for quoted in self._text.split(_UNPARSABLE)[1:]:
                line_text, reason = _split(quoted, indexes)
                blamed |= dict.fromkeys(indexes.get(line_text, ()), reason)
        return blamed

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


def _split(quoted: str, known: Mapping[str, object]) -> tuple[str, str]:
    """`LINE': reason`, where the line itself may contain `': `."""
    end = quoted.find("': ")
    while end >= 0:
        if quoted[:end] in known:
            return quoted[:end], shorten(_DROPPED.sub("", quoted[end + 3 :]))
        end = quoted.find("': ", end + 1)
    return "", ""


def _describe(text: str) -> str:
    if re.search(r"<(!doctype|html|head|body|h1)\b", text[:4096], re.IGNORECASE):
        title = re.search(r"<(title|h1)[^>]*>([^<]*)<", text[:4096], re.IGNORECASE)
        said = shorten(title[2]) if title else ""
        return f"an HTML page ({said})" if said else "an HTML page"
    return shorten(text) or "no reason given"


def shorten(text: str) -> str:
    """On one line, and cut to a readable length."""
    text = " ".join(text[: 4 * _MAX_REASON].split())
    return text if len(text) <= _MAX_REASON else f"{text[:_MAX_REASON]}…"

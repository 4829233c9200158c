"""A parser of line protocol, written from its description, one character after the other."""

import attrs


@attrs.frozen
class Parsed:
    measurement: str
    tags: dict[str, str]
    fields: dict[str, float]
    time: int


def parse(line: str) -> Parsed:
    """Parse a line. Raises ValueError for anything a server might read differently."""
    if any(ord(character) < 32 or character == "\x7f" for character in line):
        raise ValueError("a control character")
    key, rest = _until(line, " ")
    fields, time = _until(rest, " ")
    measurement, *tags = _parts(key, ",")
    pairs = [_pair(tag) for tag in tags]
    if pairs != sorted(pairs) or len(dict(pairs)) != len(pairs):
        raise ValueError("tags must be sorted, and each be there once")
    numbers = [_pair(field) for field in _parts(fields, ",")]
    if any(not set(value) <= set("0123456789+-.e") for _, value in numbers):
        raise ValueError("a field that is no float: integers end with i, booleans are letters")
    return Parsed(
        _plain(measurement),
        dict(pairs),
        {name: float(value) for name, value in numbers},
        int(time),
    )


def _pair(text: str) -> tuple[str, str]:
    name, value = _until(text, "=")
    if not name or not value:
        raise ValueError("an empty name or value")
    return _plain(name), _plain(value)


def _until(text: str, end: str) -> tuple[str, str]:
    parts = _parts(text, end, most=1)
    if len(parts) != 2:
        raise ValueError(f"no {end!r} where one must be: {text!r}")
    return parts[0], parts[1]


def _parts(text: str, separator: str, most: int = -1) -> list[str]:
    """Split at separators without a backslash before them; escapes are kept."""
    parts = [""]
    escaped = False
    for position, character in enumerate(text):
        if character == separator and not escaped:
            if len(parts) == most + 1 and most >= 0:
                parts[-1] += text[position:]
                break
            parts.append("")
        else:
            parts[-1] += character
        escaped = character == "\\" and not escaped
    return parts


def _plain(text: str) -> str:
    """Undo escapes; a backslash before anything but `, =` and a space would be ambiguous."""
    plain = ""
    characters = iter(text)
    for character in characters:
        if character == "\\":
            character = next(characters, "")  # noqa: PLW2901
            if character not in (",", "=", " "):
                raise ValueError("a backslash that escapes nothing")
        elif character in (",", "=", " "):
            raise ValueError(f"a bare {character!r}")
        plain += character
    return plain

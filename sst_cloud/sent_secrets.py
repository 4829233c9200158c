"""Secrets that are sent to a server, masked in whatever it sends back."""

import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Sequence
from html import unescape
from itertools import takewhile
from sys import maxunicode
from typing import Any, Final

from .redaction import MASK, redact_text

_TELLING: Final = 8
"""So many first characters of a secret are masked like all of it: whoever echoes it may cut it."""
_SHORT: Final = 6
"""Shorter secrets cannot be told from ordinary text."""
_LONG: Final = 4096
"""Characters of a text that is searched for encodings inside it, which takes time and memory."""
_LAYERS: Final = 6
"""How many encodings, one inside the other, are undone: JSON in HTML in a URL, for example."""
_BLANK: Final = frozenset(b" \t\r\n\v\f\0")
"""Passed over: lines are wrapped, and every other byte of UTF-16 is 0."""
_ESCAPE: Final = re.compile(
    rb"%(?P<url>[0-9a-f]{2})|\\x(?P<repr>[0-9a-f]{2})|=(?P<quoted>[0-9a-f]{2})|=\r?\n"
    rb"|\\(?-i:u)(?P<high>d[89ab][0-9a-f]{2})\\u(?P<low>d[c-f][0-9a-f]{2})|\\(?-i:u)(?P<json>[0-9a-f]{4})"
    rb"|\\(?P<slash>[\"'\\/nrt])|\\(?-i:U)(?P<long>[0-9a-f]{8})|\\(?P<octal>[0-3][0-7]{2})"
    rb"|(?P<html>&(?:\#\d{1,10};?|\#x[0-9a-f]{1,8};?|[a-z]{2,31};))",
    re.IGNORECASE,
)
"""A character in a URL, a repr, quoted-printable (or its line break), JSON or HTML."""
_CONTROLS: Final = bytes.maketrans(b"nrtNRT", b"\n\r\t" * 2)

_Octet = tuple[int, int, int]
"""A byte of the text, and the start and end of the characters it stands for."""


class Secrets:
    """Secrets that are sent to a server, masked in whatever it sends back.

    They are recognised plain, in JSON, HTML, a URL (encoded once or twice), Base64, hex,
    quoted-printable or a repr, inside a longer word, and cut after eight characters or more.
    """

    def __init__(self, *secrets: str) -> None:
        self._secrets: set[str] = set()
        self._needles: dict[bytes, bytes] = {}
        """What to look for, and how much of its beginning tells, in lower case, without blanks."""
        self._short: set[bytes] = set()
        """Those of secrets too short to be masked alone."""
        self.add(*secrets)

    def __repr__(self) -> str:
        return f"Secrets({MASK})"

    def add(self, *secrets: str) -> None:
        """Mask these too; empty ones are ignored."""
        for secret in {*secrets} - self._secrets - {""}:
            self._secrets.add(secret)
            needles = dict(_needles(secret))
            self._needles |= needles
            if len("".join(secret.split())) < _SHORT:
                self._short |= needles.keys()

    def mask(self, text: str) -> str:
        """The text without these secrets, or anything else that looks like a secret.

        If it contains one that is shorter than six characters, only a mask. Cut long texts to a
        few thousand characters first: each takes time.
        """
        masked, end = "", 0
        for start, stop in _merged(self._spans(text)):
            masked += text[end:start] + MASK
            end = stop
        return redact_text(masked + text[end:])

    def are_in(self, body: bytes) -> bool:
        """Whether a body of any length may have one of them; encodings inside it are not undone."""
        folded = body.lower()
        return any(head in folded for head in self._needles.values())

    def mask_all(self, content: Any) -> Any:
        """A copy of JSON with every text in it masked; a long text that has a secret, wholly."""
        if isinstance(content, dict):
            return {self.mask(key): self.mask_all(item) for key, item in content.items()}
        if isinstance(content, list):
            return [self.mask_all(item) for item in content]
        if not isinstance(content, str):
            return content
        if len(content) <= _LONG:
            return self.mask(content)
        return MASK if self.are_in(content.encode("utf-8", "surrogatepass")) else content

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where the secrets are: start and end of each occurrence, in any order."""
        octets: list[_Octet] = [
            (octet, at, at + 1)
            for at, char in enumerate(text)
            for octet in char.encode("utf-8", "surrogatepass")
        ]
        for _ in range(_LAYERS):
            solid = [octet for octet in octets if octet[0] not in _BLANK]
            folded = _text(solid).lower()
            for needle, head in self._needles.items():
                for first, last in _occurrences(needle, head, folded):
                    whole = needle in self._short
                    yield (0, len(text)) if whole else (solid[first][1], solid[last][2])
            decoded = _decoded(octets)
            if len(decoded) == len(octets):
                return
            octets = decoded


def _needles(secret: str) -> Iterator[tuple[bytes, bytes]]:
    """What to look for, each with its beginning."""
    for text in {secret, secret.replace(" ", "+")}:
        for raw in {text.encode("utf-8", "surrogatepass"), _as_in_a_repr(text)}:
            yield from _with_head(raw, raw[:_TELLING])
            for encoded in (raw.hex().encode(), *_in_base64(raw)):
                if len(encoded) >= _SHORT:
                    yield encoded.lower(), encoded[:_TELLING].lower()
            # A secret may itself have what looks like an escape, and is undone with those around.
            octets = [(octet, 0, 0) for octet in raw]
            begin = octets[:_TELLING]
            for _ in range(_LAYERS):
                octets, begin = _decoded(octets), _decoded(begin)
                yield from _with_head(_text(octets), _text(begin))


def _as_in_a_repr(text: str) -> bytes:
    """With the bytes that the escapes of `ascii` and `repr` stand for."""
    return b"".join(
        char.encode("latin-1" if char < "\u0100" else "utf-8", "surrogatepass") for char in text
    )


def _with_head(raw: bytes, begin: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Without blanks; the beginning is at least as long as a secret that can be masked alone."""
    solid = _solid(raw)
    if solid:
        yield solid, solid[: max(len(_solid(begin)), _SHORT)]


def _in_base64(raw: bytes) -> Iterator[bytes]:
    """Wherever it begins, without the characters at both ends that depend on its neighbours."""
    for encode in (b64encode, urlsafe_b64encode):
        for offset in range(3):
            end = 8 * (offset + len(raw)) // 6
            yield encode(bytes(offset) + raw)[-(-8 * offset // 6) : end]


def _solid(raw: bytes) -> bytes:
    return bytes(octet for octet in raw.lower() if octet not in _BLANK)


def _occurrences(needle: bytes, head: bytes, text: bytes) -> Iterator[tuple[int, int]]:
    """First and last index of a needle, or of a beginning of it that tells."""
    at = text.find(head)
    while at >= 0:
        pairs = zip(needle, text[at : at + len(needle)], strict=False)
        last = at - 1 + sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        yield at, last
        at = text.find(head, last + 1)


def _decoded(octets: Sequence[_Octet]) -> list[_Octet]:
    """The same text with one layer of escapes undone."""
    decoded: list[_Octet] = []
    end = 0
    for escape in _ESCAPE.finditer(_text(octets)):
        decoded += octets[end : escape.start()]
        end = escape.end()
        start, stop = octets[escape.start()][1], octets[end - 1][2]
        decoded += ((octet, start, stop) for octet in _meaning(escape))
    decoded += octets[end:]
    return decoded


def _meaning(escape: re.Match[bytes]) -> bytes:
    """What an escape stands for, in UTF-8."""
    meaning = b""
    match escape.lastgroup:
        case "url" | "repr" | "quoted":
            meaning = bytes.fromhex(escape[escape.lastgroup].decode())
        case "low":
            pair = bytes.fromhex((escape["high"] + escape["low"]).decode())
            meaning = pair.decode("utf-16-be").encode()
        case "json" | "long":
            number = int(escape[escape.lastgroup], 16)
            if number <= maxunicode:
                meaning = chr(number).encode("utf-8", "surrogatepass")
        case "octal":
            meaning = bytes([int(escape["octal"], 8)])
        case "slash":
            meaning = escape["slash"].translate(_CONTROLS)
        case "html":
            meaning = unescape(escape["html"].decode()).encode("utf-8", "surrogatepass")
    return meaning


def _text(octets: Iterable[_Octet]) -> bytes:
    return bytes(octet for octet, _, _ in octets)


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order, those that touch or overlap as one."""
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(stop, merged[-1][1])
        else:
            merged.append((start, stop))
    return merged

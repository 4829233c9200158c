"""Masks secrets that were sent to a server in what it sends back; warns if they go unencrypted."""

import logging
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address
from itertools import takewhile
from sys import maxunicode
from typing import Any, Final

from .redaction import MASK, redact_text

_log = logging.getLogger(__name__)

_HEAD_LENGTH: Final = 8
"""The beginning of a secret, if at least this long, is masked too: an echo may be cut."""
_MIN_LENGTH: Final = 6
"""Shorter secrets cannot be distinguished from ordinary text."""
_MAX_SEARCHED: Final = 4096
"""Longer texts are not searched for encoded secrets, which takes time and memory."""
_MAX_LAYERS: Final = 6
"""How many encodings, one inside the other, are undone: JSON in HTML in a URL, for example."""
_BLANK: Final = frozenset(b" \t\r\n\v\f\0")
"""Ignored: lines are wrapped, and every other byte of UTF-16 is 0."""
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
        """What to search for → its shortest beginning to mask; lower case, without blanks."""
        self._short: set[bytes] = set()
        """The needles of secrets too short to be masked alone."""
        self.add(*secrets)

    def __repr__(self) -> str:
        return f"Secrets({MASK})"

    def add(self, *secrets: str) -> None:
        """Mask these too; empty ones are ignored."""
        for secret in {*secrets} - self._secrets - {""}:
            self._secrets.add(secret)
            needles = dict(_needles(secret))
            self._needles |= needles
            if len("".join(secret.split())) < _MIN_LENGTH:
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
        """Whether a body of any length may contain one of them; its encodings are not undone."""
        folded = body.lower()
        return any(head in folded for head in self._needles.values())

    def mask_all(self, content: Any) -> Any:
        """A copy of JSON with every text masked; a long one with a secret is replaced wholly."""
        if isinstance(content, dict):
            return {self.mask(key): self.mask_all(item) for key, item in content.items()}
        if isinstance(content, list):
            return [self.mask_all(item) for item in content]
        if not isinstance(content, str):
            return content
        if len(content) <= _MAX_SEARCHED:
            return self.mask(content)
        return MASK if self.are_in(content.encode("utf-8", "surrogatepass")) else content

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        """The start and end of each occurrence of a secret, in any order."""
        octets: list[_Octet] = [
            (octet, index, index + 1)
            for index, char in enumerate(text)
            for octet in char.encode("utf-8", "surrogatepass")
        ]
        for _ in range(_MAX_LAYERS):
            compact = [octet for octet in octets if octet[0] not in _BLANK]
            folded = _text(compact).lower()
            for needle, head in self._needles.items():
                for first, last in _occurrences(needle, head, folded):
                    is_short = needle in self._short
                    yield (0, len(text)) if is_short else (compact[first][1], compact[last][2])
            decoded = _decoded(octets)
            if len(decoded) == len(octets):
                return
            octets = decoded


def _needles(secret: str) -> Iterator[tuple[bytes, bytes]]:
    """The texts to search for, each with its beginning."""
    for text in {secret, secret.replace(" ", "+")}:
        for raw in {text.encode("utf-8", "surrogatepass"), _as_in_a_repr(text)}:
            yield from _with_head(raw, raw[:_HEAD_LENGTH])
            for encoded in (raw.hex().encode(), *_in_base64(raw)):
                if len(encoded) >= _MIN_LENGTH:
                    yield encoded.lower(), encoded[:_HEAD_LENGTH].lower()
            # A secret may itself contain what looks like an escape, which is undone in a text, too.
            octets = [(octet, 0, 0) for octet in raw]
            head = octets[:_HEAD_LENGTH]
            for _ in range(_MAX_LAYERS):
                octets, head = _decoded(octets), _decoded(head)
                yield from _with_head(_text(octets), _text(head))


def _as_in_a_repr(text: str) -> bytes:
    """As the bytes that the escapes of `ascii` and `repr` stand for."""
    return b"".join(
        char.encode("latin-1" if char < "\u0100" else "utf-8", "surrogatepass") for char in text
    )


def _with_head(raw: bytes, head: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Without blanks; the beginning is at least as long as a secret that can be masked alone."""
    compact = _without_blanks(raw)
    if compact:
        yield compact, compact[: max(len(_without_blanks(head)), _MIN_LENGTH)]


def _in_base64(raw: bytes) -> Iterator[bytes]:
    """In Base64 at each offset, without the characters at both ends that depend on neighbours."""
    for encode in (b64encode, urlsafe_b64encode):
        for offset in range(3):
            end = 8 * (offset + len(raw)) // 6
            yield encode(bytes(offset) + raw)[-(-8 * offset // 6) : end]


def _without_blanks(raw: bytes) -> bytes:
    return bytes(octet for octet in raw.lower() if octet not in _BLANK)


def _occurrences(needle: bytes, head: bytes, text: bytes) -> Iterator[tuple[int, int]]:
    """First and last index of each occurrence of a needle, or of a beginning with its head."""
    index = text.find(head)
    while index >= 0:
        pairs = zip(needle, text[index : index + len(needle)], strict=False)
        last = index - 1 + sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        yield index, last
        index = text.find(head, last + 1)


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
            from html import unescape  # noqa: PLC0415  its table of names is rarely needed

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


def is_local(host: str | None) -> bool:
    """Whether a host name or address is this machine's own, so that no network is involved."""
    name = (host or "").lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


class PlainHttpWarning:
    """Warns once of credentials that are sent over the network unencrypted."""

    def __init__(self, scheme: str, host: str | None, name: str | None = None) -> None:
        """`name` is what the message calls the server, by default `host`."""
        self._name = name or host
        self._is_due = scheme == "http" and not is_local(host)

    def credentials_sent(self) -> None:
        """Warn, if it is time to: call it before credentials are sent."""
        if self._is_due:
            self._is_due = False
            _log.warning(
                "credentials are sent to %s unencrypted: anyone on the way can read them; use a "
                "URL that begins with https://",
                self._name,
            )

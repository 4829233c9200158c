"""A server that repeats each request, and a search for secrets in the resulting output."""

import asyncio
import base64
import html
import json
import quopri
import re
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Final, Self
from urllib.parse import quote, unquote_plus

from sst_cloud import SinkError
from test_sent_secrets import FORMS as WHOLE

FORMS: Final[Mapping[str, Callable[[str], str]]] = {
    **WHOLE,
    "cut": lambda secret: secret[:9],
    "cut in a URL": lambda secret: quote(secret[:9], safe=""),
}
"""How a server may write a secret."""


def http(status: int, body: bytes | str, *headers: str) -> bytes:
    """A raw response."""
    content = body.encode() if isinstance(body, str) else body
    own = (f"HTTP/1.1 {status} Oh", f"Content-Length: {len(content)}", "Connection: close")
    return "\r\n".join((*own, *headers, "", "")).encode() + content


PLACES: Final[Mapping[str, Callable[[str], bytes]]] = {
    "200": lambda text: http(200, text),
    "200 JSON": lambda text: http(200, json.dumps({"error": text, "message": text})),
    "200 malformed JSON": lambda text: http(200, json.dumps({"error": text})[:-1]),
    "400": lambda text: http(400, text),
    "400 JSON": lambda text: http(400, json.dumps({"error": text, "message": text})),
    "401 JSON": lambda text: http(401, json.dumps({"message": text})),
    "403 HTML": lambda text: http(403, f"<html><title>{html.escape(text)}</title>"),
    "404 heading": lambda text: http(404, f"<h1>{text}</h1>"),
    "413": lambda text: http(413, text),
    "500": lambda text: http(500, text),
    "503 JSON": lambda text: http(503, json.dumps({"code": text, "message": text})),
    "header": lambda text: http(500, "", f"X-Odd: {_line(text)}", f"Retry-After: {_line(text)}"),
    "redirect": lambda text: http(307, text, f"Location: {_line(text)}"),
    "reason": lambda text: f"HTTP/1.1 500 {_line(text)}\r\nContent-Length: 0\r\n\r\n".encode(),
    "status line": lambda text: f"HTTP/1.1 {_line(text)}\r\n\r\n".encode(),
    "no HTTP": lambda text: f"{text}\r\n\r\n".encode(),
    "header's name": lambda text: f"HTTP/1.1 200 OK\r\n{_line(text)}\r\n\r\n".encode(),
    "length": lambda text: f"HTTP/1.1 500 Oh\r\nContent-Length: {_line(text)}\r\n\r\n".encode(),
    "encoding": lambda text: http(200, text, "Content-Encoding: gzip"),
    "cut short": lambda text: http(200, text).replace(b"Content-Length: ", b"Content-Length: 9"),
    "size of a chunk": lambda text: f"{_CHUNKED}{_line(text)}\r\n\r\n".encode(),
    "trailer": lambda text: f"{_CHUNKED}2\r\n{{}}\r\n0\r\n{_line(text)}\r\n\r\n".encode(),
}
"""Where in a response a text may be."""

_CHUNKED: Final = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def _line(text: str) -> str:
    return " ".join(text.split())


class Echo:
    """Answers each request with the raw HTTP response that `answer` makes of it."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self.answer = answer
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        body = await reader.readexactly(int(length[1])) if length else b""
        writer.write(self.answer(head + body))
        writer.close()


def all_of(error: BaseException | None) -> str:
    """All texts of an exception and the exceptions it is chained to."""
    text = ""
    waiting, known = [error], set[int]()
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in known:
            known.add(id(each))
            text += f"{each!s} {each!r} {vars(each)!r} {each.args!r}"
            text += "".join(traceback.format_exception(each))
            waiting += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]
    return text


async def outcome(call: Awaitable[object]) -> str:
    """All texts of a call's outcome: its result, or its error with chained exceptions."""
    try:
        return repr(await call)
    except SinkError as error:
        return all_of(error)


def leaked(text: str, *secrets: str) -> list[str]:
    """The secrets of which eight characters can be read from a text, in any encoding."""
    texts = [each.casefold() for each in _readings(text)]
    return [
        secret
        for secret in secrets
        if any(needle.casefold() in each for needle in _needles(secret) for each in texts)
    ]


def _needles(secret: str) -> Iterator[str]:
    raw = secret.encode()
    yield secret[:8]
    yield raw[:8].hex()
    for offset in range(3):
        core = base64.b64encode(b" " * offset + raw).decode()[4 if offset else 0 :][:12]
        if len(core) == 12:
            yield core
            yield core.replace("+", "-").replace("/", "_")


def _readings(text: str) -> Iterator[str]:
    """The text, and its possible decodings."""
    yield text
    yield unquote_plus(text)
    yield unquote_plus(unquote_plus(text))
    yield html.unescape(text)
    yield re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), text)
    yield re.sub(r"\\(.)", r"\1", text)
    yield quopri.decodestring(text.encode()).decode("utf-8", "replace")

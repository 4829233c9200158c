"""A server with broken or malicious answers, reproducible by seed, and a client of it.

As a program it prints the cost of the worst answer as JSON: `python hostile.py SEED ANSWERS`.
"""

import asyncio
import gzip
import json
import resource
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from pathlib import Path
from random import Random
from typing import Any, Final, Self

import attrs

sys.path.insert(0, str(Path(__file__).parents[1]))

import payload_files as files
from cloud.mutator import mutated
from sst_cloud import ManualClock, PasswordAuth, SSTCloud, SSTCloudError, TokenAuth, readings_from

MB: Final = 1024 * 1024
TOKEN: Final = "0badcafe" * 5
PAYLOADS: Final = [
    [{"id": 1, "name": "Flat"}],
    [files.load(name) for name in files.of("device")],
    *(files.load(name) for name in ("house/counters", *files.of("wireless_sensors"))),
    *(files.load(name) for name in (*files.of("user"), *files.of("house"))),
    {"key": TOKEN},
]
STATUSES: Final = (200, 200, 200, 201, 204, 301, 302, 304, 400, 401, 403, 404, 418, 429, 500, 503)
PIECES: Final = (
    b"<h1>",
    b"<title",
    b"</",
    b"<!doctype html>",
    b"\n",
    b" ",
    b"\0",
    b"'",
    b'"',
    b"\\",
    b"//a@",
    b"a.a@",
    b"Token ",
    b"00:00:00:00:00:",
    b"?token=",
    b"%25",
    b"&amp;",
    b"=3D",
    b"\xff\xfe",
    b"\xd0",
    b"[",
    b"{",
    b'{"a":',
    b"9",
    b"-1e400,",
    "Ж".encode(),
    TOKEN.encode(),
)


def _payload(random: Random) -> bytes:
    """JSON that is almost valid."""
    payload = mutated(random.choice(PAYLOADS), random)
    return json.dumps(payload, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")


def _repeated(random: Random) -> bytes:
    """A few pieces repeated many times, which slow down bad regular expressions and parsers."""
    pieces = random.choices(PIECES, k=random.randint(1, 3))
    return b"".join(pieces) * random.choice([1, 10, 500, 5_000])


def _many(random: Random) -> bytes:
    """A long list of equal or nearly equal elements."""
    lists = [payload for payload in PAYLOADS if isinstance(payload, list) and payload]
    payload = random.choice(lists)
    element = mutated(random.choice(payload), random)
    return json.dumps([element] * random.choice([10, 100, 1_000])).encode("utf-8", "surrogatepass")


def _nested(random: Random) -> bytes:
    depth = random.choice([50, 100, 101, 900, 5_000, 200_000])
    start, end = random.choice([(b"[", b"]"), (b'{"a":', b"}"), (b'[{"id":', b"}]")])
    return start * depth + b"1" + end * (depth if random.random() < 0.8 else 0)


def _noise(random: Random) -> bytes:
    return random.randbytes(random.choice([0, 1, 100, 10_000]))


def _huge(random: Random) -> bytes:
    unit = random.choice([b"{}", b"0", b'{"id":1}', b'{"name":"x"}', b'"x"', b"[]", b"1e5"])
    return b"[" + (unit + b",") * (random.randint(1, 10) * MB // (len(unit) + 1)) + unit + b"]"


BODIES: Final[tuple[Callable[[Random], bytes], ...]] = (
    *repeat(_payload, 40),
    *repeat(_repeated, 20),
    *repeat(_many, 8),
    *repeat(_nested, 4),
    *repeat(_noise, 4),
)
HEADERS: Final = (
    b"Content-Type: application/json",
    b"Content-Type: text/html; charset=\xff",
    b"Retry-After: 99999999999999999999",
    b"Retry-After: Thu, 32 Foo 20266 99:99:99 GMT",
    b"Set-Cookie: " + b"a" * 4_000,
    b"X-Odd: " + TOKEN.encode(),
    b"Location: http://\xff[::/",
    b"Content-Encoding: br",
    b"Content-Encoding: gzip, gzip",
    b"Transfer-Encoding: chunked",
    b"Content-Length: 5",
    b"Content-Length: -1",
    b"Connection: Upgrade\r\nUpgrade: websocket",
    b"no colon at all",
    b"X: " + b"y" * 9_000,
)


def answers(random: Random) -> Iterator[bytes]:
    """One answer, in pieces; a few never end."""
    kind = random.random()
    if kind < 0.01:
        yield from _bomb(random)
        return
    if kind < 0.03:
        yield random.choice(
            [b"", b"HTTP/1.1\r\n\r\n", b"\0" * 99, b"HTTP/1.1 100 \r\n\r\n" * 50, b"HTTP/9 x y\r\n"]
        ) + _repeated(random)
        return
    body = random.choice(BODIES)(random)
    lines = [b"HTTP/1.1 %d %s" % (random.choice(STATUSES), random.choice([b"", b"OK", b"\xff"]))]
    lines += random.sample(HEADERS, random.choice([0, 0, 0, 0, 0, 0, 1, 2]))
    way = random.random()
    if way < 0.1:
        body = gzip.compress(body)[: random.choice([None, None, -5])]
        lines.append(b"Content-Encoding: gzip")
    elif way < 0.15:
        body = zlib.compress(body)
        lines.append(b"Content-Encoding: deflate")
    if way < 0.5:
        lines.append(b"Content-Length: %d" % (len(body) + random.choice([0, 0, 0, 0, 3, -3])))
        yield b"\r\n".join([*lines, b"", body])
    elif way < 0.6:
        lines.append(b"Transfer-Encoding: chunked")
        size = random.choice([b"%x" % len(body), b"%x" % len(body), b"zz", b"fffffffffffffffff"])
        yield b"\r\n".join([*lines, b"", size, body, b"0", b"", b""])
    else:  # until the connection is closed
        yield b"\r\n".join([*lines, b"", body])


def _bomb(random: Random) -> Iterator[bytes]:
    """A compression bomb, or an endless answer."""
    status = b"HTTP/1.1 %d OK\r\n" % random.choice([200, 500])
    way = random.randrange(4)
    if way == 0:
        body = gzip.compress(b"[" + random.choice([b" ", b"[],", b"x"]) * (10 * MB), 1)
        yield status + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    elif way == 1:
        yield status + b"\r\n" + _huge(random)
    elif way == 2:
        yield status + b"\r\n" + random.choice([b"[", b"<h1>", b'{"detail": "'])
        yield from repeat(random.choice([b"x", b"\n", b"[", b"1,"]) * 65_536)
    else:
        yield status
        yield from repeat(b"X-Again: and again\r\n" * 1_000)


@attrs.define
class HostileServer:
    """Answers every request with the next answer, and closes the connection."""

    random: Random
    served: int = 0
    url: str = ""
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.served += 1
        try:
            await reader.readuntil(b"\r\n\r\n")
            for piece in answers(self.random):
                writer.write(piece)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            return  # the client has closed the connection
        finally:
            writer.close()


async def meet(client: SSTCloud, random: Random) -> None:
    """Make one call of the client and use its whole result."""
    calls: list[Callable[[], Any]] = [
        client.houses,
        client.user,
        client.news,
        client.snapshot,
        lambda: client.house(1),
        lambda: client.devices(1),
        lambda: client.device(1, 2),
        lambda: client.counters(1),
        lambda: client.wireless_sensors(1, 2),
        lambda: client.networks(1),
        lambda: client.groups(1),
        lambda: client.raw("/houses/"),
    ]
    call = random.choice(calls)
    answer = await call()
    if call == client.snapshot:
        readings_from(answer)
    repr(answer)


async def run(seed: int, count: int) -> dict[str, Any]:
    """Make this many calls; returns the worst cost, and how often calls failed and succeeded."""
    random, clock = Random(seed), ManualClock()
    slowest, failed, succeeded = 0.0, 0, 0
    warm = 0
    async with HostileServer(Random(seed)) as server:
        while server.served < count:
            secret = random.choice([TOKEN, TOKEN, "pa55word"])
            auth = TokenAuth(TOKEN) if secret == TOKEN else PasswordAuth("a@b.example", secret)
            async with SSTCloud(auth, base_url=server.url, clock=clock, timeout=20) as client:
                for _ in range(10):
                    started = time.process_time()
                    try:
                        await meet(client, random)
                        succeeded += 1
                    except SSTCloudError as error:
                        failed += 1
                        if secret[:8] in f"{error!r} {error}":
                            raise AssertionError("a secret is shown") from error
                    slowest = max(slowest, time.process_time() - started)
            if not warm and server.served > 50:
                warm = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seed": seed,
        "answers": server.served,
        "calls that failed": failed,
        "calls that succeeded": succeeded,
        "slowest call, processor seconds": round(slowest, 2),
        "memory above the first fifty answers, MB": (peak - warm) // 1024,
    }


def main(arguments: Iterable[str]) -> None:
    """Run, and print what it cost."""
    seed, count = map(int, arguments)
    sys.stdout.write(json.dumps(asyncio.run(run(seed, count)), indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])

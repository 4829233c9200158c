"""Time to create a client: many accounts in one process have one each."""

from collections.abc import Sequence
from timeit import repeat

from sst_cloud import SSTCloud, TokenAuth

from .measure import Benchmark, Figure

LIMIT = 0.5
CLIENTS = 1000


def measure(runs: int) -> Sequence[Figure]:
    """Without a request; the fastest of several runs, as timeit recommends."""
    auth = TokenAuth("x")
    seconds = min(repeat(lambda: SSTCloud(auth), number=CLIENTS, repeat=runs)) / CLIENTS
    return [Figure("a new client, ms", seconds * 1000, LIMIT, f"of {CLIENTS} clients")]


NEW_CLIENT = Benchmark("new-client", 5, measure)

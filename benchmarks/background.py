"""Servers in processes of their own, so that their work does not count as the client's."""

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any


@contextmanager
def background(serve: Callable[..., None], *args: Any) -> Iterator[Connection]:
    """Run `serve(pipe, *args)` in a process until the block ends; gives the pipe's other end.

    The server ends when its pipe does.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there, *args), daemon=True)
    process.start()
    there.close()
    try:
        yield here
    finally:
        here.close()
        process.join(timeout=10)

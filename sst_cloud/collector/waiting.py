"""Waiting for whichever comes first."""

import asyncio

from sst_cloud.clock import Clock


async def sleep_unless(clock: Clock, seconds: float, *told: asyncio.Event) -> None:
    """Sleep for this many seconds, or until one of the events is set."""
    if any(event.is_set() for event in told):
        return
    waits = [asyncio.create_task(_until(event)) for event in told]
    waits.append(asyncio.create_task(clock.sleep(seconds)))
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


async def _until(event: asyncio.Event) -> None:
    await event.wait()

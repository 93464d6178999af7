"""A thousand executions with asyncio, each of which awaits an async tool: the tools run on this very event loop."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import enclave

SOURCE = """
const user = await tools.fetchUser({id})
return `${user.name} has ${user.points * 2} points`
"""


async def fetch_user(id: int) -> dict[str, Any]:  # noqa: A002, the script's word for it
    """Stand for a request to a database."""
    await asyncio.sleep(0.01)
    return {"name": f"user {id}", "points": id % 7}


async def main() -> list[str]:
    # What waits for a worker waits in the queue: it must have room for all, or run_async raises QueueFullError.
    async with enclave.Pool("standard", max_queue_size=1000, tools={"fetchUser": fetch_user}) as pool:
        started = time.perf_counter()
        results: list[str] = await asyncio.gather(*(pool.run_async(SOURCE, globals={"id": n}) for n in range(1000)))
        print(f"{len(results)} executions in {time.perf_counter() - started:.2f} s")
        print(f"the slowest waited {pool.stats().queue_wait.max * 1000:.0f} ms for a worker")
    return results


if __name__ == "__main__":
    print(asyncio.run(main())[-1])

"""enclave through its Python package: a contestant of the benchmarks (benches/README.md)."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import enclave

pools: dict[tuple[str, int, bool], enclave.Pool] = {}


def pool_of(request: dict[str, Any]) -> enclave.Pool:
    """Give the pool of such requests: STANDARD, with the limits of the protocol."""
    # A pool without tools and callbacks has less to do, so only those that need the tool have it.
    key = (request["isolation"], request["workers"], request.get("tool_calls", 0) > 0)
    if key not in pools:
        isolation, workers, has_tool = key
        pool = pools[key] = enclave.Pool(
            "standard",
            isolation=isolation,
            min_workers=workers,
            max_workers=workers,
            memory_limit_per_worker=128 << 20,
            max_queue_size=100_000,
            queue_timeout=600,
            max_executions_per_worker=10**9,
            max_messages_per_second=10**6,
            timeout=5,
        )
        if has_tool:
            pool.tool("echo", spread=False)(lambda argument: argument)
    return pools[key]


def options_of(request: dict[str, Any]) -> dict[str, Any]:
    """Give the options of an execution: the input is a Python value, and so will be the result."""
    return {"globals": {"input": request["input"]}} if "input" in request else {}


def check(request: dict[str, Any], result: object) -> None:
    """Compare a result."""
    if result != request["expect"]:
        raise ValueError(f"the result is {result!r:.200}")


def sequential(request: dict[str, Any]) -> list[int]:
    """Run one after the other, and give how long each took, in ns."""
    pool, source, options, count = pool_of(request), request["source"], options_of(request), request["count"]
    clock = time.perf_counter_ns
    times = []
    for number in range(count):
        begun = clock()
        result = pool.run(source, **options)
        times.append(clock() - begun)
        if number in (0, count - 1):
            check(request, result)
    return times


async def concurrent(request: dict[str, Any]) -> list[int]:
    """Keep so many in flight, each awaited by a task."""
    pool, source, options, count = pool_of(request), request["source"], options_of(request), request["count"]
    clock = time.perf_counter_ns
    times = []
    numbers: Iterator[int] = iter(range(count))

    async def take_turns() -> None:
        for number in numbers:
            begun = clock()
            result = await pool.run_async(source, **options)
            times.append(clock() - begun)
            if number in (0, count - 1):
                check(request, result)

    await asyncio.gather(*(take_turns() for _ in range(min(request["in_flight"], count))))
    return times


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Do one round."""
    if request.get("options", {}).get("compiled"):
        return {"unsupported": "only the Rust program compiles scripts"}
    pool_of(request)
    begun = time.perf_counter()
    times = asyncio.run(concurrent(request)) if request["mode"] == "concurrent" else sequential(request)
    seconds = time.perf_counter() - begun
    times.sort()

    def micros(percent: int) -> float:
        return times[min(len(times) * percent // 100, len(times) - 1)] / 1000

    quantiles = {"p10_us": micros(10), "p50_us": micros(50), "p99_us": micros(99), "max_us": micros(100)}
    return {"seconds": seconds, "count": len(times), **quantiles}


def main() -> None:
    """Answer requests until there are no more."""
    greeting = {
        "contestant": "python",
        "version": enclave.__version__,
        "engine": "SpiderMonkey 153",
        "notes": f"CPython {sys.version.split()[0]}; concurrent: a task of asyncio for each that is in flight",
    }
    print(json.dumps(greeting), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = run(request) if request["op"] == "run" else {"unsupported": "only run"}
        except Exception as error:  # noqa: BLE001
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    for pool in pools.values():
        pool.close()


if __name__ == "__main__":
    main()

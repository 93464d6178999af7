"""Measures the package beside the C ABI: bench.py PROGRAM_OF_RUN_C DIRECTORY_OF_WHEELS.

The two take turns, so that they see the same machine; each figure is the median of the rounds.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import enclave

ROUNDS = 5
RUNS = 3000


def through_c(program: str) -> tuple[float, float]:
    """Give p50 and p99 of a call through the C ABI, in µs."""
    p50, p99 = subprocess.run([program, str(RUNS)], capture_output=True, text=True, check=True).stdout.split()
    return int(p50) / 1000, int(p99) / 1000


def through_python() -> tuple[float, float]:
    """Give p50 and p99 of `pool.run`, in µs."""
    with enclave.Pool("standard", min_workers=1, max_workers=1, max_executions_per_worker=10**9) as pool:
        times = []
        for _ in range(RUNS // 10):
            pool.run("1+1")
        for _ in range(RUNS):
            start = time.perf_counter_ns()
            pool.run("1+1")
            times.append(time.perf_counter_ns() - start)
    times.sort()
    return times[RUNS // 2] / 1000, times[RUNS * 99 // 100] / 1000


async def through_asyncio(seconds: float, concurrency: int, isolation: str) -> float:
    """Give executions per second with two workers."""
    done = 0
    settings: dict[str, Any] = {"min_workers": 2, "max_workers": 2, "max_executions_per_worker": 10**9}
    async with enclave.Pool("standard", **settings, isolation=isolation) as pool:
        until = time.monotonic() + seconds

        async def run() -> None:
            nonlocal done
            while time.monotonic() < until:
                await pool.run_async("1+1")
                done += 1

        await asyncio.gather(*(run() for _ in range(concurrency)))
        return done / (time.monotonic() - until + seconds)


def main() -> None:
    """Measure, and print."""
    program, wheels = sys.argv[1:]
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors, Python {sys.version.split()[0]}")
    c, python, rates, process_rates = [], [], [], []
    for number in range(ROUNDS):
        if sys.stderr.isatty():
            print(f"round {number + 1} of {ROUNDS}", file=sys.stderr)
        c.append(through_c(program))
        python.append(through_python())
        rates.append(asyncio.run(through_asyncio(2, 32, "thread")))
        process_rates.append(asyncio.run(through_asyncio(2, 32, "process")))
    for name, times in (("C ABI: enclave_pool_run", c), ("Python: pool.run", python)):
        p50, p99 = (statistics.median(values) for values in zip(*times, strict=True))
        print(f"{name:26} p50 {p50:7.1f} µs   p99 {p99:7.1f} µs")
    ratio = statistics.median(p[0] / q[0] for p, q in zip(python, c, strict=True))
    print(f"Python over C              p50 {ratio:.2f}")
    print(f"asyncio, 2 worker threads  {statistics.median(rates):.0f} executions/s")
    print(f"asyncio, 2 processes       {statistics.median(process_rates):.0f} executions/s")
    for wheel in sorted(Path(wheels).glob("*.whl")):
        print(f"{wheel.name}: {wheel.stat().st_size / 2**20:.1f} MiB")
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()

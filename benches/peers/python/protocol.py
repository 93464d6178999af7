"""The side of a contestant: one line of JSON in, one out. See benches/README.md for the protocol."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

TIMEOUT = 5.0
MEMORY_LIMIT = 128 * 1024 * 1024

Request = dict[str, Any]
Execute = Callable[[], Any]


class UnsupportedError(Exception):
    """What this contestant cannot do; the message is the answer."""


def uses_tools(request: Request) -> bool:
    """Tell whether the script calls the host."""
    return str(request["workload"]).startswith("tools")


def wants_sync(request: Request) -> bool:
    """Tell whether a tool is to give its result at once, where a contestant has both: not if many calls wait."""
    return bool(request["workload"] != "tools_100_concurrent")


def source_of(request: Request, *, sync: bool, shared: bool = False) -> str:
    """Give the source for host functions that are synchronous (`echo(x)`) or not (`await callTool("echo", x)`).

    In a shared global it is a block: else its second execution would declare what is already there.
    """
    source = str(request["source"])
    if uses_tools(request):
        if not sync:
            return f"(async () => {{{source if 'return' in source else f'return ({source})'}\n}})()"
        source = str(request["peer_source"])
    return f"{{{source}\n}}" if shared else source


def serve(greeting: dict[str, Any], prepare: Callable[[Request], tuple[Execute, Callable[[], None]]]) -> None:
    """Answer requests until standard input ends.

    `prepare` is called by every thread that executes, and gives what executes and what ends the round there.
    """
    print(json.dumps(greeting), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = answer(request, prepare)
        except UnsupportedError as error:
            reply = {"unsupported": str(error)}
        except Exception as error:  # noqa: BLE001
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)


def answer(request: Request, prepare: Callable[[Request], tuple[Execute, Callable[[], None]]]) -> dict[str, Any]:
    """Do what a request asks for."""
    if request["op"] != "run":
        raise UnsupportedError(f"no {request['op']} here")
    return measure(request, prepare)


def compare(result: Any, expect: Any) -> None:
    """Fail if a script has given something else."""
    if result != expect:
        raise ValueError(f"the result is {str(result)[:200]}")


def measure(request: Request, prepare: Callable[[Request], tuple[Execute, Callable[[], None]]]) -> dict[str, Any]:
    """Run one round: as a queue that as many threads serve as there are workers, or one, which submits itself."""
    count, expect = request["count"], request["expect"]
    concurrent = request["mode"] == "concurrent"
    workers = request["workers"] if concurrent else 1
    in_flight = min(request["in_flight"], count) if concurrent else 1
    times = [0.0] * count
    submitted = [0.0] * count
    lock = threading.Lock()
    taken = ended = 0
    end = 0.0

    def start_clock() -> None:
        # The first ones are submitted at once, each other one when one ends: so its wait for a thread is in its time.
        submitted[:in_flight] = [time.perf_counter()] * in_flight

    ready = threading.Barrier(workers, action=start_clock)

    def work() -> None:
        nonlocal taken, ended, end
        execute, close = prepare(request)
        try:
            ready.wait()
            while True:
                with lock:
                    number, taken = taken, taken + 1
                if number >= count:
                    return
                result = execute()
                end = time.perf_counter()
                times[number] = end - submitted[number]
                with lock:
                    if ended + in_flight < count:
                        submitted[ended + in_flight] = end
                    ended += 1
                if number in (0, count - 1):
                    compare(result, expect)
        except BaseException:
            ready.abort()
            raise
        finally:
            close()

    if workers == 1:
        work()
    else:
        with ThreadPoolExecutor(workers) as threads:
            for future in [threads.submit(work) for _ in range(workers)]:
                future.result()
    seconds = end - submitted[0]
    times.sort()

    def percentile(part: float) -> float:
        return times[min(count - 1, int(count * part))] * 1e6

    return {
        "seconds": seconds,
        "count": count,
        "p10_us": percentile(0.1),
        "p50_us": percentile(0.5),
        "p99_us": percentile(0.99),
        "max_us": times[-1] * 1e6,
    }

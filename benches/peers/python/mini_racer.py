"""mini-racer: `fresh` (a MiniRacer per execution) or `shared` (one for all, which is how its documentation uses it)."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import ExitStack
from importlib.metadata import version
from typing import Any

from protocol import MEMORY_LIMIT, TIMEOUT, Request, serve, source_of, uses_tools
from py_mini_racer import MiniRacer
from py_mini_racer import mini_racer as mini_racer_in_loop

SHARED = sys.argv[1] == "shared"


def run(racer: MiniRacer, source: str, request: Request) -> Any:
    """Execute one script. A result that is no primitive comes out as JSON, as the documentation has it."""
    if "input" in request:
        racer.eval(f"globalThis.input = {json.dumps(request['input'])}; 0", timeout_sec=TIMEOUT)
    result = racer.eval(source, timeout_sec=TIMEOUT)
    if result is None or isinstance(result, (bool, int, float, str)):
        return result
    return json.loads(racer.eval("JSON.stringify")(result))


async def echo(_name: Any, argument: Any) -> Any:
    """Be the tool: host functions are always asynchronous here."""
    return argument


async def run_with_tools(racer: MiniRacer, source: str) -> Any:
    """Execute one script that calls the host, in the event loop that the host function needs."""

    async def all_of_it() -> Any:
        async with racer.wrap_py_function(echo) as function:
            racer.eval("globalThis")["callTool"] = function
            return await (await racer.eval_cancelable(source))

    return await asyncio.wait_for(all_of_it(), TIMEOUT)


def prepare_with_tools(request: Request) -> Any:
    """Give what executes scripts that call the host. A context belongs to the event loop that it was made in."""
    source = source_of(request, sync=False)
    loop = asyncio.new_event_loop()
    kept = ExitStack()

    async def make(stack: ExitStack) -> MiniRacer:
        racer = stack.enter_context(mini_racer_in_loop())
        racer.set_hard_memory_limit(MEMORY_LIMIT)
        return racer

    shared = loop.run_until_complete(make(kept)) if SHARED else None

    async def execute() -> Any:
        if shared:
            return await run_with_tools(shared, source)
        with ExitStack() as stack:
            return await run_with_tools(await make(stack), source)

    async def end() -> None:
        kept.close()

    def close() -> None:
        loop.run_until_complete(end())
        loop.close()

    return lambda: loop.run_until_complete(execute()), close


def prepare(request: Request) -> Any:
    """Give what executes."""
    if uses_tools(request):
        return prepare_with_tools(request)
    source = source_of(request, sync=False, shared=SHARED)
    if SHARED:
        racer = MiniRacer()
        racer.set_hard_memory_limit(MEMORY_LIMIT)
        return lambda: run(racer, source, request), racer.close

    def execute() -> Any:
        with MiniRacer() as racer:
            racer.set_hard_memory_limit(MEMORY_LIMIT)
            return run(racer, source, request)

    return execute, lambda: None


with MiniRacer() as first:
    engine = f"V8 {first.v8_version}"
serve(
    {
        "contestant": f"mini-racer-{sys.argv[1]}",
        "version": version("mini-racer"),
        "engine": engine,
        "fresh": "none: all executions share one global" if SHARED else "isolate and thread",
        "limits": "wall clock; heap after a collection",
        "lacks": [
            *(["state leaks from one execution into the next"] if SHARED else []),
            "the memory limit is looked at after collections only, and covers no buffers: one large array passes it",
            "no CPU limit, no limit on calls or on the size of a result",
            "in the host's process: a crash of V8 ends the host",
        ],
    },
    prepare,
)

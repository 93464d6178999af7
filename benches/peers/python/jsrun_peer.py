"""jsrun: `fresh` (a Runtime per execution, as in its documentation for agents' code) or `shared` (one for all)."""

from __future__ import annotations

import asyncio
import json
import sys
from importlib.metadata import version
from typing import Any

from jsrun import Runtime, RuntimeConfig
from protocol import MEMORY_LIMIT, TIMEOUT, Request, serve, source_of, uses_tools, wants_sync

SHARED = sys.argv[1] == "shared"


def new_runtime(request: Request) -> Runtime:
    """Make a runtime with its limits and the tool, if there is one: a synchronous function where that will do."""
    config = RuntimeConfig(
        max_heap_size=MEMORY_LIMIT, timeout=TIMEOUT, max_serialization_depth=128, max_serialization_bytes=16 << 20
    )
    runtime = Runtime(config)
    if uses_tools(request):
        if wants_sync(request):
            runtime.bind_function("echo", lambda argument: argument)
        else:

            async def echo(_name: Any, argument: Any) -> Any:
                return argument

            runtime.bind_function("callTool", echo)
    return runtime


def run(runtime: Runtime, source: str, request: Request) -> Any:
    """Execute one script."""
    if "input" in request:
        runtime.eval(f"globalThis.input = {json.dumps(request['input'])}; 0")
    return runtime.eval(source)


def prepare(request: Request) -> Any:
    """Give what executes."""
    source = source_of(request, sync=wants_sync(request), shared=SHARED)
    if uses_tools(request) and not wants_sync(request):
        return prepare_async(request, source)
    if SHARED:
        runtime = new_runtime(request)
        return lambda: run(runtime, source, request), runtime.close

    def execute() -> Any:
        with new_runtime(request) as runtime:
            return run(runtime, source, request)

    return execute, lambda: None


def prepare_async(request: Request, source: str) -> Any:
    """Give what executes scripts that end in a promise: the synchronous `eval` waits for host functions for ever."""
    loop = asyncio.new_event_loop()

    async def make() -> Runtime:
        return new_runtime(request)

    shared = loop.run_until_complete(make()) if SHARED else None

    async def execute() -> Any:
        if shared:
            return await shared.eval_async(source, timeout=TIMEOUT)
        with new_runtime(request) as runtime:
            return await runtime.eval_async(source, timeout=TIMEOUT)

    def close() -> None:
        if shared:
            shared.close()
        loop.close()

    return lambda: loop.run_until_complete(execute()), close


serve(
    {
        "contestant": f"jsrun-{sys.argv[1]}",
        "version": version("jsrun"),
        "engine": "V8",
        "fresh": "none: all executions share one global" if SHARED else "isolate and thread",
        "limits": "wall clock; heap; depth and size of results",
        "lacks": [
            *(["state leaks from one execution into the next"] if SHARED else []),
            "the end of the memory limit may be the end of the host's process; buffers are not covered",
            "no CPU limit, no limit on calls",
            "in the host's process: a crash of V8 ends the host",
        ],
    },
    prepare,
)

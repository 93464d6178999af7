"""quickjs-ng for Python: a Context per execution, each with a runtime of its own."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any

import quickjs
from protocol import MEMORY_LIMIT, TIMEOUT, Request, serve, source_of, uses_tools


def prepare(request: Request) -> Any:
    """Give what executes. Host functions are always synchronous here, with primitives as arguments."""
    source = source_of(request, sync=True)

    def execute() -> Any:
        context = quickjs.Context()
        context.set_memory_limit(MEMORY_LIMIT)
        # With a time limit, a call of a host function is refused.
        if not uses_tools(request):
            context.set_time_limit(TIMEOUT)
        else:
            context.add_callable("echo", lambda argument: argument)
        if "input" in request:
            context.set("input", context.parse_json(json.dumps(request["input"])))
        result = context.eval(source)
        return json.loads(result.json()) if isinstance(result, quickjs.Object) else result

    return execute, lambda: None


serve(
    {
        "contestant": "quickjs-ng-python",
        "version": version("quickjs-ng"),
        "engine": "QuickJS-ng",
        "fresh": "runtime",
        "limits": "CPU time (of the whole process, by clock()); memory",
        "lacks": [
            "no JIT",
            "no wall clock limit: the CPU limit counts all threads of the host",
            "no time limit where there are host functions, which are always synchronous",
            "no limit on calls or on the size of a result",
            "in the host's process: a crash of the engine ends the host",
        ],
    },
    prepare,
)

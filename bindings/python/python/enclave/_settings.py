"""Settings of a pool, limits of an execution, and the presets. The native half knows and checks all of them by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict

from enclave import _enclave
from enclave._errors import InvalidTypeError

if TYPE_CHECKING:
    import logging
    import os

    from enclave._stats import ConsoleLine

Preset = Literal["default", "strict", "secure", "standard", "permissive"]
Isolation = Literal["thread", "process"]
SourceKind = Literal["auto", "script", "function"]
Seconds = float | timedelta
# Called with the argument's properties, or the argument (see `Pool.tool`).
Tool = Callable[..., Any]
# Called with the name of a tool and the argument.
ToolHandler = Callable[[str, Any], Any]


class Limits(TypedDict, total=False):
    """Limits of an execution. A pool sets them for all executions, and an execution may bring its own.

    Durations are seconds or `timedelta`.
    """

    timeout: Seconds
    """Wall-clock time, without the queue; above 0, at most 365 days."""
    cpu_time_limit: Seconds | None
    """CPU time; waiting for tools and timers costs about 50 µs each. None: no limit."""
    max_tool_calls: int
    max_pending_bytes: int
    """Bytes of memory that the arguments of tool calls without an answer, and the answers that the script has not taken
    yet, may hold together; what comes while nothing is held always has a place."""
    max_console_calls: int
    max_console_output: int
    """Bytes of UTF-8."""
    max_value_depth: int
    """Levels of nesting in a value that crosses the boundary, 1 to 512."""
    sanitize_stack_traces: bool
    block_timing_apis: bool
    allow_code_generation: bool
    """`eval` and the `Function` constructors."""
    allow_wasm: bool
    """Must be False: not supported yet."""


class PoolSettings(Limits, total=False):
    """Settings of a pool, among them the limits of its executions. Sizes are bytes."""

    isolation: Isolation
    """`process` (default) runs each worker in a sandboxed process of its own, `thread` on a thread of this one."""
    min_workers: int
    max_workers: int
    memory_limit_per_worker: int
    max_executions_per_worker: int
    max_queue_size: int
    queue_timeout: Seconds
    max_messages_per_second: int
    idle_timeout: Seconds
    graceful_shutdown_timeout: Seconds
    max_message_size: int
    max_pending_tool_calls: int
    warm_on_init: bool
    stats_interval: Seconds
    worker_path: str | os.PathLike[str] | None
    """The executable of worker processes; None: the one of this package, or what `ENCLAVE_WORKER` names."""
    require_sandbox: bool
    """Refuse to make a pool where any part of the sandbox of process isolation cannot be had."""
    require_seccomp: bool
    """Refuse to make a pool whose worker processes cannot have the filter of system calls; on in STRICT and SECURE."""
    cgroup: str | os.PathLike[str] | None
    """A directory of cgroup v2 that is delegated to this process."""
    jit: bool
    """Let worker processes compile script to machine code."""


class ExecutionOptions(Limits, total=False):
    """Options of one execution, and its limits where they differ from the pool's."""

    globals: Mapping[str, Any]
    """Global variables, copied into the realm before the script runs. A name must be an identifier."""
    filename: str
    """The name of the source in errors and stacks; default `main.js`."""
    kind: SourceKind
    """How the source is read; default `auto`: as a script, or as the body of an async function, as it looks."""
    tools: Mapping[str, Tool]
    """Tools of this execution, beside the pool's and in place of those of the same name."""
    tool_handler: ToolHandler
    """Answers all calls that `tools` does not, in place of the pool's tools: `handler(name, argument)`."""
    on_console: Callable[[ConsoleLine], object] | logging.Logger
    """Receives the console lines in place of the pool's."""
    collect_console: bool
    """Keep the console lines in the outcome; `run_detailed` does."""


SETTINGS: Final = frozenset(_enclave.setting_names())
LIMITS: Final = frozenset(_enclave.limit_names())
OPTIONS: Final = LIMITS | {"globals", "filename", "kind", "tools", "tool_handler", "on_console", "collect_console"}


class Presets:
    """The presets as plain mappings of all their settings: `Pool(**{**Presets.SECURE, "max_workers": 16})`.

    Durations are seconds as float.
    """

    STRICT: Final[Mapping[str, Any]] = MappingProxyType(_enclave.preset_settings("strict"))
    """For code from strangers."""
    SECURE: Final[Mapping[str, Any]] = MappingProxyType(_enclave.preset_settings("secure"))
    """For untrusted code with a purpose."""
    STANDARD: Final[Mapping[str, Any]] = MappingProxyType(_enclave.preset_settings("standard"))
    """For code of known origin: what a pool is without a preset."""
    PERMISSIVE: Final[Mapping[str, Any]] = MappingProxyType(_enclave.preset_settings("permissive"))
    """For code that is trusted not to be hostile."""


def check_names(call: str, given: Mapping[str, Any], known: frozenset[str]) -> None:
    """Raise the error that Python raises for an unknown keyword, with the nearest known one."""
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InvalidTypeError(f"{call}() got an unexpected keyword argument {name!r}{hint}", field=name)

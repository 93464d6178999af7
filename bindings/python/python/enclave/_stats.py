"""What a pool and its executions have done, as frozen dataclasses. Times are seconds, sizes are bytes."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from datetime import datetime, timezone
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from enclave._errors import EnclaveError, Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from enclave import _enclave

ConsoleLevel = Literal["debug", "log", "info", "warn", "error"]
RecycleReason = Literal[
    "max_executions",
    "idle",
    "timeout",
    "cpu_limit",
    "memory_limit",
    "console_limit",
    "tool_call_limit",
    "message_flood",
    "cancelled",
    "unresponsive",
    "crash",
    "protocol",
    "internal",
    "shutdown",
]


@dataclass(frozen=True)
class ConsoleLine:
    """One console call of a script, formatted; `text` may hold line breaks."""

    execution_id: int
    level: ConsoleLevel
    time: datetime
    text: str


@dataclass(frozen=True)
class ExecutionStats:
    """What one execution took."""

    execution_id: int
    worker_id: int | None
    queue_wait: float
    run_time: float
    cpu_time: float
    peak_memory: int
    tool_calls: int
    console_calls: int


@dataclass(frozen=True)
class Outcome:
    """How an execution ended: with a value, or with an error; what it took; and its console lines, if collected."""

    error: EnclaveError | None
    stats: ExecutionStats
    console: tuple[ConsoleLine, ...]
    _value: Any = field(default=None, repr=False)

    @property
    def value(self) -> Any:
        """The result; if there is none, the error is raised."""
        if self.error is not None:
            raise self.error
        return self._value

    @property
    def ok(self) -> bool:
        """Whether there is a value."""
        return self.error is None

    @property
    def status(self) -> Status:
        """`Status.OK`, or that of the error."""
        return Status.OK if self.error is None else self.error.status


@dataclass(frozen=True)
class WorkerRecycled:
    """A worker that has left its pool, and why; what it has served; and its age in seconds."""

    worker_id: int
    reason: RecycleReason
    executions: int
    age: float


@dataclass(frozen=True)
class WorkerCounts:
    """Workers by state."""

    starting: int
    idle: int
    executing: int
    recycling: int
    set_aside: int


@dataclass(frozen=True)
class Histogram:
    """Times in seconds: their number, mean, quantiles (to 1 % at least) and maximum."""

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    max: float


@dataclass(frozen=True)
class PoolStats:
    """A snapshot of a pool, at one moment: the numbers fit each other. In a notebook it shows itself as a table."""

    workers: WorkerCounts
    active_workers: int
    """The same as `workers.executing`."""
    queue_depth: int
    executions: Mapping[str, int]
    """How many have ended with each status, by its name; those too that were refused."""
    recycles: Mapping[str, int]
    """How many workers have left for each reason."""
    tool_calls: int
    console_lines: int
    rate_limit_hits: int
    queue_wait: Histogram
    run_time: Histogram
    memory_current: int
    memory_peak: int
    uptime: float
    isolation: Literal["thread", "process"]
    sandbox_missing: tuple[str, ...]
    """Parts of the sandbox of worker processes that could not be had; empty for threads, which have none."""
    sandbox_violations: int
    """Executions whose worker process was killed for a system call that the sandbox forbids."""

    @property
    def total_executions(self) -> int:
        """Executions that have ended, with whatever status."""
        return sum(self.executions.values())

    @property
    def total_recycles(self) -> int:
        """Workers that have left, for whatever reason."""
        return sum(self.recycles.values())

    def _repr_html_(self) -> str:
        return _page("enclave pool", _tables(self))


def pool_stats(raw: dict[str, Any]) -> PoolStats:
    """Make stats of what the native half gives."""
    return PoolStats(
        **{
            **raw,
            "workers": WorkerCounts(**raw["workers"]),
            "executions": MappingProxyType(raw["executions"]),
            "recycles": MappingProxyType(raw["recycles"]),
            "queue_wait": Histogram(**raw["queue_wait"]),
            "run_time": Histogram(**raw["run_time"]),
        }
    )


def console_line(raw: tuple[int, Any, float, str]) -> ConsoleLine:
    """Make a console line of what the native half gives."""
    execution_id, level, seconds, text = raw
    return ConsoleLine(execution_id, level, datetime.fromtimestamp(seconds, timezone.utc), text)


def outcome(raw: _enclave.Outcome, value: Any, error: EnclaveError | None) -> Outcome:
    """Make an outcome of what the native half gives, and of its value and error, which exist already."""
    lines = tuple(console_line(line) for line in raw.console())
    return Outcome(error, ExecutionStats(**raw.stats()), lines, value)


# --- Text and HTML


def duration(seconds: float) -> str:
    """Write a time for people."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.0f} µs"


def size(count: int) -> str:
    """Write a size for people."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024 or unit == "GiB":
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    raise AssertionError


_COLOURS = {
    "starting": "#8da0cb",
    "idle": "#66a61e",
    "executing": "#e6ab02",
    "recycling": "#7570b3",
    "set_aside": "#d95f02",
}
_CELL = 'style="text-align:left;padding:1px 8px"'


def _page(title: str, body: str) -> str:
    return f'<div style="font-family:sans-serif;font-size:90%;line-height:1.4"><b>{html.escape(title)}</b>{body}</div>'


def _row(name: str, content: str) -> str:
    return f"<tr><th {_CELL}>{html.escape(name)}</th><td {_CELL}>{content}</td></tr>"


def _bar(share: float, colour: str, label: str) -> str:
    width = max(1, round(160 * min(share, 1.0)))
    return (
        f'<span style="display:inline-block;width:{width}px;height:0.8em;background:{colour};margin-right:6px"></span>'
        f"{html.escape(label)}"
    )


def _times(times: Histogram) -> str:
    if times.count == 0:
        return "none yet"
    rows = (("p50", times.p50), ("p90", times.p90), ("p99", times.p99), ("max", times.max))
    bars = "<br>".join(_bar(time / (times.max or 1.0), "#8da0cb", f"{name} {duration(time)}") for name, time in rows)
    return f"{times.count} measured, mean {duration(times.mean)}<br>{bars}"


def _tables(stats: PoolStats, max_workers: int | None = None, max_queue_size: int | None = None) -> str:
    counts = vars(stats.workers)
    blocks = "".join(
        f'<span style="display:inline-block;width:0.8em;height:0.8em;margin-right:2px;background:{_COLOURS[state]}" '
        f'title="{state}"></span>' * min(number, 64)
        for state, number in counts.items()
    )
    states = ", ".join(f"{number} {state.replace('_', ' ')}" for state, number in counts.items() if number) or "none"
    of_workers = "" if max_workers is None else f" (of at most {max_workers})"
    total = stats.total_executions or 1
    outcomes = "<br>".join(
        _bar(number / total, "#66a61e" if name == "OK" else "#d95f02", f"{name} {number}")
        for name, number in stats.executions.items()
        if number
    )
    recycles = ", ".join(f"{name} {number}" for name, number in stats.recycles.items() if number)
    queue = f"{stats.queue_depth} waiting"
    if max_queue_size:
        queue = _bar(stats.queue_depth / max_queue_size, "#8da0cb", f"{stats.queue_depth} of {max_queue_size}")
    where = f"isolation: {stats.isolation}"
    if stats.sandbox_missing:
        where += f", sandbox without {', '.join(stats.sandbox_missing)}"
    rows = (
        _row("workers", f"{blocks} {html.escape(states)}{of_workers}, {html.escape(where)}"),
        _row("queue", queue),
        _row("outcomes", outcomes or "none yet"),
        _row("run time", _times(stats.run_time)),
        _row("queue wait", _times(stats.queue_wait)),
        _row("memory", f"{size(stats.memory_current)} now, {size(stats.memory_peak)} at most"),
        _row("calls", f"{stats.tool_calls} tool calls, {stats.console_lines} console lines"),
        _row("recycled", html.escape(recycles) or "none"),
        _row("uptime", duration(stats.uptime)),
    )
    return f'<table style="border-collapse:collapse">{"".join(rows)}</table>'


def pool_html(title: str, stats: PoolStats, settings: Mapping[str, Any]) -> str:
    """Draw a pool for a notebook."""
    return _page(title, _tables(stats, settings["max_workers"], settings["max_queue_size"]))

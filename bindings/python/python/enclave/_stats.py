"""What a pool and its executions have done, as frozen dataclasses. Times are seconds, sizes are bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from enclave._errors import EnclaveError, Status
from enclave._html import stats_html

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
        return stats_html(self)


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


def make_outcome(raw: _enclave.Outcome, value: Any, error: EnclaveError | None) -> Outcome:
    """Make an outcome of what the native half gives, and of its value and error, which exist already."""
    lines = tuple(console_line(line) for line in raw.console())
    return Outcome(error, ExecutionStats(**raw.stats()), lines, value)

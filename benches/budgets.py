"""What enclave must reach (docs/PERFORMANCE.md), and whether it does."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
# Median over the rounds, least and most.
Measured = tuple[float, float, float]


@dataclass
class Budget:
    """One line: `measure` gives what was measured, None if that was not."""

    what: str
    limit: float
    unit: str
    measure: Callable[[Sequence[Row]], Measured | None]
    at_least: bool = False


def find(rows: Sequence[Row], group: str, contestant: str, **more: Any) -> Row | None:
    """Give the row with these values, if it was measured."""
    for each in rows:
        values = {"group": group, "contestant": contestant, **more}
        if each.get("rounds") and all(each.get(key) == value for key, value in values.items()):
            return each
    return None


def _summary(values: list[float]) -> Measured | None:
    return (statistics.median(values), min(values), max(values)) if values else None


def _pairs(
    key: str,
    a: tuple[str, str, dict[str, Any]],
    b: tuple[str, str, dict[str, Any]],
    how: Callable[[float, float], float],
) -> Callable[[Sequence[Row]], Measured | None]:
    """Combine the values of two rows, round by round: those of one round were measured one after the other."""

    def measure(rows: Sequence[Row]) -> Measured | None:
        x, y = find(rows, a[0], a[1], **a[2]), find(rows, b[0], b[1], **b[2])
        if x is None or y is None:
            return None
        return _summary(
            [how(p[key], q[key]) for p, q in zip(x["rounds"], y["rounds"], strict=False) if key in p and key in q]
        )

    return measure


def _one(group: str, key: str, scale: float, **more: Any) -> Callable[[Sequence[Row]], Measured | None]:
    def measure(rows: Sequence[Row]) -> Measured | None:
        found = find(rows, group, "rust", **more)
        return None if found is None else _summary([each[key] * scale for each in found["rounds"]])

    return measure


def _all_samples(group: str, scale: float, **more: Any) -> Callable[[Sequence[Row]], Measured | None]:
    """Judge the worst of single samples, each of a process of its own: what p99 of so few is."""

    def measure(rows: Sequence[Row]) -> Measured | None:
        found = find(rows, group, "rust", **more)
        if found is None:
            return None
        values = [each["max_us"] * scale for each in found["rounds"]]
        return max(values), min(values), max(values)

    return measure


def _over(a: float, b: float) -> float:
    return a / b


def _minus(a: float, b: float) -> float:
    return a - b


THREAD: dict[str, Any] = {"isolation": "thread", "workers": 1}
PROCESS: dict[str, Any] = {"isolation": "process", "workers": 1}
TINY, QUEUED = "tiny, sequential", "tiny, concurrent"
COMPILED = "source_10k, compiled once"


def _tool_call(isolation: dict[str, Any]) -> Callable[[Sequence[Row]], Measured | None]:
    hundred, one = ("tools_100, sequential", "c", isolation), ("tools_1, sequential", "c", isolation)
    return _pairs("p50_us", hundred, one, lambda many, single: (many - single) / 99)


BUDGETS = [
    Budget(
        "1+1, thread, queued, 1 worker: throughput over the bare loop's",
        0.9,
        "x",
        _pairs("per_second", (QUEUED, "rust", THREAD), (QUEUED, "bare-shared-zone", {}), _over),
        at_least=True,
    ),
    Budget(
        "1+1, thread: p50 beyond the bare loop's",
        12,
        "µs",
        _pairs("p50_us", (TINY, "rust", THREAD), (TINY, "bare-shared-zone", {}), _minus),
    ),
    Budget(
        "compiled script of 10 KB, thread: time over that of its source",
        0.6,
        "x",
        _pairs(
            "p50_us",
            (COMPILED, "rust", {**THREAD, "options": {"compiled": True}}),
            (COMPILED, "rust", {**THREAD, "options": {"source": "new"}}),
            _over,
        ),
    ),
    Budget(
        "1+1: p50 of process isolation beyond that of threads",
        40,
        "µs",
        _pairs("p50_us", (TINY, "rust", PROCESS), (TINY, "rust", THREAD), _minus),
    ),
    Budget(
        "1+1, queued, 1 worker: throughput of process isolation over that of threads",
        0.7,
        "x",
        _pairs("per_second", (QUEUED, "rust", PROCESS), (QUEUED, "rust", THREAD), _over),
        at_least=True,
    ),
    Budget("tool call from C and back, thread: p50", 15, "µs", _tool_call(THREAD)),
    Budget("tool call from C and back, process: p50", 45, "µs", _tool_call(PROCESS)),
    *(
        Budget(
            f"{name}, {isolation['isolation']}, queued: throughput of 2 workers over that of 1",
            1.8,
            "x",
            _pairs(
                "per_second",
                (f"{name}, concurrent", "rust", {**isolation, "workers": 2}),
                (f"{name}, concurrent", "rust", isolation),
                _over,
            ),
            at_least=True,
        )
        for name in ("tiny", "typical")
        for isolation in (THREAD, PROCESS)
    ),
    Budget(
        "1+1, thread: throughput with 10 000 in the queue over that with 100",
        0.9,
        "x",
        _pairs(
            "per_second",
            ("queue depth, thread", "rust", {"in_flight": 10_000}),
            ("queue depth, thread", "rust", {"in_flight": 100}),
            _over,
        ),
        at_least=True,
    ),
    Budget(
        "start of a worker to its first result, thread: p50",
        2,
        "ms",
        _one("start of a worker to its first result", "p50_us", 1e-3, isolation="thread"),
    ),
    Budget(
        "start of a worker to its first result, process: p50",
        15,
        "ms",
        _one("start of a worker to its first result", "p50_us", 1e-3, isolation="process"),
    ),
    Budget(
        "idle worker, thread: PSS", 2, "MB", _one("memory of an idle worker", "pss_bytes", 1e-6, isolation="thread")
    ),
    Budget(
        "idle worker, process: PSS", 12, "MB", _one("memory of an idle worker", "pss_bytes", 1e-6, isolation="process")
    ),
    *(
        Budget(
            f"kill of an endless loop, {isolation}: p99 after its deadline",
            5,
            "ms",
            _one("kill of an endless loop, after its deadline", "p99_us", 1e-3, isolation=isolation),
        )
        for isolation in ("thread", "process")
    ),
    *(
        Budget(
            f"kill of a native function that never polls, {isolation}: latest after its deadline",
            50,
            "ms",
            _all_samples("kill of a native function that never polls, after its deadline", 1e-3, isolation=isolation),
        )
        for isolation in ("thread", "process")
    ),
    *(
        Budget(
            f"1+1, thread, {name}: p50 beyond that of C",
            limit,
            "µs",
            _pairs("p50_us", (TINY, name, THREAD), (TINY, "c", THREAD), _minus),
        )
        for name, limit in (("python", 15), ("go", 8))
    ),
]


def judge(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Give each budget with what was measured; `missed_by` is in its unit, 0 if it is met."""
    judged = []
    for budget in BUDGETS:
        measured = budget.measure(rows)
        line: dict[str, Any] = {
            "what": budget.what,
            "limit": budget.limit,
            "unit": budget.unit,
            "at_least": budget.at_least,
            "measured": None,
        }
        if measured is not None:
            value, least, most = measured
            beyond = budget.limit - value if budget.at_least else value - budget.limit
            line |= {"measured": value, "least": least, "most": most, "missed_by": max(0.0, beyond)}
        judged.append(line)
    return judged


def report(judged: Sequence[dict[str, Any]]) -> None:
    """Print them."""
    print(f"\n{'budgets':<78}{'must be':>12}{'is':>11}   (least–most)")
    for line in judged:
        bound = f"{'>=' if line['at_least'] else '<='} {line['limit']:g} {line['unit']}"
        if line["measured"] is None:
            print(f"  {line['what']:<76}{bound:>12}{'–':>11}   not measured")
            continue
        verdict = "met" if line["missed_by"] == 0 else f"MISSED by {line['missed_by']:.2f} {line['unit']}"
        print(
            f"  {line['what']:<76}{bound:>12}{line['measured']:>11.2f}"
            f"   ({line['least']:.2f}–{line['most']:.2f})  {verdict}"
        )

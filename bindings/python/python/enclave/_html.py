"""Numbers for people, and pools and their stats for notebooks."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from enclave._stats import Histogram, PoolStats


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


def stats_html(stats: PoolStats) -> str:
    """Draw stats for a notebook."""
    return _page("enclave pool", _tables(stats))

"""Results: as JSON, and as a table."""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .contestant import Contestant
from .measure import Cell, Settings

FIELDS = ("per_second", "p10_us", "p50_us", "p99_us", "max_us")


def row(each: Cell) -> dict[str, Any]:
    """Give a cell's line of the results: medians over its rounds, and the spread of the throughput."""
    request = each.request
    result: dict[str, Any] = {"group": each.group, "contestant": each.contestant.name, "op": request["op"]}
    for key in ("workload", "mode", "isolation", "workers", "in_flight", "options"):
        if key in request and request[key] != {}:
            result[key] = request[key]
    result["count"] = each.count
    if not each.open:
        result |= {"unsupported": each.unsupported} if each.unsupported is not None else {"error": each.error}
        return result
    for answer in each.rounds:
        if "seconds" in answer and "count" in answer:
            answer.setdefault("per_second", answer["count"] / answer["seconds"])
    keys = [key for key, value in each.rounds[0].items() if isinstance(value, (int, float))] if each.rounds else []
    result["rounds"] = [{key: answer[key] for key in keys} for answer in each.rounds]
    for key in keys:
        if key not in ("seconds", "count"):
            result[key] = statistics.median(answer[key] for answer in each.rounds)
    if "per_second" in keys:
        rates = [answer["per_second"] for answer in each.rounds]
        result["spread"] = (max(rates) - min(rates)) / result["per_second"]
    return result


def ratio(a: dict[str, Any], b: dict[str, Any], key: str = "per_second") -> tuple[float, float, float] | None:
    """Give a : b, the median over the rounds (which took turns), and the least and the most."""
    pairs = zip(a.get("rounds", ()), b.get("rounds", ()))
    ratios = sorted(x[key] / y[key] for x, y in pairs if key in x and key in y and y[key])
    return (statistics.median(ratios), ratios[0], ratios[-1]) if ratios else None


def machine() -> dict[str, Any]:
    """Say what all this was measured on."""
    model = next(
        (line.partition(":")[2].strip() for line in _text("/proc/cpuinfo").splitlines() if line.startswith("model name")),
        platform.machine(),
    )
    memory = next((line.split()[1] for line in _text("/proc/meminfo").splitlines() if line.startswith("MemTotal")), "0")
    system = next(
        (line.partition("=")[2].strip('"') for line in _text("/etc/os-release").splitlines() if line.startswith("PRETTY_NAME")),
        platform.system(),
    )
    return {
        "processor": model,
        "processors": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(memory) / 2**20, 1),
        "kernel": platform.release(),
        "system": system,
        "load_before": round(os.getloadavg()[0], 2),
    }


def write(
    path: Path,
    rows: Sequence[dict[str, Any]],
    contestants: Sequence[Contestant],
    settings: Settings,
    machine_before: dict[str, Any],
    **more: Any,
) -> dict[str, Any]:
    """Write all as JSON, and give it."""
    results = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": {**machine_before, "load_after": round(os.getloadavg()[0], 2)},
        "versions": {contestant.name: contestant.greeting for contestant in contestants},
        "settings": {"rounds": settings.rounds, "seconds_per_round": settings.seconds},
        **more,
        "rows": list(rows),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")
    return results


def read(path: Path) -> dict[str, Any]:
    """Read what `write` has written."""
    return json.loads(path.read_text())


def label(result: dict[str, Any]) -> str:
    """Name the contestant of a line, and how it was run."""
    parts = [result["contestant"]]
    if result.get("workers") is not None:
        parts.append(f"{result['isolation']} x{result['workers']}")
    options = result.get("options") or {}
    parts += [key if value is True else f"{key}={value}" for key, value in options.items()]
    return ", ".join(parts)


def report(rows: Sequence[dict[str, Any]]) -> None:
    """Print the executions: of each group all lines, and how they stand to its first."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for each in rows:
        if each["op"] == "run":
            groups.setdefault(each["group"], []).append(each)
    for name, group in groups.items():
        print(f"\n{name}")
        print(f"  {'':<36}{'per second':>12}{'p50 µs':>11}{'p99 µs':>11}{'spread':>8}  : first (least–most)")
        for each in group:
            if "per_second" not in each:
                why = each.get("unsupported") or each.get("error") or "nothing"
                print(f"  {label(each):<36}{'error: ' if each.get('error') else '– '}{why}")
                continue
            compared = ratio(each, group[0])
            beside = "" if compared is None or each is group[0] else f"  {compared[0]:.2f} ({compared[1]:.2f}–{compared[2]:.2f})"
            print(
                f"  {label(each):<36}{each['per_second']:>12,.1f}{each.get('p50_us', float('nan')):>11,.1f}"
                f"{each.get('p99_us', float('nan')):>11,.1f}{each['spread']:>8.0%}{beside}"
            )


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"

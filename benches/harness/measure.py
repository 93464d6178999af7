"""Measures cells (a contestant doing a workload in one way) in rounds that take turns."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .contestant import Contestant, Failure

# A count that takes this long says well enough how many a round needs.
CALIBRATED = 0.03


@dataclass
class Settings:
    """How long to measure."""

    rounds: int = 5
    # What one round of one cell shall take. One execution is the least.
    seconds: float = 0.25
    # In one request.
    most: int = 20_000
    timeout: float = 60


@dataclass
class Cell:
    """One line of the table. Cells of one group take turns, so that they see the same machine."""

    group: str
    contestant: Contestant
    request: dict[str, Any]
    # Executions of a round; calibrated if None.
    count: int | None = None
    # The answers of the rounds, or what there is instead.
    rounds: list[dict[str, Any]] = field(default_factory=list)
    unsupported: str | None = None
    error: str | None = None

    @property
    def open(self) -> bool:
        """Whether it can be measured, as far as is known."""
        return self.unsupported is None and self.error is None

    def once(self, count: int, seconds: float) -> dict[str, Any] | None:
        """Ask for one round."""
        request = dict(self.request)
        if request["op"] == "run":
            request["count"] = count
            request.setdefault("in_flight", count)
            request["in_flight"] = min(request["in_flight"], count) if request["mode"] == "concurrent" else 1
        try:
            answer = self.contestant.ask(request, seconds)
        except Failure as failure:
            self.error = str(failure)
            return None
        if "unsupported" in answer:
            self.unsupported = str(answer["unsupported"])
            return None
        return answer


def cell(
    contestant: Contestant,
    workload: Any,
    *,
    mode: str = "sequential",
    isolation: str = "thread",
    workers: int = 1,
    in_flight: int | None = None,
    count: int | None = None,
    options: dict[str, Any] | None = None,
    group: str | None = None,
) -> Cell:
    """Make the cell of a workload; without `in_flight`, a concurrent one submits all at once."""
    request = {
        "op": "run",
        "mode": mode,
        "isolation": isolation,
        "workers": workers,
        "options": options or {},
        **workload.request(),
    }
    if in_flight is not None:
        request["in_flight"] = in_flight
    return Cell(group or f"{workload.name}, {mode}", contestant, request, count)


def measure(cells: Iterable[Cell], settings: Settings) -> list[Cell]:
    """Fill in the rounds of all cells, group by group."""
    groups: dict[str, list[Cell]] = {}
    for each in cells:
        groups.setdefault(each.group, []).append(each)
    for number, (name, group) in enumerate(groups.items()):
        _progress(f"{number + 1}/{len(groups)} {name}")
        for each in group:
            _calibrate(each, settings)
        for round_number in range(settings.rounds):
            # Nobody is always the one who comes after a certain other.
            first = round_number % len(group)
            for each in group[first:] + group[:first]:
                if each.open:
                    answer = each.once(each.count or 1, settings.timeout)
                    if answer is not None:
                        each.rounds.append(answer)
    _progress("")
    return [each for group in groups.values() for each in group]


def _calibrate(each: Cell, settings: Settings) -> None:
    """Warm it up, and find how many executions a round needs."""
    if each.request["op"] != "run":
        each.count = 1
        return
    if each.count is not None:
        each.once(each.count, settings.timeout)
        return
    count, took = 1, 0.0
    while True:
        answer = each.once(count, settings.timeout)
        if answer is None:
            return
        took = answer["seconds"]
        if took >= CALIBRATED or count >= settings.most:
            break
        count = min(settings.most, max(count * 2, int(count * CALIBRATED * 1.5 / max(took, 1e-6))) if count > 4 else count * 5)
    each.count = max(1, min(settings.most, round(count * settings.seconds / max(took, 1e-9))))


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)

"""Measures enclave: `make bench`, whose ARGS come here. See README.md."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import budgets
import plots
from harness import Cell, Contestant, Failure, Settings, cell, measure, report, row, start, write
from harness.results import machine, report_times
from workloads import WORKLOADS

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "target"
PUBLISHED = ROOT / "docs" / "benchmarks"

ISOLATIONS = ("thread", "process")
# Submitted all at once, to as many workers as given.
CONCURRENT = ("tiny", "typical", "source_10k", "fannkuch", "data_1mb")
WORKERS = (1, 2, 4)
QUEUE_DEPTHS = (1, 10, 100, 1000, 10_000)
# More than the deepest queue: then all depths are kept up in the same way.
QUEUED = 20_000
SUBMITTERS = (1, 8, 64)
NO_OPTIONS: dict[str, Any] = {}
LOOP = "for (;;);"
# Engine code that never looks whether it shall end.
NATIVE = "const a = 'a'.repeat(2 ** 24); a.indexOf('a'.repeat(2 ** 23) + 'b')"


def contestants() -> list[Contestant]:
    """List them; the first are those that others are compared with."""
    worker = {"ENCLAVE_WORKER": str(TARGET / "stage/libexec/enclave/enclave-worker")}
    python = [str(TARGET / "venv/bin/python"), str(ROOT / "benches/contestants/python/bench.py")]
    return [
        Contestant("bare-shared-zone", [str(TARGET / "release/bench-bare"), "shared-zone"]),
        Contestant("bare", [str(TARGET / "release/bench-bare")]),
        Contestant("rust", [str(TARGET / "release/bench-rust")], worker),
        Contestant("c", [str(TARGET / "bench/bin/c")]),
        Contestant("python", python),
        Contestant("go", [str(TARGET / "bench/bin/go")]),
    ]


def executions(running: dict[str, Contestant], quick: bool) -> Iterator[Cell]:
    """Give all cells that execute workloads."""
    bare = [running[name] for name in ("bare-shared-zone", "bare") if name in running]
    ours = [running[name] for name in ("rust", "c", "python", "go") if name in running]
    for workload in WORKLOADS.values():
        if workload.tool_calls == 0:
            yield from (cell(contestant, workload) for contestant in bare)
        for contestant in ours:
            yield from (cell(contestant, workload, isolation=isolation) for isolation in ISOLATIONS)

    for name in CONCURRENT[: 2 if quick else None]:
        workload = WORKLOADS[name]
        group = f"{name}, concurrent"
        yield from (cell(contestant, workload, group=group) for contestant in bare)
        for contestant in ours:
            for isolation in ISOLATIONS:
                for workers in WORKERS[: 2 if quick else None]:
                    yield cell(
                        contestant, workload, mode="concurrent", isolation=isolation, workers=workers, group=group
                    )

    if "rust" not in running:
        return
    rust, tiny = running["rust"], WORKLOADS["tiny"]
    for name in ("tiny", "typical", "source_10k"):
        for isolation in ISOLATIONS:
            for options in ({"source": "new"}, NO_OPTIONS, {"compiled": True}):
                group = f"{name}, compiled once"
                yield cell(rust, WORKLOADS[name], isolation=isolation, options=options, group=group)
    for isolation in ISOLATIONS:
        for depth in QUEUE_DEPTHS[:: 2 if quick else 1]:
            group = f"queue depth, {isolation}"
            yield cell(rust, tiny, mode="concurrent", isolation=isolation, in_flight=depth, count=QUEUED, group=group)
    for submitters in SUBMITTERS:
        yield cell(rust, tiny, mode="concurrent", workers=2, options={"submitters": submitters}, group="submitters")
    for options in (NO_OPTIONS, {"stats": "callback"}, {"stats": "poll"}):
        yield cell(rust, tiny, options=options, group="stats every millisecond")


def times(rust: Contestant, quick: bool) -> Iterator[Cell]:
    """Give the cells of what is not an execution more or less."""
    samples = 5 if quick else 20
    for isolation in ISOLATIONS:
        request = {"op": "cold_start", "isolation": isolation, "count": samples}
        yield Cell("start of a worker to its first result", rust, request)
    for isolation in ISOLATIONS:
        request = {"op": "kill", "isolation": isolation, "source": LOOP, "timeout_ms": 100, "count": samples}
        yield Cell("kill of an endless loop, after its deadline", rust, request)
    for isolation, workers in (("thread", 8), ("process", 4)):
        request = {"op": "memory", "isolation": isolation, "workers": workers}
        yield Cell("memory of an idle worker", rust, request)


def fresh(group: str, contestant: Contestant, request: dict[str, Any], samples: int) -> Cell:
    """Ask a new process each time: for what happens once, or leaves it unfit for more."""
    result = Cell(group, contestant, request, 1)
    for _ in range(samples):
        try:
            contestant.start()
            answer = contestant.ask(request)
        except Failure as failure:
            result.error = str(failure)
            break
        finally:
            contestant.stop()
        result.rounds.append(answer)
    return result


def once_a_process(quick: bool) -> Iterator[tuple[str, dict[str, Any], int]]:
    """Give what `fresh` shall do. What leaves a thread busy comes last."""
    samples = 5 if quick else 20
    yield "the first result of a process, engine included", {"op": "cold_start", "isolation": "thread"}, samples
    for isolation in ("process", "thread"):
        request = {"op": "kill", "isolation": isolation, "source": NATIVE, "timeout_ms": 100}
        yield "kill of a native function that never polls, after its deadline", request, samples


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three short rounds, and fewer combinations")
    parser.add_argument(
        "--only", metavar="TEXT", action="append", help="only groups whose name holds this; may be repeated"
    )
    parser.add_argument("--publish", action="store_true", help="draw the plots in docs/benchmarks")
    parser.add_argument("--rounds", type=int, help="rounds of each line (default 5)")
    parser.add_argument("--seconds", type=float, help="what one round of one line takes (default 0.25)")
    return parser.parse_args()


def main() -> int:
    """Measure, print, and write."""
    options = arguments()
    settings = Settings(rounds=3, seconds=0.06) if options.quick else Settings()
    settings.rounds = options.rounds or settings.rounds
    settings.seconds = options.seconds or settings.seconds
    before = machine()

    def wanted(group: str) -> bool:
        return not options.only or any(text in group for text in options.only)

    running, skipped = start(contestants())
    for name, why in skipped.items():
        print(f"{name} is left out: {why}", file=sys.stderr)
    by_name = {contestant.name: contestant for contestant in running}
    cells = [each for each in executions(by_name, options.quick) if wanted(each.group)]
    if "rust" in by_name:
        cells += [each for each in times(by_name["rust"], options.quick) if wanted(each.group)]
    rows = [row(each) for each in measure(cells, settings)]
    for contestant in running:
        contestant.stop()
    if "rust" in by_name:
        for group, request, samples in once_a_process(options.quick):
            if wanted(group):
                rows.append(row(fresh(group, by_name["rust"], request, samples)))

    report(rows)
    report_times(rows)
    judged = budgets.judge(rows)
    budgets.report(judged)

    file = TARGET / "bench" / "enclave.json"
    results = write(file, rows, running, settings, before, skipped=skipped, budgets=judged)
    drawn = plots.draw(results, PUBLISHED if options.publish else TARGET / "bench")
    load = results["machine"]["load_before"]
    if load > 0.5:
        print(f"\nThe machine was busy before this began (load {load}): take the numbers with care.")
    print("\nWritten: " + ", ".join(os.path.relpath(path, ROOT) for path in [file, *drawn]))
    return 1 if any("error" in each for each in rows) else 0


if __name__ == "__main__":
    sys.exit(main())

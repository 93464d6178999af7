"""Draws the results as SVG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
# The same results give the same file.
mpl.rcParams["svg.hashsalt"] = "enclave"
mpl.rcParams["svg.fonttype"] = "path"

from matplotlib import pyplot as plt  # noqa: E402

from harness import ratio  # noqa: E402

COLOURS = {"bare-shared-zone": "#777777", "rust": "#b7410e", "c": "#2f5d8a", "python": "#c9a227", "go": "#2a8c82"}
NAMES = {"bare-shared-zone": "bare loop", "rust": "Rust", "c": "C", "python": "Python", "go": "Go"}


def draw(results: dict[str, Any], directory: Path) -> list[Path]:
    """Draw what was measured, and give the files."""
    drawn = []
    for name, make in (("latency", _latency), ("throughput", _throughput), ("scaling", _scaling), ("queue", _queue)):
        figure, axes = plt.subplots(figsize=(7.5, 3.6), layout="constrained")
        if make(results["rows"], axes):
            machine = results["machine"]
            axes.text(
                1, 1.01,
                f"{machine['processors']} x {machine['processor']}, {results['date'][:10]}, {results['commit']}",
                transform=axes.transAxes, ha="right", va="bottom", fontsize=6, color="#666666",
            )  # fmt: skip
            axes.spines[["top", "right"]].set_visible(False)
            path = directory / f"{name}.svg"
            figure.savefig(path, metadata={"Date": None})
            drawn.append(path)
        plt.close(figure)
    return drawn


def draw_peers(results: dict[str, Any], directory: Path) -> list[Path]:
    """Draw how many times as many executions enclave makes, and give the files."""
    rows = results["rows"]
    figure, axes = plt.subplots(figsize=(7.5, 4), layout="constrained")
    peers: list[str] = list(dict.fromkeys(each["contestant"] for each in rows if each["contestant"] != "enclave"))
    workloads = (("tiny", "#b7410e"), ("typical", "#2f5d8a"))
    for offset, (name, colour) in zip((-0.2, 0.2), workloads, strict=True):
        group = f"{name}, sequential"
        ours = _find(rows, group, contestant="enclave", isolation="thread")
        for place, peer in enumerate(peers):
            theirs = _find(rows, group, contestant=peer)
            compared = ratio(ours[0], theirs[0]) if ours and theirs else None
            if compared is not None:
                axes.barh(place + offset, compared[0], 0.38, color=colour)
                axes.text(compared[0] * 1.05, place + offset, f"{compared[0]:.1f}", va="center", fontsize=7)
    axes.set_xscale("log")
    axes.axvline(1, color="#777777", linewidth=1)
    axes.set_yticks(range(len(peers)), peers, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("executions a second, enclave (thread) : peer, one after the other (red: 1+1, blue: 1 KB)")
    axes.spines[["top", "right"]].set_visible(False)
    path = directory / "peers.svg"
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return [path]


def _find(rows: list[dict[str, Any]], group: str, **more: Any) -> list[dict[str, Any]]:
    found = [each for each in rows if each["group"] == group and "per_second" in each]
    return [each for each in found if all(each.get(key) == value for key, value in more.items())]


def _latency(rows: list[dict[str, Any]], axes: Any) -> bool:
    """Show p50 of 1+1 through each interface; the line goes from p10 to p99."""
    shown = [each for each in _find(rows, "tiny, sequential") if each["contestant"] in NAMES]
    for place, each in enumerate(shown):
        axes.barh(
            place, each["p50_us"], color=COLOURS[each["contestant"]], alpha=1 if each["isolation"] == "thread" else 0.6
        )
        axes.plot([each["p10_us"], each["p99_us"]], [place, place], color="black", linewidth=1)
    named = [
        NAMES[each["contestant"]] + ("" if "bare" in each["contestant"] else f", {each['isolation']}") for each in shown
    ]
    axes.set_yticks(range(len(shown)), named)
    axes.invert_yaxis()
    axes.set_xlabel("µs for 1+1 in a fresh realm: p50 (bar), p10 to p99 (line)")
    axes.set_xlim(left=0)
    return bool(shown)


def _throughput(rows: list[dict[str, Any]], axes: Any) -> bool:
    """Show each workload on one worker beside the bare loop."""
    bars = []
    for group in dict.fromkeys(each["group"] for each in rows if each["group"].endswith(", sequential")):
        bare = _find(rows, group, contestant="bare-shared-zone")
        for isolation in ("thread", "process"):
            ours = _find(rows, group, contestant="rust", isolation=isolation)
            compared = ratio(ours[0], bare[0]) if ours and bare else None
            if compared is not None:
                bars.append((group.removesuffix(", sequential"), isolation, compared))
    names = list(dict.fromkeys(name for name, _, _ in bars))
    for name, isolation, (middle, least, most) in bars:
        place = names.index(name) + (-0.2 if isolation == "thread" else 0.2)
        axes.bar(place, middle, 0.38, color=COLOURS["rust"], alpha=1 if isolation == "thread" else 0.6)
        axes.plot([place, place], [least, most], color="black", linewidth=1)
    axes.axhline(1, color=COLOURS["bare-shared-zone"], linewidth=1)
    axes.set_xticks(range(len(names)), names, rotation=20, ha="right", fontsize=8)
    axes.set_ylabel("throughput over the bare loop's\n(left: thread, right: process)")
    return bool(bars)


def _scaling(rows: list[dict[str, Any]], axes: Any) -> bool:
    """Show executions a second of 1+1 by workers."""
    shown = False
    for name in ("rust", "c", "python", "go"):
        for isolation in ("thread", "process"):
            found = _find(rows, "tiny, concurrent", contestant=name, isolation=isolation)
            if found:
                shown = True
                axes.plot(
                    [each["workers"] for each in found], [each["per_second"] for each in found],
                    color=COLOURS[name], marker="o", linestyle="-" if isolation == "thread" else ":",
                    label=f"{NAMES[name]}, {isolation}",
                )  # fmt: skip
    axes.set_xticks([1, 2, 4])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("workers")
    axes.set_ylabel("executions of 1+1 a second")
    if shown:
        axes.legend(fontsize=7, ncols=2)
    return shown


def _queue(rows: list[dict[str, Any]], axes: Any) -> bool:
    """Show what an execution takes by how many are submitted and not done."""
    shown = False
    for isolation in ("thread", "process"):
        found = _find(rows, f"queue depth, {isolation}", contestant="rust")
        if found:
            shown = True
            axes.plot(
                [each["in_flight"] for each in found], [1e6 / each["per_second"] for each in found],
                color=COLOURS["rust"], marker="o", linestyle="-" if isolation == "thread" else ":", label=isolation,
            )  # fmt: skip
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("executions in flight, 1 worker")
    axes.set_ylabel("µs each (1+1)")
    if shown:
        axes.legend(fontsize=8)
    return shown

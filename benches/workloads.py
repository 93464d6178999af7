"""The work that all contestants do: sources in workloads/, what they get, and what must come out."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).parent / "workloads"


@dataclass(frozen=True)
class Workload:
    """One kind of work. Its source is a script; the value of its last expression is the result."""

    name: str
    title: str
    source: str
    expect: Any
    # Made when needed, as it may be large: the global `input` of the script.
    make_input: Callable[[], Any] | None = None
    make_expect: Callable[[], Any] | None = None
    # How often the script calls the tool `echo`, which gives its argument back; `await callTool('echo', x)`.
    tool_calls: int = 0
    # The same for contestants whose host functions are called as `echo(x)` and give their result at once.
    peer_source: str | None = None

    def request(self) -> dict[str, Any]:
        """Give its part of a request."""
        result: dict[str, Any] = {
            "workload": self.name,
            "source": self.source,
            "expect": self.make_expect() if self.make_expect else self.expect,
        }
        if self.make_input is not None:
            result["input"] = self.make_input()
        if self.peer_source is not None:
            result["peer_source"] = self.peer_source
        return result


def _file(name: str) -> str:
    return (DIRECTORY / f"{name}.js").read_text()


@functools.cache
def _records() -> dict[str, Any]:
    """Make an object of about 1 MB as JSON, always the same."""
    names = ["anna", "bertram", "cäcilie", "dmitri", "eve"]
    records = [
        {
            "id": i,
            "name": f"{names[i % 5]} {i * 7919 % 10007}",
            "tags": [f"t{i % 13}", f"group-{i % 101}"],
            "score": i * 31 % 1000,
            "active": i % 3 == 0,
            "address": {"street": f"{i % 97} Long Street", "city": "Springfield", "zip": f"{i % 100000:05}"},
        }
        for i in range(6700)
    ]
    return {"records": records}


@functools.cache
def _changed_records() -> dict[str, Any]:
    records = _records()["records"]
    changed = [
        {**r, "name": r["name"].upper(), "tags": [f"#{tag}" for tag in r["tags"]], "score": r["score"] * 2} for r in records
    ]
    return {"active": sum(r["active"] for r in records), "records": changed}


def _tools(count: int) -> Workload:
    head = f"let sum = 0; for (let i = 0; i < {count}; i++) sum += "
    return Workload(
        f"tools_{count}",
        f"{count} tool call{'s' if count > 1 else ''}, one after the other",
        f"{head}await callTool('echo', i); return sum",
        sum(range(count)),
        tool_calls=count,
        peer_source=f"{head}echo(i); sum",
    )


_ALL = [
    Workload("tiny", "1+1", "1+1", 2),
    Workload("steps", "a loop of 1000 steps", "let s = 0; for (let i = 0; i < 1000; i++) s += i; s", 499500),
    Workload("typical", "a script of 1 KB: map, filter, reduce, JSON, a regular expression", _file("typical"), None),
    Workload("source_10k", "a program of 10 KB, most of whose functions are called", _file("source_10k"), None),
    Workload("fannkuch", "compute: permutations", _file("fannkuch"), [8629, 30]),
    Workload("nbody", "compute: planets", _file("nbody"), ["-0.169075164", "-0.169078071"]),
    Workload("spectral_norm", "compute: a matrix", _file("spectral_norm"), "1.274224047"),
    Workload(
        "scheduler",
        "compute: objects and methods",
        _file("scheduler"),
        [135552, 54223, 60000, 27113, 67773, 67785, 81321, 81336],
    ),
    Workload(
        "data_1mb",
        "1 MB of JSON in, changed, 1 MB out",
        _file("data_1mb"),
        None,
        make_input=_records,
        make_expect=_changed_records,
    ),
    _tools(1),
    _tools(10),
    _tools(100),
    Workload(
        "tools_100_concurrent",
        "100 tool calls at once",
        "(await Promise.all(Array.from({length: 100}, (_, i) => callTool('echo', i)))).reduce((a, b) => a + b)",
        4950,
        tool_calls=100,
        peer_source="Array.from({length: 100}, (_, i) => echo(i)).reduce((a, b) => a + b)",
    ),
    Workload("memory", "20 MB of objects and strings, dropped", _file("memory"), 1251205536),
]

_EXPECTED = json.loads((DIRECTORY / "expected.json").read_text())

WORKLOADS = {
    each.name: (Workload(**{**each.__dict__, "expect": _EXPECTED[each.name]}) if each.name in _EXPECTED else each)
    for each in _ALL
}
COMPUTE = ("fannkuch", "nbody", "spectral_norm", "scheduler")

"""An agent answers questions about data by writing code, which runs in a pool with the data behind tools.

A language model gets the question, a description of the tools, and what its last try ended in. Here `write_code` stands
in for the model, so that the example needs no account: its first try has a mistake, as first tries do. Everything
around it is what a real agent needs. The script never sees a file or the network; it sees the tools, their limits, and
errors that say what went wrong. That text is also what helps a model to do better.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import enclave

DATA = Path(__file__).resolve().parent.parent / "data"

TOOLS = """\
await tools.columns() gives the names of the columns.
await tools.rows({species, limit}) gives rows as objects; numbers are numbers, what is missing is null.
"""

QUESTION = "How heavy is a penguin of each species on average, and which one is the heaviest?"

# What the model writes: first with a mistake, then, knowing the error, without.
ANSWERS = [
    """\
const rows = await tools.rows({species: "all"})
const bySpecies = Object.groupBy(rows, (row) => row.species)
return Object.fromEntries(Object.entries(bySpecies).map(([name, list]) => [name, mean(list.map((p) => p.body_mass_g))]))
""",
    """\
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length
const rows = (await tools.rows({species: "all"})).filter((row) => row.body_mass_g !== null)
const means = Object.entries(Object.groupBy(rows, (row) => row.species))
  .map(([species, birds]) => ({species, grams: Math.round(mean(birds.map((row) => row.body_mass_g))), n: birds.length}))
  .sort((a, b) => b.grams - a.grams)
console.log(`${rows.length} penguins with a weight`)
return {heaviest: means[0].species, means}
""",
]


def write_code(question: str, tools: str, failures: list[str]) -> str:
    """Ask the model. Its prompt would hold the question, the tools, and the errors of what it has tried."""
    del question, tools
    return ANSWERS[len(failures)]


def load() -> list[dict[str, Any]]:
    """Read the data set."""
    with (DATA / "penguins.csv").open(encoding="utf-8", newline="") as file:
        return [{name: number_or_text(text) for name, text in row.items()} for row in csv.DictReader(file)]


def number_or_text(text: str) -> float | str | None:
    """Turn a cell into a value."""
    if text == "NA":
        return None
    try:
        return float(text)
    except ValueError:
        return text


def answer(question: str, *, tries: int = 3) -> Any:
    """Let the model write code until it runs."""
    table = load()
    calls: Counter[str] = Counter()

    with enclave.Pool("strict", max_messages_per_second=50) as pool:

        @pool.tool
        def columns() -> list[str]:
            calls["columns"] += 1
            return list(table[0])

        @pool.tool
        def rows(species: str = "all", limit: int = 1000) -> list[dict[str, Any]]:
            calls["rows"] += 1
            # Arguments come from the script: nobody has checked them.
            if species != "all" and species not in {row["species"] for row in table}:
                raise enclave.ToolError(f"there is no species {species!r}", name="NotFoundError", code="NO_SPECIES")
            return [row for row in table if species in ("all", row["species"])][: max(0, int(limit))]

        failures: list[str] = []
        for _ in range(tries):
            outcome = pool.run_detailed(write_code(question, TOOLS, failures), filename="answer.js")
            for line in outcome.console:
                print(f"  [{line.level}] {line.text}")
            if outcome.error is None:
                print(f"  {calls.total()} tool calls, {outcome.stats.cpu_time * 1000:.0f} ms of CPU")
                return outcome.value
            # The text has the message, the line with a caret, and the stack: what the model needs for its next try.
            failures.append(str(outcome.error))
            print("  failed: " + failures[-1].splitlines()[0])
    raise RuntimeError("the model did not find an answer:\n" + "\n\n".join(failures))


if __name__ == "__main__":
    print(QUESTION)
    print(json.dumps(answer(QUESTION), indent=2))

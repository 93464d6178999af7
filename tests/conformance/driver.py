"""The conformance table: reads it, has a runner of a language do the cases, and judges what the runner saw.

    driver.py [--process] [--memory-mib N] [--filter PART] -- RUNNER [ARGUMENT...]

README.md in this folder says what a case is, and what the driver and a runner say to each other.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

SUBMISSION = {
    "source",
    "kind",
    "filename",
    "globals",
    "limits",
    "own_tool",
    "own_tools",
}
OUTCOME = {"status", "value", "error", "console", "calls", "stats"}
STEPS = {
    "run": {"times"} | SUBMISSION | OUTCOME,
    "submit": {"as", "status", "error"} | SUBMISSION,
    "wait": {"for"} | OUTCOME,
    "cancel": {"for", "status"},
    "await_executing": {"count"},
    "await_calls": {"count"},
    "sleep": {"ms"},
    "shutdown": {"timeout_ms", "status"},
    "forked": {"call", "for", "status"},
}
CASE = {
    "name",
    "preset",
    "pool",
    "tools",
    "any_tool",
    "needs",
    "steps",
    "recycled",
    "pool_error",
    "settings",
} | {
    "constants",
    "table",
}
TOOL = {"resolves", "echoes", "rejects", "drops", "keeps", "host_calls", "after_ms"}
TEXTS = {
    "name",
    "script_message",
    "code",
    "filename",
    "source_line",
    "field",
    "path",
    "setting",
}
NUMBERS = {"line", "column", "limit", "queue_size", "signal"}
PARTS = {
    "message_has": ("message", True),
    "script_message_has": ("script_message", True),
    "stack_has": ("stack", True),
    "stack_lacks": ("stack", False),
}
BOUNDS = {
    "used_bytes_at_least": "used_bytes",
    "waited_ms_at_least": "waited_ms",
    "retry_after_ms_at_least": "retry_after_ms",
    "run_time_ms_at_least": "run_time_ms",
    "run_time_ms_at_most": "run_time_ms",
    "cpu_time_ms_at_most": "cpu_time_ms",
}
ERROR = (
    TEXTS
    | NUMBERS
    | PARTS.keys()
    | {"status", "source_line_at_most"}
    | {bound for bound in BOUNDS if "time" not in bound}
)
STATS = {"tool_calls", "console_calls"} | {bound for bound in BOUNDS if "time" in bound}
# What a busy machine makes of these: a worker that comes too late to its end is unresponsive.
LATE = {"timeout", "cpu_limit", "cancelled"}
# Statuses that no case can bring about; the README says where they are tested.
UNREACHABLE = {"WORKER_CRASHED", "WORKER_STARTUP", "INTERNAL"}


class Wrong(Exception):
    """A case did not go as the table says, or the table says something that nobody knows."""


class TooSlow(Exception):
    """With the debug engine a case may run out of time that does not otherwise; then it shows nothing."""


# --- The table


def read_table(folder: Path = HERE) -> list[dict[str, Any]]:
    """All cases, each with the name of its file in `file`."""
    cases: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.json")):
        for case in json.loads(path.read_text(encoding="utf-8"))["cases"]:
            check_case(case)
            cases.append({**case, "file": path.name})
    names = [case["name"] for case in cases]
    doubles = {name for name in names if names.count(name) > 1}
    if doubles or len(names) < 500:
        raise Wrong(f"two cases have one name, or cases are missing: {doubles}")
    return cases


def only(known: set[str], form: dict[str, Any], what: str) -> None:
    unknown = form.keys() - known
    if unknown:
        raise Wrong(f"{what} has unknown fields: {', '.join(sorted(unknown))}")


def check_case(case: dict[str, Any]) -> None:
    """No expectation may go unread."""
    name = case["name"]
    if "steps" in case:
        only(CASE, case, name)
    else:
        only(CASE | STEPS["run"], case, name)
    for step in steps_of(case):
        only(
            {"do"} | STEPS[step.get("do", "run")] if step is not case else step.keys(),
            step,
            f"a step of {name!r}",
        )
        only(ERROR, step.get("error", {}), f"an error of {name!r}")
        only(STATS, step.get("stats", {}), f"stats of {name!r}")
    only(ERROR, case.get("pool_error", {}), f"the error of {name!r}")
    for tool in tools_of(case):
        only(TOOL, tool, f"a tool of {name!r}")


def steps_of(case: dict[str, Any]) -> list[dict[str, Any]]:
    if {"settings", "constants", "pool_error"} & case.keys():
        return []
    return case.get("steps", [case])


def tools_of(case: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for form in [case, *steps_of(case)]:
        for field in ("any_tool", "own_tool"):
            if field in form:
                yield form[field]
        for field in ("tools", "own_tools"):
            yield from form.get(field, {}).values()


def expected_statuses(cases: list[dict[str, Any]]) -> set[str]:
    found = {"OK"}
    for case in cases:
        for form in [*steps_of(case), case.get("pool_error", {})]:
            found.add(form.get("status", "OK"))
            if isinstance(form.get("value"), str) and any("host_calls" in tool for tool in tools_of(case)):
                found.add(form["value"])
    return found


def check_every_status_has_a_case(cases: list[dict[str, Any]]) -> None:
    statuses = next(case["constants"] for case in cases if case.get("table") == "status")
    missing = statuses.keys() - expected_statuses(cases) - UNREACHABLE
    if missing:
        raise Wrong(f"no case ends in {', '.join(sorted(missing))}")


def text_of(form: Any) -> str:
    """A text of the table."""
    if isinstance(form, list):
        return "\n".join(form)
    if isinstance(form, dict):
        part, times = form["$repeat"]
        return part * times
    return form


def plain(form: Any) -> Any:
    """A value of the table without `$repeat`."""
    if isinstance(form, list):
        return [plain(item) for item in form]
    if not isinstance(form, dict):
        return form
    if form.keys() == {"$repeat"}:
        return text_of(form)
    return {key: plain(item) for key, item in form.items()}


# --- Questions


def question(case: dict[str, Any], isolation: str, memory_mib: int | None) -> dict[str, Any]:
    """What a runner is to do, without what is expected of it."""
    if "constants" in case:
        return {"do": "constants", "table": case["table"]}
    pool = dict(case.get("pool", {}))
    if "settings" in case:
        return {
            "do": "settings",
            "preset": case.get("preset", "default"),
            "pool": pool,
            "names": [*case["settings"]],
        }
    ours: dict[str, int] = {
        "isolation": 1 if isolation == "process" else 0,
        "min_workers": 1,
        "max_workers": 1,
    }
    if memory_mib is not None:
        # A message must fit, in more than one form.
        ours |= {
            "memory_limit_per_worker": memory_mib << 20,
            "max_message_size": (memory_mib << 20) // 16,
        }
    steps = []
    for step in steps_of(case):
        steps += [step_question(step)] * step.get("times", 1)
    return {
        "do": "case",
        "preset": case.get("preset", "default"),
        "pool": {**ours, **pool},
        "tools": {name: tool_question(tool) for name, tool in case.get("tools", {}).items()},
        "any_tool": tool_question(case.get("any_tool")),
        "steps": steps,
    }


def tool_question(tool: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if tool is None else {field: plain(content) for field, content in tool.items()}


def step_question(step: dict[str, Any]) -> dict[str, Any]:
    kept = (
        "as",
        "for",
        "call",
        "count",
        "ms",
        "timeout_ms",
        "kind",
        "filename",
        "limits",
    )
    asked: dict[str, Any] = {
        "do": step.get("do", "run"),
        **{field: step[field] for field in kept if field in step},
    }
    if "source" in step:
        asked["source"] = text_of(step["source"])
    if "globals" in step:
        asked["globals"] = plain(step["globals"])
    if "own_tool" in step:
        asked["own_tool"] = tool_question(step["own_tool"])
    if "own_tools" in step:
        asked["own_tools"] = {name: tool_question(tool) for name, tool in step["own_tools"].items()}
    if "value" in step:
        asked["value"] = True
    if "console" in step:
        asked["console"] = True
    if "calls" in step:
        asked["calls"] = len(step["calls"])
    return asked


# --- Judging


class Judge:
    """Compares what a runner saw with what a case expects. `merges` is what the language does not tell apart."""

    def __init__(self, merges: list[str]) -> None:
        self.merges = set(merges)

    def case(self, case: dict[str, Any], answer: dict[str, Any]) -> None:
        for problem in answer.get("problems", []):
            raise Wrong(problem)
        if "constants" in case:
            self.constants(case["constants"], answer["constants"])
        elif "settings" in case:
            for name, wanted in case["settings"].items():
                if answer["settings"][name] not in (wanted, None):
                    raise Wrong(f"{name} is {answer['settings'][name]}, not {wanted}")
        elif "pool_error" in case:
            if answer.get("pool_error") is None:
                raise Wrong("the pool was made")
            self.status(answer["pool_error"], case["pool_error"])
            self.error(answer["pool_error"], case["pool_error"])
        else:
            if answer.get("pool_error") is not None:
                raise Wrong(f"no pool: {answer['pool_error'].get('message')}")
            steps = [step for step in steps_of(case) for _ in range(step.get("times", 1))]
            for number, (step, seen) in enumerate(zip(steps, answer["steps"], strict=True)):
                try:
                    self.step(step, seen)
                except Wrong as wrong:
                    raise Wrong(f"step {number + 1}: {wrong}" if len(steps) > 1 else str(wrong)) from None
            self.recycled(case, answer["recycled"])

    def step(self, step: dict[str, Any], seen: dict[str, Any]) -> None:
        if "problem" in seen:
            raise Wrong(seen["problem"])
        if step.get("do", "run") in ("await_executing", "await_calls", "sleep"):
            return
        self.status(seen, step)
        error = seen.get("error")
        if step.get("do", "run") in ("run", "wait") and (error is None) != (seen["status"] == "OK"):
            raise Wrong(f"the status is {seen['status']}, and the error {error}")
        if "value" in step and self.normal(seen["value"]) != self.normal(plain(step["value"])):
            raise Wrong(f"the value is {short(seen['value'])}, not {short(plain(step['value']))}")
        if "error" in step:
            if error is None:
                raise Wrong("there is no error")
            self.error(error, step["error"])
        if "console" in step:
            wanted = [[level, text_of(text)] for level, text in step["console"]]
            if seen["console"] != wanted:
                raise Wrong(f"the console is {short(seen['console'])}, not {short(wanted)}")
        if "calls" in step:
            got, wanted = self.normal(seen["calls"]), self.normal(plain(step["calls"]))
            if "call_order" in self.merges:
                got, wanted = sorted(got, key=repr), sorted(wanted, key=repr)
            if got != wanted:
                raise Wrong(f"the calls are {short(seen['calls'])}, not {short(plain(step['calls']))}")
        for field, wanted in step.get("stats", {}).items():
            if field in BOUNDS:
                bound(field, seen["stats"][BOUNDS[field]], wanted)
            elif seen["stats"][field] != wanted:
                raise Wrong(f"{field} is {seen['stats'][field]}, not {wanted}")

    def status(self, seen: dict[str, Any], expected: dict[str, Any]) -> None:
        wanted = expected.get("status", "OK")
        if seen["status"] == wanted:
            return
        if seen["status"] == "TIMEOUT" and os.environ.get("ENCLAVE_CONFORMANCE_SLOW"):
            raise TooSlow
        text = seen.get("message") or (seen.get("error") or {}).get("message")
        raise Wrong(f"the status is {seen['status']}, not {wanted}: {text}")

    def error(self, seen: dict[str, Any], expected: dict[str, Any]) -> None:
        for field, wanted in expected.items():
            if field in TEXTS or field in NUMBERS:
                got = seen.get(field)
                wanted = None if wanted is None else text_of(wanted) if field in TEXTS else wanted
                if field in NUMBERS or "null_text" in self.merges:
                    got, wanted = got or None, wanted or None
                if got != wanted:
                    raise Wrong(f"{field} is {got!r}, not {wanted!r}")
            elif field in PARTS:
                part_of, present = PARTS[field]
                text = seen.get(part_of) or ""
                for part in [wanted] if isinstance(wanted, str) else wanted:
                    if (part in text) != present:
                        raise Wrong(f"{part_of} is {text!r}, {'without' if present else 'with'} {part!r}")
            elif field == "source_line_at_most":
                if len(seen["source_line"]) > wanted:
                    raise Wrong(f"source_line has {len(seen['source_line'])} characters")
            elif field in BOUNDS:
                bound(field, seen[BOUNDS[field]], wanted)

    def recycled(self, case: dict[str, Any], reasons: list[str]) -> None:
        left = list(case.get("recycled", []))
        for reason in reasons:
            if reason == "shutdown":
                continue
            if reason not in left and reason == "unresponsive":
                reason = next((late for late in left if late in LATE), reason)
                if reason == "unresponsive" and any(step.get("do") == "shutdown" for step in steps_of(case)):
                    continue  # the shutdown has ended it
            if reason not in left:
                raise Wrong(f"a worker left for {reason}")
            left.remove(reason)
        if left:
            raise Wrong(f"no worker left for {', '.join(left)}")

    def constants(self, wanted: dict[str, int], seen: dict[str, int | None]) -> None:
        numbered = any(number is not None for number in seen.values())
        if seen.keys() != wanted.keys() or (numbered and seen != wanted):
            raise Wrong(f"the constants are {seen}, not {wanted}")

    def normal(self, form: Any) -> Any:
        """A value in a form that is equal where the language has one value."""
        if isinstance(form, bool) or form is None or isinstance(form, str):
            return form
        if isinstance(form, int | float):
            return ("number", float(form))
        if isinstance(form, list):
            return [self.normal(item) for item in form]
        if len(form) == 1:
            ((kind, content),) = form.items()
            if kind == "$number":
                return (
                    "number",
                    content if content in ("NaN", "-0") else float(content.replace("Infinity", "inf")),
                )
            if kind == "$bigint":
                small = abs(int(content)) < 2**53
                return ("number", float(content)) if small and "bigint_number" in self.merges else (kind, int(content))
            if kind == "$date":
                return (kind, content if isinstance(content, str) else float(content))
            if kind == "$map":
                entries = [(self.normal(key), self.normal(item)) for key, item in content]
                if "map_object" in self.merges and all(isinstance(key, str) for key, _ in entries):
                    return ("$object", entries)
                return (kind, entries)
            if kind == "$set":
                items = [self.normal(item) for item in content]
                return (
                    kind,
                    sorted(items, key=repr) if "set_order" in self.merges else items,
                )
            if kind == "$error":
                fields = {field: content.get(field) for field in ("name", "message", "code")}
                if "null_text" in self.merges:
                    fields = {field: text or None for field, text in fields.items()}
                return (kind, fields)
            if kind == "$object":
                return (kind, [(key, self.normal(item)) for key, item in content])
            if kind.startswith("$"):
                return (kind, content)
        return ("$object", [(key, self.normal(item)) for key, item in form.items()])


def bound(field: str, got: float, wanted: float) -> None:
    if got < wanted if field.endswith("at_least") else got > wanted:
        raise Wrong(f"{BOUNDS[field]} is {got}, which is not {field.rpartition('_at_')[2]} {wanted}")


def short(form: Any) -> str:
    text = json.dumps(form, ensure_ascii=False)
    return text if len(text) <= 300 else text[:300] + "…"


# --- Runners


class Runner:
    """A runner's process. One that has ended is started again with the next question."""

    def __init__(
        self,
        command: list[str],
        isolation: str = "thread",
        memory_mib: int | None = None,
    ) -> None:
        self.command, self.isolation, self.memory_mib = command, isolation, memory_mib
        self.process: subprocess.Popen[str] | None = None
        self.judge = Judge([])

    def start(self) -> subprocess.Popen[str]:
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self.judge = Judge(self.read(self.process)["merges"])
        return self.process

    def read(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.endswith("\n"):
            raise Wrong(f"the runner ended with {self.end(process)} instead of an answer")
        return json.loads(line)

    def check(self, case: dict[str, Any]) -> str | None:
        """Has the case done and judges it: raises `Wrong`, or gives why the runner has skipped it."""
        process = self.process or self.start()
        assert process.stdin is not None
        process.stdin.write(json.dumps(question(case, self.isolation, self.memory_mib)) + "\n")
        process.stdin.flush()
        answer = self.read(process)
        if "skip" not in answer:
            self.judge.case(case, answer)
        return answer.get("skip")

    def end(self, process: subprocess.Popen[str]) -> int:
        """Tells a runner that there are no more questions, and waits for its end."""
        self.process = None
        with process:
            assert process.stdin is not None
            process.stdin.close()
            return process.wait()

    def close(self) -> None:
        """Ends the runner, which has to end well."""
        code = 0 if self.process is None else self.end(self.process)
        if code != 0:
            raise Wrong(f"the runner ended with {code}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs the conformance table through a language's runner.")
    parser.add_argument(
        "--process",
        action="store_true",
        help="workers are processes where a case does not say",
    )
    parser.add_argument("--memory-mib", type=int, help="the memory limit of cases that do not say")
    parser.add_argument("--filter", default="", help="only cases whose name holds this")
    parser.add_argument("runner", nargs="+", help="the runner and its arguments")
    arguments = parser.parse_args()
    cases = read_table()
    check_every_status_has_a_case(cases)
    runner = Runner(
        arguments.runner,
        "process" if arguments.process else "thread",
        arguments.memory_mib,
    )
    failed = ran = 0
    skipped: dict[str, int] = {}
    for file in sorted({case["file"] for case in cases}):
        chosen = [case for case in cases if case["file"] == file and arguments.filter in case["name"]]
        wrong = 0
        for case in chosen:
            try:
                reason = runner.check(case)
                if reason is not None:
                    skipped[reason] = skipped.get(reason, 0) + 1
            except TooSlow:
                print(f"  too slow: {case['name']}")
            except Wrong as problem:
                print(f"  FAILED  {file}: {case['name']}\n    {problem}")
                wrong += 1
            sys.stdout.flush()
        print(
            f"  {'FAILED' if wrong else 'ok    '}  {file}: {len(chosen) - wrong} of {len(chosen)} cases",
            flush=True,
        )
        failed, ran = failed + wrong, ran + len(chosen)
    try:
        runner.close()
    except Wrong as problem:
        print(f"  FAILED  {problem}")
        failed += 1
    for reason, count in skipped.items():
        print(f"  skipped {count}: {reason}")
    print(f"  {ran} cases, {failed} failed, {sum(skipped.values())} skipped")
    return 1 if failed or ran == 0 else 0


if __name__ == "__main__":
    sys.exit(main())

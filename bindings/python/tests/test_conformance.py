"""The table of tests/conformance through the package's own interface; its README says what a runner does."""

from __future__ import annotations

import asyncio
import json
import math
import os
import threading
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import enclave
import pytest
from conftest import ROOT, eventually
from enclave import Status, _enclave

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
PRESETS = ("default", "strict", "secure", "standard", "permissive")
DEFAULTS = _enclave.preset_settings("default")
# What a busy machine makes of these.
LATE = {"timeout", "cpu_limit", "cancelled"}


def table() -> list[dict[str, Any]]:
    cases = []
    for path in sorted((ROOT / "tests" / "conformance").glob("*.json")):
        cases += json.loads(path.read_text(encoding="utf-8"))["cases"]
    return cases


CASES = table()


# --- Values


def value_of(form: Any) -> Any:
    """A value of the table as Python gives it to a script."""
    if isinstance(form, list):
        return [value_of(item) for item in form]
    if not isinstance(form, dict):
        # A number of JSON is a number, however large.
        is_large = isinstance(form, int) and not isinstance(form, bool) and abs(form) >= 2**53
        return float(form) if is_large else form
    if len(form) == 1:
        ((kind, content),) = form.items()
        match kind:
            case "$undefined":
                return enclave.undefined
            case "$number":
                return float(content.replace("Infinity", "inf"))
            case "$bigint":
                return enclave.JSBigInt(content)
            case "$bytes":
                return bytes.fromhex(content)
            case "$date":
                return date_of(content)
            case "$map":
                return enclave.JSMap((value_of(key), value_of(value)) for key, value in content)
            case "$set":
                return enclave.JSSet(value_of(item) for item in content)
            case "$error":
                return enclave.JSError(content["name"], content["message"], content.get("code"))
            case "$object":
                return {value_of(key): value_of(value) for key, value in content}
            case "$repeat":
                return content[0] * content[1]
    return {key: value_of(value) for key, value in form.items()}


def date_of(content: Any) -> Any:
    if content == "invalid":
        return enclave.JSDate(math.nan)
    try:
        return EPOCH + timedelta(milliseconds=content)
    except OverflowError:
        return enclave.JSDate(content)


def seen(value: Any) -> Any:
    """A value in a form that compares by what JavaScript tells apart, as far as the package keeps it."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        # Small bigints and numbers both are int; large ints are bigints, and large numbers float.
        return ("int", int(value))
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 2**53 and str(value) != "-0.0":
            return ("int", int(value))
        return ("float", str(value))
    if isinstance(value, enclave.JSMap) or (isinstance(value, dict) and not all(isinstance(key, str) for key in value)):
        pairs = value if isinstance(value, list) else value.items()
        return ("map", [(seen(key), seen(item)) for key, item in pairs])
    if isinstance(value, dict):
        return ("map", [(key, seen(item)) for key, item in value.items()])
    if isinstance(value, enclave.JSSet | set):
        return ("set", sorted((seen(item) for item in value), key=repr))
    if isinstance(value, list):
        return [seen(item) for item in value]
    return value


def same(actual: Any, form: Any) -> None:
    assert seen(actual) == seen(value_of(form))


# --- Errors


def check_error(error: BaseException | None, expected: dict[str, Any]) -> None:
    assert isinstance(error, enclave.EnclaveError), error
    in_source = isinstance(error, enclave.JSException | enclave.JSSyntaxError)
    for field, wanted in expected.items():
        match field:
            case "status":
                assert error.status is Status[wanted]
            case "message_has":
                # The core's sentence; `str` of an error with a place adds the line and the stack.
                for part in texts(wanted):
                    assert part in error._text
            case "name" | "code" | "filename" | "source_line" | "path" | "field" | "signal" | "queue_size" | "limit":
                assert in_seconds(field, getattr(error, field, None), error) == wanted
            case "line" | "column":
                assert (getattr(error, field, None) or 0) == wanted
            case "script_message":
                assert in_source
                assert error.message == wanted
            case "script_message_has":
                assert in_source
                for part in texts(wanted):
                    assert part in error.message
            case "stack_has":
                for part in texts(wanted):
                    assert part in (error.stack or "")
            case "stack_lacks":
                for part in texts(wanted):
                    assert part not in (error.stack or "")
            case "source_line_at_most":
                assert len(error.source_line) <= wanted
            case "setting":
                assert setting_of(error) == wanted
            case "used_bytes_at_least":
                assert error.used_bytes >= wanted
            case "waited_ms_at_least":
                assert error.waited * 1000 >= wanted
            case "retry_after_ms_at_least":
                assert error.retry_after * 1000 >= wanted
            case _:
                pytest.fail(f"the runner does not know the error's field {field}")


def in_seconds(field: str, value: Any, error: enclave.EnclaveError) -> Any:
    is_time = field == "limit" and isinstance(error, enclave.ExecutionTimeoutError | enclave.CpuLimitError)
    return round(value * 1000) if is_time else value


def setting_of(error: enclave.EnclaveError) -> str | None:
    """The setting that was passed: the class says it, and where it counts two things, the unit."""
    match error:
        case enclave.ExecutionTimeoutError():
            return "timeout_ms"
        case enclave.CpuLimitError():
            return "cpu_time_limit_ms"
        case enclave.MemoryLimitError():
            return "memory_limit_per_worker"
        case enclave.ConsoleLimitError():
            return {"calls": "max_console_calls", "bytes": "max_console_output"}[error.unit]
        case enclave.ToolCallLimitError():
            return {
                "tool calls": "max_tool_calls",
                "pending tool calls": "max_pending_tool_calls",
                "pending bytes": "max_pending_bytes",
            }[error.unit]
        case enclave.MessageFloodError():
            return "max_messages_per_second"
        case enclave.MessageTooLargeError():
            return "max_message_size"
        case enclave.QueueFullError():
            return "max_queue_size"
        case enclave.QueueTimeoutError():
            return "queue_timeout_ms"
    return None


def texts(wanted: str | list[str]) -> list[str]:
    return [wanted] if isinstance(wanted, str) else wanted


# --- Settings


def settings_of(form: dict[str, int] | None) -> dict[str, Any]:
    """Settings by the C interface's names and units, as the package has them."""
    settings: dict[str, Any] = {}
    for name, number in (form or {}).items():
        if name == "isolation":
            settings[name] = ("thread", "process")[number]
        elif name == "cpu_time_limit_ms":
            settings["cpu_time_limit"] = None if number == 0 else number / 1000
        elif name.endswith("_ms"):
            settings[name.removesuffix("_ms")] = number / 1000
        elif isinstance(DEFAULTS.get(name), bool):
            settings[name] = bool(number)
        else:
            settings[name] = number
    return settings


# --- A case


class Case:
    def __init__(self, form: dict[str, Any]) -> None:
        self.form = form
        self.calls: list[tuple[str, Any]] = []
        self.calls_seen = 0
        self.named: dict[str, enclave.Execution | None] = {}
        self.recycled: list[str] = []
        self.over = threading.Event()

    def settings(self) -> dict[str, Any]:
        workers = {} if "settings" in self.form else {"min_workers": 1, "max_workers": 1}
        given = settings_of(self.form.get("pool"))
        if "max_workers" in given and given["max_workers"] < 1:
            workers = {}
        return {**workers, **given}

    def make_pool(self) -> enclave.Pool:
        tools = {
            name: enclave._calls.Tool(self.handler(name, tool), spread=False)
            for name, tool in self.form.get("tools", {}).items()
        }
        any_tool = self.form.get("any_tool")
        return enclave.Pool(
            self.form.get("preset", "default"),
            tools=tools,
            tool_handler=None if any_tool is None else self.any_handler(any_tool),
            on_worker_recycled=lambda worker: self.recycled.append(worker.reason),
            tool_threads=8,
            **self.settings(),
        )

    def handler(self, name: str, tool: dict[str, Any]) -> Any:
        any_handler = self.any_handler(tool)
        return lambda args=enclave.undefined: any_handler(name, args)

    def any_handler(self, tool: dict[str, Any]) -> Any:
        if "keeps" in tool or "after_ms" in tool:

            async def later(args: Any) -> Any:
                if "keeps" in tool:
                    await asyncio.Event().wait()
                await asyncio.sleep(tool["after_ms"] / 1000)
                return self.answer(tool, args)

            def call(name: str, args: Any) -> Any:
                # Taken note of in a sync part, which runs also when the execution has been ended by then.
                self.calls.append((name, args))
                return later(args)

            return call

        def now(name: str, args: Any) -> Any:
            self.calls.append((name, args))
            return self.answer(tool, args)

        return now

    def answer(self, tool: dict[str, Any], args: Any) -> Any:
        if "resolves" in tool:
            return value_of(tool["resolves"])
        if "echoes" in tool:
            return args
        if "rejects" in tool:
            error = tool["rejects"]
            raise enclave.ToolError(error["message"], name=error.get("name", "Error"), code=error.get("code"))
        if "drops" in tool:
            # A Python function cannot but return or raise; this is what comes nearest.
            raise asyncio.CancelledError
        match tool["host_calls"]:
            case "run":
                call = lambda: self.pool.run("1")  # noqa: E731
            case "shutdown":
                call = lambda: self.pool.shutdown(0)  # noqa: E731
            case _:
                call = lambda: self.named["w"].result()  # noqa: E731
        try:
            call()
        except enclave.EnclaveError as error:
            return error.status.name
        return "OK"

    def run(self) -> None:
        self.pool = self.make_pool()
        try:
            for step in self.form.get("steps", [self.form]):
                self.take(step)
        finally:
            self.pool.close()
        self.check_recycled()

    def take(self, step: dict[str, Any]) -> None:
        match step.get("do", "run"):
            case "run":
                for _ in range(step.get("times", 1)):
                    self.run_step(step)
            case "submit":
                self.submit_step(step)
            case "wait":
                self.check_outcome(self.named[step["for"]].outcome(300), step)
            case "cancel":
                self.named[step["for"]].cancel()
                assert step.get("status", "OK") == "OK"
            case "await_executing":
                assert eventually(lambda: self.pool.stats().workers.executing >= step["count"])
            case "await_calls":
                assert eventually(lambda: len(self.calls) >= step["count"])
            case "sleep":
                time.sleep(step["ms"] / 1000)
            case "shutdown":
                timeout = step.get("timeout_ms")
                self.pool.shutdown(None if timeout is None else timeout / 1000)
                assert step.get("status", "OK") == "OK"
            case "forked":
                self.forked_step(step)
            case other:
                pytest.fail(f"there is no step {other}")

    def options(self, step: dict[str, Any]) -> dict[str, Any]:
        options: dict[str, Any] = settings_of(step.get("limits"))
        for name in ("kind", "filename"):
            if name in step:
                options[name] = step[name]
        if "globals" in step:
            options["globals"] = {name: value_of(value) for name, value in step["globals"].items()}
        if "own_tool" in step:
            options["tool_handler"] = self.any_handler(step["own_tool"])
        return {**options, "collect_console": True}

    def source(self, step: dict[str, Any]) -> str:
        source = step["source"]
        return "\n".join(source) if isinstance(source, list) else value_of(source)

    def run_step(self, step: dict[str, Any]) -> None:
        try:
            outcome = self.pool.run_detailed(self.source(step), **self.options(step))
        except enclave.EnclaveError as error:
            assert error.status.name == step.get("status", "OK"), error
            check_error(error, step.get("error", {}))
            return
        self.check_outcome(outcome, step)

    def submit_step(self, step: dict[str, Any]) -> None:
        try:
            execution = self.pool.submit(self.source(step), **self.options(step))
        except enclave.EnclaveError as error:
            assert error.status.name == step.get("status", "OK"), error
            check_error(error, step.get("error", {}))
            return
        assert step.get("status", "OK") == "OK"
        self.named[step["as"]] = execution

    def check_outcome(self, outcome: enclave.Outcome, step: dict[str, Any]) -> None:
        assert outcome.status.name == step.get("status", "OK"), outcome.error
        if "value" in step:
            same(outcome.value, step["value"])
        if "error" in step:
            check_error(outcome.error, step["error"])
        if "console" in step:
            assert [[line.level, line.text] for line in outcome.console] == [
                [level, value_of(text)] for level, text in step["console"]
            ]
        if "calls" in step:
            # A tool runs beside the script: calls that nobody has waited for may come a little later.
            eventually(lambda: len(self.calls) - self.calls_seen >= len(step["calls"]))
            calls, self.calls_seen = self.calls[self.calls_seen :], len(self.calls)
            assert [name for name, _ in calls] == [value_of(name) for name, _ in step["calls"]]
            for (_, args), (_, wanted) in zip(calls, step["calls"], strict=True):
                same(args, wanted)
        for name, number in step.get("stats", {}).items():
            match name:
                case "tool_calls" | "console_calls":
                    assert getattr(outcome.stats, name) == number
                case "run_time_ms_at_most":
                    assert outcome.stats.run_time * 1000 <= number
                case "run_time_ms_at_least":
                    assert outcome.stats.run_time * 1000 >= number
                case "cpu_time_ms_at_most":
                    assert outcome.stats.cpu_time * 1000 <= number
                case _:
                    pytest.fail(f"the runner does not know the stats' field {name}")

    def forked_step(self, step: dict[str, Any]) -> None:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                self.call_in_child(step)
            except enclave.EnclaveError as error:
                code = 0 if error.status.name == step["status"] else 2
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0

    def call_in_child(self, step: dict[str, Any]) -> None:
        match step["call"]:
            case "submit":
                self.pool.submit("1")
            case "run":
                self.pool.run("1")
            case "shutdown":
                self.pool.shutdown(0)
            case "stats":
                self.pool.stats()
            case "cancel":
                self.named[step["for"]].cancel()
            case "wait":
                self.named[step["for"]].result()

    def check_recycled(self) -> None:
        wanted = list(self.form.get("recycled", []))
        for reason in (reason for reason in self.recycled if reason != "shutdown"):
            if reason not in wanted and reason == "unresponsive":
                reason = next((late for late in wanted if late in LATE), reason)
                if reason == "unresponsive" and any(
                    step.get("do") == "shutdown" for step in self.form.get("steps", [])
                ):
                    # The shutdown has ended it.
                    continue
            assert reason in wanted, f"a worker left for {reason}"
            wanted.remove(reason)
        assert wanted == []


def check_constants(form: dict[str, Any]) -> None:
    names = set(form["constants"])
    match form["table"]:
        case "status":
            assert {status.name: int(status) for status in Status} == form["constants"] == dict(_enclave.STATUSES)
        case "recycle_reason":
            assert set(_enclave.RECYCLE_REASONS) == set(enclave._stats.RecycleReason.__args__) == names
        case "console_level":
            assert set(enclave._stats.ConsoleLevel.__args__) == names
        case "value_kind":
            assert len(names) == 13
        case "preset":
            assert set(PRESETS) == names == {"default", *_enclave.PRESETS}
        case "source_kind":
            assert set(enclave._settings.SourceKind.__args__) == names
        case "isolation":
            assert set(enclave._settings.Isolation.__args__) == names
        case "setting":
            assert set(settings_of(dict.fromkeys(names, 0))) <= set(_enclave.setting_names())
        case other:
            pytest.fail(f"there is no table {other}")


def variants() -> list[Any]:
    """Every case with threads, and each that runs something with processes too."""
    found = []
    for form in CASES:
        if {"settings", "constants", "pool_error"} & form.keys() or "isolation" in form.get("pool", {}):
            found.append(pytest.param(form, id=form["name"]))
            continue
        for number, isolation in enumerate(("thread", "process")):
            settings = {"isolation": number, **form.get("pool", {})}
            found.append(pytest.param({**form, "pool": settings}, id=f"{isolation}: {form['name']}"))
    return found


@pytest.mark.parametrize("form", variants())
def test_case(form: dict[str, Any]) -> None:
    if "settings" in form:
        with enclave.Pool(
            form.get("preset", "default"), **{**settings_of(form.get("pool")), "warm_on_init": False}
        ) as pool:
            expected = settings_of(form["settings"])
            expected.pop("warm_on_init", None)
            assert {name: pool.settings[name] for name in expected} == pytest.approx(expected)
    elif "constants" in form:
        check_constants(form)
    elif "pool_error" in form:
        with pytest.raises(enclave.EnclaveError) as raised:
            Case(form).make_pool()
        check_error(raised.value, form["pool_error"])
    else:
        Case(form).run()


def test_names_are_unique() -> None:
    names = [case["name"] for case in CASES]
    assert len(names) == len(set(names)) > 400


def test_every_status_that_a_case_can_bring_about_has_one() -> None:
    found = set()

    def collect(form: Any) -> None:
        if isinstance(form, dict):
            if isinstance(form.get("status"), str):
                found.add(form["status"])
            for item in form.values():
                collect(item)
        elif isinstance(form, list):
            for item in form:
                collect(item)

    collect(CASES)
    # INVALID_STATE is what a tool's `host_calls` gives; the README of the table names those that no case can cause.
    missing = (
        {status.name for status in Status}
        - found
        - {"OK", "INVALID_STATE", "WORKER_CRASHED", "WORKER_STARTUP", "INTERNAL"}
    )
    assert missing == set()

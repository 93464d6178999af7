"""The runner of the conformance table for the package: a question a line on its input, an answer a line on its output.

The README of tests/conformance says what they are.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import enclave
from conftest import descriptors, eventually, native_threads
from enclave import _enclave

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
DEFAULTS = _enclave.preset_settings("default")
# What Python does not tell apart: small bigints are int, a Map with text as keys is a dict, a set has no order.
HELLO = {"runner": "Python", "merges": ["bigint_number", "map_object", "set_order"]}


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
    return {key: value_of(value) for key, value in form.items()}


def date_of(content: Any) -> Any:
    if content == "invalid":
        return enclave.JSDate(math.nan)
    try:
        return EPOCH + timedelta(milliseconds=content)
    except OverflowError:
        return enclave.JSDate(content)


def form_of(value: Any) -> Any:
    """A value as Python got it, in the table's form."""
    match value:
        case enclave.undefined:
            return {"$undefined": True}
        case None | bool() | str():
            return value
        case int():
            return {"$bigint": str(value)} if abs(value) >= 2**53 else int(value)
        case float():
            plain = math.isfinite(value) and str(value) != "-0.0"
            return (
                value
                if plain
                else {"$number": str(value).replace("inf", "Infinity").replace("nan", "NaN").replace("-0.0", "-0")}
            )
        case bytes() | bytearray():
            return {"$bytes": value.hex()}
        case datetime():
            return {"$date": (value - EPOCH) / timedelta(milliseconds=1)}
        case enclave.JSDate():
            return {"$date": "invalid" if math.isnan(value.ms) else value.ms}
        case enclave.JSError():
            return {"$error": {"name": value.name, "message": value.message, "code": value.code}}
        case enclave.JSMap():
            return {"$map": [[form_of(key), form_of(item)] for key, item in value]}
        case dict():
            pairs = [[form_of(key), form_of(item)] for key, item in value.items()]
            return {"$object" if all(isinstance(key, str) for key in value) else "$map": pairs}
        case enclave.JSSet() | set():
            return {"$set": [form_of(item) for item in value]}
        case list():
            return [form_of(item) for item in value]
    raise TypeError(f"a script gave {value!r}")


# --- Errors


def form_of_error(error: enclave.EnclaveError) -> dict[str, Any]:
    in_source = isinstance(error, enclave.JSException | enclave.JSSyntaxError)
    limit = getattr(error, "limit", None)
    if isinstance(error, enclave.ExecutionTimeoutError | enclave.CpuLimitError):
        limit = round(error.limit * 1000)
    texts = ("name", "code", "stack", "filename", "source_line", "path", "field")
    numbers = ("line", "column", "signal", "queue_size", "used_bytes")
    return {
        "status": error.status.name,
        # The core's sentence; `str` of an error with a place adds the line and the stack.
        "message": error._text,
        "script_message": error.message if in_source else None,
        "limit": limit,
        "setting": setting_of(error),
        "waited_ms": getattr(error, "waited", 0) * 1000,
        "retry_after_ms": getattr(error, "retry_after", 0) * 1000,
        **{field: getattr(error, field, None) for field in texts + numbers},
    }


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


def number_of(name: str, settings: dict[str, Any]) -> int:
    """A setting of the package by the C interface's name and unit."""
    if name == "isolation":
        return ("thread", "process").index(settings[name])
    if name.endswith("_ms"):
        return round((settings[name.removesuffix("_ms")] or 0) * 1000)
    return int(settings[name])


def answer_settings(question: dict[str, Any]) -> dict[str, Any]:
    # Without workers it costs little; of this one setting nothing can be said then.
    settings = {**settings_of(question["pool"]), "warm_on_init": False}
    with enclave.Pool(question["preset"], **settings) as pool:
        known = dict(pool.settings)
    names = question["names"]
    return {"settings": {name: None if name == "warm_on_init" else number_of(name, known) for name in names}}


def answer_constants(question: dict[str, Any]) -> dict[str, Any]:
    """The package has names where C has numbers, but for the statuses."""
    match question["table"]:
        case "status":
            return {"constants": {status.name: int(status) for status in enclave.Status}}
        case "recycle_reason":
            names = set(enclave._stats.RecycleReason.__args__)
        case "console_level":
            names = set(enclave._stats.ConsoleLevel.__args__)
        case "preset":
            names = {"default", *_enclave.PRESETS}
        case "source_kind":
            names = set(enclave._settings.SourceKind.__args__)
        case "isolation":
            names = set(enclave._settings.Isolation.__args__)
        case table:
            return {"skip": f"the package has no names for the table {table}"}
    return {"constants": dict.fromkeys(names)}


# --- Cases


class Case:
    def __init__(self, form: dict[str, Any]) -> None:
        self.form = form
        self.calls: list[tuple[str, Any]] = []
        self.calls_said = 0
        self.named: dict[str, enclave.Execution] = {}
        self.recycled: list[str] = []

    def make_pool(self) -> enclave.Pool:
        any_tool = self.form["any_tool"]
        return enclave.Pool(
            self.form["preset"],
            tools=self.tools(self.form["tools"]),
            tool_handler=None if any_tool is None else self.any_handler(any_tool),
            on_worker_recycled=lambda worker: self.recycled.append(worker.reason),
            tool_threads=8,
            **settings_of(self.form["pool"]),
        )

    def tools(self, forms: dict[str, Any]) -> dict[str, Any]:
        return {name: enclave._tools.Tool(self.handler(name, tool), spread=False) for name, tool in forms.items()}

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
        calls: dict[str, Callable[[], object]] = {
            "run": lambda: self.pool.run("1"),
            "shutdown": lambda: self.pool.shutdown(0),
            "wait": lambda: self.named["w"].result(),
        }
        return self.status_of(calls[tool["host_calls"]])

    def status_of(self, call: Callable[[], object]) -> str:
        try:
            call()
        except enclave.EnclaveError as error:
            return error.status.name
        return "OK"

    def run(self) -> dict[str, Any]:
        try:
            self.pool = self.make_pool()
        except enclave.EnclaveError as error:
            return {"pool_error": form_of_error(error)}
        try:
            steps = [self.take(step) for step in self.form["steps"]]
        finally:
            self.pool.close()
        return {"steps": steps, "recycled": self.recycled}

    def take(self, step: dict[str, Any]) -> dict[str, Any]:
        match step["do"]:
            case "run":
                return self.submitted(step, lambda: self.pool.run_detailed(step["source"], **self.options(step)))
            case "submit":
                return self.submitted(step, lambda: self.pool.submit(step["source"], **self.options(step)))
            case "wait":
                return self.outcome(self.named[step["for"]].outcome(300), step)
            case "cancel":
                return {"status": self.status_of(self.named[step["for"]].cancel)}
            case "await_executing":
                return self.wait(lambda: self.pool.stats().workers.executing >= step["count"])
            case "await_calls":
                return self.wait(lambda: len(self.calls) >= step["count"])
            case "sleep":
                time.sleep(step["ms"] / 1000)
                return {}
            case "shutdown":
                timeout = step.get("timeout_ms")
                seconds = None if timeout is None else timeout / 1000
                return {"status": self.status_of(lambda: self.pool.shutdown(seconds))}
            case "forked":
                return self.forked(step)
        return {"problem": f"there is no step {step['do']}"}

    def wait(self, condition: Callable[[], bool]) -> dict[str, Any]:
        return {} if eventually(condition) else {"problem": "it does not come about"}

    def options(self, step: dict[str, Any]) -> dict[str, Any]:
        options: dict[str, Any] = settings_of(step.get("limits"))
        for name in ("kind", "filename"):
            if name in step:
                options[name] = step[name]
        if "globals" in step:
            options["globals"] = {name: value_of(value) for name, value in step["globals"].items()}
        if "own_tool" in step:
            options["tool_handler"] = self.any_handler(step["own_tool"])
        if "own_tools" in step:
            options["tools"] = self.tools(step["own_tools"])
        return {**options, "collect_console": True}

    def submitted(self, step: dict[str, Any], submit: Callable[[], Any]) -> dict[str, Any]:
        try:
            result = submit()
        except enclave.EnclaveError as error:
            return {"status": error.status.name, "error": form_of_error(error)}
        if isinstance(result, enclave.Outcome):
            return self.outcome(result, step)
        self.named[step["as"]] = result
        return {"status": "OK"}

    def outcome(self, outcome: enclave.Outcome, step: dict[str, Any]) -> dict[str, Any]:
        seen: dict[str, Any] = {
            "status": outcome.status.name,
            "error": None if outcome.error is None else form_of_error(outcome.error),
            "stats": {
                "tool_calls": outcome.stats.tool_calls,
                "console_calls": outcome.stats.console_calls,
                "run_time_ms": outcome.stats.run_time * 1000,
                "cpu_time_ms": outcome.stats.cpu_time * 1000,
            },
        }
        if "value" in step and outcome.error is None:
            seen["value"] = form_of(outcome.value)
        if "console" in step:
            seen["console"] = [[line.level, line.text] for line in outcome.console]
        if "calls" in step:
            # A tool runs beside the script: calls that nobody has waited for may come a little later.
            self.wait(lambda: len(self.calls) - self.calls_said >= step["calls"])
            calls, self.calls_said = self.calls[self.calls_said :], len(self.calls)
            seen["calls"] = [[name, form_of(args)] for name, args in calls]
        return seen

    def forked(self, step: dict[str, Any]) -> dict[str, Any]:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(writer, self.status_of(lambda: self.call_in_child(step)).encode())
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as pipe:
            status = pipe.read()
        _, code = os.waitpid(child, 0)
        return {"status": status} if code == 0 else {"problem": f"the child ended with {code}"}

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


def answer(question: dict[str, Any]) -> dict[str, Any]:
    match question["do"]:
        case "settings":
            return answer_settings(question)
        case "constants":
            return answer_constants(question)
    before = descriptors()
    seen = Case(question).run()
    if not eventually(lambda: not native_threads()):
        seen["problems"] = [f"threads left: {native_threads()}"]
    if not eventually(lambda: not (descriptors() - before)):
        seen["problems"] = [f"descriptors left: {descriptors() - before}"]
    return seen


def main() -> None:
    # The output is for answers alone.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    print(json.dumps(HELLO), file=answers, flush=True)
    for line in sys.stdin:
        try:
            said = answer(json.loads(line))
        except Exception as error:  # whatever it is, it is an answer
            said = {"problems": [f"{type(error).__name__}: {error}"]}
        print(json.dumps(said), file=answers, flush=True)


if __name__ == "__main__":
    main()

"""The command line: `run` a script, a `repl`, and `top`, which shows a pool at work.

Nothing beyond the standard library is needed; with rich (`pip install enclave[cli]`) there are colours and live tables.
"""

from __future__ import annotations

import _thread
import argparse
import base64
import contextlib
import importlib
import importlib.util
import inspect
import json
import os
import re
import sys
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import enclave
from enclave import _enclave
from enclave._html import duration, size

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

# What a terminal would take for a command: scripts are not trusted.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def main(arguments: list[str] | None = None) -> int:
    """Run a command line; gives the exit code.

    0, 1 if a script failed, 2 if the command line is wrong, 130 after Ctrl-C, 141 if nobody reads the output any more.
    """
    parser = argparse.ArgumentParser(
        prog="python -m enclave", description="Run JavaScript in a pool of isolated workers."
    )
    parser.add_argument("--version", action="version", version=f"enclave {enclave.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a script and print its result")
    run.add_argument("script", help="a file, or - for standard input")
    run.add_argument(
        "--json", action="store_true", help="print one JSON object with the result or error, stats and console"
    )
    run.set_defaults(command=run_command)

    repl = commands.add_parser("repl", help="run what is typed; nothing is kept from one input to the next")
    repl.set_defaults(command=repl_command)

    top = commands.add_parser("top", help="run a script again and again, and show how the pool does")
    top.add_argument("script", help="a file, or - for standard input")
    top.add_argument(
        "--concurrency", type=_positive, default=8, metavar="N", help="executions on their way (default 8)"
    )
    top.add_argument("--duration", type=_seconds, default=None, metavar="S", help="seconds (default: until Ctrl-C)")
    top.add_argument(
        "--interval", type=_seconds, default=1.0, metavar="S", help="seconds between two looks (default 1)"
    )
    top.set_defaults(command=top_command)

    for command in (run, repl, top):
        command.add_argument(
            "--preset", choices=("default", *_enclave.PRESETS), default="secure", help="the settings (default: secure)"
        )
        command.add_argument(
            "--timeout", type=_seconds, metavar="S", help="seconds of wall-clock time for an execution"
        )
        command.add_argument(
            "--tool-module", metavar="MODULE", help="a module or file whose public functions scripts may call as tools"
        )
    options = parser.parse_args(arguments)
    try:
        return int(options.command(options))
    except BrokenPipeError:
        return _reader_is_gone()
    except KeyboardInterrupt:
        return _reader_is_gone() if _gone.is_set() else 130
    except _UsageError as error:
        print(f"python -m enclave: {error}", file=sys.stderr)  # noqa: T201
        return 2


class _UsageError(Exception):
    """The command line, or a file that it names, is wrong."""


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no time above 0")
    return number


# --- What all commands share


def _source(name: str) -> tuple[str, str]:
    """Read a script: its text and its name."""
    if name == "-":
        return sys.stdin.read(), "stdin"
    try:
        return Path(name).read_text(encoding="utf-8"), name
    except (OSError, UnicodeDecodeError) as error:
        raise _UsageError(f"{name} cannot be read: {error}") from error


def _tools(name: str | None) -> dict[str, Callable[..., Any]]:
    """Load the tools of a module: its `__all__`, or the public functions that it defines."""
    if name is None:
        return {}
    try:
        if name.endswith(".py"):
            spec = importlib.util.spec_from_file_location(Path(name).stem, name)
            assert spec is not None, "a file that ends in .py has a loader"
            assert spec.loader is not None, "a file that ends in .py has a loader"
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(name)
    except Exception as error:
        raise _UsageError(f"the tool module {name} cannot be loaded: {type(error).__name__}: {error}") from error
    names = getattr(module, "__all__", None)
    if names is not None:
        return {name: getattr(module, name) for name in names}
    return {
        name: function
        for name, function in vars(module).items()
        if inspect.isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_")
    }


def _pool(options: argparse.Namespace, **more: Any) -> enclave.Pool:
    limits = {} if options.timeout is None else {"timeout": options.timeout}
    try:
        return enclave.Pool(options.preset, tools=_tools(options.tool_module), **limits, **more)
    except enclave.EnclaveError as error:
        raise _UsageError(str(error)) from error


def safe(text: str) -> str:
    """Take from a text what a terminal would obey."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def integer(value: int) -> str:
    """Write an integer; a very large one in hexadecimal, as decimal digits would take quadratic time."""
    return str(value) if value.bit_length() <= 10_000 else hex(value)


def jsonable(value: Any) -> Any:
    """Put a value into JSON, which cannot express everything, as the library's own JSON form does."""
    match value:
        case enclave.Undefined():
            return None
        case bool() | None | str():
            return value
        case int():
            return value if abs(value) < 2**53 else integer(value)
        case float():
            return value if value == value and abs(value) != float("inf") else None
        case bytes():
            return base64.b64encode(value).decode()
        case datetime():
            return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case enclave.JSDate():
            return None
        case enclave.JSError():
            fields = {"name": value.name, "message": value.message, "code": value.code, "stack": value.stack}
            return {name: field for name, field in fields.items() if field is not None}
        case enclave.JSMap():
            return [[jsonable(key), jsonable(item)] for key, item in value]
        case dict() if all(isinstance(key, str) for key in value):
            return {key: jsonable(item) for key, item in value.items()}
        case dict():
            return [[jsonable(key), jsonable(item)] for key, item in value.items()]
        case _:
            return [jsonable(item) for item in value]


def _report(error: enclave.EnclaveError) -> dict[str, Any]:
    fields = {field: getattr(error, field) for field in error._fields}
    return {"status": error.status.name, "text": error._text, **{k: v for k, v in fields.items() if v is not None}}


# Set when nobody reads our output any more, as in `python -m enclave run script.js | head -1`.
_gone = threading.Event()


def _print_line(line: enclave.ConsoleLine) -> None:
    if _gone.is_set():
        return
    stream = sys.stderr if line.level in ("warn", "error") else sys.stdout
    try:
        print(safe(line.text), file=stream, flush=True)
    except BrokenPipeError:
        # As with Ctrl-C, the main thread cancels what it waits for.
        _gone.set()
        _thread.interrupt_main()


def _reader_is_gone() -> int:
    """Give the exit code of a command that SIGPIPE ends; the rest of the buffer is dropped."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
            continue
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
    return 141


# --- run


def run_command(options: argparse.Namespace) -> int:
    """Run one script."""
    source, name = _source(options.script)
    console = None if options.json else _print_line
    with _pool(options, min_workers=1, max_workers=1, on_console=console) as pool:
        try:
            outcome = _wait(pool.submit(source, filename=name, collect_console=options.json))
        except enclave.EnclaveError as error:
            if options.json:
                print(json.dumps({"ok": False, "error": _report(error)}))  # noqa: T201
            else:
                print(safe(str(error)), file=sys.stderr)  # noqa: T201
            return 1
    if options.json:
        report: dict[str, Any] = {"ok": outcome.ok}
        if outcome.error is None:
            report["value"] = jsonable(outcome.value)
        else:
            report["error"] = _report(outcome.error)
        report["stats"] = vars(outcome.stats)
        report["console"] = [{"level": line.level, "text": line.text} for line in outcome.console]
        print(json.dumps(report, ensure_ascii=False))  # noqa: T201
    elif outcome.error is not None:
        print(safe(f"{outcome.status.name}: {outcome.error}"), file=sys.stderr)  # noqa: T201
    else:
        _print_value(outcome.value)
    return 0 if outcome.ok else 1


def _wait(execution: enclave.Execution) -> enclave.Outcome:
    """Wait for the outcome; on a terminal, show how long that has taken."""
    show = sys.stderr.isatty()
    started = time.monotonic()
    try:
        while True:
            try:
                outcome = execution.outcome(1.0)
            except TimeoutError:
                if show:
                    print(f"\r… {time.monotonic() - started:.0f} s", end="", file=sys.stderr, flush=True)  # noqa: T201
            else:
                if show and time.monotonic() - started > 1:
                    print("\r\x1b[K", end="", file=sys.stderr, flush=True)  # noqa: T201
                return outcome
    except KeyboardInterrupt:
        execution.cancel()
        raise


def _print_value(value: Any) -> None:
    if value is not enclave.undefined:
        text = value if isinstance(value, str) else json.dumps(jsonable(value), indent=2, ensure_ascii=False)
        print(safe(text))  # noqa: T201


# --- repl


def repl_command(options: argparse.Namespace) -> int:
    """Read sources from the terminal and run them."""
    with contextlib.suppress(ImportError):
        importlib.import_module("readline")  # for the arrow keys and the history
    interactive = sys.stdin.isatty()
    if interactive:
        print(f"enclave {enclave.__version__}, {options.preset}; every input is a script of its own; Ctrl-D ends")  # noqa: T201
    with _pool(options, min_workers=1, max_workers=1, on_console=_print_line) as pool:
        lines: list[str] = []
        while True:
            try:
                line = input(("... " if lines else "js> ") if interactive else "")
            except EOFError:
                if lines:
                    _evaluate(pool, lines, more=False)
                return 0
            except KeyboardInterrupt:
                print()  # noqa: T201
                lines = []
                continue
            lines.append(line)
            # What is not finished goes on in the next line, until an empty one.
            if not _evaluate(pool, lines, more=bool(line.strip())):
                lines = []


def _evaluate(pool: enclave.Pool, lines: list[str], *, more: bool) -> bool:
    """Run an input and print its value; with `more`, tell whether it is unfinished and so was not run."""
    if not any(line.strip() for line in lines):
        return False
    try:
        value = pool.run("\n".join(lines), filename="repl")
    except enclave.JSSyntaxError as error:
        at_end = (error.line or 0) >= len(lines) and (error.column or 0) > len(lines[-1].rstrip())
        if more and at_end:
            return True
        print(safe(f"{error.status.name}: {error}"), file=sys.stderr, flush=True)  # noqa: T201
    except enclave.EnclaveError as error:
        print(safe(f"{error.status.name}: {error}"), file=sys.stderr, flush=True)  # noqa: T201
    except KeyboardInterrupt:
        print("cancelled", file=sys.stderr)  # noqa: T201
    else:
        print(safe(_shown(value)), flush=True)  # noqa: T201
    return False


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except ValueError:
        # Python refuses to write out an integer that is too large.
        return json.dumps(jsonable(value), ensure_ascii=False)


# --- top


def top_command(options: argparse.Namespace) -> int:
    """Run a script again and again, and show how the pool does."""
    source, name = _source(options.script)
    with _pool(options, on_console=lambda _: None) as pool:
        over = threading.Event()
        runners = [
            threading.Thread(target=_run_until, args=(pool, source, name, over), name=f"top-{number}", daemon=True)
            for number in range(options.concurrency)
        ]
        for runner in runners:
            runner.start()
        try:
            _watch(pool, name, options.interval, options.duration)
        except KeyboardInterrupt:
            pass
        finally:
            over.set()
            pool.shutdown(0)
            for runner in runners:
                runner.join()
            stats = pool.stats()
    total = ", ".join(f"{number} {status}" for status, number in stats.executions.items() if number)
    print(f"{stats.total_executions} executions in {duration(stats.uptime)}: {total}")  # noqa: T201
    return 0


def _run_until(pool: enclave.Pool, source: str, name: str, over: threading.Event) -> None:
    while not over.is_set():
        try:
            pool.run(source, filename=name)
        except enclave.QueueFullError as error:
            over.wait(error.retry_after)
        except enclave.PoolClosedError:
            return
        except enclave.EnclaveError:
            # It is in the stats.
            continue


def _watch(pool: enclave.Pool, name: str, interval: float, length: float | None) -> None:
    until = None if length is None else time.monotonic() + length
    live = _live() if sys.stdout.isatty() else None
    before, then = pool.stats(), time.monotonic()
    with contextlib.ExitStack() as stack:
        update: Callable[[Any], None] | None = None
        if live is not None:
            update = stack.enter_context(live).update
        while True:
            left = interval if until is None else min(interval, max(0.0, until - time.monotonic()))
            time.sleep(left)
            now, stats = time.monotonic(), pool.stats()
            rate = (stats.total_executions - before.total_executions) / max(now - then, 1e-9)
            before, then = stats, now
            if update is not None:
                update(_table(name, stats, rate))
            else:
                print(_plain(stats, rate), flush=True)  # noqa: T201
            if until is not None and time.monotonic() >= until:
                break


def _live() -> Any:
    try:
        from rich.live import Live
    except ImportError:
        return None
    return Live(refresh_per_second=10)


def _plain(stats: enclave.PoolStats, rate: float) -> str:
    failed = stats.total_executions - stats.executions["OK"]
    return (
        f"{duration(stats.uptime):>8}  {rate:8.0f}/s  {stats.active_workers} executing, {stats.workers.idle} idle, "
        f"{stats.queue_depth} waiting  {stats.total_executions} done, {failed} not OK  "
        f"run p50 {duration(stats.run_time.p50)}, p99 {duration(stats.run_time.p99)}  {size(stats.memory_current)}"
    )


def _table(name: str, stats: enclave.PoolStats, rate: float) -> RenderableType:
    from rich.table import Table

    table = Table(title=f"enclave: {name}", title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column()
    workers = stats.workers
    states = (
        ("executing", "yellow"),
        ("idle", "green"),
        ("starting", "blue"),
        ("recycling", "magenta"),
        ("set_aside", "red"),
    )
    blocks = "".join(f"[{colour}]{'█' * min(getattr(workers, state), 40)}[/]" for state, colour in states)
    counts = ", ".join(f"{getattr(workers, state)} {state}" for state, _ in states if getattr(workers, state))
    table.add_row("workers", f"{blocks} {counts} ({stats.isolation})")
    table.add_row("queue", f"{stats.queue_depth} waiting")
    table.add_row("rate", f"{rate:.0f} executions/s")
    table.add_row("outcomes", ", ".join(f"{n} {status}" for status, n in stats.executions.items() if n))
    for label, times in (("run time", stats.run_time), ("queue wait", stats.queue_wait)):
        names = ("p50", "p90", "p99", "max")
        row = ", ".join(f"{name} {duration(getattr(times, name))}" for name in names)
        table.add_row(label, row)
    table.add_row("memory", f"{size(stats.memory_current)} now, {size(stats.memory_peak)} at most")
    table.add_row("recycled", ", ".join(f"{n} {reason}" for reason, n in stats.recycles.items() if n) or "none")
    table.add_row("uptime", duration(stats.uptime))
    return table

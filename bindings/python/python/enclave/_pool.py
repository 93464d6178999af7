"""The pool, and the handles of what runs in it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import html
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from enclave._errors import (
    EnclaveError,
    InvalidArgumentError,
    InvalidTypeError,
    QueueFullError,
)
from enclave._events import Dispatcher, close_at_exit
from enclave._execution import Execution
from enclave._flight import Flight
from enclave._html import pool_html
from enclave._settings import LIMITS, OPTIONS, SETTINGS, check_names
from enclave._stats import (
    ConsoleLine,
    Outcome,
    PoolStats,
    WorkerRecycled,
    make_outcome,
    pool_stats,
)
from enclave._tools import Tool, Tools, check_callable, checked, named_tools

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from enclave import _enclave
    from enclave._flight import Deliver
    from enclave._settings import ExecutionOptions, Limits, PoolSettings, Preset, Seconds, SourceKind, ToolHandler

    # Submits something under a token.
    Launch = Callable[[Flight, int], _enclave.Execution]

F = TypeVar("F", bound=Callable[..., Any])

_LEVELS = {
    "debug": logging.DEBUG,
    "log": logging.INFO,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}


class Pool:
    """A bounded queue of executions, served by workers that come and go with the load.

    `preset` is the name of a table of settings: `standard` (if none is given), `strict`, `secure`, `permissive` or
    `default`; each setting may be changed by a keyword. `Presets` has the tables, and `PoolSettings` the types.

    All methods may be called from any thread. Close the pool, or use it in a `with` or `async with` statement.

    * `tools`: functions that scripts may call, by name; see `Pool.tool`.
    * `tool_handler`: `handler(name, argument)` answers the calls that no tool does; it may be async.
    * `on_console`: gets every `ConsoleLine` of scripts, or is a `logging.Logger` that logs them. Without it they are
      dropped.
    * `on_worker_recycled`: gets a `WorkerRecycled` for every worker that has left.
    * `on_stats_update`: gets the `PoolStats` every `stats_interval`.
    * `tool_threads`: how many sync tools may run at the same time; default 32.

    Callbacks run one after the other on a thread of the pool, and should return soon. Their exceptions are reported
    through `sys.unraisablehook`. In a callback or tool, a call that would wait for the same pool raises
    `InvalidStateError`.
    """

    def __init__(
        self,
        preset: Preset = "standard",
        *,
        tools: Mapping[str, Callable[..., Any]] | None = None,
        tool_handler: ToolHandler | None = None,
        on_console: Callable[[ConsoleLine], object] | logging.Logger | None = None,
        on_worker_recycled: Callable[[WorkerRecycled], object] | None = None,
        on_stats_update: Callable[[PoolStats], object] | None = None,
        tool_threads: int = 32,
        **settings: Unpack[PoolSettings],
    ) -> None:
        given = cast("dict[str, Any]", settings)
        check_names("Pool", given, SETTINGS)
        if given.get("worker_path") is None:
            given["worker_path"] = _worker()
        for name, function in (
            ("tool_handler", tool_handler),
            ("on_worker_recycled", on_worker_recycled),
            ("on_stats_update", on_stats_update),
        ):
            check_callable(name, function)
        if not isinstance(tool_threads, int) or isinstance(tool_threads, bool):
            raise InvalidTypeError(f"tool_threads is {tool_threads!r}; accepted is an int", field="tool_threads")
        if not 1 <= tool_threads <= 1024:
            raise InvalidArgumentError(f"tool_threads is {tool_threads}; accepted is 1 to 1024", field="tool_threads")
        self._tools: Mapping[str, Tool] = named_tools(tools)
        self._tool_handler = tool_handler
        self._on_console = _console(on_console)
        self._dispatcher = Dispatcher(preset, given, on_worker_recycled, on_stats_update, tool_threads)
        self._settings = self._dispatcher.native.settings()
        self._preset = preset
        close_at_exit(self._dispatcher)

    # --- Running

    def run(self, source: str | Script, **options: Unpack[ExecutionOptions]) -> Any:
        """Run a source or a compiled `Script`, and give its value.

        Raises a subclass of `EnclaveError` for any other outcome. Options are `globals`, `filename`, `kind`,
        `tools`, `tool_handler`, `on_console` and all limits of an execution, such as `timeout`; see `ExecutionOptions`.
        Ctrl-C cancels the execution and raises `KeyboardInterrupt`.
        """
        dispatcher = self._dispatcher
        dispatcher.callbacks.check_may_wait("Pool.run", "use run_async or submit")
        if not options and not self._tools and self._tool_handler is None and self._on_console is None:
            return dispatcher.native.run(_native(source))
        raw, error = self._run(source, cast("dict[str, Any]", options))
        if error is not None:
            raise error
        return raw.value()

    def run_detailed(self, source: str | Script, **options: Unpack[ExecutionOptions]) -> Outcome:
        """Run a source and give its `Outcome`: value or error, stats, and the console lines.

        Raises only if there is no execution, as `submit` does.
        """
        self._dispatcher.callbacks.check_may_wait("Pool.run_detailed", "use run_async or submit")
        raw, error = self._run(source, {"collect_console": True, **options})
        return make_outcome(raw, None if error is not None else raw.value(), error)

    async def run_async(self, source: str | Script, **options: Unpack[ExecutionOptions]) -> Any:
        """Run a source without blocking the event loop; like `run`. Async tools run on this loop.

        If the task that awaits this is cancelled, so is the execution.
        """
        flight, raw = await self._run_async(source, cast("dict[str, Any]", options))
        error = flight.end(raw)
        if error is not None:
            raise error
        return raw.value()

    async def run_detailed_async(self, source: str | Script, **options: Unpack[ExecutionOptions]) -> Outcome:
        """Run a source without blocking the event loop; like `run_detailed`."""
        flight, raw = await self._run_async(source, {"collect_console": True, **options})
        error = flight.end(raw)
        return make_outcome(raw, None if error is not None else raw.value(), error)

    def submit(self, source: str | Script, **options: Unpack[ExecutionOptions]) -> Execution:
        """Submit a source and return immediately; the `Execution` is a future of the value.

        Raises `QueueFullError` if there is no place, `PoolClosedError` after the end, `InvalidArgumentError` for an
        option, and `MessageTooLargeError` for a source or globals above `max_message_size`. Async tools run on the
        event loop of the caller if there is one running, else on one of the pool.
        """
        execution = Execution(self._dispatcher.callbacks)
        flight = self._flight(cast("dict[str, Any]", options), _running_loop(), execution._end)
        execution._native, _ = self._launch(flight, self._submission(source, cast("dict[str, Any]", options)))
        return execution

    def map(
        self,
        source: str | Script,
        inputs: Iterable[Any],
        *,
        name: str = "item",
        progress: Callable[[int, int | None], object] | None = None,
        return_exceptions: bool = False,
        **options: Unpack[ExecutionOptions],
    ) -> list[Any]:
        """Run a source once for every input, which is its global `name`; give the values in order.

        As many executions are on their way as keep the workers busy, so `inputs` may be endless in length, and a full
        queue is waited for. `progress(done, total)` is called on this thread after each end; `total` is None if
        `inputs` has no length. The first failure cancels what runs and is raised, unless `return_exceptions` puts it in
        its place among the values.
        """
        self._dispatcher.callbacks.check_may_wait("Pool.map", "use run_async or submit")
        total = len(inputs) if isinstance(inputs, Sized) else None
        shared = dict(options.get("globals") or {})
        window = 2 * int(self._settings["max_workers"])
        results: dict[int, Any] = {}
        running: dict[concurrent.futures.Future[Any], int] = {}

        def collect(timeout: float | None) -> None:
            done, _ = concurrent.futures.wait(running, timeout, concurrent.futures.FIRST_COMPLETED)
            for future in sorted(done, key=running.__getitem__):
                index = running.pop(future)
                error = future.exception()
                if error is not None and not return_exceptions:
                    raise error
                results[index] = error if error is not None else future.result()
                if progress is not None:
                    progress(len(results), total)

        try:
            for index, item in enumerate(inputs):
                changed = cast("ExecutionOptions", {**options, "globals": {**shared, name: item}})
                while len(running) >= window:
                    collect(None)
                running[self._submit_patiently(source, changed, running, collect)] = index
            while running:
                collect(None)
        except BaseException:
            for future in running:
                future.cancel()
            raise
        return [results[index] for index in sorted(results)]

    def _submit_patiently(
        self,
        source: str | Script,
        options: ExecutionOptions,
        running: Mapping[Any, int],
        collect: Callable[[float | None], None],
    ) -> Execution:
        while True:
            try:
                return self.submit(source, **options)
            except QueueFullError as error:
                pause = min(error.retry_after, 0.1)
                if running:
                    collect(pause)
                else:
                    time.sleep(pause)

    def compile(
        self, source: str, *, filename: str | None = None, kind: SourceKind = "auto", **limits: Unpack[Limits]
    ) -> Script:
        """Compile a source without running it, and give it as a `Script` to run any number of times.

        This waits. It takes a place in the queue and the time that the limits allow, and counts as an execution.
        Raises `JSSyntaxError` for a source that does not compile, and otherwise what `run` does.

        Workers also keep a plain source compiled when it comes twice. A script is kept from the first time on, and its
        syntax errors are known before it runs.
        """
        self._dispatcher.callbacks.check_may_wait("Pool.compile", "use compile_async")
        check_names("compile", cast("dict[str, Any]", limits), LIMITS)
        native, execution = self._dispatcher.native.compile(
            source, kind, filename, cast("dict[str, Any]", limits), None
        )
        execution.wait().value()
        return Script(self, native, source, filename, kind)

    async def compile_async(
        self, source: str, *, filename: str | None = None, kind: SourceKind = "auto", **limits: Unpack[Limits]
    ) -> Script:
        """Compile a source without blocking the event loop; like `compile`."""
        check_names("compile_async", cast("dict[str, Any]", limits), LIMITS)
        compiled: list[_enclave.Script] = []

        def launch(_: Flight, token: int) -> _enclave.Execution:
            native, execution = self._dispatcher.native.compile(
                source, kind, filename, cast("dict[str, Any]", limits), token
            )
            compiled.append(native)
            return execution

        _, raw = await self._arrival({}, launch)
        raw.value()
        return Script(self, compiled[0], source, filename, kind)

    # --- Tools

    @overload
    def tool(self, function: F, /) -> F: ...
    @overload
    def tool(self, name: str | None = None, /, *, spread: bool = True) -> Callable[[F], F]: ...

    def tool(self, function: F | str | None = None, /, *, spread: bool = True) -> F | Callable[[F], F]:
        """Let scripts submitted from now on call a function: `@pool.tool`, or `@pool.tool("name")`.

        A script calls `await tools.name(argument)` or `await callTool("name", argument)`. The properties of an argument
        that is an object become keywords: `tools.search({q: "x"})` calls `search(q="x")`. Any other argument is passed
        as it is, and none if the script gave none. With `spread=False` the function always gets the argument itself.

        A sync function runs on a thread of the pool, an async one on the event loop of whoever runs the script, both
        with that caller's context variables. An exception reaches the script as an `Error` with the name of its class
        and its text; raise `ToolError` to choose them. It is the `__cause__` of the `JSException` if the script does
        not handle it.
        Tools that the script has not waited for run on when it ends, but async ones are cancelled if the execution was
        ended by a limit, by `cancel` or by the end of the pool.
        """

        def register(chosen: F) -> F:
            name = function if isinstance(function, str) else getattr(chosen, "__name__", None)
            if name is None:
                checked("function", chosen)
                raise InvalidArgumentError("tool name is missing: give it, as the function has none", field="name")
            self._tools = {**self._tools, **named_tools({name: Tool(checked(name, chosen), spread)})}
            return chosen

        if function is None or isinstance(function, str):
            return register
        return register(function)

    # --- Watching

    def stats(self) -> PoolStats:
        """Give a snapshot of what the pool does and has done; it costs little and does not involve the workers."""
        self._dispatcher.callbacks.check_forked()
        return pool_stats(self._dispatcher.native.stats())

    @property
    def settings(self) -> Mapping[str, Any]:
        """All settings in force; durations are seconds."""
        return dict(self._settings)

    @property
    def closed(self) -> bool:
        """Whether the pool was shut down."""
        return self._dispatcher.closed

    def __repr__(self) -> str:
        if self.closed or self._dispatcher.callbacks.forked:
            return f"<enclave.Pool {self._preset!r}, {'closed' if self.closed else 'forked'}>"
        stats = self.stats()
        return (
            f"<enclave.Pool {self._preset!r}, {stats.active_workers} of at most {self._settings['max_workers']} "
            f"workers executing, {stats.queue_depth} waiting, {stats.total_executions} executions>"
        )

    def _repr_html_(self) -> str:
        if self._dispatcher.callbacks.forked:
            return html.escape(repr(self))
        state = "closed" if self.closed else "open"
        return pool_html(f"enclave.Pool {self._preset}, {state}", self.stats(), self._settings)

    # --- The end

    def shutdown(self, timeout: Seconds | None = None) -> None:
        """Refuse submissions, end waiting executions, give running ones `timeout` to finish, and then end them.

        Executions ended so raise `PoolClosedError`. None: the pool's `graceful_shutdown_timeout`. When this returns,
        every execution has its outcome, and the workers are gone. It may be called again.
        """
        self._dispatcher.callbacks.check_may_wait("Pool.shutdown", "call it outside of callbacks and tools")
        self._dispatcher.shutdown(timeout)

    def close(self) -> None:
        """Shut down with the pool's own timeout, unless that was done."""
        if not self.closed:
            self.shutdown()

    async def aclose(self) -> None:
        """Close without blocking the event loop."""
        self._dispatcher.callbacks.check_may_wait("Pool.aclose", "call it outside of callbacks and tools")
        if not self.closed:
            await asyncio.to_thread(self._dispatcher.shutdown, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        dispatcher: Dispatcher | None = getattr(self, "_dispatcher", None)
        if dispatcher is None or dispatcher.closed or dispatcher.callbacks.forked or sys.is_finalizing():
            return
        warnings.warn(
            f"unclosed {type(self).__name__} of {dispatcher.name}", ResourceWarning, stacklevel=2, source=self
        )
        # Nothing runs in it, or it would be held, so this takes no time.
        with contextlib.suppress(EnclaveError):
            dispatcher.shutdown(0)

    # --- Inside

    def _flight(
        self,
        options: dict[str, Any],
        loop: asyncio.AbstractEventLoop | None,
        deliver: Deliver | None = None,
        deliver_on: asyncio.AbstractEventLoop | None = None,
    ) -> Flight:
        check_names("run", options, OPTIONS)
        handler = options.get("tool_handler")
        check_callable("tool_handler", handler)
        tools = Tools(named_tools(options.get("tools")), handler, self._tools, self._tool_handler)
        on_console = self._on_console
        if options.get("on_console") is not None:
            on_console = _console(options["on_console"])
        return Flight(self, self._dispatcher, tools, on_console, loop, deliver, deliver_on)

    def _launch(self, flight: Flight, launch: Launch) -> tuple[_enclave.Execution, int]:
        """Submit something under a token by which its events find the flight."""
        dispatcher = self._dispatcher
        with dispatcher.lock:
            dispatcher.last_token += 1
            token = dispatcher.last_token
        dispatcher.flights[token] = flight
        try:
            dispatcher.check_thread()
            return launch(flight, token), token
        except BaseException:
            dispatcher.flights.pop(token, None)
            raise

    def _submission(self, source: str | Script, options: dict[str, Any]) -> Launch:
        """Give what submits a source or script."""
        given = options.get("globals")
        if given is not None and not isinstance(given, dict):
            if not isinstance(given, Mapping):
                raise InvalidTypeError("globals must be a mapping from names to values", field="globals")
            given = dict(given)
        return lambda flight, token: self._dispatcher.native.submit(
            _native(source),
            kind=options.get("kind", "auto"),
            filename=options.get("filename"),
            globals=given,
            limits={name: value for name, value in options.items() if name in LIMITS},
            token=token,
            tools=flight.tools.names,
            any_tool=bool(flight.tools),
            console=flight.on_console is not None,
            collect_console=bool(options.get("collect_console", False)),
            completion=flight.awaited,
        )

    def _run(self, source: str | Script, options: dict[str, Any]) -> tuple[_enclave.Outcome, EnclaveError | None]:
        dispatcher = self._dispatcher
        flight = self._flight(options, None)
        native, token = self._launch(flight, self._submission(source, options))
        try:
            raw = native.wait()
            if flight.on_console is not None or flight.tools:
                # What the script has written and called may still be on its way to us.
                dispatcher.events.flush()
                dispatcher.check_thread()
        except BaseException:
            flight.stop()
            raise
        finally:
            dispatcher.flights.pop(token, None)
        return raw, flight.end(raw)

    async def _run_async(self, source: str | Script, options: dict[str, Any]) -> tuple[Flight, _enclave.Outcome]:
        return await self._arrival(options, self._submission(source, options))

    async def _arrival(self, options: dict[str, Any], launch: Launch) -> tuple[Flight, _enclave.Outcome]:
        """Submit something, and await its outcome on the running loop."""
        loop = asyncio.get_running_loop()
        arrived: asyncio.Future[_enclave.Outcome] = loop.create_future()

        def deliver(flight: Flight, raw: _enclave.Outcome | EnclaveError) -> None:
            if isinstance(raw, EnclaveError):
                if not arrived.done():
                    arrived.set_exception(raw)
            elif not arrived.done():
                arrived.set_result(raw)
            else:
                # The task was cancelled: nobody takes the outcome, but tools may still be running.
                flight.end(raw)

        flight = self._flight(options, loop, deliver, loop)
        native, _ = self._launch(flight, launch)
        try:
            return flight, await arrived
        except asyncio.CancelledError:
            native.cancel()
            raise


class Script:
    """A compiled source, to run any number of times. From `Pool.compile`.

    The methods are those of the pool without the source; name and kind are those that it was compiled with. It never
    changes. Any thread may use it, and any pool takes it in place of a source. Each worker that runs it compiles it
    once and keeps the result as far as there is room: a 32nd of its memory limit for all that it keeps.
    """

    def __init__(
        self, pool: Pool, native: _enclave.Script, source: str, filename: str | None, kind: SourceKind
    ) -> None:
        self.pool = pool
        self.source = source
        self.filename = filename or "main.js"
        self.kind: SourceKind = kind
        self._native = native

    def __repr__(self) -> str:
        return f"<enclave.Script {self.filename!r}, {len(self.source)} characters>"

    def run(self, **options: Unpack[ExecutionOptions]) -> Any:
        """Like `Pool.run`."""
        return self.pool.run(self, **options)

    def run_detailed(self, **options: Unpack[ExecutionOptions]) -> Outcome:
        """Like `Pool.run_detailed`."""
        return self.pool.run_detailed(self, **options)

    async def run_async(self, **options: Unpack[ExecutionOptions]) -> Any:
        """Like `Pool.run_async`."""
        return await self.pool.run_async(self, **options)

    async def run_detailed_async(self, **options: Unpack[ExecutionOptions]) -> Outcome:
        """Like `Pool.run_detailed_async`."""
        return await self.pool.run_detailed_async(self, **options)

    def submit(self, **options: Unpack[ExecutionOptions]) -> Execution:
        """Like `Pool.submit`."""
        return self.pool.submit(self, **options)

    def map(
        self,
        inputs: Iterable[Any],
        *,
        name: str = "item",
        progress: Callable[[int, int | None], object] | None = None,
        return_exceptions: bool = False,
        **options: Unpack[ExecutionOptions],
    ) -> list[Any]:
        """Like `Pool.map`."""
        return self.pool.map(self, inputs, name=name, progress=progress, return_exceptions=return_exceptions, **options)


def _native(source: str | Script) -> str | _enclave.Script:
    return source._native if isinstance(source, Script) else source


def _worker() -> Path | None:
    """Give the executable in this package, unless the environment names one (which the core looks for)."""
    worker = Path(__file__).parent / "_bin" / "enclave-worker"
    return worker if "ENCLAVE_WORKER" not in os.environ and worker.exists() else None


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _console(given: Callable[[ConsoleLine], object] | logging.Logger | None) -> Callable[[ConsoleLine], object] | None:
    if not isinstance(given, logging.Logger):
        check_callable("on_console", given)
        return given
    logger = given

    def log(line: ConsoleLine) -> None:
        logger.log(_LEVELS[line.level], "%s", line.text, extra={"execution_id": line.execution_id})

    return log

"""The pool, and the handles of what runs in it."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import functools
import html
import itertools
import logging
import os
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping, Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from enclave import _enclave
from enclave._callbacks import Callbacks
from enclave._errors import (
    EnclaveError,
    ExecutionCancelledError,
    InternalError,
    InvalidArgumentError,
    InvalidTypeError,
    QueueFullError,
    UnsupportedError,
)
from enclave._flight import Flight
from enclave._report import guarded, report
from enclave._settings import LIMITS, OPTIONS, SETTINGS, check_names
from enclave._stats import (
    ConsoleLine,
    Outcome,
    PoolStats,
    WorkerRecycled,
    console_line,
    outcome,
    pool_html,
    pool_stats,
)
from enclave._threads import LoopThread, ToolThreads, join
from enclave._tools import AnyTool, Tool, check_callable, checked, named_tools

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from enclave._settings import ExecutionOptions, Limits, PoolSettings, Preset, Seconds, SourceKind, ToolHandler

F = TypeVar("F", bound=Callable[..., Any])

_logger = logging.getLogger("enclave")
_logger.addHandler(logging.NullHandler())

_LEVELS = {
    "debug": logging.DEBUG,
    "log": logging.INFO,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
# Reasons for which a worker leaves in the course of things, and those that tell of a bug.
_PLANNED = frozenset({"max_executions", "idle", "shutdown"})
_WRONG = frozenset({"unresponsive", "crash", "protocol", "internal"})

# How long the end of threads is waited for that should end at once, unless the host's own code blocks in them.
_PATIENCE = 2.0

_numbers = itertools.count(1)


class _State:
    """What a pool and the thread of its events share. It does not hold the pool, which can so be forgotten."""

    def __init__(
        self,
        preset: str,
        settings: dict[str, Any],
        on_worker_recycled: Callable[[WorkerRecycled], object] | None,
        on_stats_update: Callable[[PoolStats], object] | None,
        tool_threads: int,
    ) -> None:
        self.name = f"enclave-{next(_numbers)}"
        self.callbacks = Callbacks()
        self.on_worker_recycled = on_worker_recycled
        self.on_stats_update = on_stats_update
        self.threads = ToolThreads(f"{self.name}-tool", tool_threads)
        self.background = LoopThread(f"{self.name}-loop")
        self.flights: dict[int, Flight] = {}
        self.last_token = 0
        self.closed = False
        self.lock = threading.Lock()
        self.events = _enclave.Events()
        # Why the thread of the events is not there, unless it has begun and not ended before the pool.
        self.broken: EnclaveError | None = _lost()
        self.begun = threading.Event()
        self.thread = threading.Thread(target=self.handle_events, name=f"{self.name}-events", daemon=True)
        self.thread.start()
        try:
            while not self.begun.wait(0.05) and self.thread.is_alive():
                pass
            self.check_thread()
            self.native = _enclave.Pool(self.events, preset, settings, on_stats_update is not None)
        except BaseException:
            self.events.close()
            self.thread.join()
            raise

    def check_thread(self) -> None:
        """Raise if nobody handles events, so that nobody waits for them."""
        if self.broken is not None:
            raise self.broken

    # --- The thread of the events

    def handle_events(self) -> None:
        lost: EnclaveError | None = _lost()
        try:
            self.callbacks.thread = threading.get_ident()
            self.events.begin()
            self.broken = None
            self.begun.set()
            while guarded("the events", self.handle_batch, True):
                pass
            lost = None
        except UnsupportedError as error:
            lost = error
        finally:
            self.callbacks.thread = None
            self.broken = lost
            self.begun.set()
            self.events.abandon()
            while lost is not None:
                try:
                    _, flight = self.flights.popitem()
                except KeyError:
                    break
                guarded("the end of an execution", functools.partial(flight.lose, lost))

    def handle_batch(self) -> bool:
        """Handle some events; a function of its own, so that nothing of them is kept while the next are waited for."""
        try:
            batch = self.events.wait()
        except BaseException:
            # There is no memory; what is freed meanwhile may be enough.
            time.sleep(0.1)
            raise
        if batch is None:
            return False
        to_loops: dict[asyncio.AbstractEventLoop, list[Callable[[], None]]] = {}
        for kind, token, what in batch:
            guarded(f"the event {kind!r}", functools.partial(self.handle, kind, token, what, to_loops))
        for loop, deliveries in to_loops.items():
            guarded("an event loop", functools.partial(_deliver_on, loop, deliveries))
        return True

    def handle(
        self, kind: str, token: int, what: Any, to_loops: dict[asyncio.AbstractEventLoop, list[Callable[[], None]]]
    ) -> None:
        match kind:
            case "completed":
                flight = self.flights.pop(token, None)
                if flight is None or flight.deliver is None:
                    return
                if flight.deliver_on is None:
                    flight.deliver(what)
                else:
                    deliver = flight.deliver
                    to_loops.setdefault(flight.deliver_on, []).append(lambda: deliver(what))
            case "tool":
                flight = self.flights.get(token)
                if flight is not None:
                    flight.answer(what)
            case "console":
                flight = self.flights.get(token)
                if flight is not None and flight.on_console is not None:
                    line, on_console = console_line(what), flight.on_console
                    guarded("the callback on_console", lambda: on_console(line))
            case "recycled":
                event, on_recycled = WorkerRecycled(*what), self.on_worker_recycled
                level = logging.DEBUG if event.reason in _PLANNED else logging.INFO
                level = logging.WARNING if event.reason in _WRONG else level
                text = "worker %d of %s left after %d executions: %s"
                about = (event.worker_id, self.name, event.executions, event.reason)
                guarded("logging", lambda: _logger.log(level, text, *about, extra={"reason": event.reason}))
                if on_recycled is not None:
                    guarded("the callback on_worker_recycled", lambda: on_recycled(event))
            case "stats":
                stats, on_stats = pool_stats(what), self.on_stats_update
                if on_stats is not None:
                    guarded("the callback on_stats_update", lambda: on_stats(stats))

    # --- The end

    def shutdown(self, timeout: object) -> None:
        self.native.shutdown(timeout)
        with self.lock:
            self.closed = True
        self.events.close()
        # One time for all threads, however many the host's own code blocks.
        until = time.monotonic() + _PATIENCE
        join(self.thread, until)
        self.threads.stop(until if timeout is None else 0.0)
        self.background.stop(until)


def _lost() -> InternalError:
    return InternalError("internal error in enclave: the thread that handles the events of the pool has ended")


def _deliver_on(loop: asyncio.AbstractEventLoop, deliveries: list[Callable[[], None]]) -> None:
    # The loop may be closed by now; then nobody waits any more.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(_deliver_all, deliveries)


def _deliver_all(deliveries: list[Callable[[], None]]) -> None:
    """Deliver on a loop of the user, on which also Ctrl-C may arrive."""
    interrupt: BaseException | None = None
    for deliver in deliveries:
        try:
            deliver()
        except Exception as error:  # noqa: BLE001, the others are delivered all the same
            report("the end of an execution", error)
        except BaseException as error:  # noqa: BLE001
            interrupt = error
    if interrupt is not None:
        raise interrupt


_states: weakref.WeakSet[_State] = weakref.WeakSet()


def _close_all() -> None:
    """End all pools before the interpreter goes; what runs in them ends as POOL_CLOSED."""
    for state in list(_states):
        if not state.closed and not state.callbacks.forked:
            guarded("the exit", functools.partial(state.shutdown, 0))


atexit.register(_close_all)


class Execution(concurrent.futures.Future[Any]):
    """A submitted execution: a `concurrent.futures.Future` of its value, which `asyncio.wrap_future` takes too."""

    def __init__(self, callbacks: Callbacks) -> None:
        super().__init__()
        self._callbacks = callbacks
        self._native: _enclave.Execution | None = None
        self._raw: _enclave.Outcome | None = None
        # It is on its way as soon as it exists.
        self.set_running_or_notify_cancel()

    @property
    def id(self) -> int:
        """Its number, unique in its pool."""
        return 0 if self._native is None else self._native.id

    def cancel(self) -> bool:
        """End the execution with CANCELLED; False if it has ended already.

        Returns at once. Should it finish first, that outcome stays.
        """
        self._callbacks.check_forked()
        if self.done() or self._native is None:
            return False
        self._native.cancel()
        return True

    def cancelled(self) -> bool:
        """Whether it ended because it was cancelled."""
        return self.done() and isinstance(super().exception(), ExecutionCancelledError)

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the value, at most so many seconds (then a `TimeoutError`); raises what the execution ended in."""
        self._check("result")
        self._arrive(timeout)
        return super().result()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the end, and give the error or None."""
        self._check("exception")
        return self._arrive(timeout)

    def outcome(self, timeout: float | None = None) -> Outcome:
        """Wait for the end, and give the value or error with stats and, if they were collected, console lines."""
        self._check("outcome")
        error = self._arrive(timeout)
        if error is not None and (self._raw is None or not isinstance(error, EnclaveError)):
            # It is lost, or there was no memory for it.
            raise error
        assert self._raw is not None, "a future that has a value has an outcome"
        return outcome(self._raw, None if error is not None else super().result(), error)

    def _arrive(self, timeout: float | None) -> BaseException | None:
        """Wait for the end; what takes too long is Python's own TimeoutError also where futures have another."""
        try:
            return super().exception(timeout)
        except concurrent.futures.TimeoutError:
            raise TimeoutError(f"the execution has not ended within {timeout} s") from None

    def _check(self, call: str) -> None:
        self._callbacks.check_forked()
        if not self.done():
            self._callbacks.check_may_wait(f"Execution.{call}", "use add_done_callback, or await")

    def add_done_callback(self, fn: Callable[[concurrent.futures.Future[Any]], object]) -> None:
        """Have a function called with this future when it ends, on a thread of the pool; at once if it has ended."""
        super().add_done_callback(functools.partial(_call_back, self._callbacks, fn))

    def _end(self, flight: Flight, raw: _enclave.Outcome | EnclaveError) -> None:
        value = None
        error: BaseException | None
        try:
            if isinstance(raw, EnclaveError):
                error = raw
            else:
                self._raw = raw
                error = flight.end(raw)
                value = None if error is not None else raw.value()
        except BaseException as failure:  # noqa: BLE001, no memory for it
            error = failure
        if error is not None:
            self.set_exception(error)
        else:
            self.set_result(value)


def _call_back(callbacks: Callbacks, function: Callable[[concurrent.futures.Future[Any]], object], future: Any) -> None:
    try:
        function(future)
    except BaseException as error:
        if threading.get_ident() != callbacks.thread:
            raise
        report("a done callback", error)


class Pool:
    """A bounded queue of executions, served by workers that come and go with the load.

    `preset` is the name of a table of settings: `standard` (if none is given), `strict`, `secure`, `permissive` or
    `default`; each setting may be changed by a keyword. `Presets` has the tables, and `PoolSettings` the types.

    All methods may be called from any thread. Close the pool, or use it in a `with` or `async with` statement.

    * `tools`: functions that scripts may call, by name; see `Pool.tool`.
    * `tool_handler`: `handler(name, argument)` answers the calls that no tool does; it may be async.
    * `on_console`: gets every `ConsoleLine` of scripts, or is a `logging.Logger` that they go to. Without it they go
      nowhere.
    * `on_worker_recycled`: gets a `WorkerRecycled` for every worker that has left.
    * `on_stats_update`: gets the `PoolStats` every `stats_interval`.
    * `tool_threads`: how many sync tools may run at once; default 32.

    Callbacks run one after the other on a thread of the pool, and should return soon. What they raise is reported
    through `sys.unraisablehook`. In a callback or tool, what would wait for the same pool raises `InvalidStateError`.
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
        self._state = _State(preset, given, on_worker_recycled, on_stats_update, tool_threads)
        self._settings = self._state.native.settings()
        self._preset = preset
        _states.add(self._state)

    # --- Running

    def run(self, source: str | Script, **options: Unpack[ExecutionOptions]) -> Any:
        """Run a source or a compiled `Script`, and give its value.

        Raises a subclass of `EnclaveError` for whatever else it ends in. Options are `globals`, `filename`, `kind`,
        `tools`, `tool_handler`, `on_console` and all limits of an execution, such as `timeout`; see `ExecutionOptions`.
        Ctrl-C cancels the execution and raises `KeyboardInterrupt`.
        """
        state = self._state
        state.callbacks.check_may_wait("Pool.run", "use run_async or submit")
        if not options and not self._tools and self._tool_handler is None and self._on_console is None:
            return state.native.run(_native(source))
        raw, error = self._run(source, cast("dict[str, Any]", options))
        if error is not None:
            raise error
        return raw.value()

    def run_detailed(self, source: str | Script, **options: Unpack[ExecutionOptions]) -> Outcome:
        """Run a source and give its `Outcome`: value or error, stats, and the console lines.

        Raises only where there is no execution, as `submit` does.
        """
        self._state.callbacks.check_may_wait("Pool.run_detailed", "use run_async or submit")
        raw, error = self._run(source, {"collect_console": True, **options})
        return outcome(raw, None if error is not None else raw.value(), error)

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
        return outcome(raw, None if error is not None else raw.value(), error)

    def submit(self, source: str | Script, **options: Unpack[ExecutionOptions]) -> Execution:
        """Submit a source and return at once; the `Execution` is a future of the value.

        Raises `QueueFullError` if there is no place, `PoolClosedError` after the end, `InvalidArgumentError` for an
        option, and `MessageTooLargeError` for a source or globals above `max_message_size`. Async tools run on the
        event loop of the caller if there is one running, else on one of the pool.
        """
        execution = Execution(self._state.callbacks)
        flight = self._flight(cast("dict[str, Any]", options), _running_loop())
        flight.deliver = lambda raw: execution._end(flight, raw)
        execution._native, _ = self._launch(flight, self._submit(source, cast("dict[str, Any]", options), flight))
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
        """Run a source once for every input, which it has as the global `name`; give the values in order.

        As many executions are on their way as keep the workers busy, so `inputs` may be endless in length, and a full
        queue is waited for. `progress(done, total)` is called on this thread after each end; `total` is None if
        `inputs` has no length. The first failure cancels what runs and is raised, unless `return_exceptions` puts it in
        its place among the values.
        """
        self._state.callbacks.check_may_wait("Pool.map", "use run_async or submit")
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
        """Compile a source without running it, and give it as a `Script` to be run any number of times.

        It waits for that: it takes a place in the queue and the time that the limits allow, and counts as an execution.
        Raises `JSSyntaxError` for a source that does not compile, and otherwise what `run` does.

        Workers also keep compiled what comes twice as a plain source. A script is kept from the first time on, and its
        syntax errors are known before it is run.
        """
        self._state.callbacks.check_may_wait("Pool.compile", "use compile_async")
        check_names("compile", cast("dict[str, Any]", limits), LIMITS)
        native, execution = self._state.native.compile(source, kind, filename, cast("dict[str, Any]", limits), None)
        execution.wait().value()
        return Script(self, native, source, filename, kind)

    async def compile_async(
        self, source: str, *, filename: str | None = None, kind: SourceKind = "auto", **limits: Unpack[Limits]
    ) -> Script:
        """Compile a source without blocking the event loop; like `compile`."""
        check_names("compile_async", cast("dict[str, Any]", limits), LIMITS)
        compiled: list[_enclave.Script] = []

        def launch(token: int) -> _enclave.Execution:
            native, execution = self._state.native.compile(
                source, kind, filename, cast("dict[str, Any]", limits), token
            )
            compiled.append(native)
            return execution

        flight = self._flight({}, asyncio.get_running_loop())
        (await self._arrival(flight, launch)).value()
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
                raise InvalidArgumentError("tool name is missing: give it, as the function has none", field="name")
            self._tools = {**self._tools, **named_tools({name: Tool(checked(name, chosen), spread)})}
            return chosen

        if function is None or isinstance(function, str):
            return register
        return register(function)

    # --- Watching

    def stats(self) -> PoolStats:
        """Give a snapshot of what the pool does and has done; it costs little, as no worker is asked."""
        self._state.callbacks.check_forked()
        return pool_stats(self._state.native.stats())

    @property
    def settings(self) -> Mapping[str, Any]:
        """All settings in force; durations are seconds."""
        return dict(self._settings)

    @property
    def closed(self) -> bool:
        """Whether the pool was shut down."""
        return self._state.closed

    def __repr__(self) -> str:
        if self.closed or self._state.callbacks.forked:
            return f"<enclave.Pool {self._preset!r}, {'closed' if self.closed else 'forked'}>"
        stats = self.stats()
        return (
            f"<enclave.Pool {self._preset!r}, {stats.active_workers} of at most {self._settings['max_workers']} "
            f"workers executing, {stats.queue_depth} waiting, {stats.total_executions} executions>"
        )

    def _repr_html_(self) -> str:
        if self._state.callbacks.forked:
            return html.escape(repr(self))
        state = "closed" if self.closed else "open"
        return pool_html(f"enclave.Pool {self._preset}, {state}", self.stats(), self._settings)

    # --- The end

    def shutdown(self, timeout: Seconds | None = None) -> None:
        """Refuse further submissions, end what waits, let what runs finish for at most `timeout`, and then end it.

        What is ended so raises `PoolClosedError`. None: the pool's `graceful_shutdown_timeout`. When this returns,
        every execution has its outcome, and the workers are gone. It may be called again.
        """
        self._state.callbacks.check_may_wait("Pool.shutdown", "call it outside of callbacks and tools")
        self._state.shutdown(timeout)

    def close(self) -> None:
        """Shut down with the pool's own timeout, unless that was done."""
        if not self.closed:
            self.shutdown()

    async def aclose(self) -> None:
        """Close without blocking the event loop."""
        self._state.callbacks.check_may_wait("Pool.aclose", "call it outside of callbacks and tools")
        if not self.closed:
            await asyncio.to_thread(self._state.shutdown, None)

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
        state: _State | None = getattr(self, "_state", None)
        if state is None or state.closed or state.callbacks.forked or sys.is_finalizing():
            return
        warnings.warn(f"unclosed {type(self).__name__} of {state.name}", ResourceWarning, stacklevel=2, source=self)
        # Nothing runs in it, or it would be held, so this takes no time.
        with contextlib.suppress(EnclaveError):
            state.shutdown(0)

    # --- Inside

    def _flight(self, options: dict[str, Any], loop: asyncio.AbstractEventLoop | None) -> Flight:
        check_names("run", options, OPTIONS)
        state = self._state
        pool_tools, pool_handler = self._tools, self._tool_handler
        tools = named_tools(options.get("tools"))
        handler = options.get("tool_handler")
        check_callable("tool_handler", handler)

        def find(name: str) -> Callable[[Any], Any] | None:
            """In the order of precedence: what the execution brings, then what the pool has."""
            if name in tools:
                return tools[name]
            if handler is not None:
                return AnyTool(handler, name)
            if name in pool_tools:
                return pool_tools[name]
            return None if pool_handler is None else AnyTool(pool_handler, name)

        names = list(tools.keys() | pool_tools.keys()) if tools or pool_tools else []
        on_console = self._on_console
        if options.get("on_console") is not None:
            on_console = _console(options["on_console"])
        flight = Flight(self, state.callbacks, state.threads, state.background, names, find, on_console, loop)
        flight.has_tools = bool(names) or handler is not None or pool_handler is not None
        return flight

    def _launch(self, flight: Flight, launch: Callable[[int], _enclave.Execution]) -> tuple[_enclave.Execution, int]:
        """Submit something under a token by which its events find the flight."""
        state = self._state
        with state.lock:
            state.last_token += 1
            token = state.last_token
        state.flights[token] = flight
        try:
            state.check_thread()
            return launch(token), token
        except BaseException:
            state.flights.pop(token, None)
            raise

    def _submit(
        self, source: str | Script, options: dict[str, Any], flight: Flight
    ) -> Callable[[int], _enclave.Execution]:
        """Give what submits a source or script."""
        given = options.get("globals")
        if given is not None and not isinstance(given, dict):
            if not isinstance(given, Mapping):
                raise InvalidTypeError("globals must be a mapping from names to values", field="globals")
            given = dict(given)
        return lambda token: self._state.native.submit(
            _native(source),
            options.get("kind", "auto"),
            options.get("filename"),
            given,
            {name: value for name, value in options.items() if name in LIMITS},
            token,
            flight.tool_names,
            flight.has_tools,
            flight.on_console is not None,
            bool(options.get("collect_console", False)),
            flight.deliver is not None,
        )

    def _run(self, source: str | Script, options: dict[str, Any]) -> tuple[_enclave.Outcome, EnclaveError | None]:
        state = self._state
        flight = self._flight(options, None)
        native, token = self._launch(flight, self._submit(source, options, flight))
        try:
            raw = native.wait()
            if flight.on_console is not None or flight.has_tools:
                # What the script has written and called may still be on its way to us.
                state.events.flush()
                state.check_thread()
        except BaseException:
            flight.stop()
            raise
        finally:
            state.flights.pop(token, None)
        return raw, flight.end(raw)

    async def _run_async(self, source: str | Script, options: dict[str, Any]) -> tuple[Flight, _enclave.Outcome]:
        flight = self._flight(options, asyncio.get_running_loop())
        return flight, await self._arrival(flight, self._submit(source, options, flight))

    async def _arrival(self, flight: Flight, launch: Callable[[int], _enclave.Execution]) -> _enclave.Outcome:
        """Submit something, and await its outcome on the running loop."""
        loop = asyncio.get_running_loop()
        arrived: asyncio.Future[_enclave.Outcome] = loop.create_future()

        def deliver(raw: _enclave.Outcome | EnclaveError) -> None:
            if isinstance(raw, EnclaveError):
                if not arrived.done():
                    arrived.set_exception(raw)
            elif not arrived.done():
                arrived.set_result(raw)
            else:
                # The task was cancelled: nobody takes the outcome, but tools may still be running.
                flight.end(raw)

        flight.deliver, flight.deliver_on = deliver, loop
        native, _ = self._launch(flight, launch)
        try:
            return await arrived
        except asyncio.CancelledError:
            native.cancel()
            raise


class Script:
    """A compiled source, to be run any number of times. From `Pool.compile`.

    The methods are those of the pool without the source; name and kind are those that it was compiled with. It never
    changes, and may be used from any thread, and in place of a source by any pool. Each worker that runs it compiles it
    once and keeps what it made, as far as there is place: a 32nd of its memory limit for all that it keeps.
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
    """Give the executable that this package brings, unless the environment names one (which the core looks for)."""
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

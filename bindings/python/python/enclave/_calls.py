"""Tool calls, and where they run: sync tools on threads of the pool, async tools on an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import os
import queue
import sys
import threading
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from enclave._errors import ForkedError, InvalidStateError, JSException, ScriptError, ToolError
from enclave._values import undefined

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from enclave import _enclave
    from enclave._errors import EnclaveError
    from enclave._settings import ToolHandler
    from enclave._stats import ConsoleLine

    OnConsole = Callable[[ConsoleLine], object]


@dataclass(frozen=True)
class Tool:
    """A function that scripts may call."""

    function: Callable[..., Any]
    # Give the properties of the argument as keywords, where it is an object.
    spread: bool = True

    def __call__(self, args: Any) -> Any:
        if self.spread and isinstance(args, dict):
            return self.function(**args)
        return self.function() if args is undefined and self.spread else self.function(args)


@dataclass(frozen=True)
class AnyTool:
    """A handler that answers for whatever tool is called."""

    function: ToolHandler
    name: str

    def __call__(self, args: Any) -> Any:
        return self.function(self.name, args)


def is_async(tool: Callable[[Any], Any]) -> bool:
    """Whether a call gives a coroutine, as far as that can be told without calling."""
    function = tool.function if isinstance(tool, Tool | AnyTool) else tool
    call = getattr(type(function), "__call__", None)  # noqa: B004, an object whose call is async
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


class ToolThreads:
    """Daemon threads that run sync tools, at most so many.

    `concurrent.futures` would do, but its threads are waited for when the interpreter exits, however long
    a tool blocks.
    """

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        # Threads that wait and are promised to no job; jobs that no thread is promised to.
        self._free = 0
        self._backlog = 0
        self._stopped = False

    def submit(self, job: Callable[[], None]) -> None:
        """Have a job done; it may not raise."""
        with self._lock:
            if self._stopped:
                return
            if self._free > 0:
                self._free -= 1
            elif len(self._threads) < self._limit:
                thread = threading.Thread(target=self._work, name=f"{self._name}-{len(self._threads)}", daemon=True)
                thread.start()
                self._threads.append(thread)
            else:
                self._backlog += 1
        self._jobs.put(job)

    def stop(self, timeout: float) -> None:
        """End the threads; those that are in a tool end after it."""
        with self._lock:
            self._stopped = True
            threads = list(self._threads)
        for _ in threads:
            self._jobs.put(None)
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(timeout)

    def _work(self) -> None:
        while self._work_once():
            pass

    def _work_once(self) -> bool:
        job = self._jobs.get()
        if job is None:
            return False
        job()
        with self._lock:
            if self._backlog > 0:
                self._backlog -= 1
            else:
                self._free += 1
        return True


class LoopThread:
    """An event loop on a daemon thread, for async tools of callers that have none. Starts when it is first used."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def loop(self) -> asyncio.AbstractEventLoop:
        """Give the loop."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._run, args=(self._loop,), name=self._name, daemon=True)
                self._thread.start()
            return self._loop

    def stop(self, timeout: float) -> None:
        """End it; tasks that are left are cancelled."""
        with self._lock:
            loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(loop.stop)
        if thread is not threading.current_thread():
            thread.join(timeout)

    @staticmethod
    def _run(loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            # What was handed over last begins, so as to be cancelled.
            loop.run_until_complete(asyncio.sleep(0))
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()


class Callbacks:
    """Knows which code runs inside a pool's callback, where waiting for the same pool could be waiting for oneself."""

    def __init__(self) -> None:
        self.thread: int | None = None
        self._process = os.getpid()

    @property
    def forked(self) -> bool:
        """Whether this is a forked child, which has none of the pool's threads."""
        return os.getpid() != self._process

    def check_forked(self) -> None:
        """Raise FORKED in a forked child."""
        if self.forked:
            raise ForkedError(
                "this process is a fork of the one that made the pool: make a new process (exec, spawn) and a pool "
                "there"
            )

    def check_may_wait(self, call: str, instead: str) -> None:
        """Raise INVALID_STATE inside a callback, and FORKED in a forked child."""
        self.check_forked()
        inside = any(mark.active and mark.callbacks is self for mark in _INSIDE.get())
        if inside or threading.get_ident() == self.thread:
            raise InvalidStateError(
                f"{call} was called in a callback of the pool, where it could wait for itself; {instead}"
            )


class _Mark:
    __slots__ = ("active", "callbacks")

    def __init__(self, callbacks: Callbacks) -> None:
        self.callbacks = callbacks
        self.active = True


_INSIDE: contextvars.ContextVar[tuple[_Mark, ...]] = contextvars.ContextVar("enclave_inside", default=())


class Flight:
    """An execution that is on its way: what its events need of Python."""

    __slots__ = (
        "_failures",
        "_find",
        "_lock",
        "_loop_of",
        "_tasks",
        "_threads",
        "callbacks",
        "context",
        "deliver",
        "deliver_on",
        "has_tools",
        "loop",
        "on_console",
        "owner",
        "stopped",
        "tool_names",
    )

    def __init__(
        self,
        owner: object,
        callbacks: Callbacks,
        threads: ToolThreads,
        background: LoopThread,
        tool_names: list[str],
        find: Callable[[str], Callable[[Any], Any] | None],
        on_console: OnConsole | None,
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        # Keeps the pool open as long as this is on its way.
        self.owner = owner
        self.callbacks = callbacks
        self.context = contextvars.copy_context()
        self.on_console = on_console
        # The caller's loop, where async tools run.
        self.loop = loop
        # What gets the outcome, and the loop on which.
        self.deliver: Callable[[_enclave.Outcome], None] | None = None
        self.deliver_on: asyncio.AbstractEventLoop | None = None
        self.stopped = False
        self.tool_names = tool_names
        self.has_tools = False
        self._find = find
        self._threads = threads
        self._loop_of = background
        self._lock = threading.Lock()
        self._failures: list[tuple[str, str, BaseException]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def answer(self, call: _enclave.ToolCall) -> None:
        """Have a tool call answered, where its tool belongs."""
        function = self._find(call.name)
        if function is None:
            call.reject("Error", f"there is no tool named {call.name}", "TOOL_NOT_FOUND")
            return
        try:
            if is_async(function):
                self._on_loop(call, lambda: function(call.args()))
            else:
                self._threads.submit(lambda: self._call(call, function))
        except RuntimeError as error:
            # No thread can be started, or the caller's loop is closed.
            self._fail(call, error)

    def _call(self, call: _enclave.ToolCall, function: Callable[[Any], Any]) -> None:
        """Answer a call on this thread."""
        result = None
        try:
            result = self.context.copy().run(self._inside, function, call.args())
            if inspect.isawaitable(result):
                self._on_loop(call, lambda: result, result)
                return
            call.resolve(result)
        except BaseException as error:  # noqa: BLE001, nobody else could get it
            _close(result)
            self._fail(call, error)

    def _inside(self, function: Callable[[Any], Any], args: Any) -> Any:
        mark = _Mark(self.callbacks)
        _INSIDE.set((*_INSIDE.get(), mark))
        try:
            return function(args)
        finally:
            mark.active = False

    def _on_loop(
        self, call: _enclave.ToolCall, make: Callable[[], Awaitable[Any]], awaitable: Awaitable[Any] | None = None
    ) -> None:
        loop = self.loop or self._loop_of.loop()
        loop.call_soon_threadsafe(self._start, loop, call, make, awaitable)

    def _start(
        self,
        loop: asyncio.AbstractEventLoop,
        call: _enclave.ToolCall,
        make: Callable[[], Awaitable[Any]],
        awaitable: Awaitable[Any] | None,
    ) -> None:
        """Begin an async tool; `awaitable` is what there is already of it, and must not be left unawaited."""
        with self._lock:
            if self.stopped:
                _close(awaitable)
                return
            # The task copies the context that it is made in.
            task = self.context.copy().run(loop.create_task, self._await(call, make))
            self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # Cancelled before it began, it has not looked at it.
        task.add_done_callback(lambda _: _close(awaitable))

    async def _await(self, call: _enclave.ToolCall, make: Callable[[], Awaitable[Any]]) -> None:
        mark = _Mark(self.callbacks)
        _INSIDE.set((*_INSIDE.get(), mark))
        try:
            call.resolve(await make())
        except asyncio.CancelledError:
            call.reject("Error", "the tool was cancelled", None)
            raise
        except BaseException as error:
            self._fail(call, error)
            if not isinstance(error, Exception):
                raise
        finally:
            mark.active = False

    def _fail(self, call: _enclave.ToolCall, error: BaseException) -> None:
        if isinstance(error, ToolError):
            name, message, code = error.name, error.message, error.code
        else:
            name, message, code = type(error).__name__, _text(error), getattr(error, "code", None)
        self._failures.append((name, message, error))
        try:
            call.reject(name, message, code if isinstance(code, str) else None)
        except TypeError:
            call.reject("Error", _text(error), None)

    def stop(self) -> None:
        """Let go of the pool, and cancel what async tools still do."""
        with self._lock:
            self.stopped = True
            tasks = list(self._tasks)
        for task in tasks:
            with contextlib.suppress(RuntimeError):
                task.get_loop().call_soon_threadsafe(task.cancel)
        self.owner = self.deliver = None

    def end(self, raw: _enclave.Outcome) -> EnclaveError | None:
        """Take note of the outcome, and give its error, with the tool's exception that it comes from.

        Tools that the script has not waited for run on, unless the execution was ended from outside.
        """
        error: Any = raw.error()
        if isinstance(error, JSException):
            for name, message, cause in reversed(self._failures):
                if error.name == name and _same(error.message, message):
                    error.__cause__ = cause
                    break
        self._failures.clear()
        if error is not None and not isinstance(error, ScriptError):
            self.stop()
        self.owner = self.deliver = None
        return error  # type: ignore[no-any-return]


def _close(awaitable: object) -> None:
    """Close a coroutine that may not have been awaited, which would be warned of."""
    if inspect.iscoroutine(awaitable):
        awaitable.close()


def _same(seen: str, given: str) -> bool:
    """Whether a message that came through the engine, which cuts long ones, is this one."""
    return seen == given or (seen.endswith("…") and given.startswith(seen[:-1]))


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001, the exception's own code
        return ""


def report(what: str, error: BaseException) -> None:
    """Report an exception of a callback, which nobody can catch, as the interpreter reports such: on standard error."""
    report: Any = SimpleNamespace(
        exc_type=type(error),
        exc_value=error,
        exc_traceback=error.__traceback__,
        err_msg=f"Exception ignored in the callback {what} of an enclave pool",
        object=None,
    )
    sys.unraisablehook(report)

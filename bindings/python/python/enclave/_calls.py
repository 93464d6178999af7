"""Tool calls, and where they run: sync tools on threads of the pool, async tools on an event loop."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import contextvars
import inspect
import logging
import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from enclave import _enclave
from enclave._errors import (
    ForkedError,
    InvalidArgumentError,
    InvalidStateError,
    JSException,
    ScriptError,
    ToolError,
)
from enclave._values import undefined

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from enclave._errors import EnclaveError
    from enclave._settings import ToolHandler
    from enclave._stats import ConsoleLine

    OnConsole = Callable[[ConsoleLine], object]

_logger = logging.getLogger("enclave")

# The code of the error that a script sees where a tool gave what no script can have.
TOOL_RESULT = "TOOL_RESULT"

# So often the loop of a pool that ends is asked to cancel what is left on it.
_ATTEMPTS = 100


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
        self._changed = threading.Condition()
        self._jobs: collections.deque[Callable[[], None]] = collections.deque()
        self._threads: list[threading.Thread] = []
        self._started = 0
        # Threads that wait for a job.
        self._waiting = 0
        self._stopped = False

    def submit(self, job: Callable[[], None]) -> None:
        """Have a job done."""
        with self._changed:
            if self._stopped:
                return
            if self._waiting <= len(self._jobs) and len(self._threads) < self._limit:
                try:
                    self._start()
                except RuntimeError:
                    # The system has none left: those that there are must do.
                    if not self._threads:
                        raise
            self._jobs.append(job)
            self._changed.notify()

    def stop(self, until: float) -> None:
        """End the threads; those that are in a tool end after it. Waits until a time of `time.monotonic` at most."""
        with self._changed:
            self._stopped = True
            threads = list(self._threads)
            self._changed.notify_all()
        for thread in threads:
            join(thread, until)

    def _start(self) -> None:
        thread = threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True)
        thread.start()
        self._started += 1
        self._threads.append(thread)

    def _work(self) -> None:
        try:
            while guarded("a tool", self._work_once, True):
                pass
        finally:
            with self._changed:
                self._threads.remove(threading.current_thread())
                # Should it have ended before its time, another does what is left.
                if self._jobs and not self._stopped:
                    self._start()

    def _work_once(self) -> bool:
        with self._changed:
            self._waiting += 1
            try:
                while not self._jobs and not self._stopped:
                    self._changed.wait()
            finally:
                self._waiting -= 1
            if not self._jobs:
                return False
            job = self._jobs.popleft()
        job()
        return True


class LoopThread:
    """An event loop on a daemon thread, for async tools of callers that have none. Starts when it is first used."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False

    def loop(self) -> asyncio.AbstractEventLoop:
        """Give the loop."""
        with self._lock:
            if self._loop is None or self._loop.is_closed():
                loop = asyncio.new_event_loop()
                thread = threading.Thread(target=self._run, args=(loop,), name=self._name, daemon=True)
                try:
                    thread.start()
                except BaseException:
                    loop.close()
                    raise
                self._loop, self._thread = loop, thread
            return self._loop

    def stop(self, until: float) -> None:
        """End it; tasks that are left are cancelled. Waits until a time of `time.monotonic` at most."""
        with self._lock:
            self._stopped = True
            loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(loop.stop)
        join(thread, until)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        what = "the event loop"
        try:
            guarded(what, lambda: asyncio.set_event_loop(loop))
            # A tool may stop the loop, or end it by SystemExit; others still need it.
            while not self._stopped:
                if not guarded(what, lambda: loop.run_forever() or True):
                    # A loop that only raises leaves time to others.
                    time.sleep(0.001)
            guarded(what, lambda: _begin_all(loop))
            for _ in range(_ATTEMPTS):
                if not asyncio.all_tasks(loop):
                    break
                guarded(what, lambda: _cancel_all(loop))
            guarded(what, lambda: loop.run_until_complete(loop.shutdown_asyncgens()))
        finally:
            loop.close()


def _begin_all(loop: asyncio.AbstractEventLoop) -> None:
    """Have begin what was handed over last, so as to be cancelled."""
    # The call that stops the loop may still be on its way.
    with contextlib.suppress(RuntimeError):
        loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


def join(thread: threading.Thread, until: float) -> None:
    """Wait for the end of another thread until a time of `time.monotonic` at most."""
    if thread is not threading.current_thread():
        thread.join(max(0.0, until - time.monotonic()))


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
        "_background",
        "_failures",
        "_find",
        "_lock",
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
        self.deliver: Callable[[_enclave.Outcome | EnclaveError], None] | None = None
        self.deliver_on: asyncio.AbstractEventLoop | None = None
        self.stopped = False
        self.tool_names = tool_names
        self.has_tools = False
        self._find = find
        self._threads = threads
        self._background = background
        self._lock = threading.Lock()
        self._failures: list[_Failure] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def answer(self, call: _enclave.ToolCall) -> None:
        """Have a tool call answered, where its tool belongs."""
        try:
            function = self._find(call.name)
            if function is None:
                call.reject("Error", f"there is no tool named {call.name}", "TOOL_NOT_FOUND")
            elif is_async(function):
                tool = function
                self._on_loop(call, lambda: tool(call.args()))
            else:
                tool = function
                self._threads.submit(lambda: self._call(call, tool))
        except BaseException as error:  # noqa: BLE001, the tool's own code may be asked what it is
            # Or no thread can be started, or the caller's loop is closed.
            self._fail(call, error)

    def _call(self, call: _enclave.ToolCall, function: Callable[[Any], Any]) -> None:
        """Answer a call on this thread."""
        result = None
        try:
            result = self.context.copy().run(self._inside, function, call.args())
            if inspect.isawaitable(result):
                self._on_loop(call, lambda: result, result)
                return
        except BaseException as error:  # noqa: BLE001, nobody else could get it
            _close(result)
            self._fail(call, error)
        else:
            self._resolve(call, result)

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
        loop = self.loop or self._background.loop()
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
            answer = self._await(call, make)
            try:
                # The task copies the context that it is made in.
                task = self.context.copy().run(loop.create_task, answer)
            except BaseException as error:  # noqa: BLE001, a task factory of the user
                _close(answer)
                _close(awaitable)
                self._fail(call, error)
                return
            self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # Cancelled before it began, it has not looked at it.
        task.add_done_callback(lambda _: _close(awaitable))

    async def _await(self, call: _enclave.ToolCall, make: Callable[[], Awaitable[Any]]) -> None:
        mark = _Mark(self.callbacks)
        _INSIDE.set((*_INSIDE.get(), mark))
        try:
            result = await make()
        except asyncio.CancelledError:
            call.reject("Error", "the tool was cancelled", None)
            raise
        except BaseException as error:
            self._fail(call, error)
            # The caller's loop is the caller's to end.
            if self.loop is not None and isinstance(error, SystemExit | KeyboardInterrupt):
                raise
        else:
            self._resolve(call, result)
        finally:
            mark.active = False

    def _resolve(self, call: _enclave.ToolCall, result: Any) -> None:
        """Answer a call. A result that no script can have is a fault of the tool: of it, a script learns no more."""
        try:
            call.resolve(result)
        except BaseException as error:  # noqa: BLE001, the result's own code
            if not isinstance(error, InvalidArgumentError):
                problem = f"result of the tool {call.name} cannot be converted: {_name(error)}: {_text(error)}"
                wrong = InvalidArgumentError(problem, field=f"result of the tool {call.name}")
                wrong.__cause__ = error
                error = wrong
            _log(logging.ERROR, "%s", _text(error), error)
            self._reject(call, _Failure("Error", f"the tool {call.name} failed", TOOL_RESULT, error))

    def _fail(self, call: _enclave.ToolCall, error: BaseException) -> None:
        """Answer a call with an exception of the tool."""
        name, message, code = _name(error), _text(error), _attribute(error, "code")
        if isinstance(error, ToolError):
            name, message = _attribute(error, "name") or "Error", _attribute(error, "message") or ""
        _log(logging.INFO, "the tool %s raised an exception", call.name, error)
        self._reject(call, _Failure(name, message, code, error))

    def _reject(self, call: _enclave.ToolCall, failure: _Failure) -> None:
        self._failures.append(failure)
        try:
            call.reject(failure.name, failure.message, failure.code)
        except BaseException as error:  # noqa: BLE001, texts of a subclass of str
            report("the text of a tool's exception", error)
            call.reject("Error", "", None)

    def stop(self) -> None:
        """Let go of the pool, and cancel what async tools still do."""
        with self._lock:
            self.stopped = True
            tasks = list(self._tasks)
        for task in tasks:
            # The loop may be closed, and the task is what the caller's loop makes of it.
            with contextlib.suppress(Exception):
                task.get_loop().call_soon_threadsafe(task.cancel)
        self.owner = self.deliver = None

    def lose(self, error: EnclaveError) -> None:
        """End without an outcome."""
        deliver, loop = self.deliver, self.deliver_on
        self.stop()
        if deliver is not None and loop is not None:
            loop.call_soon_threadsafe(deliver, error)
        elif deliver is not None:
            deliver(error)

    def end(self, raw: _enclave.Outcome) -> EnclaveError | None:
        """Take note of the outcome, and give its error, with the tool's exception that it comes from.

        Tools that the script has not waited for run on, unless the execution was ended from outside.
        """
        error: Any = raw.error()
        if isinstance(error, JSException):
            for failure in reversed(self._failures):
                if failure.is_seen_in(error):
                    if failure.code == TOOL_RESULT and isinstance(failure.cause, InvalidArgumentError):
                        error = failure.cause
                    else:
                        error.__cause__ = failure.cause
                    break
        self._failures.clear()
        if error is not None and not isinstance(error, ScriptError):
            self.stop()
        self.owner = self.deliver = None
        return error  # type: ignore[no-any-return]


@dataclass(frozen=True)
class _Failure:
    """How a tool call was rejected, and why."""

    name: str
    message: str
    code: str | None
    cause: BaseException

    def is_seen_in(self, error: JSException) -> bool:
        """Whether an exception of the script is this one; the engine cuts long messages."""
        if error.name != self.name or (self.code == TOOL_RESULT and error.code != TOOL_RESULT):
            return False
        seen = error.message
        return seen == self.message or (seen.endswith("…") and self.message.startswith(seen[:-1]))


def _close(awaitable: object) -> None:
    """Close a coroutine that may not have been awaited, which would be warned of."""
    try:
        if inspect.iscoroutine(awaitable):
            awaitable.close()
    except BaseException as error:  # noqa: BLE001, the coroutine's own code
        report("the end of a tool", error)


def _name(error: BaseException) -> str:
    # Not what a metaclass says.
    return str(type.__dict__["__name__"].__get__(type(error)))


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # noqa: BLE001, the exception's own code
        return ""


def _attribute(error: BaseException, name: str) -> str | None:
    try:
        value = getattr(error, name, None)
        return value if isinstance(value, str) else None
    except BaseException:  # noqa: BLE001, the exception's own code
        return None


def _log(level: int, text: str, argument: str, error: BaseException) -> None:
    try:
        _logger.log(level, text, argument, exc_info=error)
    except BaseException as failure:  # noqa: BLE001, a handler of the user
        report("logging", failure)


class _Place:
    """Where an exception was raised that nobody can catch."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __repr__(self) -> str:
        return f"{self._what} of an enclave pool"


def report(what: str, error: BaseException) -> None:
    """Report an exception of the user's code that nobody can catch, through `sys.unraisablehook`; never raises."""
    _enclave.write_unraisable(error, _Place(what))


def guarded(what: str, action: Callable[[], Any], otherwise: Any = None) -> Any:
    """Do something in which the user's code runs on a thread of ours; what it raises is reported."""
    try:
        return action()
    except BaseException as error:  # noqa: BLE001, the thread must go on
        report(what, error)
        return otherwise

"""Executions under way, and the answers to their tool calls."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from enclave._callbacks import inside
from enclave._errors import InvalidArgumentError, JSException, ScriptError, ToolError
from enclave._report import report_exception
from enclave._tools import is_async

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from enclave import _enclave
    from enclave._errors import EnclaveError
    from enclave._events import Dispatcher
    from enclave._stats import ConsoleLine
    from enclave._tools import Tools

    OnConsole = Callable[[ConsoleLine], object]
    Deliver = Callable[["Flight", _enclave.Outcome | EnclaveError], None]

_logger = logging.getLogger("enclave")

# The code of the error that a script sees where a tool gave what no script can have.
TOOL_RESULT = "TOOL_RESULT"


class Flight:
    """An execution under way, with everything that its events need in Python."""

    __slots__ = (
        "_background",
        "_deliver",
        "_failures",
        "_lock",
        "_loop",
        "_stopped",
        "_tasks",
        "_threads",
        "callbacks",
        "context",
        "deliver_on",
        "on_console",
        "owner",
        "tools",
    )

    def __init__(
        self,
        owner: object,
        dispatcher: Dispatcher,
        tools: Tools,
        on_console: OnConsole | None,
        loop: asyncio.AbstractEventLoop | None,
        deliver: Deliver | None,
        deliver_on: asyncio.AbstractEventLoop | None,
    ) -> None:
        # Keeps the pool open as long as this is on its way.
        self.owner: object = owner
        self.callbacks = dispatcher.callbacks
        self.context = contextvars.copy_context()
        self.tools = tools
        self.on_console = on_console
        # The caller's loop, where async tools run.
        self._loop = loop
        # What gets the outcome, and the loop on which; None: the thread of the events.
        self._deliver = deliver
        self.deliver_on = deliver_on
        self._threads = dispatcher.threads
        self._background = dispatcher.background
        self._lock = threading.Lock()
        self._stopped = False
        self._failures: list[_Failure] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def awaited(self) -> bool:
        """Whether somebody gets the outcome."""
        return self._deliver is not None

    def deliver(self, outcome: _enclave.Outcome | EnclaveError) -> None:
        """Give the outcome, or the reason why there is none, to whoever gets it; once."""
        deliver, self._deliver = self._deliver, None
        if deliver is not None:
            deliver(self, outcome)

    def answer(self, call: _enclave.ToolCall) -> None:
        """Have a tool call answered, where its tool belongs."""
        try:
            function = self.tools.find(call.name)
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
        with inside(self.callbacks):
            return function(args)

    def _on_loop(
        self, call: _enclave.ToolCall, make: Callable[[], Awaitable[Any]], awaitable: Awaitable[Any] | None = None
    ) -> None:
        loop = self._loop or self._background.loop()
        loop.call_soon_threadsafe(self._start, loop, call, make, awaitable)

    def _start(
        self,
        loop: asyncio.AbstractEventLoop,
        call: _enclave.ToolCall,
        make: Callable[[], Awaitable[Any]],
        awaitable: Awaitable[Any] | None,
    ) -> None:
        """Begin an async tool; `awaitable` is its coroutine if there is one already, and must not stay unawaited."""
        with self._lock:
            if self._stopped:
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
        with inside(self.callbacks):
            try:
                result = await make()
            except asyncio.CancelledError:
                call.reject("Error", "the tool was cancelled", None)
                raise
            except BaseException as error:
                self._fail(call, error)
                # The caller's loop is the caller's to end.
                if self._loop is not None and isinstance(error, SystemExit | KeyboardInterrupt):
                    raise
            else:
                self._resolve(call, result)

    def _resolve(self, call: _enclave.ToolCall, result: Any) -> None:
        """Answer a call. A result that no script can have is a fault of the tool; the script learns no more of it."""
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
            report_exception("the text of a tool's exception", error)
            call.reject("Error", "", None)

    def stop(self) -> None:
        """Let go of the pool, and cancel what async tools still do."""
        with self._lock:
            self._stopped = True
            tasks = list(self._tasks)
        for task in tasks:
            # The loop may be closed, and the task is what the caller's loop makes of it.
            with contextlib.suppress(Exception):
                task.get_loop().call_soon_threadsafe(task.cancel)
        self.owner = None

    def lose(self, error: EnclaveError) -> None:
        """End without an outcome."""
        if self.deliver_on is None:
            self.deliver(error)
        else:
            self.deliver_on.call_soon_threadsafe(self.deliver, error)
        self.stop()

    def end(self, raw: _enclave.Outcome) -> EnclaveError | None:
        """Record the outcome, and give its error, with the tool's exception that caused it.

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
        self.owner = None
        return error  # type: ignore[no-any-return]


@dataclass(frozen=True)
class _Failure:
    """How a tool call was rejected, and why."""

    name: str
    message: str
    code: str | None
    cause: BaseException

    def is_seen_in(self, error: JSException) -> bool:
        """Whether an exception of the script is this one; the engine cuts off long messages."""
        if error.name != self.name or (self.code == TOOL_RESULT and error.code != TOOL_RESULT):
            return False
        seen = error.message
        return seen == self.message or (seen.endswith("…") and self.message.startswith(seen[:-1]))


def _close(awaitable: object) -> None:
    """Close a coroutine that may not have been awaited, so that Python does not warn about it."""
    try:
        if inspect.iscoroutine(awaitable):
            awaitable.close()
    except BaseException as error:  # noqa: BLE001, the coroutine's own code
        report_exception("the end of a tool", error)


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
        report_exception("logging", failure)

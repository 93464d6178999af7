"""Exceptions: one class per status of the library, all under `EnclaveError`.

Where Python has a class of the same meaning, ours is a subclass of that one too: `except TimeoutError` works.
"""

from __future__ import annotations

import concurrent.futures
import enum
from typing import Any, ClassVar


class Status(enum.IntEnum):
    """How an execution or a call ended. The numbers are those of the C interface, and never change."""

    OK = 0
    INVALID_ARGUMENT = 1
    INVALID_STATE = 2
    POOL_CLOSED = 3
    FORKED = 4
    UNSUPPORTED = 5
    SYNTAX_ERROR = 100
    EXCEPTION = 101
    UNSETTLED = 102
    RESULT_NOT_TRANSFERABLE = 103
    TIMEOUT = 200
    CPU_LIMIT = 201
    MEMORY_LIMIT = 202
    CONSOLE_LIMIT = 203
    TOOL_CALL_LIMIT = 204
    MESSAGE_FLOOD = 205
    MESSAGE_TOO_LARGE = 206
    CANCELLED = 207
    QUEUE_FULL = 300
    QUEUE_TIMEOUT = 301
    WORKER_CRASHED = 400
    WORKER_STARTUP = 401
    INTERNAL = 500


class EnclaveError(Exception):
    """Anything that this library raises.

    `status` says what happened; further attributes hold the details that belong to it. Exceptions can be pickled.
    """

    status: ClassVar[Status]
    _fields: ClassVar[tuple[str, ...]] = ()

    def __init__(self, text: str = "", **fields: Any) -> None:
        super().__init__(text)
        self._text = text
        for field in self._fields:
            setattr(self, field, fields.get(field))

    def __str__(self) -> str:
        return self._text

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self._text, {field: getattr(self, field) for field in self._fields})


def _restore(cls: type[EnclaveError], text: str, fields: dict[str, Any]) -> EnclaveError:
    return cls(text, **fields)


# --- Misuse


class InvalidArgumentError(EnclaveError, ValueError):
    """An argument or setting is wrong; the message names it, the value, and what is accepted."""

    status = Status.INVALID_ARGUMENT
    _fields = ("field",)
    field: str


class InvalidTypeError(InvalidArgumentError, TypeError):
    """An argument or setting is of a wrong type."""


class InvalidStateError(EnclaveError, RuntimeError):
    """Not possible now, such as waiting for a pool inside one of its own callbacks."""

    status = Status.INVALID_STATE


class PoolClosedError(EnclaveError, RuntimeError):
    """Submitted after the pool was shut down, or ended by that."""

    status = Status.POOL_CLOSED


class ForkedError(EnclaveError, RuntimeError):
    """Used in a forked child: make the pool there, or start the process with `spawn`."""

    status = Status.FORKED


class UnsupportedError(EnclaveError, RuntimeError):
    """Not available here; the message says why."""

    status = Status.UNSUPPORTED
    _fields = ("field",)
    field: str


# --- The script


class ScriptError(EnclaveError):
    """The script itself has failed: it does not parse, throws, waits for ever, or its result cannot be copied."""


class _InSource:
    """What an error with a place in the source has in common."""

    _text: str
    name: str
    message: str
    code: str | None
    stack: str | None
    filename: str | None
    line: int | None
    column: int | None
    source_line: str | None

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.message}" if self.message else self.name or self._text]
        if self.line:
            lines.append(f"  at {self.filename or '<script>'}:{self.line}:{self.column or 0}")
        if self.line and self.source_line is not None and self.source_line.strip():
            gutter = f"  {self.line} | "
            lines.append(gutter + self.source_line)
            place = caret(self.source_line, self.column)
            if place is not None:
                before = "".join("\t" if sign == "\t" else " " for sign in self.source_line[:place])
                lines.append(" " * (len(gutter) - 2) + "| " + before + "^")
        if self.stack and self.stack.strip():
            lines.append("JavaScript stack:")
            lines.extend(f"  {frame}" for frame in self.stack.strip().splitlines())
        return "\n".join(lines)


class JSSyntaxError(_InSource, ScriptError, SyntaxError):
    """The source does not parse; with line, column and the line's text.

    Also a `SyntaxError`, whose attributes (`lineno`, `offset`, `text`, `msg`) are set, so that a traceback shows the
    line.
    """

    status = Status.SYNTAX_ERROR
    _fields = ("name", "message", "code", "stack", "filename", "line", "column", "source_line")

    def __init__(self, text: str = "", **fields: Any) -> None:
        super().__init__(text, **fields)
        self.msg = self.message
        self.lineno = self.line
        self.text = self.source_line
        place = None if self.source_line is None else caret(self.source_line, self.column)
        self.offset = None if place is None else place + 1


class JSException(_InSource, ScriptError):
    """A script has thrown and nothing caught it; with name, message, code, JavaScript stack, line and column.

    `name` and `message` are those of the JavaScript error; if the thrown value is no `Error`, its type and text.
    If the error came from a tool, the tool's own exception is the `__cause__`.
    """

    status = Status.EXCEPTION
    _fields = ("name", "message", "code", "stack", "filename", "line", "column", "source_line")


class JSRecursionError(JSException, RecursionError):
    """A script has called itself too deeply: the engine's `InternalError: too much recursion`."""


class UnsettledError(ScriptError):
    """The script waits for a promise that nothing can settle any more."""

    status = Status.UNSETTLED


class ResultNotTransferableError(ScriptError):
    """The result cannot be copied; `path` leads to the value in the way, such as `result.items[3]`."""

    status = Status.RESULT_NOT_TRANSFERABLE
    _fields = ("path",)
    path: str


# --- Limits


class LimitError(EnclaveError):
    """A limit has ended the execution. The script could not catch that."""


class ExecutionTimeoutError(LimitError, TimeoutError):
    """Wall-clock time; `limit` in seconds."""

    status = Status.TIMEOUT
    _fields = ("limit",)
    limit: float


class CpuLimitError(LimitError, TimeoutError):
    """CPU time; `limit` in seconds."""

    status = Status.CPU_LIMIT
    _fields = ("limit",)
    limit: float


class MemoryLimitError(LimitError, MemoryError):
    """Memory of the worker; `used_bytes` and `limit` in bytes."""

    status = Status.MEMORY_LIMIT
    _fields = ("used_bytes", "limit")
    used_bytes: int
    limit: int


class ConsoleLimitError(LimitError):
    """Console output; `limit` in `unit`: `calls` or `bytes`."""

    status = Status.CONSOLE_LIMIT
    _fields = ("limit", "unit")
    limit: int
    unit: str


class ToolCallLimitError(LimitError):
    """Tool calls; `limit` in `unit`: `tool calls`, `pending tool calls` or `pending bytes`."""

    status = Status.TOOL_CALL_LIMIT
    _fields = ("limit", "unit")
    limit: int
    unit: str


class MessageFloodError(LimitError):
    """Tool calls and console lines per second; `limit` is their number."""

    status = Status.MESSAGE_FLOOD
    _fields = ("limit",)
    limit: int


class MessageTooLargeError(LimitError):
    """`what` (a source, result, argument, reply or console line) is larger than `limit` bytes (`max_message_size`)."""

    status = Status.MESSAGE_TOO_LARGE
    _fields = ("what", "limit")
    what: str
    limit: int


class ExecutionCancelledError(EnclaveError, concurrent.futures.CancelledError):
    """Cancelled by the caller."""

    status = Status.CANCELLED


# --- Admission and workers


class QueueFullError(EnclaveError):
    """No place in the queue, where `queue_size` executions wait; try again in about `retry_after` seconds."""

    status = Status.QUEUE_FULL
    _fields = ("queue_size", "retry_after")
    queue_size: int
    retry_after: float


class QueueTimeoutError(EnclaveError, TimeoutError):
    """Waited `waited` seconds in the queue without getting a worker."""

    status = Status.QUEUE_TIMEOUT
    _fields = ("waited",)
    waited: float


class WorkerCrashedError(EnclaveError, RuntimeError):
    """The worker crashed, by `signal` if there was one; or all are stuck, and no more may be started."""

    status = Status.WORKER_CRASHED
    _fields = ("signal",)
    signal: int | None


class WorkerStartupError(EnclaveError, RuntimeError):
    """A worker could not be started; the message has the cause."""

    status = Status.WORKER_STARTUP


class InternalError(EnclaveError, RuntimeError):
    """A bug of this library, caught: please report it."""

    status = Status.INTERNAL


def _by_status() -> dict[int, type[EnclaveError]]:
    classes: dict[int, type[EnclaveError]] = {}
    pending: list[type[EnclaveError]] = [EnclaveError]
    while pending:
        cls = pending.pop(0)
        pending.extend(cls.__subclasses__())
        if "status" in vars(cls):
            classes[int(cls.status)] = cls
    return classes


_CLASSES = _by_status()


def make_error(status: int, text: str, fields: dict[str, Any]) -> EnclaveError:
    """Make the exception of a status; called by the native half."""
    cls = _CLASSES.get(status, InternalError)
    if cls is JSException and fields.get("name") == "InternalError" and fields.get("message") == "too much recursion":
        cls = JSRecursionError
    return cls(text, **fields)


# Longer source lines are cut by the library to so many characters around the column.
_CUT = 120


def caret(source_line: str, column: int | None) -> int | None:
    """Give the index of a column (from 1, in UTF-16 units) in a source line; None if it is unknown."""
    if column is None or column < 1:
        return None
    if column > _CUT // 2 and (len(source_line) >= _CUT or column + len(source_line) > _CUT + _CUT // 2):
        # The line may have been cut, and only where it is full length, or has no such column, do we know that it was.
        certain = len(source_line) == _CUT or column - 1 > len(source_line)
        return _CUT // 2 - 1 if certain and len(source_line) >= _CUT // 2 - 1 else None
    units = 0
    for index, sign in enumerate(source_line):
        if units >= column - 1:
            return index
        units += 2 if ord(sign) > 0xFFFF else 1
    return len(source_line)


class ToolError(Exception):
    """Raise it in a tool to choose what the script sees: the error's name, message and code.

    Any other exception reaches the script as the name of its class and its text.
    """

    def __init__(self, message: str, *, name: str = "Error", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.name = name
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore_tool_error, (self.message, self.name, self.code)


def _restore_tool_error(message: str, name: str, code: str | None) -> ToolError:
    return ToolError(message, name=name, code=code)

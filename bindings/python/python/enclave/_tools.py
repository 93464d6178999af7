"""Functions that scripts may call, and their names."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from enclave import _enclave
from enclave._errors import InvalidArgumentError, InvalidTypeError
from enclave._values import undefined

if TYPE_CHECKING:
    from enclave._settings import ToolHandler

F = TypeVar("F", bound=Callable[..., Any])

_TOOL_NAME = re.compile(_enclave.TOOL_NAME)


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


class Tools:
    """The tools of an execution: its own come before those of its pool."""

    def __init__(
        self,
        own: Mapping[str, Tool],
        own_handler: ToolHandler | None,
        pool: Mapping[str, Tool],
        pool_handler: ToolHandler | None,
    ) -> None:
        self._own = own
        self._own_handler = own_handler
        self._pool = pool
        self._pool_handler = pool_handler
        self.names: list[str] = list(own.keys() | pool.keys()) if own or pool else []

    def __bool__(self) -> bool:
        return bool(self.names) or self._own_handler is not None or self._pool_handler is not None

    def find(self, name: str) -> Tool | AnyTool | None:
        """Give what answers a call."""
        if name in self._own:
            return self._own[name]
        if self._own_handler is not None:
            return AnyTool(self._own_handler, name)
        if name in self._pool:
            return self._pool[name]
        return None if self._pool_handler is None else AnyTool(self._pool_handler, name)


def is_async(tool: Callable[[Any], Any]) -> bool:
    """Whether a call gives a coroutine, as far as one can tell without calling."""
    function = tool.function if isinstance(tool, Tool | AnyTool) else tool
    call = getattr(type(function), "__call__", None)  # noqa: B004, an object whose call is async
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def check_callable(name: str, function: object) -> None:
    """Refuse what is neither callable nor None."""
    if function is not None and not callable(function):
        raise InvalidTypeError(f"{name} is {function!r}; accepted is a callable", field=name)


def checked(name: str, function: F) -> F:
    """Give the function of a tool, if it is one."""
    if not callable(function):
        raise InvalidTypeError(f"tool {name} is {function!r}; accepted is a callable", field="tools")
    return function


def named_tools(tools: Mapping[str, Callable[..., Any]] | None) -> dict[str, Tool]:
    """Give tools by name, with their names checked."""
    if tools is None:
        return {}
    if not isinstance(tools, Mapping):
        raise InvalidTypeError("tools must be a mapping from names to functions", field="tools")
    named = {}
    for name, function in tools.items():
        if not isinstance(name, str) or not _TOOL_NAME.fullmatch(name):
            raise InvalidArgumentError(
                f"tool name is {name!r}; accepted are names that match {_enclave.TOOL_NAME}",
                field="tool name",
            )
        named[name] = function if isinstance(function, Tool) else Tool(checked(name, function))
    return named

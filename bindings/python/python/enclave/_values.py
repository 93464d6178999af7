"""Values of JavaScript for which Python has no type of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Final, Literal, final

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MILLISECOND = timedelta(milliseconds=1)


@final
class Undefined:
    """The type of `undefined`, of which there is one instance. It is false, and equal only to itself."""

    __slots__ = ()
    _instance: Undefined | None = None

    def __new__(cls) -> Undefined:
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    def __repr__(self) -> str:
        return "undefined"

    def __bool__(self) -> Literal[False]:
        return False

    def __reduce__(self) -> str:
        return "undefined"

    def __copy__(self) -> Undefined:
        return self

    def __deepcopy__(self, memo: Any) -> Undefined:
        return self


undefined: Final = Undefined()


@dataclass(frozen=True)
class JSError:
    """A JavaScript `Error` as a value that a script returned or gave to a tool, not one that it has thrown.

    Into a script it goes as an `Error` of the type that the name says, with message and code.
    """

    name: str
    message: str
    code: str | None = None
    stack: str | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class JSDate:
    """A JavaScript `Date` that `datetime` cannot hold: beyond the years 1 to 9999, or invalid (`ms` is NaN)."""

    ms: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "ms", float(self.ms))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, JSDate):
            return NotImplemented
        return self.ms == other.ms or (math.isnan(self.ms) and math.isnan(other.ms))

    def __hash__(self) -> int:
        return hash(None if math.isnan(self.ms) else self.ms)


class JSBigInt(int):
    """An int that goes into a script as a bigint, however small; ints beyond 2**53 - 1 do so anyway.

    Bigints come out of scripts as plain `int`.
    """

    def __repr__(self) -> str:
        return f"JSBigInt({int(self)})"


class JSMap(list[tuple[Any, Any]]):
    """The entries of a `Map` that `dict` cannot hold, because its keys are not hashable, or equal only in Python.

    In a script a JSMap is always a `Map`, even with text as keys.
    """

    def __repr__(self) -> str:
        return f"JSMap({super().__repr__()})"


class JSSet(list[Any]):
    """The elements of a `Set` that `set` cannot hold, because they are not hashable, or equal only in Python.

    In a script a JSSet is a `Set`, in its order.
    """

    def __repr__(self) -> str:
        return f"JSSet({super().__repr__()})"


def from_datetime(moment: datetime) -> float | None:
    """Give the milliseconds since 1970 of a moment; None without a time zone."""
    return None if moment.utcoffset() is None else float((moment - _EPOCH) // _MILLISECOND)


def to_datetime(ms: float) -> datetime | JSDate:
    """Give the moment so many milliseconds since 1970."""
    try:
        return _EPOCH + timedelta(milliseconds=ms)
    except (OverflowError, ValueError):
        return JSDate(ms)

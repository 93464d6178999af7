"""What the user's code raises where nobody can catch it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from enclave import _enclave

if TYPE_CHECKING:
    from collections.abc import Callable


class _Place:
    """Where an exception was raised that nobody can catch."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __repr__(self) -> str:
        return f"{self._what} of an enclave pool"


def report_exception(what: str, error: BaseException) -> None:
    """Report an exception of the user's code that nobody can catch, through `sys.unraisablehook`; never raises."""
    _enclave.write_unraisable(error, _Place(what))


def guarded(what: str, action: Callable[[], Any], otherwise: Any = None) -> Any:
    """Guard a block in which the user's code runs on a thread of ours; what it raises is reported."""
    try:
        return action()
    except BaseException as error:  # noqa: BLE001, the thread must go on
        report_exception(what, error)
        return otherwise

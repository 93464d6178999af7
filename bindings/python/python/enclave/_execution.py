"""The handle of a submitted execution."""

from __future__ import annotations

import concurrent.futures
import functools
import threading
from typing import TYPE_CHECKING, Any

from enclave._errors import EnclaveError, ExecutionCancelledError
from enclave._report import report_exception
from enclave._stats import Outcome, make_outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from enclave import _enclave
    from enclave._callbacks import Callbacks
    from enclave._flight import Flight


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

        Returns immediately. If the execution finishes first, that outcome stays.
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
        """Wait for the value, at most this many seconds (then a `TimeoutError`); raises the execution's error."""
        self._check("result")
        self._arrive(timeout)
        return super().result()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the end, and give the error or None."""
        self._check("exception")
        return self._arrive(timeout)

    def outcome(self, timeout: float | None = None) -> Outcome:
        """Wait for the end; give the value or error with stats and, if they were collected, console lines."""
        self._check("outcome")
        error = self._arrive(timeout)
        if error is not None and (self._raw is None or not isinstance(error, EnclaveError)):
            # It is lost, or there was no memory for it.
            raise error
        assert self._raw is not None, "a future that has a value has an outcome"
        return make_outcome(self._raw, None if error is not None else super().result(), error)

    def _arrive(self, timeout: float | None) -> BaseException | None:
        """Wait for the end; too long a wait raises Python's own TimeoutError, even where futures have another."""
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
        report_exception("a done callback", error)

"""Which code runs inside a callback or tool."""

from __future__ import annotations

import contextlib
import contextvars
import os
import threading
from typing import TYPE_CHECKING

from enclave._errors import ForkedError, InvalidStateError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Callbacks:
    """Knows which code runs inside a pool's callback, where waiting for the same pool could mean waiting for itself."""

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


@contextlib.contextmanager
def inside(callbacks: Callbacks) -> Iterator[None]:
    """Mark code in this context, and in tasks made in it, as inside a callback of the pool until this ends."""
    mark = _Mark(callbacks)
    _INSIDE.set((*_INSIDE.get(), mark))
    try:
        yield
    finally:
        mark.active = False

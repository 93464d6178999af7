"""The thread that handles what happens in a pool."""

from __future__ import annotations

import atexit
import contextlib
import functools
import itertools
import logging
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

from enclave import _enclave
from enclave._callbacks import Callbacks
from enclave._errors import EnclaveError, InternalError, UnsupportedError
from enclave._report import guarded, report_exception
from enclave._stats import PoolStats, WorkerRecycled, console_line, pool_stats
from enclave._threads import LoopThread, ToolThreads, join

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from enclave._flight import Flight

_logger = logging.getLogger("enclave")
_logger.addHandler(logging.NullHandler())

# Reasons for which a worker leaves in the course of things, and those that tell of a bug.
_PLANNED = frozenset({"max_executions", "idle", "shutdown"})
_WRONG = frozenset({"unresponsive", "crash", "protocol", "internal"})

# How long the end of threads is waited for that should end at once, unless the host's own code blocks in them.
_PATIENCE = 2.0

_numbers = itertools.count(1)


class Dispatcher:
    """What a pool and its event thread share. It does not hold the pool, so the pool can be collected."""

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
        """Handle some events. It is a function of its own so that none of them is kept while waiting for the next."""
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
                if flight is None:
                    return
                if flight.deliver_on is None:
                    flight.deliver(what)
                else:
                    to_loops.setdefault(flight.deliver_on, []).append(functools.partial(flight.deliver, what))
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
    """Deliver on a loop of the user, where Ctrl-C may arrive too."""
    interrupt: BaseException | None = None
    for deliver in deliveries:
        try:
            deliver()
        except Exception as error:  # noqa: BLE001, the others are delivered all the same
            report_exception("the end of an execution", error)
        except BaseException as error:  # noqa: BLE001
            interrupt = error
    if interrupt is not None:
        raise interrupt


_dispatchers: weakref.WeakSet[Dispatcher] = weakref.WeakSet()


def close_at_exit(dispatcher: Dispatcher) -> None:
    """End a pool before the interpreter exits; running executions end as POOL_CLOSED."""
    _dispatchers.add(dispatcher)


def _close_all() -> None:
    for dispatcher in list(_dispatchers):
        if not dispatcher.closed and not dispatcher.callbacks.forked:
            guarded("the exit", functools.partial(dispatcher.shutdown, 0))


atexit.register(_close_all)

"""Where tools run: sync tools on threads of the pool, async tools on an event loop."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import threading
import time
from typing import TYPE_CHECKING

from enclave._report import guarded

if TYPE_CHECKING:
    from collections.abc import Callable

# So often the loop of a pool that ends is asked to cancel what is left on it.
_ATTEMPTS = 100


class ToolThreads:
    """Daemon threads that run sync tools, up to a maximum.

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

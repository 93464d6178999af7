"""What every test has: pools that end with it, and a check that nothing of them is left."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from pathlib import Path

import enclave
import pytest
from enclave._events import Dispatcher
from enclave._flight import Flight

# These stay for ever once they are needed, and so would look like something that a test has left: the tracker, and the
# engine's keeper with the file that it reads.
resource_tracker.ensure_running()
enclave.Pool(isolation="thread", min_workers=1, max_workers=1).close()

ROOT = Path(__file__).resolve().parents[3]


def native_threads() -> list[str]:
    """The names of this process's threads that are ours; the engine's keeper stays for ever."""
    names = []
    for task in Path("/proc/self/task").iterdir():
        try:
            name = (task / "comm").read_text().strip()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if name.startswith("enclave-") and name != "enclave-keeper":
            names.append(name)
    return names


def descriptors() -> set[str]:
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            found.add(f"{link.name} -> {link.readlink()}")
        except FileNotFoundError:
            continue
    return found


def left_over() -> list[object]:
    """The objects of the package that are still referred to."""
    gc.collect()
    kinds = (enclave.Pool, enclave.Execution, Flight, Dispatcher)
    return [thing for thing in gc.get_objects() if isinstance(thing, kinds)]


def eventually(condition: Callable[[], object], seconds: float = 300.0) -> bool:
    """Wait until something is so."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


def is_closing(pool: enclave.Pool) -> bool:
    """Whether a pool takes nothing any more."""
    try:
        pool.submit("1")
    except enclave.PoolClosedError:
        return True
    return False


def pytest_collection_finish() -> None:
    """Set aside what is there before the first test, so that looking for what a test has left is quick."""
    gc.collect()
    gc.freeze()


# The loop of asyncio's tests and the like open descriptors that close with their owner, so all of this is waited for.
@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """No worker, thread, reference or file descriptor outlives a test."""
    gc.collect()
    before = descriptors()
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed:
        # Its traceback holds what it used.
        return
    # pytest keeps the values of fixtures that have ended already.
    request.node.funcargs.clear()
    assert eventually(lambda: not left_over()), f"still referred to: {left_over()}"
    assert eventually(lambda: not native_threads()), f"threads left: {native_threads()}"
    assert eventually(lambda: not (descriptors() - before)), f"descriptors left: {descriptors() - before}"


@pytest.fixture
def pool() -> Iterator[enclave.Pool]:
    """A pool of at most two workers."""
    with enclave.Pool(min_workers=1, max_workers=2) as made:
        yield made

"""The life of the process around a pool: Ctrl-C, exit, fork, spawn, subinterpreters; and worker processes."""

from __future__ import annotations

import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import enclave
import pytest
from conftest import eventually, is_closing

HEAD = "import asyncio, os, signal, sys, threading, time\nimport enclave\n"


def python(source: str, *, timeout: float = 300, code: int | None = 0, flags: tuple[str, ...] = ()) -> str:
    """Run a program of its own; gives its output, and fails if it hangs or crashes."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", *flags, "-c", HEAD + textwrap.dedent(source)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert code is None or done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


# --- Ctrl-C


@contextlib.contextmanager
def interrupt_when(condition: Callable[[], object]) -> Iterator[None]:
    """Press Ctrl-C once something is so."""
    presser = threading.Thread(target=lambda: eventually(condition) and os.kill(os.getpid(), signal.SIGINT))
    presser.start()
    try:
        yield
    finally:
        presser.join()


def test_ctrl_c_ends_run_and_the_pool_stays_usable(pool: enclave.Pool) -> None:
    for source, tools in (("for (;;);", {}), ("await tools.never()", {"never": threading.Event().wait})):
        never = threading.Event()
        tools = dict.fromkeys(tools, never.wait)
        # Once the run is over by itself, it is not cancelled.
        with interrupt_when(lambda: pool.stats().active_workers > 0), pytest.raises(KeyboardInterrupt):
            pool.run(source, timeout=300, tools=tools)
        never.set()
        assert eventually(lambda: pool.stats().active_workers == 0)
        assert pool.run("1 + 1") == 2
    assert pool.stats().executions["CANCELLED"] == 2


def test_ctrl_c_ends_a_shutdown_that_waits() -> None:
    pool = enclave.Pool(min_workers=1, max_workers=1)
    execution = pool.submit("for (;;);", timeout=300)
    assert eventually(lambda: pool.stats().active_workers == 1)
    with interrupt_when(lambda: is_closing(pool)), pytest.raises(KeyboardInterrupt):
        pool.shutdown(300)
    execution.cancel()
    pool.close()


def test_ctrl_c_ends_a_map(pool: enclave.Pool) -> None:
    with interrupt_when(lambda: pool.stats().active_workers > 0), pytest.raises(KeyboardInterrupt):
        pool.map("for (;;);", range(10), timeout=300)
    assert pool.run("1") == 1


def test_another_handler_of_the_signal_is_called_and_run_goes_on(pool: enclave.Pool) -> None:
    seen: list[int] = []
    old = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))

    def send() -> bool:
        os.kill(os.getpid(), signal.SIGUSR1)
        return eventually(lambda: seen)

    try:
        assert pool.run("await tools.send()", tools={"send": send}) is True
    finally:
        signal.signal(signal.SIGUSR1, old)
    assert seen == [signal.SIGUSR1]


# --- Exit


@pytest.mark.parametrize(
    "work",
    [
        "pool.run('1')",
        "pool.submit('for (;;);')",
        "pool.submit('await tools.f()', tools={'f': lambda: time.sleep(3600)}); time.sleep(0.2)",
        "async def f(): await asyncio.sleep(3600)\npool.submit('await tools.f()', tools={'f': f}); time.sleep(0.2)",
        "[pool.submit('for (;;) console.log(1)', on_console=lambda line: None) for _ in range(4)]; time.sleep(0.1)",
        "threading.Thread(target=lambda: pool.run('for (;;);'), daemon=True).start(); time.sleep(0.2)",
        "pool.submit('console.log(1)', on_console=lambda line: time.sleep(3600)); time.sleep(0.2)",
        "pool.close(); pool.submit",
        "os.environ['X'] = '1'; import gc; gc.disable(); pool.me = pool",
    ],
)
@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_exit_with_work_in_flight_neither_hangs_nor_crashes(work: str, isolation: str) -> None:
    python(f"pool = enclave.Pool(min_workers=1, max_workers=2, isolation={isolation!r})\n{work}\nprint('end')")


def test_exit_by_an_exception_or_sys_exit_keeps_its_code() -> None:
    python("pool = enclave.Pool(); pool.submit('for (;;);'); sys.exit(7)", code=7)
    assert "boom" in python("pool = enclave.Pool(); pool.submit('for (;;);'); raise RuntimeError('boom')", code=1)


def test_faulthandler_tells_of_a_fault_of_the_host_and_not_of_what_was_contained() -> None:
    output = python(
        """
        import faulthandler
        pool = enclave.Pool(isolation="thread", min_workers=1, max_workers=1, memory_limit_per_worker=64 << 20)
        # The compiler of regular expressions cannot fail, and its thread is lost where it finds no memory. How much has
        # to be taken before differs between engines.
        lost = "try { const a = new ArrayBuffer(%d * 2 ** 20); /\\\\p{RGI_Emoji}/v.test('x'); for (;;); } catch {} 'on'"
        for mib in 10 * list(range(71, 79)):
            try:
                pool.run(lost % mib)
            except enclave.MemoryLimitError:
                pass
            if pool.stats().workers.set_aside:
                break
        print(pool.stats().workers.set_aside, pool.run("1 + 1"), faulthandler.is_enabled(), flush=True)
        faulthandler._sigsegv()
        """,
        code=-signal.SIGSEGV,
    )
    assert output.startswith("1 2 True\nFatal Python error: Segmentation fault\n"), output
    assert 'File "<string>"' in output


# --- Fork and spawn


def test_a_forked_child_gets_a_clear_error_and_exits(pool: enclave.Pool) -> None:
    execution = pool.submit("await new Promise((r) => setTimeout(r, 200)); return 5")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            calls = [
                lambda: pool.run("1"),
                lambda: pool.submit("1"),
                lambda: pool.map("1", [1]),
                pool.stats,
                pool.close,
                execution.result,
                execution.cancel,
                lambda: enclave.Pool(),
            ]
            refused = 0
            for call in calls:
                try:
                    call()
                except enclave.ForkedError as error:
                    refused += "fork" in str(error)
            code = 0 if refused == len(calls) and "forked" in repr(pool) else 3
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert execution.result(30) == 5


def test_a_forked_child_ends_as_any_other() -> None:
    output = python(
        """
        pool = enclave.Pool()
        pool.run("1")
        child = os.fork()
        if child == 0:
            sys.exit(4)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), pool.run("2"))
        """
    )
    assert output.split() == ["4", "2"]


def test_a_pool_may_be_made_after_a_fork() -> None:
    output = python(
        """
        child = os.fork()
        with enclave.Pool() as pool:
            print(pool.run("1 + 1"), flush=True)
        if child:
            os.waitpid(child, 0)
        """
    )
    # Both write to the same pipe.
    assert output.replace("\n", "") == "22"


def run_one(source: str) -> Any:
    with enclave.Pool(min_workers=1, max_workers=1) as pool:
        return pool.run(source)


def test_multiprocessing_with_spawn_works() -> None:
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as processes:
        assert list(processes.map(run_one, ["1 + 1", "'a' + 'b'"])) == [2, "ab"]
        assert isinstance(processes.submit(run_one, "throw 1").exception(60), enclave.JSException)


def test_multiprocessing_with_fork_says_what_is_wrong(pool: enclave.Pool) -> None:
    pool.run("1")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as processes:
        error = processes.submit(run_one, "1").exception(60)
    assert isinstance(error, enclave.ForkedError)


# --- Subinterpreters


def test_a_subinterpreter_is_refused_clearly() -> None:
    output = python(
        """
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        other = interpreters.create()
        code = "try:\\n import enclave\\nexcept ImportError as e: print('refused:', e)\\nelse: print('accepted')"
        print(interpreters.run_string(other, code) or "")
        """
    )
    assert "refused:" in output
    assert "subinterpreter" in output


# --- Worker processes


@pytest.fixture
def processes() -> Any:
    with enclave.Pool("strict", min_workers=1, max_workers=1) as made:
        yield made


def test_strict_runs_in_processes_of_the_package(processes: enclave.Pool) -> None:
    assert processes.stats().isolation == "process"
    assert processes.settings["worker_path"] is not None or "ENCLAVE_WORKER" in os.environ
    assert processes.run("[1, 2].map((n) => n * 2)") == [2, 4]
    assert processes.run("await tools.add({a: 1, b: 2})", tools={"add": lambda a, b: a + b}) == 3
    assert processes.run_detailed("console.log('x')").console[0].text == "x"
    with pytest.raises(enclave.ExecutionTimeoutError):
        processes.run("for (;;);", timeout=0.1)
    assert processes.run("1") == 1


def children() -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        name, rest = text.split("(", 1)[1].rsplit(")", 1)
        if name.startswith("enclave-worker") and int(rest.split()[1]) == os.getpid():
            found.append(int(stat.parent.name))
    return found


def test_a_worker_process_that_is_killed_is_one_failed_execution(processes: enclave.Pool) -> None:
    execution = processes.submit("for (;;);", timeout=30, cpu_time_limit=None)
    assert eventually(lambda: processes.stats().active_workers == 1)
    for child in children():
        os.kill(child, signal.SIGKILL)
    with pytest.raises(enclave.WorkerCrashedError) as raised:
        execution.result(30)
    assert raised.value.signal == signal.SIGKILL
    assert processes.run("'alive'") == "alive"
    assert eventually(lambda: processes.stats().recycles["crash"] == 1)


def test_no_worker_process_outlives_its_pool() -> None:
    with enclave.Pool("secure", min_workers=2, max_workers=2) as pool:
        pool.run("1")
        assert len(children()) == 2
    assert eventually(lambda: not children())


def test_a_worker_that_is_not_there_is_unsupported(tmp_path: Path) -> None:
    with pytest.raises(enclave.UnsupportedError, match="does not exist"):
        enclave.Pool("strict", worker_path=tmp_path / "none")

"""Running sources: options, outcomes, callbacks, stats, lifecycle."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import FrozenInstanceError
from datetime import timedelta, timezone
from typing import Any

import enclave
import pytest
from conftest import eventually, is_closing
from enclave import Presets, Status


def test_it_runs_a_source(pool: enclave.Pool) -> None:
    assert pool.run("1 + 1") == 2
    assert pool.run("const x = await 1; return x + n", globals={"n": 1}) == 2
    assert pool.run("n", globals={"n": 5}, kind="script", filename="a.js") == 5


def test_limits_are_given_for_one_execution(pool: enclave.Pool) -> None:
    with pytest.raises(enclave.ExecutionTimeoutError, match=r"timeout of 50ms") as raised:
        pool.run("for (;;);", timeout=0.05)
    assert isinstance(raised.value, TimeoutError)
    assert raised.value.limit == pytest.approx(0.05)
    with pytest.raises(enclave.CpuLimitError):
        pool.run("for (;;);", cpu_time_limit=timedelta(milliseconds=50))
    assert pool.run("eval('2')", allow_code_generation=True) == 2
    assert pool.run("1", cpu_time_limit=None) == 1


@pytest.mark.parametrize(
    ("options", "kind", "part"),
    [
        ({"timout": 1}, TypeError, "did you mean 'timeout'"),
        ({"timeout": "1"}, TypeError, "timeout is '1'; accepted are seconds"),
        ({"timeout": True}, TypeError, "timeout is True"),
        ({"timeout": None}, TypeError, "timeout is None"),
        ({"timeout": float("nan")}, ValueError, "timeout is nan"),
        ({"timeout": -1}, ValueError, "timeout is -1"),
        ({"timeout": timedelta(seconds=-1)}, ValueError, "timeout is datetime.timedelta"),
        ({"timeout": 0}, ValueError, "timeout is 0ns"),
        ({"timeout": 1e30}, ValueError, "365 days"),
        ({"timeout": 10**400}, ValueError, "365 days"),
        ({"timeout": float("inf")}, ValueError, "365 days"),
        ({"max_tool_calls": -1}, ValueError, "max_tool_calls is -1; accepted is 0 to 4294967295"),
        ({"max_tool_calls": 2**32}, ValueError, "max_tool_calls is 4294967296"),
        ({"max_tool_calls": 1.5}, TypeError, "max_tool_calls is 1.5; accepted is an int"),
        ({"max_tool_calls": True}, TypeError, "max_tool_calls is True"),
        ({"allow_code_generation": 1}, TypeError, "accepted are True and False"),
        ({"kind": "module"}, ValueError, "kind is 'module'"),
        ({"kind": 3}, ValueError, "kind is 3"),
        ({"filename": 3}, TypeError, "filename is of type int"),
        ({"filename": "a\nb"}, ValueError, "filename"),
        ({"globals": [1]}, TypeError, "globals must be a mapping"),
        ({"globals": {1: 2}}, TypeError, "globals is of type int; accepted is str"),
        ({"globals": {"a b": 2}}, ValueError, "a b"),
        ({"globals": {"for": 2}}, ValueError, "for"),
        ({"tools": [print]}, TypeError, "tools must be a mapping"),
        ({"tools": {"a b": print}}, ValueError, "tool name is 'a b'"),
        ({"tools": {"a": 1}}, TypeError, "tool a is 1"),
        ({"tool_handler": 1}, TypeError, "tool_handler is 1"),
        ({"on_console": 1}, TypeError, "on_console is 1"),
    ],
)
def test_wrong_options_are_refused_by_name(
    pool: enclave.Pool, options: dict[str, Any], kind: type[Exception], part: str
) -> None:
    for call in (pool.run, pool.run_detailed, pool.submit):
        with pytest.raises(kind) as raised:
            call("1", **options)
        assert isinstance(raised.value, enclave.InvalidArgumentError)
        assert part in str(raised.value)
    assert pool.run("1") == 1


@pytest.mark.parametrize("source", [None, 1, b"1", ["1"]])
def test_a_source_that_is_no_text_is_refused(pool: enclave.Pool, source: Any) -> None:
    for call in (pool.run, pool.submit, pool.compile):
        with pytest.raises(TypeError, match="source is of type"):
            call(source)


def test_odd_sources(pool: enclave.Pool) -> None:
    assert pool.run("") is enclave.undefined
    assert pool.run("'\0'.length") == 1
    with pytest.raises(ValueError, match="lone surrogate"):
        pool.run("'\ud800'")
    with pytest.raises(enclave.MessageTooLargeError):
        pool.run(" " * (pool.settings["max_message_size"] + 1))


@pytest.mark.parametrize(
    ("settings", "kind", "part"),
    [
        ({"max_worker": 1}, TypeError, "did you mean 'max_workers'"),
        ({"max_workers": 0, "min_workers": 0}, ValueError, "max_workers is 0; accepted is 1 to 1024"),
        ({"max_workers": "2"}, TypeError, "max_workers is '2'"),
        ({"isolation": "container"}, ValueError, "isolation is 'container'"),
        ({"isolation": 1}, ValueError, "isolation is 1"),
        ({"warm_on_init": None}, TypeError, "warm_on_init is None"),
        ({"preset": "loose"}, ValueError, "loose"),
        ({"preset": 3}, TypeError, "preset must be the name"),
        ({"queue_timeout": 0}, ValueError, "queue_timeout"),
        ({"on_worker_recycled": 1}, TypeError, "on_worker_recycled is 1"),
        ({"on_stats_update": 1}, TypeError, "on_stats_update is 1"),
        ({"tool_threads": 0}, ValueError, "tool_threads is 0"),
        ({"tool_threads": "1"}, TypeError, "tool_threads is '1'"),
        ({"worker_path": 1}, TypeError, "worker_path is 1"),
    ],
)
def test_wrong_settings_are_refused_by_name(settings: dict[str, Any], kind: type[Exception], part: str) -> None:
    with pytest.raises(kind) as raised:
        enclave.Pool(**settings)
    assert isinstance(raised.value, enclave.InvalidArgumentError)
    assert part in str(raised.value)


def test_presets_are_mappings_to_spread() -> None:
    assert Presets.SECURE["max_workers"] == 8
    assert Presets.STRICT["cpu_time_limit"] == 2.0
    assert Presets.STANDARD["cpu_time_limit"] is None
    with pytest.raises(TypeError):
        Presets.STRICT["max_workers"] = 1  # type: ignore[index]
    with enclave.Pool(**{**Presets.SECURE, "max_workers": 16, "isolation": "thread"}) as pool:
        assert pool.settings["max_workers"] == 16
        assert pool.settings["max_queue_size"] == 50
        assert pool.settings["timeout"] == 15.0
        assert pool.run("1") == 1


def test_run_detailed_gives_value_stats_and_console(pool: enclave.Pool) -> None:
    outcome = pool.run_detailed("console.log('a', 1); console.error('b'); [1]")
    assert outcome.ok
    assert outcome.status is Status.OK
    assert outcome.value == [1]
    assert outcome.error is None
    assert [(line.level, line.text) for line in outcome.console] == [("log", "a 1"), ("error", "b")]
    assert outcome.console[0].time.tzinfo is timezone.utc
    assert outcome.stats.console_calls == 2
    assert outcome.stats.run_time > 0
    assert outcome.stats.worker_id is not None
    with pytest.raises(FrozenInstanceError):
        outcome.stats.tool_calls = 1  # type: ignore[misc]


def test_run_detailed_gives_the_error_of_an_execution(pool: enclave.Pool) -> None:
    outcome = pool.run_detailed("console.log('before'); throw new TypeError('no')")
    assert not outcome.ok
    assert outcome.status is Status.EXCEPTION
    assert isinstance(outcome.error, enclave.JSException)
    assert [line.text for line in outcome.console] == ["before"]
    with pytest.raises(enclave.JSException, match="TypeError: no"):
        _ = outcome.value


def test_submit_gives_a_future(pool: enclave.Pool) -> None:
    execution = pool.submit("1 + 1")
    assert execution.result(30) == 2
    assert execution.exception() is None
    assert execution.done()
    assert not execution.cancelled()
    assert not execution.cancel()
    assert execution.id > 0
    assert execution.outcome().value == 2
    failed = pool.submit("throw 1")
    assert isinstance(failed.exception(30), enclave.JSException)
    called = threading.Event()
    pool.submit("1").add_done_callback(lambda _: called.set())
    assert called.wait(30)


def test_a_future_that_takes_too_long_is_still_on_its_way(pool: enclave.Pool) -> None:
    go = threading.Event()
    execution = pool.submit("await callTool('wait')", tool_handler=lambda name, args: go.wait(30))
    with pytest.raises(TimeoutError):
        execution.result(0.01)
    assert execution.running()
    go.set()
    assert execution.result(30) is True


def test_cancel_ends_what_waits_and_what_runs() -> None:
    with enclave.Pool(min_workers=1, max_workers=1) as pool:
        running = pool.submit("for (;;);")
        assert eventually(lambda: pool.stats().active_workers == 1)
        waiting = pool.submit("1")
        assert waiting.cancel()
        assert running.cancel()
        for execution in (running, waiting):
            with pytest.raises(enclave.ExecutionCancelledError):
                execution.result(30)
            assert execution.cancelled()
        assert pool.run("1") == 1


def test_map_gives_values_in_order_and_reports_progress(pool: enclave.Pool) -> None:
    seen: list[tuple[int, int | None]] = []
    values = pool.map(
        "item * factor", range(200), globals={"factor": 2}, progress=lambda done, total: seen.append((done, total))
    )
    assert values == [2 * n for n in range(200)]
    assert seen == [(n + 1, 200) for n in range(200)]
    assert pool.map("x", iter("ab"), name="x", progress=lambda done, total: seen.append((done, total))) == ["a", "b"]
    assert seen[-1] == (2, None)
    assert pool.map("1", []) == []


def test_map_raises_the_first_failure_or_gives_it(pool: enclave.Pool) -> None:
    with pytest.raises(enclave.JSException):
        pool.map("if (item === 3) throw new Error('three'); item", range(50))
    values = pool.map("if (item === 3) throw new Error('three'); item", range(5), return_exceptions=True)
    assert isinstance(values[3], enclave.JSException)
    assert [value for value in values if isinstance(value, int)] == [0, 1, 2, 4]


def test_map_waits_for_a_full_queue() -> None:
    with enclave.Pool(min_workers=1, max_workers=2, max_queue_size=1) as pool:
        other = pool.submit("await new Promise((r) => setTimeout(r, 50))")
        assert pool.map("item", range(60)) == list(range(60))
        other.result(30)


def test_a_script_has_the_methods_of_the_pool(pool: enclave.Pool) -> None:
    script = pool.compile("if (n > 2) throw new Error('big'); n * 2", filename="double.js")
    assert script.run(globals={"n": 2}) == 4
    assert script.submit(globals={"n": 1}).result(30) == 2
    assert script.map([0, 1], name="n") == [0, 2]
    assert script.run_detailed(globals={"n": 1}).value == 2
    with pytest.raises(enclave.JSException) as raised:
        script.run(globals={"n": 3})
    assert raised.value.filename == "double.js"
    assert repr(script).startswith("<enclave.Script 'double.js'")
    assert (script.filename, script.kind) == ("double.js", "auto")


def test_a_script_is_compiled_before_it_is_run(pool: enclave.Pool) -> None:
    before = pool.stats().total_executions
    with pytest.raises(enclave.JSSyntaxError) as raised:
        pool.compile("let a;\nlet = = 1", filename="wrong.js")
    assert (raised.value.filename, raised.value.line) == ("wrong.js", 2)
    pool.compile("throw 1; while (true) {}")
    assert pool.stats().total_executions == before + 2
    with pytest.raises(enclave.MessageTooLargeError):
        pool.compile(" " * (pool.settings["max_message_size"] + 1))
    with pytest.raises(TypeError, match="'globals'"):
        pool.compile("1", globals={})  # type: ignore[call-arg]
    with pytest.raises(enclave.InvalidArgumentError, match="timeout"):
        pool.compile("1", timeout=-1)
    with pytest.raises(enclave.InvalidArgumentError, match="kind"):
        pool.compile("1", kind="module")  # type: ignore[arg-type]


def test_a_script_keeps_its_kind_and_runs_anywhere(pool: enclave.Pool) -> None:
    script = pool.compile("globalThis.n = (globalThis.n ?? 0) + 1; return n", kind="function")
    for _ in range(3):
        assert script.run() == 1
    assert pool.run(script, kind="script") == 1
    with enclave.Pool(isolation="process", max_workers=1) as other:
        assert [other.run(script), other.submit(script).result(30)] == [1, 1]
        assert other.map(script, [1, 2]) == [1, 1]
    with pytest.raises(enclave.PoolClosedError):
        other.run(script)
    with pytest.raises(enclave.PoolClosedError):
        other.compile("1")


def test_compiling_waits_and_fails_as_a_run_does(pool: enclave.Pool) -> None:
    with pytest.raises(enclave.JSException):
        pool.compile("(" * 200000)
    tool = pool.compile("await tools.again()")

    def again() -> str:
        with pytest.raises(enclave.InvalidStateError, match="compile_async"):
            pool.compile("1")
        return "refused"

    assert tool.run(tools={"again": again}) == "refused"


def test_32_threads_share_a_pool() -> None:
    with enclave.Pool(min_workers=2, max_workers=2, max_queue_size=64) as pool:

        def work(seed: int) -> list[Any]:
            return [
                pool.run("[n, await tools.twice({n})]", globals={"n": seed * 100 + i}, tools={"twice": lambda n: 2 * n})
                for i in range(20)
            ]

        with ThreadPoolExecutor(32) as threads:
            futures = [threads.submit(work, seed) for seed in range(32)]
            wait(futures)
        for seed, future in enumerate(futures):
            assert future.result() == [[seed * 100 + i, 2 * (seed * 100 + i)] for i in range(20)]
        assert pool.stats().executions["OK"] == 640


def test_the_interpreter_runs_on_while_a_call_waits(pool: enclave.Pool) -> None:
    go = threading.Event()
    results: list[Any] = []
    tools = {"wait": go.wait}
    # If it held the interpreter, nobody would set the event, and it would time out.
    waiter = threading.Thread(target=lambda: results.append(pool.run("await tools.wait()", tools=tools)))
    waiter.start()
    assert eventually(lambda: pool.stats().active_workers == 1)
    assert not results
    go.set()
    waiter.join()
    assert results == [True]


# --- Console, callbacks, logging


def test_console_lines_reach_the_callback_before_run_returns(capfd: pytest.CaptureFixture[str]) -> None:
    lines: list[enclave.ConsoleLine] = []
    with enclave.Pool(min_workers=1, max_workers=1, on_console=lines.append) as pool:
        for n in range(20):
            pool.run(f"console.log('line', {n}); console.warn('w')")
            assert [line.text for line in lines[-2:]] == [f"line {n}", "w"]
        own: list[str] = []
        pool.run("console.log('own')", on_console=lambda line: own.append(line.text))
        assert own == ["own"]
        assert len(lines) == 40
    assert capfd.readouterr() == ("", "")


def test_nothing_is_printed_by_default(pool: enclave.Pool, capfd: pytest.CaptureFixture[str]) -> None:
    pool.run("console.log('a'); console.error('b')")
    pool.run_detailed("console.log('a')")
    with pytest.raises(enclave.ExecutionTimeoutError):
        pool.run("for (;;);", timeout=0.02)
    assert capfd.readouterr() == ("", "")


def test_console_lines_go_to_a_logger(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("scripts")
    with caplog.at_level(logging.DEBUG), enclave.Pool(min_workers=1, max_workers=1, on_console=logger) as pool:
        pool.run("console.debug('d'); console.log('%s', 'l%d'); console.warn('w'); console.error('e')")
    records = [record for record in caplog.records if record.name == "scripts"]
    assert [(record.levelname, record.getMessage()) for record in records] == [
        ("DEBUG", "d"),
        ("INFO", "l%d"),
        ("WARNING", "w"),
        ("ERROR", "e"),
    ]
    assert records[0].execution_id == 1


def test_workers_that_leave_are_told_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    events: list[enclave.WorkerRecycled] = []
    with (
        caplog.at_level(logging.DEBUG, "enclave"),
        enclave.Pool(min_workers=1, max_workers=1, on_worker_recycled=events.append) as pool,
    ):
        with pytest.raises(enclave.ExecutionTimeoutError):
            pool.run("for (;;);", timeout=0.05)
        assert eventually(lambda: len(events) == 1)
        assert events[0].reason in ("timeout", "unresponsive")
        assert events[0].executions == 1
        assert events[0].age > 0
    assert {event.reason for event in events[1:]} == {"shutdown"}
    assert [record.levelname for record in caplog.records][0] in ("INFO", "WARNING")
    assert "left after 1 executions" in caplog.text


def test_stats_come_in_intervals() -> None:
    updates: list[enclave.PoolStats] = []
    with enclave.Pool(min_workers=1, max_workers=1, on_stats_update=updates.append, stats_interval=0.01) as pool:
        pool.run("1")
        assert eventually(lambda: any(stats.executions["OK"] == 1 for stats in updates))
    assert isinstance(updates[0], enclave.PoolStats)


def test_an_exception_in_a_callback_goes_to_the_unraisable_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", lambda args: reported.append((args.exc_value, repr(args.object))))

    def bad(line: enclave.ConsoleLine) -> None:
        raise RuntimeError(line.text)

    with enclave.Pool(min_workers=1, max_workers=1, on_console=bad) as pool:
        assert pool.run("console.log('oops'); 1") == 1
        assert pool.run("1") == 1
    ((error, where),) = reported
    assert str(error) == "oops"
    assert where == "the callback on_console of an enclave pool"
    del error, reported[:]


def test_an_exception_in_a_done_callback_goes_to_the_unraisable_hook(
    pool: enclave.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[str] = []
    monkeypatch.setattr("sys.unraisablehook", lambda args: reported.append(f"{args.object} {args.exc_value}"))
    go, done = threading.Event(), threading.Event()

    def bad(future: object) -> None:
        raise SystemExit("oops")

    execution = pool.submit("await tools.wait()", tools={"wait": lambda: go.wait(30)})
    execution.add_done_callback(bad)
    execution.add_done_callback(lambda _: done.set())
    go.set()
    assert done.wait(30)
    assert execution.result() is True
    assert reported == ["a done callback of an enclave pool oops"]
    with pytest.raises(SystemExit):
        execution.add_done_callback(bad)


def test_nobody_waits_for_a_thread_that_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot end but by a fault of ours, such as this."""
    go = threading.Event()

    def fault(*_: object) -> None:
        raise RuntimeError("a fault")

    async def meanwhile(pool: enclave.Pool) -> None:
        waiting = asyncio.ensure_future(pool.run_async("await tools.wait()", tools=tools))
        assert await asyncio.to_thread(eventually, lambda: pool.stats().tool_calls == 2)
        end_the_thread(pool)
        with pytest.raises(enclave.InternalError, match="has ended"):
            await waiting

    def end_the_thread(pool: enclave.Pool) -> None:
        with monkeypatch.context() as faulty:
            faulty.setattr("enclave._report.report_exception", fault)
            faulty.setattr("threading.excepthook", lambda args: None)
            lost = pool.submit("console.log(1)", on_console=fault)
            pool._dispatcher.thread.join(30)
            assert not pool._dispatcher.thread.is_alive()
            assert isinstance(lost.exception(30), enclave.InternalError)

    tools = {"wait": lambda: go.wait(60)}
    with enclave.Pool(min_workers=1, max_workers=3) as pool:
        submitted = pool.submit("await tools.wait()", tools=tools)
        asyncio.run(meanwhile(pool))
        with pytest.raises(enclave.InternalError):
            submitted.result(30)
        with pytest.raises(enclave.InternalError):
            submitted.outcome(30)
        for call in (pool.submit, pool.run_detailed, lambda source: asyncio.run(pool.run_async(source))):
            with pytest.raises(enclave.InternalError):
                call("1")
        with pytest.raises(enclave.InternalError):
            pool.run("1", tools=tools)
        # This needs no events.
        assert pool.run("1") == 1
        go.set()
    del submitted


def test_an_outcome_for_which_there_is_no_memory_is_an_error_of_its_future(
    pool: enclave.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as faulty:
        faulty.setattr("enclave._flight.Flight.end", no_memory)
        execution = pool.submit("1")
        for wait in (execution.result, execution.outcome):
            with pytest.raises(MemoryError):
                wait(30)
        with pytest.raises(MemoryError):
            asyncio.run(pool.run_async("1"))
    assert pool.submit("2").result(30) == 2
    assert asyncio.run(pool.run_async("3")) == 3


def test_closing_waits_once_for_all_threads() -> None:
    go = threading.Event()
    pool = enclave.Pool(min_workers=1, max_workers=1, graceful_shutdown_timeout=0.01, max_pending_tool_calls=64)
    source = "await Promise.all(Array.from({length: 30}, () => tools.wait()))"
    execution = pool.submit(source, tools={"wait": lambda: go.wait(100)})
    assert eventually(lambda: sum("-tool-" in thread.name for thread in threading.enumerate()) == 30)
    started = time.monotonic()
    pool.close()
    # Two seconds for each of them would be a minute.
    assert time.monotonic() - started < 30
    go.set()
    assert isinstance(execution.exception(30), enclave.PoolClosedError)


class _Inline(threading.Thread):
    """A thread as a library makes it that has replaced threads: it runs on that of its maker."""

    def start(self) -> None:
        self.run()

    def is_alive(self) -> bool:
        return False

    def join(self, timeout: float | None = None) -> None:
        del timeout


def test_threads_that_are_none_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as replaced:
        replaced.setattr("threading.Thread", _Inline)
        with pytest.raises(enclave.UnsupportedError, match=r"monkey\.patch_all\(thread=False, select=False\)"):
            enclave.Pool(min_workers=1, max_workers=1)
    with enclave.Pool(min_workers=1, max_workers=1) as pool:
        assert pool.submit("1").result(30) == 1


def test_a_slow_console_callback_slows_its_scripts_but_not_their_limits() -> None:
    with enclave.Pool(min_workers=1, max_workers=1, max_messages_per_second=100_000) as pool:
        with pytest.raises((enclave.ExecutionTimeoutError, enclave.ConsoleLimitError)):
            pool.run(
                "for (;;) console.log('x')",
                timeout=0.3,
                max_console_calls=100_000,
                on_console=lambda _: time.sleep(0.0002),
            )
        assert pool.run("1") == 1


def test_lines_that_wait_for_their_callback_are_bounded_in_bytes() -> None:
    go = threading.Event()

    def on_console(_: enclave.ConsoleLine) -> None:
        go.wait(60)

    with enclave.Pool(min_workers=1, max_workers=1, max_console_output=2**30) as pool:
        # The script waits for a place until its time is over.
        source = "for (let i = 0; i < 40; i++) console.log('x'.repeat(1e6))"
        execution = pool.submit(source, timeout=1.0, on_console=on_console)
        while pool.stats().total_executions == 0:
            time.sleep(0.01)
        go.set()
        with pytest.raises(enclave.ExecutionTimeoutError):
            execution.result(60)
        lines: list[int] = []
        pool.run(source, on_console=lambda line: lines.append(len(line.text)))
        assert lines == [1_000_000] * 40


def test_waiting_inside_a_callback_is_refused_and_submitting_is_not() -> None:
    seen: list[Any] = []

    def on_console(line: enclave.ConsoleLine) -> None:
        for call in (lambda: pool.run("1"), lambda: pool.run_detailed("1"), pool.close, lambda: pool.map("1", [1])):
            try:
                call()
            except enclave.InvalidStateError as error:
                seen.append(str(error))
        seen.append(pool.submit("2"))

    with enclave.Pool(min_workers=1, max_workers=1, on_console=on_console) as pool:
        pool.run("console.log('x')")
        assert len(seen) == 5
        assert all("in a callback of the pool" in text for text in seen[:4])
        assert seen[4].result(30) == 2


# --- Stats


def test_stats_are_frozen_and_count(pool: enclave.Pool) -> None:
    pool.run("console.log(1)")
    with pytest.raises(enclave.JSException):
        pool.run("throw 1")
    stats = pool.stats()
    assert stats.executions["OK"] == 1
    assert stats.executions["EXCEPTION"] == 1
    assert stats.total_executions == 2
    assert stats.console_lines == 1
    assert stats.run_time.count == 2
    assert 0 < stats.run_time.p50 <= stats.run_time.max
    assert stats.workers.idle + stats.workers.executing + stats.workers.starting >= 1
    assert stats.memory_peak >= stats.memory_current > 0
    assert stats.isolation == "process"
    assert stats.uptime > 0
    assert stats.sandbox_missing == ()
    with pytest.raises(FrozenInstanceError):
        stats.queue_depth = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        stats.executions["OK"] = 2  # type: ignore[index]


def test_pool_and_stats_show_themselves_in_a_notebook(pool: enclave.Pool) -> None:
    pool.run("1")
    with pytest.raises(enclave.JSException):
        pool.run("throw 1")
    for shown in (pool._repr_html_(), pool.stats()._repr_html_()):
        for part in ("workers", "queue", "OK 1", "EXCEPTION 1", "p50", "p99", "memory", "isolation: process"):
            assert part in shown
    assert "of at most 2" in pool._repr_html_()
    assert repr(pool).startswith("<enclave.Pool 'standard', 0 of at most 2")
    pool.close()
    assert repr(pool) == "<enclave.Pool 'standard', closed>"
    assert "closed" in pool._repr_html_()


# --- Lifecycle


def test_a_closed_pool_refuses_and_may_be_closed_again(pool: enclave.Pool) -> None:
    pool.close()
    pool.close()
    pool.shutdown(0)
    assert pool.closed
    for call in (pool.run, pool.submit, pool.run_detailed):
        with pytest.raises(enclave.PoolClosedError):
            call("1")
    assert pool.stats().executions["POOL_CLOSED"] == 3


def test_shutdown_ends_what_runs_after_its_timeout() -> None:
    with enclave.Pool(min_workers=1, max_workers=1) as pool:
        running = pool.submit("for (;;);")
        assert eventually(lambda: pool.stats().active_workers == 1)
        waiting = pool.submit("1")
        pool.shutdown(timedelta(milliseconds=20))
        for execution in (running, waiting):
            assert isinstance(execution.exception(30), enclave.PoolClosedError)
    for wrong in ("1", -1, float("nan")):
        with pytest.raises(enclave.InvalidArgumentError, match="timeout"):
            pool.shutdown(wrong)  # type: ignore[arg-type]


def test_shutdown_lets_what_runs_finish(pool: enclave.Pool) -> None:
    # The script is over when the shutdown has begun.
    tools = {"end": lambda: eventually(lambda: is_closing(pool))}
    execution = pool.submit("await tools.end()", tools=tools)
    assert eventually(lambda: pool.stats().active_workers == 1)
    pool.shutdown(300)
    assert execution.result(300) is True


def test_a_pool_that_is_forgotten_warns_and_ends() -> None:
    pool = enclave.Pool(min_workers=1, max_workers=1)
    assert pool.run("1") == 1
    forgotten = weakref.ref(pool)
    with pytest.warns(ResourceWarning, match="unclosed Pool"):
        del pool
        gc.collect()
    assert forgotten() is None


def test_what_runs_keeps_its_pool() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        execution = enclave.Pool(min_workers=1, max_workers=1).submit(
            "await new Promise((r) => setTimeout(r, 50)); return 7"
        )
        gc.collect()
        assert execution.result(30) == 7
        del execution
        assert eventually(
            lambda: gc.collect() >= 0 and not [o for o in gc.get_objects() if isinstance(o, enclave.Pool)]
        )

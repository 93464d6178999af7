"""Tools: how they are called, where they run, and how they fail."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from datetime import datetime, timedelta
from typing import Any

import enclave
import pytest
from conftest import eventually
from enclave import ToolError, undefined

user: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="nobody")


def test_a_tool_gets_the_properties_of_its_argument(pool: enclave.Pool) -> None:
    @pool.tool
    def search(q: str, limit: int = 10) -> dict[str, Any]:
        return {"q": q, "limit": limit}

    assert pool.run("await tools.search({q: 'x'})") == {"q": "x", "limit": 10}
    assert pool.run("await callTool('search', {q: 'x', limit: 1})") == {"q": "x", "limit": 1}
    assert pool.run("await tools.search('y')") == {"q": "y", "limit": 10}
    assert search("direct") == {"q": "direct", "limit": 10}


def test_a_tool_may_want_the_argument_itself(pool: enclave.Pool) -> None:
    @pool.tool(spread=False)
    def echo(args: Any) -> Any:
        return args

    @pool.tool("named.echo", spread=False)
    def other(args: Any) -> Any:
        return [args]

    @pool.tool()
    def nothing() -> None:
        return None

    assert pool.run("await tools.echo({a: 1})") == {"a": 1}
    assert pool.run("await tools.echo()") is undefined
    assert pool.run("await tools['named.echo']([1])") == [[1]]
    assert pool.run("await tools.nothing()") is None


def test_names_and_functions_are_checked(pool: enclave.Pool) -> None:
    with pytest.raises(enclave.InvalidArgumentError, match="tool name is '1a'"):
        pool.tool("1a")(print)
    with pytest.raises(enclave.InvalidArgumentError, match="tool name is missing"):
        pool.tool(functools.partial(print))
    with pytest.raises(TypeError, match="tool x is 1; accepted is a callable"):
        pool.tool("x")(1)  # type: ignore[type-var]
    with pytest.raises(TypeError, match="tool function is 1; accepted is a callable"):
        pool.tool(1)  # type: ignore[call-overload]


def test_who_answers(pool: enclave.Pool) -> None:
    pool.tool("both")(lambda: "pool's")
    source = """const r = []
        for (const n of ['both', 'own', 'other']) r.push(await callTool(n).catch((e) => e.code))
        return r"""
    assert pool.run(source) == ["pool's", "TOOL_NOT_FOUND", "TOOL_NOT_FOUND"]
    own = {"own": lambda: "own", "both": lambda: "own too"}
    assert pool.run(source, tools=own) == ["own too", "own", "TOOL_NOT_FOUND"]
    handler = lambda name, args: f"handler {name}"  # noqa: E731
    assert pool.run(source, tool_handler=handler) == ["handler both", "handler own", "handler other"]
    assert pool.run(source, tools={"own": lambda: "own"}, tool_handler=handler) == [
        "handler both",
        "own",
        "handler other",
    ]
    assert pool.run("Object.keys(tools).sort()", tools=own) == ["both", "own"]
    assert pool.run("Object.keys(tools)") == ["both"]


def test_a_pool_may_have_tools_and_a_handler_from_the_start() -> None:
    async def handler(name: str, args: Any) -> Any:
        return [name, args]

    with enclave.Pool(min_workers=1, max_workers=1, tools={"one": lambda: 1}, tool_handler=handler) as pool:
        assert pool.run("[await tools.one(), await callTool('x', 2)]") == [1, ["x", 2]]


def test_async_tools_run_for_a_caller_without_a_loop(pool: enclave.Pool) -> None:
    threads = set()

    async def slow(n: int) -> int:
        threads.add(threading.current_thread().name)
        await asyncio.sleep(0.01)
        return n

    source = "await Promise.all([1, 2, 3].map((n) => tools.slow({n})))"
    assert pool.run(source, tools={"slow": slow}) == [1, 2, 3]
    assert pool.submit(source, tools={"slow": slow}).result(30) == [1, 2, 3]
    assert len(threads) == 1
    assert threads.pop().endswith("-loop")


def test_what_gives_an_awaitable_is_awaited(pool: enclave.Pool) -> None:
    async def answer(n: int) -> int:
        return n + 1

    class Callable:
        async def __call__(self, n: int) -> int:
            return n + 2

    tools = {"partial": functools.partial(answer, n=1), "late": lambda n: answer(n), "object": Callable()}
    assert pool.run("[await tools.partial(), await tools.late({n: 1}), await tools.object({n: 1})]", tools=tools) == [
        2,
        2,
        3,
    ]


def test_sync_tools_run_beside_each_other(pool: enclave.Pool) -> None:
    meeting = threading.Barrier(3, timeout=30)
    assert (
        pool.run(
            "(await Promise.all([1, 2, 3].map(() => tools.meet()))).length",
            tools={"meet": lambda: meeting.wait() and None},
        )
        == 3
    )


def test_more_calls_than_threads_wait_for_their_turn() -> None:
    with enclave.Pool(min_workers=1, max_workers=1, tool_threads=2) as pool:
        pool.tool("n")(lambda n: n)
        source = "(await Promise.all(Array.from({length: 50}, (_, n) => tools.n({n})))).reduce((a, b) => a + b)"
        assert pool.run(source) == sum(range(50))
        tool_threads = [t for t in threading.enumerate() if "-tool-" in t.name]
        assert 1 <= len(tool_threads) <= 2
        del tool_threads


def test_context_variables_are_kept(pool: enclave.Pool) -> None:
    def sync_user() -> str:
        seen = user.get()
        user.set("changed inside")
        return seen

    async def async_user() -> str:
        await asyncio.sleep(0)
        return user.get()

    pool.tool(sync_user)
    pool.tool(async_user)
    source = "[await tools.sync_user(), await tools.async_user()]"

    async def main(name: str) -> Any:
        user.set(name)
        return await pool.run_async(source)

    async def both() -> list[Any]:
        return await asyncio.gather(main("ann"), main("bob"))

    assert asyncio.run(both()) == [["ann", "ann"], ["bob", "bob"]]
    token = user.set("cy")
    assert pool.run(source) == ["cy", "cy"]
    execution = pool.submit(source)
    user.reset(token)
    assert execution.result(30) == ["cy", "cy"]
    assert user.get() == "nobody"


def test_an_exception_reaches_the_script_as_name_and_message(pool: enclave.Pool) -> None:
    def fail(kind: str) -> None:
        match kind:
            case "key":
                raise KeyError("k")
            case "tool":
                raise ToolError("no such row", name="NotFoundError", code="ENOENT")
            case "type":
                raise TypeError("wrong")

    source = "try { await tools.fail({kind}) } catch (e) { return [e instanceof TypeError, e.name, e.message, e.code] }"
    for kind, seen in (
        ("key", [False, "KeyError", "'k'", undefined]),
        ("tool", [False, "NotFoundError", "no such row", "ENOENT"]),
        ("type", [True, "TypeError", "wrong", undefined]),
    ):
        assert pool.run(source, globals={"kind": kind}, tools={"fail": fail}) == seen
    # Nothing of the host's traceback is there.
    text = pool.run("try { await tools.fail({kind: 'key'}) } catch (e) { return e.stack }", tools={"fail": fail})
    assert ".py" not in str(text)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_exception_that_the_script_does_not_handle_is_the_cause(pool: enclave.Pool, asynchronous: bool) -> None:
    class DatabaseError(Exception):
        pass

    def fail() -> None:
        raise DatabaseError("down")

    async def fail_later() -> None:
        await asyncio.sleep(0)
        raise DatabaseError("down")

    tools = {"fail": fail_later if asynchronous else fail}
    for run in (
        pool.run,
        lambda *a, **k: pool.submit(*a, **k).result(30),
        lambda *a, **k: asyncio.run(pool.run_async(*a, **k)),
    ):
        with pytest.raises(enclave.JSException) as raised:
            run("await tools.fail()", tools=tools)
        assert isinstance(raised.value.__cause__, DatabaseError)
        assert raised.value.name == "DatabaseError"
        assert raised.value.message == "down"
        with pytest.raises(enclave.JSException) as raised:
            run("try { await tools.fail() } catch { throw new Error('another') }", tools=tools)
        assert raised.value.__cause__ is None
    assert pool.run("try { await tools.fail() } catch { return 'handled' }", tools=tools) == "handled"
    del raised


def test_wrong_arguments_of_a_script_are_a_type_error(pool: enclave.Pool) -> None:
    pool.tool("two")(lambda a, b: a + b)
    for call in ("tools.two({a: 1})", "tools.two({a: 1, b: 2, c: 3})", "tools.two()", "tools.two(new Map([[1, 2]]))"):
        assert pool.run(f"try {{ await {call} }} catch (e) {{ return e.name }}") == "TypeError"


class NotATime(datetime):
    """As pandas has one."""

    def utcoffset(self) -> timedelta:
        raise ValueError("NaTType does not support utcoffset")


@pytest.mark.parametrize(
    ("result", "kind", "part"),
    [
        ({"a": object()}, enclave.InvalidTypeError, "result of the tool bad['a'] is of type object; accepted are"),
        ([datetime(2026, 1, 1)], enclave.InvalidArgumentError, "bad[0] is a datetime without a time zone"),  # noqa: DTZ001
        (
            {"rows": [{"t": NotATime(2026, 1, 1)}]},  # noqa: DTZ001
            enclave.InvalidArgumentError,
            "result of the tool bad['rows'][0]['t'] cannot be converted: ValueError: NaTType does not support",
        ),
    ],
)
def test_a_result_that_cannot_be_copied_is_a_fault_of_the_host(
    pool: enclave.Pool, caplog: pytest.LogCaptureFixture, result: Any, kind: type[enclave.EnclaveError], part: str
) -> None:
    async def later() -> Any:
        return result

    for bad in (lambda: result, later):
        caplog.clear()
        seen = pool.run(
            "try { await tools.bad() } catch (e) { return [e.name, e.message, e.code] }", tools={"bad": bad}
        )
        # The script learns nothing of the host.
        assert seen == ["Error", "the tool bad failed", "TOOL_RESULT"]
        (record,) = caplog.records
        assert (record.name, record.levelname) == ("enclave", "ERROR")
        assert part in record.getMessage()
        assert "Traceback" in caplog.text
        # Nor is the script blamed where it does not handle it.
        for run in (pool.run, lambda *a, **k: pool.submit(*a, **k).result(30)):
            with pytest.raises(kind) as raised:
                run("await tools.bad()", tools={"bad": bad})
            assert not isinstance(raised.value, enclave.ScriptError)
            assert part in str(raised.value)
        outcome = pool.run_detailed("await tools.bad()", tools={"bad": bad})
        assert outcome.status is enclave.Status.INVALID_ARGUMENT
        assert type(outcome.error) is kind
        with pytest.raises(enclave.JSException):
            pool.run("try { await tools.bad() } catch { throw new Error('another') }", tools={"bad": bad})
    caplog.clear()
    del raised, outcome, record


def test_a_script_cannot_have_an_error_taken_for_one_of_the_host(pool: enclave.Pool) -> None:
    with pytest.raises(enclave.JSException):
        pool.run("throw Object.assign(new Error('the tool bad failed'), {code: 'TOOL_RESULT'})", tools={"bad": object})


def test_exceptions_of_tools_are_logged_also_where_the_script_handles_them(
    pool: enclave.Pool, caplog: pytest.LogCaptureFixture
) -> None:
    def bad() -> None:
        raise KeyError("plum")

    async def worse() -> None:
        raise ToolError("no", code="NO")

    with caplog.at_level("INFO", "enclave"):
        pool.run(
            "await tools.bad().catch(() => 0); await tools.worse().catch(() => 0)", tools={"bad": bad, "worse": worse}
        )
        assert eventually(lambda: len(caplog.records) >= 2)
    records = [record for record in caplog.records if "tool" in record.getMessage()]
    assert [(record.levelname, record.getMessage()) for record in records] == [
        ("INFO", "the tool bad raised an exception"),
        ("INFO", "the tool worse raised an exception"),
    ]
    assert "KeyError: 'plum'" in caplog.text
    caplog.clear()
    del records


def test_a_thread_of_the_tools_that_ends_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot end but by a fault of ours, such as this."""

    def fault(*_: object) -> None:
        raise RuntimeError("a fault")

    with enclave.Pool(min_workers=1, max_workers=1, tool_threads=1) as pool:
        with monkeypatch.context() as faulty:
            faulty.setattr("enclave._report.report_exception", fault)
            faulty.setattr("enclave._flight.Flight._call", fault)
            faulty.setattr("threading.excepthook", lambda args: None)
            for _ in range(3):
                with pytest.raises(enclave.EnclaveError):
                    pool.run("await tools.one()", tools={"one": lambda: 1}, timeout=0.1)
        assert pool.run("await tools.one()", tools={"one": lambda: 1}) == 1


def test_an_exception_whose_text_fails_is_still_an_exception(pool: enclave.Pool) -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    def odd() -> None:
        raise Odd

    def leaves() -> None:
        raise SystemExit(3)

    assert pool.run("try { await tools.odd() } catch (e) { return [e.name, e.message] }", tools={"odd": odd}) == [
        "Odd",
        "",
    ]
    assert (
        pool.run("try { await tools.leaves() } catch (e) { return e.name }", tools={"leaves": leaves}) == "SystemExit"
    )
    assert pool.run("1", tools={"odd": odd}) == 1


def test_waiting_for_the_pool_in_a_tool_is_refused(pool: enclave.Pool) -> None:
    def sync_tool() -> str:
        with pytest.raises(enclave.InvalidStateError):
            pool.run("1")
        with pytest.raises(enclave.InvalidStateError):
            pool.shutdown()
        with pytest.raises(enclave.InvalidStateError):
            pool.submit("for (;;);", timeout=0.05).result()
        return "refused"

    async def async_tool() -> Any:
        with pytest.raises(enclave.InvalidStateError):
            pool.run("1")
        return await pool.run_async("'nested'")

    tools = {"sync_tool": sync_tool, "async_tool": async_tool}
    assert pool.run("[await tools.sync_tool(), await tools.async_tool()]", tools=tools) == ["refused", "nested"]


def test_another_pool_may_be_used_in_a_tool(pool: enclave.Pool) -> None:
    with enclave.Pool(min_workers=1, max_workers=1) as inner:
        assert pool.run("await tools.nested()", tools={"nested": lambda: inner.run("'inner'")}) == "inner"


def test_a_tool_that_nobody_waits_for_runs_all_the_same(pool: enclave.Pool) -> None:
    done = threading.Event()

    async def later() -> None:
        await asyncio.sleep(0.02)
        later_done.set()

    later_done = threading.Event()
    assert pool.run("tools.note(); tools.later(); 'over'", tools={"note": done.set, "later": later}) == "over"
    assert done.wait(30)
    assert later_done.wait(30)


def test_async_tools_of_an_execution_that_was_ended_are_cancelled(pool: enclave.Pool) -> None:
    cancelled = threading.Event()

    async def never() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    # On a busy machine the time may be over before it comes to the call.
    while pool.stats().tool_calls == 0:
        with pytest.raises(enclave.ExecutionTimeoutError):
            pool.run("await tools.never()", tools={"never": never}, timeout=0.1)
    assert cancelled.wait(30)
    cancelled.clear()
    execution = pool.submit("await tools.never()", tools={"never": never})
    assert eventually(lambda: pool.stats().tool_calls == 2)
    execution.cancel()
    assert cancelled.wait(30)


def test_budgets_hold_for_tools(pool: enclave.Pool) -> None:
    calls: list[int] = []
    with pytest.raises(enclave.ToolCallLimitError) as raised:
        pool.run("for (let n = 0; ; n++) await tools.n({n})", tools={"n": lambda n: calls.append(n)}, max_tool_calls=5)
    assert (raised.value.limit, raised.value.unit) == (5, "tool calls")
    assert calls == [0, 1, 2, 3, 4]

"""asyncio: executions beside each other, async tools on the caller's loop, cancellation."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import enclave
import pytest
from conftest import eventually


def test_a_thousand_executions_await_async_tools() -> None:
    threads = set()

    async def fetch(n: int) -> int:
        threads.add(threading.get_ident())
        await asyncio.sleep(0.001)
        return n * 2

    async def main() -> list[Any]:
        async with enclave.Pool(min_workers=2, max_workers=2, max_queue_size=1000) as pool:
            pool.tool(fetch)
            runs = (
                pool.run_async(
                    "const a = await tools.fetch({n}); const b = await tools.fetch({n: a}); return b", globals={"n": n}
                )
                for n in range(1000)
            )
            results = await asyncio.gather(*runs)
            assert pool.stats().executions["OK"] == 1000
            assert pool.stats().tool_calls == 2000
            return results

    assert asyncio.run(main()) == [4 * n for n in range(1000)]
    assert threads == {threading.get_ident()}


def test_the_loop_runs_on(pool: enclave.Pool) -> None:
    async def main() -> int:
        enough = asyncio.Event()

        async def wait() -> None:
            await enough.wait()

        run = asyncio.ensure_future(pool.run_async("await tools.wait(); return 1", tools={"wait": wait}))
        for _ in range(20):
            await asyncio.sleep(0.001)
            assert not run.done()
        enough.set()
        return await run

    assert asyncio.run(main()) == 1


def test_errors_come_as_from_run(pool: enclave.Pool) -> None:
    async def main() -> None:
        with pytest.raises(enclave.JSSyntaxError):
            await pool.run_async("let = ;")
        with pytest.raises(TimeoutError):
            await pool.run_async("for (;;);", timeout=0.05)
        with pytest.raises(TypeError, match="did you mean"):
            await pool.run_async("1", timout=1)  # type: ignore[call-arg]
        outcome = await pool.run_detailed_async("console.log('x'); throw 1")
        assert [line.text for line in outcome.console] == ["x"]
        assert outcome.status is enclave.Status.EXCEPTION
        assert (await pool.run_detailed_async("2")).value == 2
        script = await pool.compile_async("n", filename="n.js", timeout=5)
        assert await script.run_async(globals={"n": 3}) == 3
        assert (await script.run_detailed_async(globals={"n": 3})).value == 3
        with pytest.raises(enclave.JSSyntaxError):
            await pool.compile_async("let = =")

    asyncio.run(main())


def test_cancelling_the_task_cancels_the_execution_and_its_tools(pool: enclave.Pool) -> None:
    async def main() -> None:
        waiting = asyncio.Event()
        cancelled = asyncio.Event()

        async def never() -> None:
            waiting.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        task = asyncio.create_task(pool.run_async("await tools.never()", tools={"never": never}))
        await asyncio.wait_for(waiting.wait(), 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(cancelled.wait(), 30)
        loop = asyncio.create_task(pool.run_async("for (;;);"))
        while pool.stats().active_workers == 0:
            await asyncio.sleep(0.001)
        loop.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loop
        while pool.stats().executions["CANCELLED"] < 2:
            await asyncio.sleep(0.001)
        assert await pool.run_async("1") == 1

    asyncio.run(main())


def test_a_timeout_of_asyncio_cancels_the_execution(pool: enclave.Pool) -> None:
    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(pool.run_async("for (;;);"), 0.1)
        while pool.stats().executions["CANCELLED"] < 1:
            await asyncio.sleep(0.001)

    asyncio.run(main())


def test_a_submission_can_be_awaited(pool: enclave.Pool) -> None:
    async def main() -> None:
        loop_thread = threading.get_ident()

        async def where() -> bool:
            return threading.get_ident() == loop_thread

        assert await asyncio.wrap_future(pool.submit("await tools.where()", tools={"where": where})) is True
        endless = asyncio.wrap_future(pool.submit("for (;;);"))
        await asyncio.sleep(0)
        endless.cancel()
        while pool.stats().executions["CANCELLED"] < 1:
            await asyncio.sleep(0.001)

    asyncio.run(main())


def test_a_loop_that_is_closed_leaves_the_pool_usable(pool: enclave.Pool) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(pool.run_async("await new Promise((r) => setTimeout(r, 1e6))"))
        await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(main())
    # The outcome comes when its loop is gone.
    assert eventually(lambda: pool.stats().executions["CANCELLED"] == 1)
    assert pool.run("1") == 1
    assert asyncio.run(pool.run_async("2")) == 2


def test_several_loops_share_a_pool(pool: enclave.Pool) -> None:
    async def main(base: int) -> list[Any]:
        async def add(n: int) -> int:
            await asyncio.sleep(0)
            return n + base

        runs = (pool.run_async("await tools.add({n})", globals={"n": n}, tools={"add": add}) for n in range(20))
        return await asyncio.gather(*runs)

    results: dict[int, list[Any]] = {}
    threads = [
        threading.Thread(target=lambda b=b: results.update({b: asyncio.run(main(b))})) for b in (0, 100, 200, 300)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {b: [n + b for n in range(20)] for b in (0, 100, 200, 300)}


def test_a_pool_closes_without_blocking_the_loop() -> None:
    async def turns_while_it_closes(seconds: float) -> int:
        pool = enclave.Pool(min_workers=1, max_workers=1, graceful_shutdown_timeout=seconds)
        run = asyncio.ensure_future(pool.run_async("for (;;);"))
        while pool.stats().active_workers == 0:
            await asyncio.sleep(0.001)
        turns = 0
        closing = asyncio.ensure_future(pool.aclose())
        while not closing.done():
            turns += 1
            await asyncio.sleep(0.001)
        await closing
        with pytest.raises(enclave.PoolClosedError):
            await run
        return turns

    # On a busy machine a turn takes longer.
    assert any(asyncio.run(turns_while_it_closes(seconds)) > 10 for seconds in (0.2, 1, 5, 25))

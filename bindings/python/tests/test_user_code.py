"""Whatever code of the user raises, wherever it runs: the pool goes on, and no call waits for ever."""

from __future__ import annotations

import textwrap

import pytest
from test_process import python

# Each place is a function `at(pool, error)` that has code of the user raise the error there, and returns.
# `expected` ends what the caller itself gets to see; other places must not show anything.
HEAD = '''
import concurrent.futures, contextlib, datetime, logging

class Odd(Exception):
    """An exception whose own code raises."""
    def __str__(self): raise RuntimeError("no text")
    __repr__ = __str__
    @property
    def code(self): raise RuntimeError("no code")

class OddBase(Exception):
    def __str__(self): raise SystemExit(4)
    __repr__ = __str__
    @property
    def code(self): raise KeyboardInterrupt

class OddTool(enclave.ToolError):
    @property
    def message(self): raise ValueError("no message")
    @message.setter
    def message(self, text): pass

class Panic(BaseException):
    """As panics of native extensions are."""

ERRORS = [
    ValueError("v"), Odd(), OddBase(), OddTool("x"), enclave.ToolError("x", code="C"), Panic("p"), SystemExit(3),
    KeyboardInterrupt(), MemoryError(), RecursionError(), GeneratorExit(), StopIteration(), StopAsyncIteration(),
    asyncio.CancelledError(), concurrent.futures.CancelledError(), enclave.PoolClosedError("no"), BrokenPipeError(),
]
failed = contextlib.suppress(BaseException)

def fail(error):
    raise error

async def later(n):
    await asyncio.sleep(0)
    return n + 1

def works(pool):
    """Every way of running something, with everything that comes back through threads of the pool."""
    lines = []
    sync, both = {"good": lambda n: n + 1}, "console.log('x'); return await tools.good({n: 1})"
    assert pool.run("1 + 1") == 2
    assert pool.run(both, tools=sync, on_console=lines.append) == 2
    assert pool.submit(both, tools={"good": later}, on_console=lines.append).result(60) == 2
    assert asyncio.run(pool.run_async(both, tools={"good": later}, on_console=lines.append)) == 2
    assert pool.run_detailed("3").value == 3
    assert len(lines) == 3, lines
'''

PLACES = {
    "on_console": "with failed: pool.run('console.log(1)', on_console=lambda line: fail(error))",
    "the logger of the console": """
        logger = logging.getLogger("scripts")
        handler = logging.Handler()
        handler.emit = lambda record: fail(error)
        logger.addHandler(handler)
        pool.run("console.error(1)", on_console=logger)
        logger.removeHandler(handler)
    """,
    "on_worker_recycled": "Watched.recycled = error; recycle(pool)",
    "on_stats_update": """
        Watched.updated, Watched.stats_error = threading.Event(), error
        assert Watched.updated.wait(60)
        Watched.stats_error = None
    """,
    "the logger of the package": """
        handler = logging.Handler()
        handler.emit = lambda record: fail(error)
        logging.getLogger("enclave").addHandler(handler)
        logging.getLogger("enclave").setLevel(logging.DEBUG)
        recycle(pool)
        with failed: pool.run("await tools.bad()", tools={"bad": lambda: fail(ValueError())})
        with failed: pool.run("await tools.bad()", tools={"bad": object})
        logging.getLogger("enclave").removeHandler(handler)
    """,
    "a done callback": """
        seen = threading.Event()
        execution = pool.submit("await new Promise((r) => setTimeout(r, 20))")
        execution.add_done_callback(lambda future: fail(error))
        execution.add_done_callback(lambda future: seen.set())
        execution.result(60)
        assert seen.wait(60)
    """,
    "a sync tool": "caught(pool, {'bad': lambda: fail(error)})",
    "a tool handler": """
        assert pool.run(CAUGHT, tool_handler=lambda name, args: fail(error)) == "caught"
    """,
    "an async tool on a loop of the pool": """
        async def bad(): await asyncio.sleep(0); raise error
        caught(pool, {"bad": bad})
    """,
    "an async tool on the caller's loop": """
        async def bad(): raise error
        with failed: asyncio.run(pool.run_async(CAUGHT, tools={"bad": bad}, timeout=5.0))
        async def submits(): return await asyncio.wrap_future(pool.submit(CAUGHT, tools={"bad": bad}, timeout=5.0))
        with failed: asyncio.run(submits())
    """,
    "a task that an async tool has made": """
        async def child(): raise error
        async def bad():
            task = asyncio.ensure_future(child())
            await asyncio.wait([task])
            with failed: task.exception()
            return "done"
        pool.run("await tools.bad()", tools={"bad": bad}, timeout=60.0)
    """,
    "the loop of the pool": """
        async def bad():
            loop = asyncio.get_running_loop()
            loop.call_soon(fail, error)
            loop.call_soon(loop.stop)
            loop.set_exception_handler(lambda loop, context: fail(error))
            await asyncio.sleep(0.01)
            return "done"
        assert pool.run("await tools.bad()", tools={"bad": bad}, timeout=60.0) == "done"
    """,
    "an awaitable": """
        class Bad:
            def __await__(self): raise error; yield
        caught(pool, {"bad": lambda: Bad()})
    """,
    "the end of a coroutine": """
        async def coroutine():
            try: await asyncio.Event().wait()
            finally: raise error
        with failed: pool.run("await tools.bad()", tools={"bad": lambda: coroutine()}, timeout=0.05)
        with failed: pool.run("await tools.bad()", tools={"bad": coroutine}, timeout=0.05)
    """,
    "a task factory": """
        async def submits():
            def factory(loop, coroutine, **rest):
                if "Flight" in coroutine.__qualname__: raise error
                return asyncio.Task(coroutine, loop=loop, **rest)
            asyncio.get_running_loop().set_task_factory(factory)
            return await pool.run_async(CAUGHT, tools={"bad": later}, timeout=60.0)
        assert asyncio.run(submits()) == "caught"
    """,
    "a result": """
        class List(list):
            def __iter__(self): raise error
        class Set(set):
            def __iter__(self): raise error
        class Time(datetime.datetime):
            def utcoffset(self): raise error
        class Lies:
            @property
            def __class__(self): raise error
        class Key(str):
            def __repr__(self): raise error
            def __getitem__(self, place): raise error
        results = List([1]), Set([1]), Time.now(), Lies(), {Key("k"): object()}, {"k": [Lies()]}
        for result in (*results, enclave.JSMap([List([1])])):
            caught(pool, {"bad": lambda: result})
            async def bad(): return result
            caught(pool, {"bad": bad})
    """,
    "a global": """
        class List(list):
            def __iter__(self): raise error
        class Names(dict):
            def keys(self): raise error
            items = __iter__ = keys
        for globals in {"x": List([1])}, {"x": [List([1])]}, Names(x=1):
            with failed: pool.run("1", globals=globals)
            with failed: pool.submit("1", globals=globals).result(60)
    """,
    "the end of an object": """
        class Bad:
            def __init__(self): self.me = self
            def __del__(self): raise error
        caught(pool, {"bad": Bad})
        caught(pool, {"bad": lambda: fail(ValueError(Bad()))})
    """,
    "what a tool is": """
        class Meta(type):
            @property
            def __call__(cls): raise error
        class Bad(metaclass=Meta): pass
        class Lies:
            def __call__(self): return 1
            @property
            def __class__(self): raise error
        bad = type.__call__(Bad)
        with failed: pool.run(CAUGHT, tools={"bad": bad})
        with failed: pool.run(CAUGHT, tools={"bad": Lies()})
    """,
    "an iterator of inputs": """
        def inputs():
            yield 1
            raise error
        with failed: pool.map("item", inputs())
        with failed: pool.map("item", [1, 2, 3], progress=lambda done, total: fail(error))
    """,
    "a name of a class": """
        class Meta(type):
            @property
            def __name__(cls): raise error
        class Bad(Exception, metaclass=Meta): pass
        caught(pool, {"bad": lambda: fail(Bad())})
    """,
    "the hooks of the interpreter": """
        def hook(args): raise error
        sys.unraisablehook = threading.excepthook = sys.excepthook = hook
        pool.run("console.log(1)", on_console=lambda line: fail(error))
        Watched.recycled = error
        recycle(pool)
        caught(pool, {"bad": lambda: fail(error)})
        async def bad(): raise error
        caught(pool, {"bad": bad})
        sys.unraisablehook = sys.__unraisablehook__
    """,
}

BODY = """
CAUGHT = "try { await callTool('bad') } catch (error) { return 'caught' }"

def caught(pool, tools):
    assert pool.run(CAUGHT, tools=tools, timeout=60.0) == "caught"
    assert pool.submit(CAUGHT, tools=tools, timeout=60.0).result(90) == "caught"
    for run in pool.run, pool.run_detailed:
        with failed: run("await callTool('bad')", tools=tools)

def recycle(pool):
    recycled = Watched.count
    with failed: pool.run("for (;;);", timeout=0.01)
    while Watched.count == recycled: time.sleep(0.001)
    Watched.recycled = None

class Watched(enclave.Pool):
    recycled = stats_error = updated = None
    count = 0

def on_recycled(event):
    Watched.count += 1
    if Watched.recycled is not None: raise Watched.recycled

def on_stats(stats):
    if Watched.stats_error is not None:
        Watched.updated.set()
        raise Watched.stats_error

pool = Watched(min_workers=1, max_workers=2, tool_threads=2, stats_interval=0.01, on_worker_recycled=on_recycled,
               on_stats_update=on_stats)
works(pool)
for error in ERRORS:
    at(pool, error)
    works(pool)
before = threading.enumerate()
assert pool._dispatcher.thread in before, "the thread of the events has ended"
pool.close()
while any(thread.name.startswith("enclave-") for thread in threading.enumerate()): time.sleep(0.01)
print("sound")
"""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("place", PLACES)
def test_nothing_that_code_of_the_user_raises_stops_a_pool(place: str) -> None:
    at = "def at(pool, error):\n" + textwrap.indent(textwrap.dedent(PLACES[place]), "    ")
    output = python(HEAD + at + BODY, timeout=800)
    assert "sound" in output.splitlines(), output[-5000:]

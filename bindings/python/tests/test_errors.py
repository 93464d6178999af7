"""Exceptions: their classes, what they hold, how they show themselves; pickling."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import pickle
import traceback
from typing import Any

import enclave
import pytest
from conftest import eventually
from enclave import EnclaveError, Status
from enclave._errors import caret, make_error


def classes() -> list[type[EnclaveError]]:
    found: list[type[EnclaveError]] = []
    pending = [EnclaveError]
    while pending:
        cls = pending.pop()
        found.append(cls)
        pending += cls.__subclasses__()
    return found


def test_every_status_but_ok_has_one_class() -> None:
    by_status = {cls.status for cls in classes() if "status" in vars(cls)}
    assert by_status == set(Status) - {Status.OK}
    assert {status.name: int(status) for status in Status} == dict(enclave._enclave.STATUSES)
    for status in by_status:
        error = make_error(int(status), "text", {})
        assert error.status is status
        assert "text" in error._text
    assert all(cls.__module__ == "enclave" and getattr(enclave, cls.__name__) is cls for cls in classes())


@pytest.mark.parametrize(
    ("cls", "twin"),
    [
        (enclave.InvalidArgumentError, ValueError),
        (enclave.InvalidTypeError, TypeError),
        (enclave.JSSyntaxError, SyntaxError),
        (enclave.JSRecursionError, RecursionError),
        (enclave.ExecutionTimeoutError, TimeoutError),
        (enclave.CpuLimitError, TimeoutError),
        (enclave.QueueTimeoutError, TimeoutError),
        (enclave.MemoryLimitError, MemoryError),
        (enclave.ExecutionCancelledError, concurrent.futures.CancelledError),
    ],
)
def test_twins(cls: type[EnclaveError], twin: type[Exception]) -> None:
    assert issubclass(cls, twin)
    with pytest.raises(twin):
        raise (
            make_error(int(cls.status), "text", {})
            if cls not in (enclave.InvalidTypeError, enclave.JSRecursionError)
            else cls("text")
        )


def test_an_exception_tells_all_and_shows_its_line(pool: enclave.Pool) -> None:
    source = "const items = [1];\nfunction total() {\n\treturn items.sum();\n}\ntotal()"
    with pytest.raises(enclave.JSException) as raised:
        pool.run(source, filename="report.js")
    error = raised.value
    assert (error.name, error.filename, error.line, error.column) == ("TypeError", "report.js", 3, 15)
    assert error.message == "items.sum is not a function"
    assert error.source_line == "\treturn items.sum();"
    assert error.code is None
    assert "total@report.js:3" in (error.stack or "")
    assert str(error).splitlines() == [
        "TypeError: items.sum is not a function",
        "  at report.js:3:15",
        "  3 | \treturn items.sum();",
        "    | \t             ^",
        "JavaScript stack:",
        "  total@report.js:3:15",
        "  @report.js:5:1",
    ]


def test_a_syntax_error_is_pythons_too(pool: enclave.Pool) -> None:
    with pytest.raises(SyntaxError) as raised:
        pool.run("let a = 1;\nlet b = ;", filename="bad.js")
    error = raised.value
    assert isinstance(error, enclave.JSSyntaxError)
    assert (error.filename, error.lineno, error.offset, error.text) == ("bad.js", 2, 9, "let b = ;")
    assert (error.line, error.column) == (2, 9)
    shown = "".join(traceback.format_exception_only(type(error), error))
    assert 'File "bad.js", line 2' in shown
    assert "let b = ;" in shown
    assert "enclave.JSSyntaxError: expected expression" in shown
    assert "bad.js:2:9" in str(error)


def test_too_deep_recursion_is_a_recursion_error(pool: enclave.Pool) -> None:
    with pytest.raises(RecursionError) as raised:
        pool.run("function f() { return f() + 1 } f()")
    assert isinstance(raised.value, enclave.JSRecursionError)
    assert raised.value.status is Status.EXCEPTION


def test_limits_tell_their_numbers(pool: enclave.Pool) -> None:
    with pytest.raises(MemoryError) as raised:
        pool.run("const a = []; for (;;) a.push(new Uint8Array(1e6).fill(1))")
    error = raised.value
    assert isinstance(error, enclave.MemoryLimitError)
    assert error.limit == 256 * 2**20
    assert error.used_bytes > 0.5 * error.limit
    with pytest.raises(enclave.ConsoleLimitError) as console:
        pool.run("for (;;) console.log('x'.repeat(1000))", max_console_output=5000)
    assert (console.value.limit, console.value.unit) == (5000, "bytes")
    with pytest.raises(enclave.MessageFloodError) as flood:
        pool.run("for (;;) await tools.x()", tools={"x": lambda: 1}, max_tool_calls=10**6)
    assert flood.value.limit == 1000
    with pytest.raises(enclave.MessageTooLargeError) as large:
        pool.run("'x'.repeat(2 ** 25)")
    assert (large.value.what, large.value.limit) == ("the result", 2**24)
    with pytest.raises(enclave.ResultNotTransferableError) as no_copy:
        pool.run("const a = {}; a.b = [a]; a")
    assert no_copy.value.path == "result.b[0]"
    with pytest.raises(enclave.UnsettledError):
        pool.run("await new Promise(() => {})")


def test_a_full_queue_gives_a_hint() -> None:
    with enclave.Pool(min_workers=1, max_workers=1, max_queue_size=0) as pool:
        running = pool.submit("for (;;);")
        assert eventually(lambda: pool.stats().active_workers == 1)
        with pytest.raises(enclave.QueueFullError) as raised:
            pool.run("1")
        assert raised.value.queue_size == 0
        assert raised.value.retry_after > 0
        running.cancel()


def test_what_is_not_supported_says_so() -> None:
    with pytest.raises(enclave.UnsupportedError, match="WebAssembly"):
        enclave.Pool(allow_wasm=True)


def samples(pool: enclave.Pool) -> list[EnclaveError]:
    found = [
        make_error(int(status), f"text of {status.name}", {"limit": 3, "field": "f"}) for status in Status if status
    ]
    for source in (
        "throw Object.assign(new Error('m'), {code: 'C'})",
        "let = ;",
        "function f() { f() } f()",
        "({}).a.b",
    ):
        error = pool.run_detailed(source).error
        assert error is not None
        found.append(error)
    return found


def test_exceptions_can_be_pickled(pool: enclave.Pool) -> None:
    for error in samples(pool):
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            copy = pickle.loads(pickle.dumps(error, protocol))
            assert type(copy) is type(error)
            assert str(copy) == str(error)
            assert vars(copy) == vars(error)
    tool_error = pickle.loads(pickle.dumps(enclave.ToolError("m", name="N", code="C")))
    assert (str(tool_error), tool_error.name, tool_error.code) == ("m", "N", "C")
    line = pool.run_detailed("console.log(1)").console[0]
    assert pickle.loads(pickle.dumps(line)) == line


def fail(number: int) -> None:
    raise make_error(101, "boom", {"name": "TypeError", "message": "boom", "line": number})


def test_exceptions_come_home_from_another_process() -> None:
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as processes:
        error = processes.submit(fail, 7).exception(60)
    assert isinstance(error, enclave.JSException)
    assert (error.name, error.line) == ("TypeError", 7)


@pytest.mark.parametrize(
    ("line", "column", "place"),
    [
        ("abc", 1, 0),
        ("abc", 3, 2),
        ("abc", 4, 3),
        ("😀b", 3, 1),
        ("abc", None, None),
        ("abc", 0, None),
        ("x" * 90, 80, 79),
        ("x" * 99, 85, None),  # it may be the end of a longer line that was cut
        ("x" * 90, 60, 59),
        ("x" * 120, 500, 59),
        ("x" * 80, 70, 69),
    ],
)
def test_where_the_caret_stands(line: str, column: int | None, place: Any) -> None:
    assert caret(line, column) == place


def test_a_long_line_is_shown_cut_with_its_caret(pool: enclave.Pool) -> None:
    source = "let a = '" + "x" * 500 + "'; nope()" + " + 1" * 200
    with pytest.raises(enclave.JSException) as raised:
        pool.run(source)
    lines = str(raised.value).splitlines()
    assert lines[2][lines[3].index("^") :].startswith("nope()")

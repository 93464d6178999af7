"""The examples run, and the notebook and the README say what is so."""

from __future__ import annotations

import asyncio
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import enclave
import nbformat
import pytest
from conftest import ROOT
from nbclient import NotebookClient

EXAMPLES = ROOT / "examples" / "python"
README = ROOT / "bindings" / "python" / "README.md"


def run(name: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_hello() -> None:
    assert run("hello.py") == "1 + 1 is 2\n"
    assert run("hello.py", "[1, 2, 3].map(n => n * n)") == "[1, 4, 9]\n"


def test_an_agent_writes_code() -> None:
    output = run("agent_writes_code.py")
    assert "failed: ReferenceError: mean is not defined" in output
    assert "342 penguins with a weight" in output
    assert '"heaviest": "Gentoo"' in output
    assert '"grams": 5076' in output


def test_a_thousand_executions() -> None:
    output = run("thousand.py")
    assert output.startswith("1000 executions in ")
    assert output.endswith("user 999 has 10 points\n")


def test_a_web_service_runs_scripts_of_its_users() -> None:
    from fastapi.testclient import TestClient

    service = load("fastapi_endpoint")
    with TestClient(service.app) as client:

        def post(**job: Any) -> Any:
            return client.post("/run", json=job)

        answer = post(source="console.log('hi'); input.map((n) => n * 2)", input=[1, 2])
        assert answer.status_code == 200
        assert answer.json()["value"] == [2, 4]
        assert answer.json()["console"] == ["hi"]
        assert post(source="new Map([[1, new Set(['a'])]])").json()["value"] == {"1": ["a"]}
        failed = post(source="nope()")
        assert failed.status_code == 400
        assert failed.json()["detail"]["status"] == "EXCEPTION"
        assert "user.js:1:1" in failed.json()["detail"]["message"] or "nope is not defined" in str(failed.json())
        assert post(source="for (;;);").json()["detail"]["status"] in ("CPU_LIMIT", "TIMEOUT")
        assert post(source=1).status_code == 422
        assert client.get("/stats").json()["executions"]["OK"] == 2
    del service.app.state.pool


def test_a_client_that_goes_away_cancels_its_script() -> None:
    service = load("fastapi_endpoint")
    body = b'{"source": "await new Promise((r) => setTimeout(r, 60000))"}'

    async def main() -> None:
        connected = asyncio.Event()
        messages = [{"type": "http.request", "body": body, "more_body": False}]
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            await connected.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/run",
            "raw_path": b"/run",
            "query_string": b"",
            "root_path": "",
            "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }
        async with service.lifespan(service.app):
            pool: enclave.Pool = service.app.state.pool
            request = asyncio.ensure_future(service.app(scope, receive, send))
            while pool.stats().active_workers == 0:
                assert not request.done()
                await asyncio.sleep(0.005)
            connected.set()
            await request
            while pool.stats().executions["CANCELLED"] == 0:
                await asyncio.sleep(0.005)
        assert [message.get("status") for message in sent if "status" in message] in ([], [499])

    asyncio.run(main())
    del service.app.state.pool


def test_the_notebook_runs() -> None:
    notebook = nbformat.read(EXAMPLES / "tour.ipynb", as_version=4)
    resources = {"metadata": {"path": str(EXAMPLES)}}
    client = NotebookClient(notebook, timeout=100, kernel_name="python3", resources=resources)
    asyncio.run(client.async_execute())
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    text = "\n".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs)
    for part in ("[1, 4, 9]", "report.js:2:7", "ExecutionTimeoutError", "1.25", "KeyError('plum')", "(500, 5050)"):
        assert part in text
    pages = [output["data"]["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    assert any("enclave.Pool standard, open" in page and "p99" in page for page in pages)
    assert all(
        cell.get("execution_count") is None for cell in nbformat.read(EXAMPLES / "tour.ipynb", as_version=4).cells
    )


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_readme_runs_from_its_first_block_to_its_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks are one program; a comment `# -> value` says what the line's expression is."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "readme"}
    program = "\n".join(blocks())
    checked = 0

    def check(value: Any, wanted: str) -> None:
        nonlocal checked
        checked += 1
        assert repr(value) == wanted.strip()

    lines = [
        re.sub(r"^( *)(.+?)  # -> (.+)$", lambda m: f"{m[1]}_check(({m[2]}), {m[3]!r})", line)
        for line in program.split("\n")
    ]
    names["_check"] = check
    exec(compile("\n".join(lines), str(README), "exec"), names)
    assert checked >= 10
    names.clear()


def test_the_readme_names_every_exception() -> None:
    text = README.read_text(encoding="utf-8")
    for name in enclave.__all__:
        if name.endswith(("Error", "Exception")):
            assert f"`{name}`" in text, name

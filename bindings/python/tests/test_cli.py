"""`python -m enclave`."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest


def cli(*arguments: str, given: str = "", code: int = 0, where: Path | None = None) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "enclave", *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=300,
        cwd=where,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout, done.stderr


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.js"
    path.write_text("console.log('hello'); console.error('oops'); ({a: [1, 2n], b: 'x'})", encoding="utf-8")
    return path


def test_run_prints_console_and_result(script: Path) -> None:
    out, err = cli("run", str(script))
    assert out.startswith("hello\n")
    assert json.loads(out.removeprefix("hello\n")) == {"a": [1, 2], "b": "x"}
    assert err == "oops\n"


def test_run_prints_json(script: Path) -> None:
    out, err = cli("run", str(script), "--json", "--preset", "standard")
    report = json.loads(out)
    assert report["ok"] is True
    assert report["value"] == {"a": [1, 2], "b": "x"}
    assert report["console"] == [{"level": "log", "text": "hello"}, {"level": "error", "text": "oops"}]
    assert report["stats"]["console_calls"] == 2
    assert err == ""


def test_run_reads_standard_input_and_tells_failures() -> None:
    assert cli("run", "-", given="'text'")[0] == "text\n"
    out, err = cli("run", "-", given="let x = ;", code=1)
    assert out == ""
    assert "SYNTAX_ERROR" in err
    assert "stdin:1:9" in err
    report = json.loads(cli("run", "-", "--json", given="throw new TypeError('no')", code=1)[0])
    assert (report["ok"], report["error"]["status"], report["error"]["name"]) == (False, "EXCEPTION", "TypeError")
    assert "TIMEOUT" in cli("run", "-", "--timeout", "0.1", given="for (;;);", code=1)[1]


def test_run_gives_tools_from_a_file_or_a_module(tmp_path: Path) -> None:
    (tmp_path / "my_tools.py").write_text(
        "import os\nasync def later(n): return n + 1\ndef now(n): return n\ndef _hidden(): pass\n", encoding="utf-8"
    )
    source = "[await tools.later({n: 1}), await tools.now({n: 1}), Object.keys(tools)]"
    for module in ("my_tools.py", "my_tools"):
        out, _ = cli("run", "-", "--tool-module", module, given=source, where=tmp_path)
        assert json.loads(out) == [2, 1, ["later", "now"]]


def test_what_is_wrong_with_the_command_line_is_said(tmp_path: Path) -> None:
    assert "cannot be read" in cli("run", str(tmp_path / "none.js"), code=2)[1]
    assert "cannot be loaded" in cli("run", "-", "--tool-module", "no_such_module", code=2)[1]
    assert "invalid choice" in cli("run", "-", "--preset", "loose", code=2)[1]
    assert "no time above 0" in cli("run", "-", "--timeout", "0", code=2)[1]
    assert "usage:" in cli(code=2)[1]
    assert cli("--version")[0].startswith("enclave 0.1.0")


def test_what_a_terminal_would_obey_is_not_printed() -> None:
    out, _ = cli("run", "-", given="console.log('\\x1b[2Jred'); 'a\\x07b'")
    assert out == "\N{REPLACEMENT CHARACTER}[2Jred\na\N{REPLACEMENT CHARACTER}b\n"


def test_the_repl_runs_each_input() -> None:
    out, err = cli(
        "repl", given="1 + 1\nconsole.log('x')\nfunction f() {\nreturn 7 }\nf()\nnope\n[1,\n2]\nlet a = = 2\n", code=0
    )
    assert out.splitlines() == ["2", "x", "undefined", "undefined", "[1, 2]"]
    assert "f is not defined" in err
    assert "nope is not defined" in err
    assert "SYNTAX_ERROR" in err


def test_top_runs_for_a_while_and_prints_lines_where_there_is_no_terminal() -> None:
    out, _ = cli("top", "-", "--duration", "2", "--interval", "0.2", "--preset", "standard", given="1 + 1")
    lines = out.splitlines()
    assert len(lines) >= 3
    assert "executing" in lines[0]
    assert "OK" in lines[-1]


def on_a_terminal(*arguments: str) -> str:
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "enclave", *arguments]
    environment = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(command, stdout=follower, stdin=follower, stderr=follower, env=environment) as process:
        os.close(follower)
        shown = b""
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:
                break
            if not part:
                break
            shown += part
        assert process.wait(60) == 0
    os.close(leader)
    return shown.decode(errors="replace")


def test_run_tells_on_a_terminal_how_long_it_takes(tmp_path: Path) -> None:
    path = tmp_path / "slow.js"
    path.write_text("await new Promise((r) => setTimeout(r, 3000)); return 'done'", encoding="utf-8")
    text = on_a_terminal("run", str(path))
    assert "… 1 s" in text
    assert text.rstrip().endswith("done")


def test_top_is_live_on_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "s.js"
    path.write_text("1", encoding="utf-8")
    text = on_a_terminal("top", str(path), "--duration", "2", "--interval", "0.2")
    assert "executions/s" in text
    assert "run time" in text


@pytest.mark.parametrize(
    "source", ["for (;;) console.log('x')", "'x'.repeat(1e6)", "console.error('x'); 'x'.repeat(1e6)"]
)
def test_it_ends_when_nobody_reads_its_output(source: str) -> None:
    ours, theirs = os.pipe()
    done = subprocess.Popen(
        [sys.executable, "-m", "enclave", "run", "-", "--timeout", "60", "--preset", "permissive"],
        stdin=subprocess.PIPE,
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(theirs)
    os.close(ours)
    _, err = done.communicate(source, timeout=60)
    assert done.returncode == 141, err
    assert err.removeprefix("x\n") == ""


def test_a_large_integer_is_shown_in_hexadecimal() -> None:
    out, _ = cli("run", "-", given="[2n ** 100n, 2n ** 100000n]")
    small, large = json.loads(out)
    assert small == str(2**100)
    assert large == hex(2**100000)
    out, err = cli("repl", given="2n ** 100000n\n'next'\n")
    assert "'next'" in out
    assert err == ""

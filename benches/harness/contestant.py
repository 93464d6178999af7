"""A contestant: a program that measures one engine or one binding, one process each."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class Failure(Exception):
    """A contestant has given an error, no answer, or no JSON."""


@dataclass
class Contestant:
    """How to start a program of the protocol, and the one that runs."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    directory: Path | None = None
    # What it has said of itself: version, engine, notes.
    greeting: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    pending: bytes = b""

    def start(self, seconds: float = 60) -> None:
        """Start it and read its greeting."""
        self.stop()
        self.pending = b""
        try:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **self.environment},
                cwd=self.directory,
            )
        except OSError as error:
            raise Failure(str(error)) from error
        self.greeting = self._read(seconds)

    def ask(self, request: dict[str, Any], seconds: float = 60) -> dict[str, Any]:
        """Send a request and give its answer; what has failed is a Failure, what is unsupported an answer."""
        if self.process is None:
            self.start()
        assert self.process is not None and self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        except OSError as error:
            self.stop()
            raise Failure(f"it has ended: {error}") from error
        answer = self._read(seconds)
        if "error" in answer:
            raise Failure(str(answer["error"]))
        return answer

    def stop(self) -> None:
        """End it: its standard input ends, and it has a few seconds."""
        process, self.process = self.process, None
        if process is None:
            return
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.close()
        except OSError:
            pass
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def _read(self, seconds: float) -> dict[str, Any]:
        assert self.process is not None and self.process.stdout is not None
        until = time.monotonic() + seconds
        pieces = [self.pending]
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in pieces[-1]:
                if not selector.select(max(0.0, until - time.monotonic())):
                    self.process.kill()
                    self.stop()
                    raise Failure(f"no answer within {seconds:.0f} s")
                piece = os.read(self.process.stdout.fileno(), 1 << 20)
                if not piece:
                    status = self.process.wait()
                    self.stop()
                    raise Failure(f"it has ended with status {status}")
                pieces.append(piece)
        line, _, self.pending = b"".join(pieces).partition(b"\n")
        try:
            answer = json.loads(line)
        except ValueError as error:
            self.stop()
            raise Failure(f"not JSON: {line[:200]!r}") from error
        if not isinstance(answer, dict):
            self.stop()
            raise Failure(f"not an object: {line[:200]!r}")
        return answer


def start(contestants: list[Contestant]) -> tuple[list[Contestant], dict[str, str]]:
    """Start all, and give those that run, and why the others do not."""
    running, skipped = [], {}
    for contestant in contestants:
        try:
            contestant.start()
            running.append(contestant)
        except Failure as failure:
            contestant.stop()
            skipped[contestant.name] = str(failure)
    return running, skipped

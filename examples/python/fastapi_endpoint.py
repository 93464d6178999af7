"""A web service that runs its users' scripts.

pip install fastapi uvicorn
uvicorn fastapi_endpoint:app
curl -d '{"source": "input.map(n => n * 2)", "input": [1, 2]}' -H 'content-type: application/json' localhost:8000/run
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import enclave
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel, Field

T = TypeVar("T")


class Job(BaseModel):
    """What a user sends."""

    source: str = Field(max_length=100_000)
    input: Any = None


class Result(BaseModel):
    """What a user gets: the value, and what it took."""

    value: Any
    console: list[str]
    milliseconds: float


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Have one pool as long as the service runs."""
    async with enclave.Pool("strict", max_workers=4) as pool:
        app.state.pool = pool
        yield


app = FastAPI(title="Scripts", lifespan=lifespan)


@app.post("/run")
async def run(job: Job, request: Request) -> Result:
    """Run a script. If the client goes away, so does the execution."""
    pool: enclave.Pool = request.app.state.pool
    try:
        outcome = await while_connected(
            request, pool.run_detailed_async(job.source, globals={"input": job.input}, filename="user.js")
        )
    except ClientGoneError:
        # Nobody reads this; 499 is what web servers write in their logs.
        raise HTTPException(499) from None
    except enclave.QueueFullError as error:
        retry = str(max(1, round(error.retry_after)))
        raise HTTPException(503, "too many scripts", headers={"Retry-After": retry}) from error
    except enclave.InvalidArgumentError as error:
        raise HTTPException(422, str(error)) from error
    if isinstance(outcome.error, enclave.ScriptError | enclave.LimitError):
        # It is the script's doing: its author may see it all.
        raise HTTPException(400, {"status": outcome.status.name, "message": str(outcome.error)})
    if outcome.error is not None:
        raise HTTPException(503, outcome.status.name)
    lines = [line.text for line in outcome.console]
    return Result(value=to_json(outcome.value), console=lines, milliseconds=outcome.stats.run_time * 1000)


class ClientGoneError(Exception):
    """The client has closed its connection before it had an answer."""


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Await something, and cancel it if the client goes away. The body of the request must have been read."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGoneError
        return await task
    finally:
        # A task that is cancelled cancels its execution.
        task.cancel()
        gone.cancel()


async def disconnected(request: Request) -> None:
    """Return when the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


@app.get("/stats")
async def stats(request: Request) -> dict[str, Any]:
    """Tell how the pool does."""
    now = request.app.state.pool.stats()
    return {
        "executing": now.active_workers,
        "waiting": now.queue_depth,
        "executions": {status: count for status, count in now.executions.items() if count},
        "p99_milliseconds": now.run_time.p99 * 1000,
    }


def to_json(value: Any) -> Any:
    """Make of a script's value what JSON can hold."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case dict():
            return {str(key): to_json(item) for key, item in value.items()}
        case list() | set():
            return [to_json(item) for item in value]
        case enclave.Undefined():
            return None
        case _:
            return str(value)

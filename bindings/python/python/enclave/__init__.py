"""Runs untrusted JavaScript in a pool of isolated SpiderMonkey workers.

import enclave

with enclave.Pool("secure") as pool:
pool.run("[1, 2, 3].map(n => n * n)")  # [1, 4, 9]
"""

from enclave._enclave import __version__
from enclave._errors import (
    ConsoleLimitError,
    CpuLimitError,
    EnclaveError,
    ExecutionCancelledError,
    ExecutionTimeoutError,
    ForkedError,
    InternalError,
    InvalidArgumentError,
    InvalidStateError,
    InvalidTypeError,
    JSException,
    JSRecursionError,
    JSSyntaxError,
    LimitError,
    MemoryLimitError,
    MessageFloodError,
    MessageTooLargeError,
    PoolClosedError,
    QueueFullError,
    QueueTimeoutError,
    ResultNotTransferableError,
    ScriptError,
    Status,
    ToolCallLimitError,
    ToolError,
    UnsettledError,
    UnsupportedError,
    WorkerCrashedError,
    WorkerStartupError,
)
from enclave._execution import Execution
from enclave._pool import Pool, Script
from enclave._settings import ExecutionOptions, Limits, PoolSettings, Presets
from enclave._stats import (
    ConsoleLine,
    ExecutionStats,
    Histogram,
    Outcome,
    PoolStats,
    WorkerCounts,
    WorkerRecycled,
)
from enclave._values import JSBigInt, JSDate, JSError, JSMap, JSSet, Undefined, undefined

__all__ = [
    "ConsoleLimitError",
    "ConsoleLine",
    "CpuLimitError",
    "EnclaveError",
    "Execution",
    "ExecutionCancelledError",
    "ExecutionOptions",
    "ExecutionStats",
    "ExecutionTimeoutError",
    "ForkedError",
    "Histogram",
    "InternalError",
    "InvalidArgumentError",
    "InvalidStateError",
    "InvalidTypeError",
    "JSBigInt",
    "JSDate",
    "JSError",
    "JSException",
    "JSMap",
    "JSRecursionError",
    "JSSet",
    "JSSyntaxError",
    "LimitError",
    "Limits",
    "MemoryLimitError",
    "MessageFloodError",
    "MessageTooLargeError",
    "Outcome",
    "Pool",
    "PoolClosedError",
    "PoolSettings",
    "PoolStats",
    "Presets",
    "QueueFullError",
    "QueueTimeoutError",
    "ResultNotTransferableError",
    "Script",
    "ScriptError",
    "Status",
    "ToolCallLimitError",
    "ToolError",
    "Undefined",
    "UnsettledError",
    "UnsupportedError",
    "WorkerCounts",
    "WorkerCrashedError",
    "WorkerRecycled",
    "WorkerStartupError",
    "__version__",
    "undefined",
]

for _name in __all__:
    # Where they are is an inner matter: this is their name in messages, pickles and documentation.
    if isinstance(_public := globals()[_name], type):
        _public.__module__ = __name__
del _name, _public

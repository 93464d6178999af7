//! Stats and console lines as plain Python data, of which Python makes its dataclasses. Times are seconds.

use std::time::{Duration, UNIX_EPOCH};

use enclave_core::{ConsoleLine, ExecutionStats, Histogram, PoolStats, RecycleReason, Status};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

pub(crate) fn line(line: &ConsoleLine) -> (u64, &'static str, f64, &str) {
    let time = line.time.duration_since(UNIX_EPOCH).unwrap_or_default();
    (line.execution_id, line.level.name(), time.as_secs_f64(), &line.text)
}

pub(crate) fn execution<'py>(py: Python<'py>, stats: &ExecutionStats) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("execution_id", stats.execution_id)?;
    dict.set_item("worker_id", stats.worker_id)?;
    dict.set_item("queue_wait", seconds(stats.queue_wait))?;
    dict.set_item("run_time", seconds(stats.run_time))?;
    dict.set_item("cpu_time", seconds(stats.cpu_time))?;
    dict.set_item("peak_memory", stats.peak_memory)?;
    dict.set_item("tool_calls", stats.tool_calls)?;
    dict.set_item("console_calls", stats.console_calls)?;
    Ok(dict)
}

pub(crate) fn pool<'py>(py: Python<'py>, stats: &PoolStats) -> PyResult<Bound<'py, PyDict>> {
    let workers = PyDict::new(py);
    workers.set_item("starting", stats.workers.starting)?;
    workers.set_item("idle", stats.workers.idle)?;
    workers.set_item("executing", stats.workers.executing)?;
    workers.set_item("recycling", stats.workers.recycling)?;
    workers.set_item("set_aside", stats.workers.set_aside)?;
    let executions = PyDict::new(py);
    for status in Status::ALL {
        executions.set_item(status.name(), stats.executions(status))?;
    }
    let recycles = PyDict::new(py);
    for reason in RecycleReason::ALL {
        recycles.set_item(reason.name(), stats.recycles(reason))?;
    }
    let dict = PyDict::new(py);
    dict.set_item("workers", workers)?;
    dict.set_item("active_workers", stats.active_workers)?;
    dict.set_item("queue_depth", stats.queue_depth)?;
    dict.set_item("executions", executions)?;
    dict.set_item("recycles", recycles)?;
    dict.set_item("tool_calls", stats.tool_calls)?;
    dict.set_item("console_lines", stats.console_lines)?;
    dict.set_item("rate_limit_hits", stats.rate_limit_hits)?;
    dict.set_item("queue_wait", histogram(py, &stats.queue_wait)?)?;
    dict.set_item("run_time", histogram(py, &stats.run_time)?)?;
    dict.set_item("memory_current", stats.memory_current)?;
    dict.set_item("memory_peak", stats.memory_peak)?;
    dict.set_item("uptime", seconds(stats.uptime))?;
    dict.set_item("isolation", stats.isolation.name())?;
    dict.set_item("sandbox_missing", PyTuple::new(py, stats.sandbox_missing.iter().map(|part| part.name()))?)?;
    dict.set_item("sandbox_violations", stats.sandbox_violations)?;
    Ok(dict)
}

fn histogram<'py>(py: Python<'py>, times: &Histogram) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("count", times.count)?;
    dict.set_item("mean", seconds(times.mean))?;
    dict.set_item("p50", seconds(times.p50))?;
    dict.set_item("p90", seconds(times.p90))?;
    dict.set_item("p99", seconds(times.p99))?;
    dict.set_item("max", seconds(times.max))?;
    Ok(dict)
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

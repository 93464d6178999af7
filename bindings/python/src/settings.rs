//! Settings of a pool and limits of an execution by their names: times in seconds or as `timedelta`, sizes in bytes.
//!
//! A new field of the core is one word in [`fields`] here, and one line in `enclave/_settings.py` for its type.

use std::path::PathBuf;
use std::time::Duration;

use enclave_core::{ExecutionLimits, Isolation, PoolConfig, Preset};
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyString};

use crate::errors::{raise, wrong_type, wrong_value};

/// A type of field: how it is taken from Python, and given back.
trait Field: Sized {
    fn take(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Self>;
    fn give<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>>;
}

macro_rules! fields {
    ($struct:ty { $($name:ident),* $(,)? }) => {
        impl Fields for $struct {
            const NAMES: &[&str] = &[$(stringify!($name)),*];

            fn set(&mut self, name: &str, given: &Bound<'_, PyAny>) -> PyResult<bool> {
                match name {
                    $(stringify!($name) => self.$name = Field::take(name, given)?,)*
                    _ => return Ok(false),
                }
                Ok(true)
            }

            fn put(&self, dict: &Bound<'_, PyDict>) -> PyResult<()> {
                $(dict.set_item(stringify!($name), self.$name.give(dict.py())?)?;)*
                Ok(())
            }
        }
    };
}

trait Fields {
    const NAMES: &[&str];
    /// Whether there is such a field.
    fn set(&mut self, name: &str, given: &Bound<'_, PyAny>) -> PyResult<bool>;
    fn put(&self, dict: &Bound<'_, PyDict>) -> PyResult<()>;
}

fields!(PoolConfig {
    isolation,
    min_workers,
    max_workers,
    memory_limit_per_worker,
    max_executions_per_worker,
    max_queue_size,
    queue_timeout,
    max_messages_per_second,
    idle_timeout,
    graceful_shutdown_timeout,
    max_message_size,
    max_pending_tool_calls,
    warm_on_init,
    stats_interval,
    worker_path,
    require_sandbox,
    require_seccomp,
    cgroup,
    jit,
});

fields!(ExecutionLimits {
    timeout,
    cpu_time_limit,
    max_tool_calls,
    max_pending_bytes,
    max_console_calls,
    max_console_output,
    max_value_depth,
    sanitize_stack_traces,
    block_timing_apis,
    allow_code_generation,
    allow_wasm,
});

/// The configuration of a preset with these changes.
pub(crate) fn config(preset: &Bound<'_, PyAny>, settings: &Bound<'_, PyDict>) -> PyResult<PoolConfig> {
    let mut config = base(preset)?;
    for item in settings.items().iter() {
        let (name, given) = item.extract::<(String, Bound<'_, PyAny>)>()?;
        if !config.set(&name, &given)? && !config.limits.set(&name, &given)? {
            return Err(wrong_type(preset.py(), &name, "is no setting of a pool"));
        }
    }
    if !settings.contains("min_workers")? {
        config.min_workers = config.min_workers.min(config.max_workers);
    }
    Ok(config)
}

/// `base` with these changes, or none if there are no changes.
pub(crate) fn limits(base: &ExecutionLimits, given: &Bound<'_, PyDict>) -> PyResult<Option<ExecutionLimits>> {
    if given.is_empty() {
        return Ok(None);
    }
    let mut limits = base.clone();
    for item in given.items().iter() {
        let (name, value) = item.extract::<(String, Bound<'_, PyAny>)>()?;
        if !limits.set(&name, &value)? {
            return Err(wrong_type(given.py(), &name, "is no limit of an execution"));
        }
    }
    Ok(Some(limits))
}

/// All settings of a configuration.
pub(crate) fn to_dict<'py>(py: Python<'py>, config: &PoolConfig) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    config.put(&dict)?;
    config.limits.put(&dict)?;
    Ok(dict)
}

fn base(preset: &Bound<'_, PyAny>) -> PyResult<PoolConfig> {
    let Ok(name) = preset.cast::<PyString>() else {
        return Err(wrong_type(preset.py(), "preset", "must be the name of a preset, such as \"secure\""));
    };
    match name.to_string_lossy() {
        name if name.eq_ignore_ascii_case("default") => Ok(PoolConfig::default()),
        name => name.parse::<Preset>().map(PoolConfig::preset).map_err(|error| raise(preset.py(), &error.into())),
    }
}

/// The names of all settings: those of a pool, and those of an execution.
#[pyfunction]
pub(crate) fn setting_names() -> Vec<&'static str> {
    [PoolConfig::NAMES, ExecutionLimits::NAMES].concat()
}

/// The names of the limits of an execution.
#[pyfunction]
pub(crate) fn limit_names() -> Vec<&'static str> {
    ExecutionLimits::NAMES.to_vec()
}

/// All settings of a preset (`default` is one).
#[pyfunction]
pub(crate) fn preset_settings<'py>(preset: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    to_dict(preset.py(), &base(preset)?)
}

fn integer<'py, T>(name: &str, given: &Bound<'py, PyAny>, most: u64) -> PyResult<T>
where
    T: for<'a> FromPyObject<'a, 'py, Error = PyErr>,
{
    let py = given.py();
    if given.is_instance_of::<PyBool>() || !given.is_instance_of::<PyInt>() {
        return Err(wrong_type(py, name, &format!("is {}; accepted is an int", shown(given))));
    }
    given.extract::<T>().map_err(|error| match error.is_instance_of::<PyOverflowError>(py) {
        true => wrong_value(py, name, format!("is {}; accepted is 0 to {most}", shown(given))),
        false => error,
    })
}

macro_rules! integer_field {
    ($($type:ty),*) => {$(
        impl Field for $type {
            fn take(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
                integer(name, given, <$type>::MAX as u64)
            }

            fn give<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                Ok(self.into_pyobject(py)?.into_any())
            }
        }
    )*};
}

integer_field!(u32, u64, usize);

impl Field for bool {
    fn take(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        given
            .cast::<PyBool>()
            .map(|flag| flag.is_true())
            .map_err(|_| wrong_type(given.py(), name, &format!("is {}; accepted are True and False", shown(given))))
    }

    fn give<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(PyBool::new(py, *self).to_owned().into_any())
    }
}

impl Field for Duration {
    fn take(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        duration(name, given)
    }

    fn give<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(PyFloat::new(py, self.as_secs_f64()).into_any())
    }
}

impl Field for Option<Duration> {
    fn take(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        if given.is_none() { Ok(None) } else { duration(name, given).map(Some) }
    }

    fn give<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.map_or_else(|| Ok(py.None().into_bound(py)), |time| time.give(py))
    }
}

/// Names as an error lists them: in quotes, with an `and` before the last.
pub(crate) fn quoted(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    match &quoted[..] {
        [others @ .., last] if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        all => all.concat(),
    }
}

impl Field for Isolation {
    fn take(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let named = |text: String| Isolation::ALL.into_iter().find(|known| known.name() == text);
        given.extract().ok().and_then(named).ok_or_else(|| {
            let problem = format!("is {}; accepted are {}", shown(given), quoted(&Isolation::ALL.map(Isolation::name)));
            wrong_value(given.py(), name, problem)
        })
    }

    fn give<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(PyString::new(py, self.name()).into_any())
    }
}

impl Field for Option<PathBuf> {
    fn take(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        if given.is_none() {
            return Ok(None);
        }
        given
            .extract()
            .map(Some)
            .map_err(|_| wrong_type(given.py(), name, &format!("is {}; accepted is a path, or None", shown(given))))
    }

    fn give<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.as_ref().map(|path| path.as_os_str()).into_pyobject(py)?.into_any())
    }
}

/// Seconds as a number, or a `timedelta`.
pub(crate) fn duration(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Duration> {
    let py = given.py();
    let accepted = "accepted are seconds as a number of at least 0, or a timedelta";
    let is_number =
        (given.is_instance_of::<PyInt>() && !given.is_instance_of::<PyBool>()) || given.is_instance_of::<PyFloat>();
    let seconds = if is_number {
        // An int may be beyond any float: it is too long all the same.
        given.extract::<f64>().unwrap_or(f64::INFINITY)
    } else {
        let timedelta = py.import("datetime")?.getattr("timedelta")?;
        if !given.is_instance(&timedelta)? {
            return Err(wrong_type(py, name, &format!("is {}; {accepted}", shown(given))));
        }
        given.call_method0("total_seconds")?.extract()?
    };
    if seconds.is_nan() || seconds < 0.0 {
        return Err(wrong_value(py, name, format!("is {}; {accepted}", shown(given))));
    }
    // What is too long for a Duration is too long for every field, which says so itself.
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// A value as a message shows it.
fn shown(given: &Bound<'_, PyAny>) -> String {
    let text = given.repr().map(|text| text.to_string_lossy().into_owned()).unwrap_or_else(|_| "?".into());
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

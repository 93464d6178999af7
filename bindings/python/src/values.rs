//! Values between Python and scripts, always by copy. `README.md` has the table of what becomes what.

use std::panic::{AssertUnwindSafe, catch_unwind};

use enclave_core::{BigInt, ErrorValue, Value};
use pyo3::exceptions::{PyException, PyMemoryError, PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PyMemoryView, PySet, PySlice, PyString,
    PyTuple,
};

use crate::errors::{is_wrong_argument, lost, wrong_type, wrong_value};
use crate::tables::Table;

/// The largest integer up to which a double knows every integer: `Number.MAX_SAFE_INTEGER`.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// What the Python half of this module (`enclave/_values.py`) gives.
struct Helpers {
    undefined: Py<PyAny>,
    error: Py<PyAny>,
    date: Py<PyAny>,
    big_int: Py<PyAny>,
    map: Py<PyAny>,
    set: Py<PyAny>,
    datetime: Py<PyAny>,
    from_datetime: Py<PyAny>,
    to_datetime: Py<PyAny>,
}

fn helpers(py: Python<'_>) -> PyResult<&'static Helpers> {
    static HELPERS: PyOnceLock<Helpers> = PyOnceLock::new();
    HELPERS.get_or_try_init(py, || {
        let module = py.import("enclave._values")?;
        let get = |name: &str| PyResult::Ok(module.getattr(name)?.unbind());
        Ok(Helpers {
            undefined: get("undefined")?,
            error: get("JSError")?,
            date: get("JSDate")?,
            big_int: get("JSBigInt")?,
            map: get("JSMap")?,
            set: get("JSSet")?,
            datetime: get("datetime")?,
            from_datetime: get("from_datetime")?,
            to_datetime: get("to_datetime")?,
        })
    })
}

/// Copies a Python value as a script would get it and give it back.
#[pyfunction]
pub(crate) fn copy<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    to_python(value.py(), &from_python(value, "value")?)
}

/// A value of a script as a Python object, in time and memory linear in its size.
pub(crate) fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    caught(|| copied(py, value))
}

/// Calls something that makes Python objects. pyo3 panics where there is no memory for a small one.
pub(crate) fn caught<T>(make: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(make)).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(|m| &**m));
        match message {
            Some(NO_OBJECT) => Err(PyMemoryError::new_err("no memory for a value of the script")),
            message => Err(lost(message.unwrap_or("panic"))),
        }
    })
}

/// What pyo3 says in its panic.
const NO_OBJECT: &str = "Python API call failed";

fn copied<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Undefined => helpers(py)?.undefined.bind(py).clone(),
        Value::Null => py.None().into_bound(py),
        Value::Bool(flag) => PyBool::new(py, *flag).to_owned().into_any(),
        Value::Number(number) => match safe_integer(*number) {
            Some(integer) => integer.into_pyobject(py)?.into_any(),
            None => PyFloat::new(py, *number).into_any(),
        },
        Value::BigInt(integer) => integer.into_pyobject(py)?.into_any(),
        Value::String(text) => string(py, text)?.into_any(),
        Value::Bytes(bytes) => PyBytes::new_with(py, bytes.len(), |copy| {
            copy.copy_from_slice(bytes);
            Ok(())
        })?
        .into_any(),
        Value::Date(ms) => helpers(py)?.to_datetime.bind(py).call1((*ms,))?,
        Value::Array(items) => list(py, items)?.into_any(),
        Value::Object(entries) => {
            let dict = PyDict::new(py);
            for (key, value) in entries {
                dict.set_item(string(py, key)?, copied(py, value)?)?;
            }
            dict.into_any()
        }
        Value::Map(entries) => map(py, entries)?,
        Value::Set(items) => set(py, items)?,
        Value::Error(error) => {
            let ErrorValue { name, message, code, stack } = &**error;
            let optional = |text: &Option<String>| text.as_deref().map(|text| string(py, text)).transpose();
            let fields = (string(py, name)?, string(py, message)?, optional(code)?, optional(stack)?);
            helpers(py)?.error.bind(py).call1(fields)?
        }
    })
}

/// A text; unlike [`PyString::new`], an error where there is no memory.
fn string<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyString>> {
    PyString::from_bytes(py, text.as_bytes())
}

fn list<'py>(py: Python<'py>, items: &[Value]) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for item in items {
        list.append(copied(py, item)?)?;
    }
    Ok(list)
}

/// A dict, or a `JSMap` where a dict cannot hold the keys.
fn map<'py>(py: Python<'py>, entries: &[(Value, Value)]) -> PyResult<Bound<'py, PyAny>> {
    let pairs = PyList::empty(py);
    let mut hashes = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let key = copied(py, key)?;
        hash(&key, &mut hashes)?;
        pairs.append((key, copied(py, value)?))?;
    }
    if hashes.len() == entries.len() && Table::Dict.linear(&hashes) {
        let dict = PyDict::new(py);
        for pair in pairs.iter() {
            let (key, value) = pair.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
            dict.set_item(key, value)?;
        }
        if dict.len() == entries.len() {
            return Ok(dict.into_any());
        }
    }
    helpers(py)?.map.bind(py).call1((pairs,))
}

/// A set, or a `JSSet` where a set cannot hold the elements.
fn set<'py>(py: Python<'py>, items: &[Value]) -> PyResult<Bound<'py, PyAny>> {
    let elements = list(py, items)?;
    let mut hashes = Vec::with_capacity(items.len());
    for element in elements.iter() {
        hash(&element, &mut hashes)?;
    }
    if hashes.len() == items.len() && Table::Set.linear(&hashes) {
        let set = PySet::empty(py)?;
        for element in elements.iter() {
            set.add(element)?;
        }
        if set.len() == items.len() {
            return Ok(set.into_any());
        }
    }
    helpers(py)?.set.bind(py).call1((elements,))
}

/// Adds the hash of a key, if it has one.
fn hash(key: &Bound<'_, PyAny>, hashes: &mut Vec<isize>) -> PyResult<()> {
    match key.hash() {
        Ok(hash) => hashes.push(hash),
        Err(error) if error.is_instance_of::<PyTypeError>(key.py()) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

/// The integer that this number is, if it is one, no `-0`, and one that a double tells from its neighbours.
fn safe_integer(number: f64) -> Option<i64> {
    let integer = number as i64;
    let is_integer = integer as f64 == number && !(integer == 0 && number.is_sign_negative());
    (is_integer && integer.unsigned_abs() <= MAX_SAFE_INTEGER).then_some(integer)
}

/// A Python object as a value; `what` names it in errors.
pub(crate) fn from_python(object: &Bound<'_, PyAny>, what: &str) -> PyResult<Value> {
    let converter = Converter { py: object.py(), helpers: helpers(object.py())?, what };
    converter.value(object, &Path::Root, 0)
}

/// Where a value is inside the one that is converted: a chain through the stack, which costs nothing unless shown.
enum Path<'a> {
    Root,
    Key(&'a Path<'a>, &'a Bound<'a, PyAny>),
    Index(&'a Path<'a>, usize),
}

impl Path<'_> {
    fn write(&self, text: &mut String) {
        match self {
            Path::Root => {}
            Path::Key(parent, key) => {
                parent.write(text);
                text.push('[');
                text.push_str(&shown(key));
                text.push(']');
            }
            Path::Index(parent, index) => {
                parent.write(text);
                text.push_str(&format!("[{index}]"));
            }
        }
    }
}

/// A key as messages show it. The repr of a long one, or of a large integer, is not even made.
fn shown(key: &Bound<'_, PyAny>) -> String {
    const LENGTH: usize = 40;
    let repr = |key: &Bound<'_, PyAny>| key.repr().map(|repr| repr.to_string_lossy().chars().take(LENGTH).collect());
    let shown: PyResult<String> = if let Ok(text) = key.cast_exact::<PyString>() {
        let start = text.as_any().call_method1("__getitem__", (PySlice::new(key.py(), 0, LENGTH as isize, 1),));
        start.and_then(|start| repr(&start))
    } else if let Ok(integer) = key.cast_exact::<PyInt>() {
        integer.extract::<i128>().map(|integer| integer.to_string())
    } else {
        repr(key)
    };
    shown.unwrap_or_else(|_| "?".into())
}

/// Containers inside each other that are converted; what a script accepts (`max_value_depth`) is never more.
const MAX_DEPTH: usize = enclave_core::MAX_VALUE_DEPTH as usize;

struct Converter<'a> {
    py: Python<'a>,
    helpers: &'static Helpers,
    what: &'a str,
}

impl Converter<'_> {
    fn value(&self, object: &Bound<'_, PyAny>, path: &Path<'_>, depth: usize) -> PyResult<Value> {
        self.converted(object, path, depth).map_err(|error| self.located(error, path))
    }

    /// An error of the object's own code says where the object is. What is ours does already, and others are not about
    /// the object.
    fn located(&self, error: PyErr, path: &Path<'_>) -> PyErr {
        let py = self.py;
        if !error.is_instance_of::<PyException>(py)
            || error.is_instance_of::<PyMemoryError>(py)
            || is_wrong_argument(py, &error)
        {
            return error;
        }
        let about = error.value(py);
        let kind = about.get_type().name().map_or_else(|_| "?".into(), |name| name.to_string_lossy().into_owned());
        let text = about.str().map_or_else(|_| "?".into(), |text| text.to_string_lossy().into_owned());
        let located = wrong_value(py, &self.name(path), format!("cannot be converted: {kind}: {text}"));
        located.set_cause(py, Some(error));
        located
    }

    fn converted(&self, object: &Bound<'_, PyAny>, path: &Path<'_>, depth: usize) -> PyResult<Value> {
        if object.is_none() {
            return Ok(Value::Null);
        }
        if let Ok(text) = object.cast::<PyString>() {
            return text_of(text).map(Value::String);
        }
        if let Ok(flag) = object.cast::<PyBool>() {
            return Ok(Value::Bool(flag.is_true()));
        }
        if let Ok(integer) = object.cast::<PyInt>() {
            return match integer.extract::<i64>() {
                Ok(small) if small.unsigned_abs() <= MAX_SAFE_INTEGER && !self.is_big_int(integer)? => {
                    Ok(Value::Number(small as f64))
                }
                Ok(large) => Ok(Value::BigInt(large.into())),
                Err(error) if error.is_instance_of::<PyOverflowError>(self.py) => {
                    integer.extract::<BigInt>().map(Value::BigInt)
                }
                Err(error) => Err(error),
            };
        }
        if let Ok(float) = object.cast::<PyFloat>() {
            return Ok(Value::Number(float.value()));
        }
        if let Ok(bytes) = object.cast::<PyBytes>() {
            return Ok(Value::Bytes(bytes.as_bytes().to_vec()));
        }
        if let Ok(bytes) = object.cast::<PyByteArray>() {
            return Ok(Value::Bytes(bytes.to_vec()));
        }
        if object.is_instance_of::<PyMemoryView>() {
            return Ok(Value::Bytes(object.call_method0("tobytes")?.cast::<PyBytes>()?.as_bytes().to_vec()));
        }
        let helpers = self.helpers;
        if object.is(&helpers.undefined) {
            return Ok(Value::Undefined);
        }
        if object.is_instance(helpers.datetime.bind(self.py))? {
            let ms = helpers.from_datetime.bind(self.py).call1((object,))?;
            return match ms.extract::<Option<f64>>()? {
                Some(ms) => Ok(Value::date(ms)),
                None => {
                    let problem = "is a datetime without a time zone; give it one, such as tzinfo=timezone.utc";
                    Err(wrong_value(self.py, &self.name(path), problem.into()))
                }
            };
        }
        if object.is_instance(helpers.date.bind(self.py))? {
            return Ok(Value::date(object.getattr("ms")?.extract()?));
        }
        if object.is_instance(helpers.error.bind(self.py))? {
            return Ok(Value::Error(Box::new(ErrorValue {
                name: object.getattr("name")?.extract()?,
                message: object.getattr("message")?.extract()?,
                code: object.getattr("code")?.extract()?,
                stack: None,
            })));
        }
        if depth == MAX_DEPTH {
            let problem = format!("has more than {MAX_DEPTH} levels of nesting, or contains itself");
            return Err(wrong_value(self.py, self.what, problem));
        }
        self.container(object, path, depth + 1)
    }

    fn is_big_int(&self, integer: &Bound<'_, PyInt>) -> PyResult<bool> {
        Ok(!integer.is_exact_instance_of::<PyInt>() && integer.is_instance(self.helpers.big_int.bind(self.py))?)
    }

    fn container(&self, object: &Bound<'_, PyAny>, path: &Path<'_>, depth: usize) -> PyResult<Value> {
        if object.is_instance(self.helpers.map.bind(self.py))? {
            let mut entries = Vec::new();
            for pair in object.cast::<PyList>()?.iter() {
                let (key, value) = pair.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>().map_err(|_| {
                    wrong_type(self.py, &self.name(path), "is a JSMap with an element that is no pair of key and value")
                })?;
                entries.push((self.value(&key, path, depth)?, self.value(&value, &Path::Key(path, &key), depth)?));
            }
            return Ok(Value::Map(entries));
        }
        if object.is_instance(self.helpers.set.bind(self.py))? {
            return self.items(object, path, depth).map(Value::Set);
        }
        if object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>() {
            return self.items(object, path, depth).map(Value::Array);
        }
        if let Ok(dict) = object.cast::<PyDict>() {
            return self.dict(dict, path, depth);
        }
        if object.is_instance_of::<PySet>() || object.is_instance_of::<PyFrozenSet>() {
            return self.items(object, path, depth).map(Value::Set);
        }
        let problem = format!(
            "is of type {}; accepted are None, bool, int, float, str, bytes, datetime, list, tuple, dict, set and the \
             values of enclave",
            object
                .get_type()
                .fully_qualified_name()
                .map_or_else(|_| "?".into(), |name| name.to_string_lossy().into_owned())
        );
        Err(wrong_type(self.py, &self.name(path), &problem))
    }

    fn items(&self, object: &Bound<'_, PyAny>, path: &Path<'_>, depth: usize) -> PyResult<Vec<Value>> {
        let mut items = Vec::with_capacity(object.len().unwrap_or(0).min(1 << 20));
        for (index, item) in object.try_iter()?.enumerate() {
            items.push(self.value(&item?, &Path::Index(path, index), depth)?);
        }
        Ok(items)
    }

    /// A plain object if all keys are text, else a `Map`.
    fn dict(&self, dict: &Bound<'_, PyDict>, path: &Path<'_>, depth: usize) -> PyResult<Value> {
        // A copy, made in one step: another thread may change the dict meanwhile.
        let items = dict.items();
        let mut entries = Vec::with_capacity(items.len());
        let mut plain = true;
        for item in items.iter() {
            let (key, value) = item.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
            let value = self.value(&value, &Path::Key(path, &key), depth)?;
            let key = self.value(&key, path, depth)?;
            plain &= matches!(key, Value::String(_));
            entries.push((key, value));
        }
        if !plain {
            return Ok(Value::Map(entries));
        }
        let text = |key| match key {
            Value::String(text) => text,
            _ => unreachable!("all keys are text"),
        };
        Ok(Value::Object(entries.into_iter().map(|(key, value)| (text(key), value)).collect()))
    }

    fn name(&self, path: &Path<'_>) -> String {
        let mut name = self.what.to_owned();
        path.write(&mut name);
        name
    }
}

/// A text in UTF-8. Surrogates that are in it, as JavaScript sees them: a pair is its character, a lone one U+FFFD.
pub(crate) fn text_of(text: &Bound<'_, PyString>) -> PyResult<String> {
    if let Ok(text) = text.to_str() {
        return Ok(text.to_owned());
    }
    let utf16 = text.call_method1("encode", ("utf-16-le", "surrogatepass"))?;
    let units = utf16.cast::<PyBytes>()?.as_bytes().chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    Ok(char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
}

//! Values between Python and scripts, always by copy. `README.md` has the table of what becomes what.

use enclave_core::{BigInt, ErrorValue, Value};
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PyMemoryView, PySet, PyString, PyTuple,
};

use crate::errors::{wrong_type, wrong_value};

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

/// A value of a script as a Python object.
pub(crate) fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Undefined => helpers(py)?.undefined.bind(py).clone(),
        Value::Null => py.None().into_bound(py),
        Value::Bool(flag) => PyBool::new(py, *flag).to_owned().into_any(),
        Value::Number(number) => match safe_integer(*number) {
            Some(integer) => integer.into_pyobject(py)?.into_any(),
            None => PyFloat::new(py, *number).into_any(),
        },
        Value::BigInt(integer) => integer.into_pyobject(py)?.into_any(),
        Value::String(text) => PyString::new(py, text).into_any(),
        Value::Bytes(bytes) => PyBytes::new(py, bytes).into_any(),
        Value::Date(ms) => helpers(py)?.to_datetime.bind(py).call1((*ms,))?,
        Value::Array(items) => list(py, items)?.into_any(),
        Value::Object(entries) => {
            let dict = PyDict::new(py);
            for (key, value) in entries {
                dict.set_item(key, to_python(py, value)?)?;
            }
            dict.into_any()
        }
        Value::Map(entries) => {
            let pairs = PyList::empty(py);
            for (key, value) in entries {
                pairs.append((to_python(py, key)?, to_python(py, value)?))?;
            }
            match PyDict::from_sequence(pairs.as_any()) {
                Ok(dict) if dict.len() == entries.len() => dict.into_any(),
                // A key that Python cannot hash, or two that are equal there only, such as 1 and true.
                _ => helpers(py)?.map.bind(py).call1((pairs,))?,
            }
        }
        Value::Set(items) => {
            let elements = list(py, items)?;
            match PySet::new(py, elements.iter()) {
                Ok(set) if set.len() == items.len() => set.into_any(),
                _ => helpers(py)?.set.bind(py).call1((elements,))?,
            }
        }
        Value::Error(error) => {
            let ErrorValue { name, message, code, stack } = &**error;
            helpers(py)?.error.bind(py).call1((name, message, code, stack))?
        }
    })
}

fn list<'py>(py: Python<'py>, items: &[Value]) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for item in items {
        list.append(to_python(py, item)?)?;
    }
    Ok(list)
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
                let key = key.repr().map(|key| key.to_string_lossy().into_owned()).unwrap_or_else(|_| "?".into());
                text.push('[');
                text.extend(key.chars().take(40));
                text.push(']');
            }
            Path::Index(parent, index) => {
                parent.write(text);
                text.push_str(&format!("[{index}]"));
            }
        }
    }
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

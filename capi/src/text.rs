//! Text and bytes over the boundary: in as pointer and length, out as borrowed text with a NUL behind it or as an
//! owned [`enclave_buffer_t`].

use std::ffi::{CStr, c_char, c_void};
use std::mem::MaybeUninit;

use enclave_core::Error;

/// As the length of a text: it ends at its first NUL. (`cbindgen.toml` has it for the header: cbindgen cannot say
/// `SIZE_MAX`.)
pub(crate) const ENCLAVE_NUL_TERMINATED: usize = usize::MAX;

/// Bytes made by the library for the caller, such as JSON or CBOR. It is filled by a function that takes a pointer
/// to it, and emptied by `enclave_buffer_free`; an unused one is `{NULL, 0}`. This
/// structure does not grow.
#[repr(C)]
pub struct enclave_buffer_t {
    /// The bytes, followed by a NUL that `len` does not count. Do not change the pointer.
    pub data: *mut c_char,
    /// Their number. Do not change it.
    pub len: usize,
}

impl enclave_buffer_t {
    const EMPTY: enclave_buffer_t = enclave_buffer_t { data: std::ptr::null_mut(), len: 0 };
}

/// Frees the bytes of a buffer and empties it; a NULL, an empty buffer and a second call are fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_buffer_free(buffer: Option<&mut enclave_buffer_t>) {
    crate::boundary::guard((), || {
        let Some(buffer) = buffer.map(|buffer| std::mem::replace(buffer, enclave_buffer_t::EMPTY)) else { return };
        if !buffer.data.is_null() {
            let bytes = std::ptr::slice_from_raw_parts_mut(buffer.data.cast::<u8>(), buffer.len + 1);
            // SAFETY: `data` and `len` are unchanged since `give` made them of a box of `len + 1` bytes.
            drop(unsafe { Box::from_raw(bytes) });
        }
    })
}

/// Gives bytes to the caller.
pub(crate) fn give(
    out: &mut MaybeUninit<enclave_buffer_t>,
    make: impl FnOnce() -> Result<Vec<u8>, Error>,
) -> Result<(), Error> {
    out.write(enclave_buffer_t::EMPTY);
    let mut bytes = make()?;
    let len = bytes.len();
    bytes.reserve_exact(1);
    bytes.push(0);
    let data = Box::into_raw(bytes.into_boxed_slice()).cast();
    out.write(enclave_buffer_t { data, len });
    Ok(())
}

/// The bytes of a caller; NULL is accepted where the length is 0.
///
/// # Safety
///
/// `data` must point to `len` bytes that nobody changes during `'a`.
pub(crate) unsafe fn bytes<'a>(data: *const c_void, len: usize, name: &str) -> Result<&'a [u8], Error> {
    match (data.is_null(), len) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(Error::invalid_argument(name, format!("is NULL, but its length is {len}"))),
        (_, len) if len > isize::MAX as usize => {
            Err(Error::invalid_argument(name, format!("has a length of {len}; accepted is at most {}", isize::MAX)))
        }
        // SAFETY: by the contract of this function; the length is in range.
        _ => Ok(unsafe { std::slice::from_raw_parts(data.cast(), len) }),
    }
}

/// A required text of a caller.
///
/// # Safety
///
/// `text` must point to `len` bytes, or to bytes that end in a NUL if `len` is [`ENCLAVE_NUL_TERMINATED`], that
/// nobody changes during `'a`.
pub(crate) unsafe fn text<'a>(text: *const c_char, len: usize, name: &str) -> Result<&'a str, Error> {
    if text.is_null() {
        return Err(Error::invalid_argument(name, "is NULL"));
    }
    let bytes = match len {
        // SAFETY: by the contract of this function.
        ENCLAVE_NUL_TERMINATED => unsafe { CStr::from_ptr(text) }.to_bytes(),
        // SAFETY: by the contract of this function.
        _ => unsafe { bytes(text.cast(), len, name) }?,
    };
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        Error::invalid_argument(name, format!("is not valid UTF-8 at byte {at} (0x{:02x})", bytes[at]))
    })
}

/// An optional text of a caller: NULL is none.
///
/// # Safety
///
/// As for [`text`].
pub(crate) unsafe fn optional<'a>(data: *const c_char, len: usize, name: &str) -> Result<Option<&'a str>, Error> {
    // SAFETY: by the contract of this function.
    if data.is_null() { Ok(None) } else { unsafe { text(data, len, name) }.map(Some) }
}

/// Text that is lent to the caller with a NUL behind it.
pub(crate) struct Lent(Box<[u8]>);

impl Lent {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        let mut bytes = text.into().into_bytes();
        bytes.reserve_exact(1);
        bytes.push(0);
        Lent(bytes.into())
    }

    pub(crate) fn as_ptr(&self) -> *const c_char {
        self.0.as_ptr().cast()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len() - 1
    }
}

/// Lends a text: its length to `len`, if that is wanted, and NULL and 0 where there is none.
pub(crate) fn lend(text: Option<&Lent>, len: Option<&mut MaybeUninit<usize>>) -> *const c_char {
    lend_raw(text.map(|text| (text.as_ptr(), text.len())), len)
}

/// Lends bytes as they are, without a NUL behind them.
pub(crate) fn lend_bytes(bytes: Option<&[u8]>, len: Option<&mut MaybeUninit<usize>>) -> *const c_char {
    lend_raw(bytes.map(|bytes| (bytes.as_ptr().cast(), bytes.len())), len)
}

fn lend_raw(text: Option<(*const c_char, usize)>, len: Option<&mut MaybeUninit<usize>>) -> *const c_char {
    let (data, length) = text.unwrap_or((std::ptr::null(), 0));
    if let Some(len) = len {
        len.write(length);
    }
    data
}

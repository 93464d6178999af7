//! [`enclave_value_t`]: what crosses the boundary between a script and its host, always by copy.

use enclave_core::Value;

use crate::boundary::guard;

pub mod make;

pub mod read;

pub mod codec;

pub(crate) use codec::{from_cbor, from_json};

/// What kind of value a value is.
pub type enclave_value_kind_t = i32;
/// `undefined`.
pub const ENCLAVE_VALUE_UNDEFINED: enclave_value_kind_t = 0;
/// `null`.
pub const ENCLAVE_VALUE_NULL: enclave_value_kind_t = 1;
/// `true` or `false`.
pub const ENCLAVE_VALUE_BOOL: enclave_value_kind_t = 2;
/// A number; `-0`, `NaN` and the infinities are kept.
pub const ENCLAVE_VALUE_NUMBER: enclave_value_kind_t = 3;
/// A bigint of any size.
pub const ENCLAVE_VALUE_BIGINT: enclave_value_kind_t = 4;
/// A string; a lone surrogate has become U+FFFD.
pub const ENCLAVE_VALUE_STRING: enclave_value_kind_t = 5;
/// The bytes of an `ArrayBuffer`, or those that a typed array or `DataView` shows; into a script, a `Uint8Array`.
pub const ENCLAVE_VALUE_BYTES: enclave_value_kind_t = 6;
/// A `Date`.
pub const ENCLAVE_VALUE_DATE: enclave_value_kind_t = 7;
/// An array.
pub const ENCLAVE_VALUE_ARRAY: enclave_value_kind_t = 8;
/// A `Map`, in insertion order.
pub const ENCLAVE_VALUE_MAP: enclave_value_kind_t = 9;
/// A `Set`, in insertion order.
pub const ENCLAVE_VALUE_SET: enclave_value_kind_t = 10;
/// Any other object: its own enumerable string keys, in order, without functions and symbols.
pub const ENCLAVE_VALUE_OBJECT: enclave_value_kind_t = 11;
/// An `Error` object.
pub const ENCLAVE_VALUE_ERROR: enclave_value_kind_t = 12;

/// A JavaScript value outside its script. An owned value belongs to the caller until it is freed or given away. A lent
/// one (`const`) belongs to its lender: a container, an outcome, a tool call. To keep it longer, clone it. Any thread
/// may use a value, and several may read it at the same time.
///
/// A function that *takes* a value owns it from then on, even if it fails, so values can be built in place:
/// `enclave_value_push(list, enclave_value_new_number(1), NULL)`.
// The attribute is hidden from cbindgen, for which this type shall be opaque.
#[cfg_attr(all(), repr(transparent))]
pub struct enclave_value_t(Value);

impl enclave_value_t {
    pub(crate) fn lend(value: &Value) -> &enclave_value_t {
        // SAFETY: the type is transparent over Value.
        unsafe { &*std::ptr::from_ref(value).cast() }
    }

    pub(crate) fn into_value(self) -> Value {
        self.0
    }
}

/// Frees an owned value and everything inside it; NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_value_free(value: Option<Box<enclave_value_t>>) {
    guard((), || drop(value))
}

/// Copies a value with everything inside it. Owned by the caller; NULL for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_value_clone(value: Option<&enclave_value_t>) -> Option<Box<enclave_value_t>> {
    guard(None, || value.map(|value| Box::new(enclave_value_t(value.0.clone()))))
}

//! The constants of closed sets: literals here, so that cbindgen can read them, and checked against core.

/// Checks that constants are the numbers of a closed set of core, and that none is missing.
macro_rules! pinned {
    ($set:ident as $number:ty: $($constant:ident = $member:ident,)+) => {
        const _: () = {
            $(assert!($constant == $set::$member as $number, stringify!($constant));)+
            assert!([$($constant),+].len() == $set::COUNT, concat!(stringify!($set), " has other members"));
        };
    };
}

pub(crate) use pinned;

/// The name of a member of a closed set, NULL if there is none.
pub(crate) fn name_or_null(name: Option<&'static std::ffi::CStr>) -> *const std::ffi::c_char {
    name.map_or(std::ptr::null(), std::ffi::CStr::as_ptr)
}

//! The clock of scripts that may not see time pass.

use std::ptr::NonNull;

use mozjs::context::{JSContext, RawJSContext};
use mozjs::jsapi::{RTPCallerTypeToken, SetReduceMicrosecondTimePrecisionCallback};

use super::state::State;

/// Puts the one process-wide hook on the engine's clock. It acts only in realms that ask for it.
pub(super) fn install() {
    // SAFETY: called once, before the first realm.
    unsafe { SetReduceMicrosecondTimePrecisionCallback(Some(frozen_clock)) }
}

/// Every clock of a realm that clamps time reads what it read at the start of the execution, in microseconds.
unsafe extern "C" fn frozen_clock(_now: f64, _caller: RTPCallerTypeToken, cx: *mut RawJSContext) -> f64 {
    // SAFETY: the engine hands us this thread's live context.
    let cx = unsafe { JSContext::from_ptr(NonNull::new_unchecked(cx)) };
    State::of(&cx).current.borrow().frozen_time * 1000.0
}

/// The name under which the source's own realm calls the clock: any value does, but there must be one.
pub(super) const CALLER: [u8; 2] = [0, 1];

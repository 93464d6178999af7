//! The engine: one SpiderMonkey runtime a thread, one fresh realm an execution. Knows nothing of queues and pools.

mod allocator;
mod cache;
mod clock;
mod console;
mod console_state;
mod convert;
mod crash;
mod dom_exception;
mod exception;
mod interrupt;
mod isolate;
mod jobs;
mod keeper;
mod kept;
mod memory;
mod message;
mod native;
mod normalize;
mod object;
mod reading;
mod realm;
mod regexp;
mod schedule;
mod script;
mod state;
mod text;
mod thrown;
mod timers;
mod tools;
mod trim;
mod web;

pub use allocator::HostAllocator;
pub(crate) use allocator::counts as memory_is_exact;
pub(crate) use isolate::{Isolate, IsolateConfig};
pub(crate) use keeper::disable_jit;
pub(crate) use trim::leave_to_isolates as leave_trimming_to_isolates;

//! A worker in a process of its own: the pool's side of the socket, in the order of its life.
//!
//! The driver's thread does all the talking: it sends frames and reads what comes back, so that it never waits for a
//! worker that does not read. Others (who answer a tool call or kill) leave their frames in the outbox of the
//! [`Channel`](channel::Channel) and wake it.
//!
//! A worker process is taken for hostile. Every frame is bounded, decoded by [`frame`](super::frame), and checked
//! ([`checks`]) against what the execution may do and where it is; whatever does not fit ends the worker with
//! [`RecycleReason::Protocol`](crate::contract::RecycleReason::Protocol). What a worker says of its own use of time is
//! believed only as far as our clock allows.

mod channel;
mod checks;
mod conversation;
#[cfg(any(test, fuzzing))]
mod hear;
mod launch;
mod reaped;
mod worker;

#[cfg(any(test, fuzzing))]
pub(super) use hear::{Heard, hear};
pub(crate) use launch::{ProcessLauncher, STACK_SIZE};

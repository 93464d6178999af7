//! The pool with fake workers. Named after the defects of a predecessor, where one is what they are about: its number
//! is that of its finding.
//!
//! No test depends on how fast the machine is: they wait for conditions, and where a time must pass, they ask that it
//! has passed, and only generously that not much more has.

mod admission;
mod callbacks;
mod fake;
mod limits;
mod scheduling;
mod shutdown;
mod starting;
mod stats;

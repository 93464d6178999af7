//! Values between the engine and [`Value`](crate::value::Value), by copy, within a budget of bytes and depth.

mod read;
mod write;

pub(super) use read::{Budget, Failure, to_value};
pub(super) use write::from_value;

//! The kinds of workers: [`thread`] runs one on a thread of this process, `process` in a process of its own, whose body
//! is [`serve`]. What a pool may ask of them says [`contract`](crate::contract).

#[cfg(all(target_os = "linux", not(loom)))]
mod buffer;
#[cfg(all(target_os = "linux", not(loom)))]
mod frame;
#[cfg(all(any(test, fuzzing), target_os = "linux", not(loom)))]
pub(crate) mod fuzzing;
#[cfg(all(target_os = "linux", not(loom)))]
mod locate;
#[cfg(all(target_os = "linux", not(loom)))]
pub(crate) mod process;
#[cfg(all(target_os = "linux", not(loom)))]
pub(crate) mod serve;
#[cfg(all(target_os = "linux", not(loom)))]
mod socket;
#[cfg(not(loom))]
pub(crate) mod thread;

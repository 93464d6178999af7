//! The sandbox of the operating system that a worker process puts itself into before it reads the first script. Knows
//! nothing of engine or pool.
//!
//! It is built in three steps, because each layer has its own time:
//!
//! 1. [`detach`], as the first thing the process does: it will die with its parent, has no open file but its socket, no
//!    environment, no core dumps, and the kernel picks it first when memory runs out.
//! 2. [`drop_capabilities`] and [`close_files`], while there is one thread only, because they hold for the calling thread
//!    and those that it makes later: no privileges are left, and no file can be opened any more.
//! 3. [`close_system`], when all threads exist and the engine has started: limits of the kernel and the filter of
//!    system calls (`seccomp.rs`), for all threads at once.
//!
//! A part that the kernel does not have is reported, not an error here: [`SandboxPart`].

use crate::closed::closed;

#[cfg(all(target_os = "linux", not(loom)))]
mod linux;
#[cfg(all(target_os = "linux", not(loom)))]
mod seccomp;

#[cfg(all(target_os = "linux", not(loom)))]
pub(crate) use linux::{
    Budget, Group, Memory, address_space_problem, close_files, close_system, detach, drop_capabilities, parent_is,
};

closed! {
    /// A part of the sandbox around a worker process.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum SandboxPart: u32, "sandbox part" {
        /// The filter of system calls. [`require_seccomp`](crate::PoolConfig::require_seccomp) insists on it.
        Seccomp = 1 "seccomp",
        /// No file can be opened, by landlock. The filter of system calls refuses that too.
        LandlockFiles = 2 "landlock_files",
        /// No TCP port can be bound or connected to, by landlock (Linux 6.7). The filter of system calls refuses that too,
        /// with all other sockets, so that [`require_sandbox`](crate::PoolConfig::require_sandbox) does without this part.
        LandlockNetwork = 4 "landlock_network",
        /// Limits of memory, files, processes and core dumps.
        ResourceLimits = 8 "resource_limits",
        /// The group of [`PoolConfig::cgroup`](crate::PoolConfig::cgroup), where one is configured.
        Cgroup = 16 "cgroup",
    }
}

/// Parts of the sandbox, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts(pub u32);

impl Parts {
    /// What [`require_sandbox`](crate::PoolConfig::require_sandbox) does without.
    const OPTIONAL: u32 = SandboxPart::LandlockNetwork as u32;

    pub(crate) fn add(&mut self, part: SandboxPart) {
        self.0 |= part as u32;
    }

    pub(crate) fn contains(self, part: SandboxPart) -> bool {
        self.0 & part as u32 != 0
    }

    /// Those that `require_sandbox` insists on.
    pub(crate) fn required(self) -> Parts {
        Parts(self.0 & !Parts::OPTIONAL)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn to_vec(self) -> Vec<SandboxPart> {
        SandboxPart::ALL.into_iter().filter(|part| self.contains(*part)).collect()
    }
}

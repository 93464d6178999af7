//! The filter of system calls: what a worker process may still ask of the kernel once it has started. Anything else
//! kills the process, with SIGSYS.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::SeccompCmpOp::{Eq, Le, MaskedEq};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// System calls that may be made with whatever arguments, and why they are needed.
const ALLOWED: &[c_long] = &[
    // Memory of the heap.
    libc::SYS_brk,
    libc::SYS_mremap,
    libc::SYS_munmap,
    // Locks, and threads that wait for each other.
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_restart_syscall,
    // Clocks, where the kernel does not give them without a call, and waiting: for answers, until a timer is due.
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_ppoll,
    // CPU time and memory that the engine and we ask for.
    libc::SYS_getrusage,
    // Seeds of hashes and of Math.random.
    libc::SYS_getrandom,
    // Who we are, for the message and signal of an abort.
    libc::SYS_getpid,
    libc::SYS_gettid,
    // Signals of our own crash.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    // The end.
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Code made by one thread must be seen by all.
    #[cfg(target_arch = "aarch64")]
    libc::SYS_membarrier,
];

/// What may be said of memory: it is not needed any more, at once or as soon as somebody else needs it. Other advice would
/// have the kernel merge pages with those of others, or do what only the superuser may.
const ADVICE: [libc::c_int; 2] = [libc::MADV_DONTNEED, libc::MADV_FREE];

/// Names a region of memory in /proc, which allocators do.
const PR_SET_VMA: u64 = 0x5356_4d41;

const WRITE: u64 = libc::PROT_WRITE as u64;
const EXECUTE: u64 = libc::PROT_EXEC as u64;

/// What tells the kinds of memory that can be mapped apart.
const KINDS_OF_MEMORY: u64 = (libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_GROWSDOWN | libc::MAP_HUGETLB) as u64;

/// Applies the filter to all threads; false if the kernel has no such thing. With `jit`, memory may be made executable,
/// but none is writable at the same time.
pub(super) fn apply(jit: bool) -> bool {
    let program = filter(jit).and_then(|filter| BpfProgram::try_from(filter).ok());
    program.is_some_and(|program| seccompiler::apply_filter_all_threads(&program).is_ok())
}

fn filter(jit: bool) -> Option<SeccompFilter> {
    let mut rules: BTreeMap<c_long, Vec<SeccompRule>> = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    let mut allow = |call: c_long, rule: SeccompRule| rules.entry(call).or_default().push(rule);

    // The sockets to the pool are file descriptors 0 and 1; 2 is /dev/null, where the C library's last words go.
    // Flags and addresses would reach rarely used parts of the kernel.
    for socket in [0, 1] {
        allow(libc::SYS_recvfrom, rule(&[(0, Eq, socket), (3, Eq, 0), (4, Eq, 0)])?);
    }
    let flags = libc::MSG_NOSIGNAL as u64;
    allow(libc::SYS_sendto, rule(&[(0, Eq, 0), (3, Eq, flags), (4, Eq, 0)])?);
    for call in [libc::SYS_write, libc::SYS_writev] {
        allow(call, rule(&[(0, Eq, 2)])?);
    }
    // Memory that is not executable, or with machine code not writable. It must be private and of the ordinary kind: the
    // limit of data counts no other.
    let ordinary = (3, MaskedEq(KINDS_OF_MEMORY), libc::MAP_ANONYMOUS as u64);
    let mut protections = vec![(2, MaskedEq(EXECUTE), 0)];
    if jit {
        protections.push((2, MaskedEq(WRITE), 0));
    }
    for protection in protections {
        allow(libc::SYS_mprotect, rule(std::slice::from_ref(&protection))?);
        allow(libc::SYS_mmap, rule(&[protection, ordinary.clone()])?);
    }
    for advice in ADVICE {
        allow(libc::SYS_madvise, rule(&[(2, Eq, advice as u64)])?);
    }
    // The system's clocks and our own; the negative numbers mean those of other processes.
    for call in [libc::SYS_clock_gettime, libc::SYS_clock_nanosleep] {
        allow(call, rule(&[(0, Le, libc::CLOCK_TAI as u64)])?);
    }
    allow(libc::SYS_prctl, rule(&[(0, Eq, PR_SET_VMA)])?);
    // An abort raises its signal; no other process can be meant.
    allow(libc::SYS_tgkill, rule(&[(0, Eq, std::process::id().into())])?);

    let arch = std::env::consts::ARCH.try_into().ok()?;
    SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, arch).ok()
}

/// A rule of conditions for arguments, all of which must hold.
fn rule(conditions: &[(u8, SeccompCmpOp, u64)]) -> Option<SeccompRule> {
    let conditions = conditions.iter().map(|(argument, operator, value)| {
        SeccompCondition::new(*argument, SeccompCmpArgLen::Qword, operator.clone(), *value).ok()
    });
    SeccompRule::new(conditions.collect::<Option<_>>()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_compiles_with_and_without_machine_code() {
        for jit in [false, true] {
            assert!(BpfProgram::try_from(filter(jit).unwrap()).is_ok());
        }
    }
}

//! The parts of the sandbox, made of what Linux has.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetError, RulesetStatus, Scope,
};
use rustix::process::{
    DumpableBehavior, Pid, Resource, Rlimit, Signal, getppid, getrlimit, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, remove_capability_from_bounding_set,
    set_capabilities, set_no_new_privs,
};

use super::{Parts, SandboxPart, seccomp};

const MIB: u64 = 1024 * 1024;

/// Native stack that the first thread may use; it only reads frames.
const FIRST_STACK: u64 = 2 * MIB;

/// What a worker may use beyond its memory limit: the quarter, and 8 MiB at least, that the engine is let through while
/// it collects garbage or winds up, and what its allocators keep or waste.
const MEMORY_HEADROOM: u64 = 48 * MIB;

/// Messages that a worker may hold in several forms at once: as bytes, as values, as the script's.
const MESSAGES_HELD: u64 = 4;

/// Address space that a worker may take beyond that of its memory: for what is only reserved or was cut to measure, and
/// for mappings that are not writable. What is touched of it costs page tables, 4 KiB for each 2 MiB.
const ADDRESS_HEADROOM: u64 = 1024 * MIB;

/// Address space that a worker takes to start. Most of it the engine reserves for machine code.
const ADDRESS_AT_START: u64 = 192 * MIB;
const ADDRESS_OF_CODE: u64 = 2048 * MIB;

/// Capabilities that the kernel may know: they are bits.
const CAPABILITIES: u32 = 64;

/// Threads of a worker, and some to spare; for the group only, since the filter refuses new ones anyway.
const MAX_THREADS: u64 = 16;

/// Cuts the process off from its parent, but for file descriptor 0: it dies with it, has nothing of its files, directory
/// and signals, and leaves no core. A signal that an operator sends ends it. Fails if the parent is gone, or is not `parent`.
///
/// # Safety
///
/// No file descriptor but 0, 1 and 2 may be in use, and no other thread may run.
pub(crate) unsafe fn detach() -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // Before the process is undumpable: then its files in /proc belong to root. The first to go when memory runs out.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // SAFETY: by the contract of this function.
    unsafe {
        // One heap for all threads: the C library's other heaps look at a file in /proc before they shrink.
        #[cfg(target_env = "gnu")]
        libc::mallopt(libc::M_ARENA_MAX, 1);
        if libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) != 0 {
            close_one_by_one()?;
        }
        // What the host ignores is inherited; Rust's own handlers would only delay a crash.
        for signal in 1..=libc::SIGSYS {
            libc::signal(signal, libc::SIG_DFL);
        }
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        // So is the mask of the thread that has started us, which blocks all that can be.
        let mut none = std::mem::MaybeUninit::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
    }
    std::env::set_current_dir("/")?;
    set_no_new_privs(true)?;
    Ok(())
}

/// Closes all file descriptors but 0, 1 and 2, for kernels that cannot do it at once.
///
/// # Safety
///
/// None of them may be in use.
unsafe fn close_one_by_one() -> io::Result<()> {
    let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_str().and_then(|fd| fd.parse().ok()));
    // The directory's own is among them, and closed by now.
    let open = fs::read_dir("/proc/self/fd")?.map(name).collect::<io::Result<Vec<Option<i32>>>>()?;
    for fd in open.into_iter().flatten().filter(|fd| *fd > 2) {
        // SAFETY: by the contract of this function.
        unsafe { libc::close(fd) };
    }
    Ok(())
}

/// Gives up all that the superuser may: nothing here needs it, and some of what is allowed does more with it. For this
/// thread and those that it makes.
pub(crate) fn drop_capabilities() -> io::Result<()> {
    // From what can never be had again. It takes a capability itself: where that is missing there is nothing to lose, as
    // no program that gives any can be started.
    for capability in (0..CAPABILITIES).filter_map(|bit| CapabilitySet::from_bits(1 << bit)) {
        let _ = remove_capability_from_bounding_set(capability);
    }
    let _ = clear_ambient_capability_set();
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    if capabilities(None)? != none {
        set_capabilities(None, none)?;
    }
    Ok(())
}

/// Says that a worker will not find the address space that it needs to start, if so. The limit is the host's.
pub(crate) fn address_space_problem(jit: bool) -> Option<String> {
    let needed = ADDRESS_AT_START + if jit { ADDRESS_OF_CODE } else { 0 };
    let limit = getrlimit(Resource::As).current.filter(|limit| *limit < needed)?;
    Some(format!(
        "its address space is limited to {limit} bytes, as that of the host is (RLIMIT_AS, ulimit -v); it needs {needed} \
         to start, and its memory besides"
    ))
}

/// Whether this is still the process that started us.
pub(crate) fn parent_is(parent: u32) -> bool {
    getppid().map(Pid::as_raw_nonzero).is_some_and(|pid| pid.get().unsigned_abs() == parent)
}

/// Lets no file be opened, and no TCP port be used, by this thread and those it makes. What is missing is returned.
pub(crate) fn close_files() -> Parts {
    let mut missing = Parts::default();
    let abi = ABI::V6;
    let files = restrict(|ruleset| ruleset.handle_access(AccessFs::from_all(abi)));
    if !files {
        missing.add(SandboxPart::LandlockFiles);
    }
    let network = restrict(|ruleset| ruleset.handle_access(AccessNet::from_all(abi)));
    if !network {
        missing.add(SandboxPart::LandlockNetwork);
    }
    // Signals and abstract sockets (Linux 6.12), both of which the filter refuses as well.
    restrict(|ruleset| ruleset.scope(Scope::from_all(abi)));
    missing
}

/// Applies a ruleset without rules, and says whether any of it is enforced.
fn restrict(handle: impl FnOnce(Ruleset) -> Result<Ruleset, RulesetError>) -> bool {
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
    let status = handle(ruleset).and_then(Ruleset::create).and_then(|ruleset| ruleset.restrict_self());
    status.is_ok_and(|status| status.ruleset != RulesetStatus::NotEnforced)
}

/// What a worker process may use of the system.
pub(crate) struct Budget {
    pub memory_limit: u64,
    pub max_message_size: u64,
    /// Machine code may be made.
    pub jit: bool,
}

impl Budget {
    /// Bytes of memory beyond what the process holds when it has started.
    fn memory(&self) -> u64 {
        let engine = self.memory_limit.saturating_add((self.memory_limit / 4).max(8 * MIB));
        engine.saturating_add(MESSAGES_HELD * self.max_message_size).saturating_add(MEMORY_HEADROOM)
    }
}

/// Limits what the process can use, and refuses, for all its threads, every system call that it does not need. What is
/// missing is returned. There is no way back.
pub(crate) fn close_system(budget: &Budget, memory: Memory) -> Parts {
    let mut missing = Parts::default();
    let limit = |resource, most: u64| {
        // One that was set from outside stays where it is lower.
        let most = getrlimit(resource).maximum.map_or(most, |before| before.min(most));
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) }).is_ok()
    };
    let held = memory.read();
    let address_space = |size: u64| size.saturating_add(budget.memory()).saturating_add(ADDRESS_HEADROOM);
    let limited = [
        held.as_ref().is_some_and(|held| limit(Resource::Data, held.data.saturating_add(budget.memory()))),
        held.as_ref().is_some_and(|held| limit(Resource::As, address_space(held.size))),
        limit(Resource::Stack, FIRST_STACK),
        limit(Resource::Nofile, 3),
        limit(Resource::Nproc, 0),
        limit(Resource::Core, 0),
        limit(Resource::Fsize, 0),
    ];
    if limited.contains(&false) {
        missing.add(SandboxPart::ResourceLimits);
    }
    if !seccomp::apply(budget.jit) {
        missing.add(SandboxPart::Seccomp);
    }
    missing
}

/// The kernel's account of the memory of this process; opened while files can be.
pub(crate) struct Memory(Option<fs::File>);

impl Memory {
    pub(crate) fn open() -> Self {
        Memory(fs::File::open("/proc/self/statm").ok())
    }

    fn read(self) -> Option<Held> {
        let mut statm = String::new();
        self.0?.read_to_string(&mut statm).ok()?;
        let bytes = |field| {
            let pages: u64 = statm.split_ascii_whitespace().nth(field)?.parse().ok()?;
            Some(pages * rustix::param::page_size() as u64)
        };
        Some(Held { size: bytes(0)?, data: bytes(5)? })
    }
}

/// What a process holds, in bytes.
struct Held {
    /// Its address space.
    size: u64,
    /// What counts against the limit of data: private writable memory (heap, buffers, stacks).
    data: u64,
}

/// A group of cgroup v2 for one worker process; removed when it is dropped, which must be after the process has ended.
pub(crate) struct Group {
    directory: PathBuf,
}

impl Group {
    /// Makes the group and puts a process into it; none if the kernel refuses any of it.
    pub(crate) fn new(parent: &Path, name: &str, process: u32, budget: &Budget) -> Option<Group> {
        let directory = parent.join(name);
        // One of an earlier process of the same id, which has ended without removing it, is empty.
        let _ = fs::remove_dir(&directory);
        fs::create_dir(&directory).ok()?;
        let group = Group { directory };
        let set = |file: &str, value: u64| {
            let file = fs::OpenOptions::new().write(true).open(group.directory.join(file));
            file.is_ok_and(|mut file| file.write_all(value.to_string().as_bytes()).is_ok())
        };
        // The text of the executable is shared, but the first group that touches it pays.
        let memory = budget.memory().saturating_add(64 * MIB);
        let whole = set("memory.max", memory) && set("pids.max", MAX_THREADS) && set("cgroup.procs", process.into());
        // What swaps is not stopped; not every kernel has swap.
        set("memory.swap.max", 0);
        whole.then_some(group)
    }

    /// Whether the kernel has killed a process of the group because it had used up its memory.
    pub(crate) fn ran_out_of_memory(&self) -> bool {
        let events = fs::read_to_string(self.directory.join("memory.events")).unwrap_or_default();
        events.lines().any(|line| line.strip_prefix("oom_kill ").is_some_and(|count| count.trim() != "0"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.directory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_kernel_has_landlock_no_file_and_no_port_can_be_opened() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // It holds for this thread alone.
        std::thread::spawn(move || {
            set_no_new_privs(true).unwrap();
            let missing = close_files();
            if !missing.contains(SandboxPart::LandlockFiles) {
                let error = fs::File::open("/etc/passwd").unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
                assert!(fs::write("/tmp/enclave-landlock-test", "").is_err());
            }
            if !missing.contains(SandboxPart::LandlockNetwork) {
                assert!(std::net::TcpStream::connect(address).is_err());
                assert!(std::net::TcpListener::bind("127.0.0.1:0").is_err());
            }
        })
        .join()
        .unwrap();
        assert!(std::net::TcpStream::connect(address).is_ok());
    }

    #[test]
    fn a_group_that_cannot_be_had_leaves_nothing_behind() {
        let budget = Budget { memory_limit: 64 * MIB, max_message_size: MIB, jit: true };
        let parent = std::env::temp_dir().join(format!("enclave-group-test-{}", std::process::id()));
        fs::create_dir(&parent).unwrap();
        // No cgroup: the files of one are not there, and cannot be made by writing to them.
        assert!(Group::new(&parent, "group", std::process::id(), &budget).is_none());
        assert!(Group::new(&parent.join("missing"), "group", std::process::id(), &budget).is_none());
        assert_eq!(fs::read_dir(&parent).unwrap().count(), 0);
        fs::remove_dir(&parent).unwrap();
    }
}

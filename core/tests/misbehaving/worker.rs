//! A worker that misbehaves on demand, as one might that a script has taken over completely: a source that begins with
//! `misbehave` names what it does instead. What it can do, the sandbox allows; what it says, the pool must survive.

#[global_allocator]
static ALLOCATOR: enclave_core::HostAllocator = enclave_core::HostAllocator;

fn main() {
    enclave_core::misbehaving_worker_main(misbehave)
}

/// Gives a source to execute in place of this one, if it comes back at all.
fn misbehave(source: &str, execution: u64) -> Option<String> {
    let (what, argument) = source.strip_prefix("misbehave ")?.split_once(' ').unwrap_or((&source[10..], ""));
    Some(match what {
        "call" => system_call(argument),
        "write" => {
            write(&hex(argument));
            "'written'".into()
        }
        "frame" => {
            let body = hex(&argument.replace("ID", &format!("1a{execution:08x}")));
            write(&[&(body.len() as u32).to_le_bytes()[..], &body].concat());
            "'framed'".into()
        }
        "frame-and-spin" => {
            misbehave(&source.replace("frame-and-spin", "frame"), execution);
            loop {
                std::hint::spin_loop();
            }
        }
        "calls" => {
            let (count, length) = argument.split_once(' ').expect("two numbers");
            for call in 1..=count.parse::<u8>().expect("a number") {
                let length: u32 = length.parse().expect("a number");
                let head = hex(&format!("8200841a{execution:08x}18{call:02x}61615a{length:08x}"));
                let size = head.len() as u32 + length;
                write(&[&size.to_le_bytes()[..], &head, &vec![0; length as usize]].concat());
            }
            "'called'".into()
        }
        "write-and-exit" => {
            write(&hex(argument));
            exit(0)
        }
        "exit" => exit(argument.parse().expect("a number")),
        "signal" => {
            // SAFETY: it only ends this process.
            unsafe {
                libc::syscall(libc::SYS_tgkill, libc::getpid(), libc::gettid(), argument.parse::<i32>().unwrap())
            };
            "'signalled'".into()
        }
        "crash" => {
            // SAFETY: it is not: this is the point.
            unsafe { (8 as *mut u8).write_volatile(1) };
            unreachable!()
        }
        "sleep" => loop {
            std::thread::sleep(std::time::Duration::from_secs(1));
        },
        "spin" => loop {
            std::hint::spin_loop();
        },
        "flood" => loop {
            write(&[0; 65536]);
        },
        "take-memory" => take_memory(libc::PROT_READ | libc::PROT_WRITE).to_string(),
        "take-address-space" => take_memory(libc::PROT_READ).to_string(),
        other => panic!("there is no misbehaviour {other:?}"),
    })
}

/// Bytes that can be had from the system, in steps of a MiB, up to 4 GiB; they are given back.
fn take_memory(protection: libc::c_int) -> u64 {
    const STEP: usize = 1 << 20;
    let mut places = Vec::with_capacity(4096);
    while places.len() < places.capacity() {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: new anonymous memory, behind the back of the ledger.
        let place = unsafe { libc::syscall(libc::SYS_mmap, 0, STEP, protection, flags, -1, 0) };
        if place == -1 {
            break;
        }
        places.push(place);
    }
    for place in &places {
        // SAFETY: it was mapped above, and nobody else knows it.
        unsafe { libc::syscall(libc::SYS_munmap, *place, STEP) };
    }
    (places.len() * STEP) as u64
}

/// Makes a system call, whose arguments make sense where that matters, and tells what it gave.
fn system_call(name: &str) -> String {
    let path = c"/etc/passwd".as_ptr() as usize;
    let own = std::process::id() as usize;
    let rwx = (libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC) as usize;
    let anonymous = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize;
    let (number, arguments): (libc::c_long, [usize; 6]) = match name {
        "openat" => (libc::SYS_openat, [libc::AT_FDCWD as usize, path, 0, 0, 0, 0]),
        "openat2" => (libc::SYS_openat2, [libc::AT_FDCWD as usize, path, 0, 0, 0, 0]),
        "readlinkat" => (libc::SYS_readlinkat, [libc::AT_FDCWD as usize, path, 0, 0, 0, 0]),
        "unlinkat" => (libc::SYS_unlinkat, [libc::AT_FDCWD as usize, path, 0, 0, 0, 0]),
        "newfstatat" => (libc::SYS_newfstatat, [libc::AT_FDCWD as usize, path, 0, 0, 0, 0]),
        "getdents64" => (libc::SYS_getdents64, [0; 6]),
        "memfd_create" => (libc::SYS_memfd_create, [path, 0, 0, 0, 0, 0]),
        "socket" => (libc::SYS_socket, [libc::AF_INET as usize, libc::SOCK_STREAM as usize, 0, 0, 0, 0]),
        "socketpair" => (libc::SYS_socketpair, [libc::AF_UNIX as usize, libc::SOCK_STREAM as usize, 0, 0, 0, 0]),
        "connect" => (libc::SYS_connect, [0; 6]),
        "sendmsg" => (libc::SYS_sendmsg, [0; 6]),
        "execve" => (libc::SYS_execve, [path, 0, 0, 0, 0, 0]),
        "execveat" => (libc::SYS_execveat, [libc::AT_FDCWD as usize, path, 0, 0, 0, 0]),
        "clone" => (libc::SYS_clone, [libc::SIGCHLD as usize, 0, 0, 0, 0, 0]),
        "clone3" => (libc::SYS_clone3, [0; 6]),
        "ptrace" => (libc::SYS_ptrace, [0; 6]),
        "process_vm_readv" => (libc::SYS_process_vm_readv, [own, 0, 0, 0, 0, 0]),
        "pidfd_open" => (libc::SYS_pidfd_open, [own, 0, 0, 0, 0, 0]),
        // SAFETY: asks for a number.
        "kill-parent" => (libc::SYS_kill, [unsafe { libc::getppid() } as usize, 9, 0, 0, 0, 0]),
        "tgkill-parent" => (libc::SYS_tgkill, [1, 1, 0, 0, 0, 0]),
        "io_uring_setup" => (libc::SYS_io_uring_setup, [0; 6]),
        "bpf" => (libc::SYS_bpf, [0; 6]),
        "perf_event_open" => (libc::SYS_perf_event_open, [0; 6]),
        "userfaultfd" => (libc::SYS_userfaultfd, [0; 6]),
        "keyctl" => (libc::SYS_keyctl, [0; 6]),
        "unshare" => (libc::SYS_unshare, [libc::CLONE_NEWUSER as usize, 0, 0, 0, 0, 0]),
        "mount" => (libc::SYS_mount, [0; 6]),
        "chdir" => (libc::SYS_chdir, [path, 0, 0, 0, 0, 0]),
        "dup" => (libc::SYS_dup, [0; 6]),
        "fcntl" => (libc::SYS_fcntl, [0; 6]),
        "ioctl" => (libc::SYS_ioctl, [0; 6]),
        "prlimit64" => (libc::SYS_prlimit64, [0; 6]),
        "set-dumpable" => (libc::SYS_prctl, [libc::PR_SET_DUMPABLE as usize, 1, 0, 0, 0, 0]),
        "setuid" => (libc::SYS_setuid, [0; 6]),
        "sched_setaffinity" => (libc::SYS_sched_setaffinity, [0; 6]),
        "mmap-rwx" => (libc::SYS_mmap, [0, 4096, rwx, anonymous, usize::MAX, 0]),
        "mmap-shared" => {
            (libc::SYS_mmap, [0, 4096, 3, (libc::MAP_SHARED | libc::MAP_ANONYMOUS) as usize, usize::MAX, 0])
        }
        "mmap-growing" => (libc::SYS_mmap, [0, 4096, 3, anonymous | libc::MAP_GROWSDOWN as usize, usize::MAX, 0]),
        "mmap-huge" => (libc::SYS_mmap, [0, 4096, 3, anonymous | libc::MAP_HUGETLB as usize, usize::MAX, 0]),
        "mmap-file" => (libc::SYS_mmap, [0, 4096, 1, libc::MAP_PRIVATE as usize, 0, 0]),
        "send-out-of-band" => (libc::SYS_sendto, [0, path, 1, libc::MSG_OOB as usize, 0, 0]),
        "receive-ahead" => (libc::SYS_recvfrom, [0, path, 0, libc::MSG_PEEK as usize, 0, 0]),
        "clock-of-another" => (libc::SYS_clock_gettime, [(!1i64 << 3 | 2) as usize, path, 0, 0, 0, 0]),
        "sleep-by-another" => (libc::SYS_clock_nanosleep, [(!1i64 << 3 | 2) as usize, 0, path, 0, 0, 0]),
        "madvise-poison" => (libc::SYS_madvise, [0, 4096, libc::MADV_HWPOISON as usize, 0, 0, 0]),
        "madvise-merge" => (libc::SYS_madvise, [0, 4096, libc::MADV_MERGEABLE as usize, 0, 0, 0]),
        "madvise-huge" => (libc::SYS_madvise, [0, 4096, libc::MADV_HUGEPAGE as usize, 0, 0, 0]),
        "mprotect-rwx" => (libc::SYS_mprotect, [0, 4096, rwx, 0, 0, 0]),
        "mmap-rx" => (libc::SYS_mmap, [0, 4096, libc::PROT_EXEC as usize, anonymous, usize::MAX, 0]),
        "write-elsewhere" => (libc::SYS_write, [1, path, 1, 0, 0, 0]),
        "read" => (libc::SYS_read, [0; 6]),
        other => panic!("there is no system call {other:?}"),
    };
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the kernel checks pointers; what should not be done is what is being tested.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    format!("'{name} gave {result}'")
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn write(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        // SAFETY: the bytes are there.
        let sent = unsafe { libc::send(0, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
        match usize::try_from(sent) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(_) => exit(1),
        }
    }
}

fn exit(code: i32) -> ! {
    // SAFETY: it does not return.
    unsafe { libc::_exit(code) }
}

//! Ordinary scripts in worker processes, in hosts of many kinds: whatever a script may call, the sandbox lets the engine do.
//!
//! Each host is a process of its own, prepared by a shell: with another time zone, without `/proc`, in a chroot, and so on.
//! Most of that only root can do, and some no container; what cannot be had here is skipped, and says so.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use enclave_core::{Error, ExecutionOptions, Isolation, Pool, PoolConfig, RecycleReason, Status, ToolCall, Value};

use crate::common::{self, WORKER};

/// The test that is the body of a host.
const THIS: &str = "hosts::host";
/// Set in a host that has been prepared, to what it is to do.
const HOST: &str = "ENCLAVE_TEST_HOST";
/// What a host prints at its end.
const DONE: &str = "ordinary scripts have run";
/// The exit code of a preparation that is not possible here.
const NOT_HERE: i32 = 77;

/// The scripts, and how much each does at least.
const SCRIPTS: [(&str, &str, f64); 4] = [
    ("functions.js", include_str!("ordinary/functions.js"), 750.0),
    ("dates.js", include_str!("ordinary/dates.js"), 2000.0),
    ("large.js", include_str!("ordinary/large.js"), 1_000_000.0),
    ("waiting.js", include_str!("ordinary/waiting.js"), 6.0),
];

/// What takes all memory, each in another way: it ends with MEMORY_LIMIT.
const GREEDY: [&str; 5] = [
    "const a = []; for (;;) a.push(new Uint8Array(1e6).fill(1))",
    "const a = []; for (;;) a.push({a: a.length})",
    "let s = 'ab'; const all = []; for (;;) all.push((s += s.slice(0, 5e5)).toUpperCase())",
    "const m = new Map(); for (let i = 0; ; i++) m.set(i, [i])",
    "const a = []; for (;;) { const r = new RegExp('a|b|' + a.length); r.exec('x'); a.push(r, new Array(1000).fill(0)); }",
];

fn config(jit: bool) -> PoolConfig {
    PoolConfig { memory_limit_per_worker: 128 << 20, jit, ..common::config(Isolation::Process) }
}

fn run_ordinary_scripts(jit: bool, scripts: &[&str]) {
    let pool = Pool::builder(config(jit)).tool("echo", Arc::new(|call: ToolCall| call.reply.resolve(call.args)));
    let pool = pool.build().unwrap();
    for (name, source, least) in SCRIPTS.into_iter().filter(|(name, ..)| scripts.contains(name)) {
        let result = pool.run(source, ExecutionOptions { filename: Some(name.into()), ..Default::default() });
        let Ok(Value::Object(fields)) = &result else { panic!("{name}: {result:?}") };
        let field = |wanted: &str| &fields.iter().find(|(name, _)| name == wanted).unwrap().1;
        let Value::Number(count) = field("count") else { panic!("{name}: {fields:?}") };
        let Value::Array(refused) = field("refused") else { panic!("{name}: {fields:?}") };
        println!("{name}: {count} done, {} refused: {refused:?}", refused.len());
        assert!(*count >= least && (refused.len() as f64) < count / 10.0, "{name}: {fields:?}");
    }
    assert_eq!(pool.stats().total_recycles(), 0, "{:?}", pool.stats());
    if scripts.len() == SCRIPTS.len() {
        for source in GREEDY {
            let error = pool.run(source, Default::default()).unwrap_err();
            assert_eq!(error.status(), Status::MemoryLimit, "{source}: {error}");
        }
        assert_eq!(pool.stats().recycles(RecycleReason::MemoryLimit), GREEDY.len() as u64);
    }
    assert_eq!(pool.stats().sandbox_violations, 0);
    println!("{DONE}");
}

/// The body of a host that has been prepared.
#[test]
fn host() {
    match std::env::var(HOST).as_deref() {
        // It is started by the tests below.
        Err(_) => {}
        Ok("all") => run_ordinary_scripts(true, &SCRIPTS.map(|(name, ..)| name)),
        Ok("interpreted") => run_ordinary_scripts(false, &["functions.js", "dates.js", "waiting.js"]),
        Ok("quick") => run_ordinary_scripts(true, &["dates.js", "large.js", "waiting.js"]),
        Ok("dates") => run_ordinary_scripts(true, &["dates.js", "waiting.js"]),
        Ok("refused") => {
            let error: Error = Pool::new(config(true)).unwrap_err();
            println!("{DONE}: {error}");
        }
        Ok(other) => panic!("there is no host {other:?}"),
    }
}

/// Starts a host that a shell prepares: `wrapper` (such as `unshare -m`) runs the shell, which runs `preparation`, and then
/// becomes the host, inside of what the preparation has set `IN` to.
fn start(wrapper: &[&str], preparation: &str, what: &str) -> Output {
    let script = format!(
        "set -e; trap 'exit {NOT_HERE}' EXIT; {preparation}\ntrap - EXIT\nexec $IN \"$TEST\" --exact {THIS} --nocapture"
    );
    Command::new(wrapper[0])
        .args(&wrapper[1..])
        .args(["bash", "-c", &script])
        .env(HOST, what)
        .env("TEST", std::env::current_exe().unwrap())
        .env("TARGET", Path::new(WORKER).parent().unwrap())
        .env_remove("TZ")
        .env_remove("IN")
        .output()
        .unwrap()
}

/// Starts such a host, and checks that all has run in it.
fn check(name: &str, wrapper: &[&str], preparation: &str, what: &str) {
    let output = start(wrapper, preparation, what);
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let prints = wrapper != CLOSED;
    if output.status.code() == Some(NOT_HERE)
        || (prints && !output.status.success() && !text.contains("running 1 test"))
    {
        println!("{name}: skipped, not possible here: {}", text.trim());
        return;
    }
    assert!(output.status.success() && (text.contains(DONE) || !prints), "{name}: {}\n{text}", output.status);
    let lines = text.lines().filter(|line| line.contains(" done, ") || line.contains(DONE));
    println!("{name}: {}", lines.collect::<Vec<_>>().join("; "));
}

const PLAIN: &[&str] = &["env"];
/// With files of its own to mount.
const MOUNT: &[&str] = &["unshare", "-m"];
/// Without standard streams, so that nothing is printed.
const CLOSED: &[&str] = &["bash", "-c", "exec \"$@\" <&- >&- 2>&-", "closed"];

/// `/etc` as it is, but to be changed by this process alone.
const OWN_ETC: &str =
    "mount -t tmpfs none /mnt; cp -a /etc /mnt/etc; mount --bind /mnt/etc /etc; rm -rf /etc/localtime";

#[test]
fn every_function_can_be_called_in_the_sandbox() {
    check("as it is", PLAIN, "true", "all");
    check("interpreted", PLAIN, "true", "interpreted");
}

#[test]
fn the_time_zone_of_the_host_does_not_matter() {
    let zones = [
        "",
        "UTC",
        ":Europe/Berlin",
        "America/New_York",
        "CET-1CEST,M3.5.0,M10.5.0/3",
        "<+03>-3",
        "posix/Asia/Tokyo",
        ":/usr/share/zoneinfo/Europe/Berlin",
        "/etc/localtime",
        "Nowhere/Atall",
        "../../etc/passwd",
        "\u{f1}",
    ];
    for zone in zones {
        check(&format!("TZ={zone:?}"), PLAIN, &format!("export TZ='{zone}'"), "dates");
    }
    for (name, preparation) in [
        ("a link", "ln -s /usr/share/zoneinfo/Europe/Berlin /etc/localtime"),
        ("a link to elsewhere", "ln -s /var/db/timezone/localtime /etc/localtime"),
        ("a plain file", "cp -L $(find /usr/share/zoneinfo -type f | head -n 1) /etc/localtime"),
        ("no file of a time zone", "echo text >/etc/localtime"),
        ("a directory", "mkdir /etc/localtime"),
        ("missing", "true"),
        ("missing, as all zones", "mount -t tmpfs none /usr/share/zoneinfo"),
    ] {
        check(&format!("/etc/localtime: {name}"), MOUNT, &format!("{OWN_ETC}; {preparation}"), "dates");
    }
}

#[test]
fn the_file_systems_of_the_host_do_not_matter() {
    // Everything that a program needs to start, and nothing else.
    let chroot = "root=/mnt; mount -t tmpfs none $root; mkdir -p $root/dev $root/tmp; touch $root/dev/null
        for place in /bin /lib /lib64 /usr \"$TARGET\"; do
            [[ -e $place ]] || continue
            if [[ -L $place ]]; then cp -a $place $root$place; else mkdir -p $root$place; mount --rbind $place $root$place; fi
        done
        mount --bind /dev/null $root/dev/null; IN=\"chroot $root\"";
    for (name, preparation) in [
        ("no /proc", "umount -l /proc"),
        ("/proc without other processes", "mount -t proc -o hidepid=2 proc /proc"),
        ("all is read-only", "mount -o remount,bind,ro /"),
        ("chroot", chroot),
        ("no directory", "mkdir -p /tmp/enclave-gone-$$; cd /tmp/enclave-gone-$$; rmdir /tmp/enclave-gone-$$"),
    ] {
        check(name, MOUNT, preparation, "quick");
    }
    let output = start(MOUNT, "mount -t tmpfs none /dev", "refused");
    if output.status.code() != Some(NOT_HERE) && !output.stdout.is_empty() {
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("/dev/null cannot be opened"), "{text}");
    }
}

#[test]
fn what_the_host_may_do_does_not_matter() {
    let hosts: [(&str, &[&str], &str); 15] = [
        ("a namespace of users", &["unshare", "-U", "-r", "-m"], "true"),
        ("a namespace of processes", &["unshare", "-p", "-f", "-m", "--mount-proc"], "true"),
        ("no network", &["unshare", "-n"], "true"),
        (
            "nobody",
            &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
            "test -x \"$TEST\" -a -x \"$TARGET/enclave-worker\"",
        ),
        ("no capabilities", &["setpriv", "--bounding-set=-all", "--inh-caps=-all"], "true"),
        ("no new privileges", &["setpriv", "--no-new-privs"], "true"),
        ("few files", PLAIN, "ulimit -n 40"),
        ("little of much", PLAIN, "ulimit -f 0 -c 0 -l 0 -q 0 -i 0 -x 0"),
        ("a small stack", PLAIN, "ulimit -s 512"),
        ("address space for one worker", PLAIN, "ulimit -v 6291456"),
        ("no standard streams", CLOSED, "true"),
        ("signals are ignored", PLAIN, "trap '' HUP INT QUIT USR1 USR2 ALRM TERM CHLD PIPE"),
        ("no addresses at random", &["setarch", "-R"], "true"),
        ("another language", PLAIN, "export LANG=tr_TR.UTF-8 LC_ALL=tr_TR.UTF-8 LANGUAGE=tr"),
        ("large pages", PLAIN, "export GLIBC_TUNABLES=glibc.malloc.hugetlb=1 MALLOC_ARENA_MAX=8"),
    ];
    for (name, wrapper, preparation) in hosts {
        check(name, wrapper, preparation, "quick");
    }
}

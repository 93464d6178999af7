//! Random scripts against workers that are threads: `fuzz-scripts [--time SECONDS | --seeds FIRST..END] [FILE.js ...]`.
//!
//! The scripts run in a child process, so that a crash is a finding like any other. Each is checked while it runs and
//! after it, see [`runner`]. A finding is made as small as it gets, printed, and kept as a file that repeats it.

mod finder;
mod program;
mod runner;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Keeps our own memory out of the workers' ledgers.
#[global_allocator]
static ALLOCATOR: enclave_core::HostAllocator = enclave_core::HostAllocator;

const USAGE: &str = "usage: fuzz-scripts [--time SECONDS | --seeds FIRST..END] [FILE.js ...]
Without files it makes scripts: of these seeds, or of random ones for so long (default 60 seconds).
SEED=N in the environment makes the script of one seed, prints it and runs it.";

/// What is asked for.
enum Task {
    Child,
    Files(Vec<PathBuf>),
    Seeds(std::ops::Range<u64>),
    Time(Duration),
}

fn main() -> ExitCode {
    let Some(task) = task(std::env::args().skip(1).collect()) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let findings = match task {
        Task::Child => return runner::main(),
        Task::Files(files) => finder::files(&files),
        Task::Seeds(seeds) => finder::seeds(seeds),
        Task::Time(time) => finder::random(time),
    };
    match findings {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn task(arguments: Vec<String>) -> Option<Task> {
    let seed = std::env::var("SEED").ok().filter(|seed| !seed.is_empty());
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [runner::CHILD] => Some(Task::Child),
        [..] if seed.is_some() => {
            let seed = seed?.parse().ok()?;
            Some(Task::Seeds(seed..seed.checked_add(1)?))
        }
        [] => Some(Task::Time(Duration::from_secs(60))),
        ["--time", seconds] => Some(Task::Time(Duration::from_secs(seconds.parse().ok()?))),
        ["--seeds", range] => {
            let (first, end) = range.split_once("..")?;
            Some(Task::Seeds(first.parse().ok()?..end.parse().ok()?))
        }
        ref files if files.iter().all(|file| !file.starts_with('-')) => {
            Some(Task::Files(files.iter().map(PathBuf::from).collect()))
        }
        _ => None,
    }
}

//! The parent: makes programs, has a child run them, and makes findings small.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::program::{Generator, Program};
use crate::runner::CHILD;

/// Programs that a child runs at most: what a finding may depend on besides the program stays short.
const PROGRAMS_PER_CHILD: usize = 200;
/// Runs, and time, that are spent on making one finding small.
const MAX_TRIALS: usize = 150;
const MAX_TRIAL_TIME: Duration = Duration::from_secs(60);
/// Kinds of findings after which a search ends.
const MAX_KINDS: usize = 10;
/// Findings of one kind that are made small.
const MAX_ALIKE: usize = 3;

/// Where findings are kept.
const FINDINGS: &str = "target/fuzz/findings";

/// Runs files, and gives the number of findings.
pub fn files(paths: &[PathBuf]) -> usize {
    let mut search = Search::new();
    for path in paths {
        match fs::read_to_string(path) {
            Ok(source) => match search.run(&source) {
                Ok(status) => println!("{}: {status}", path.display()),
                Err(what) => search.found(&path.display().to_string(), None, &what),
            },
            Err(error) => search.found(&path.display().to_string(), None, &format!("cannot be read: {error}")),
        }
    }
    search.summary()
}

/// Runs the programs of these seeds.
pub fn seeds(seeds: Range<u64>) -> usize {
    let mut search = Search::new();
    let print = seeds.end - seeds.start == 1;
    for seed in seeds {
        search.seed(seed, print);
    }
    search.summary()
}

/// Runs programs of random seeds for so long.
pub fn random(time: Duration) -> usize {
    let mut search = Search::new();
    let until = Instant::now() + time;
    while Instant::now() < until && search.known.len() < MAX_KINDS {
        search.seed(fastrand::u64(..), false);
    }
    search.summary()
}

struct Search {
    child: Option<Running>,
    builtins: Vec<String>,
    statuses: BTreeMap<String, usize>,
    /// What was found, and how often.
    known: BTreeMap<String, usize>,
    findings: usize,
    /// The programs that the child has run, the last at the end.
    history: Vec<String>,
}

impl Search {
    fn new() -> Self {
        let mut child = Running::start().unwrap_or_else(|why| panic!("{why}"));
        let builtins = std::mem::take(&mut child.builtins);
        assert!(builtins.len() > 500, "a realm has more builtins than {}", builtins.len());
        Search {
            child: Some(child),
            builtins,
            statuses: BTreeMap::new(),
            known: BTreeMap::new(),
            findings: 0,
            history: Vec::new(),
        }
    }

    fn seed(&mut self, seed: u64, print: bool) {
        let program = Generator::program(seed, &self.builtins);
        let source = program.source();
        if print {
            println!("{source}");
        }
        if let Err(what) = self.run(&source) {
            self.found(&format!("seed {seed}"), Some(program), &what);
        }
    }

    /// Runs a program in the child: its status, or what was found.
    fn run(&mut self, source: &str) -> Result<String, String> {
        if self.history.len() >= PROGRAMS_PER_CHILD {
            self.child = None;
        }
        if self.child.is_none() {
            self.history.clear();
        }
        self.history.push(source.to_owned());
        let result = run_in(&mut self.child, source);
        let status = result.clone().unwrap_or_else(|_| "finding".to_owned());
        *self.statuses.entry(status).or_default() += 1;
        result
    }

    fn found(&mut self, name: &str, program: Option<Program>, what: &str) {
        self.findings += 1;
        self.child = None;
        let times = self.known.entry(what.to_owned()).or_default();
        *times += 1;
        // Different causes may look alike.
        if *times > MAX_ALIKE {
            println!("{name}: the same again: {what}");
            return;
        }
        println!("\n{name}: {what}");
        let Some(program) = program else { return };
        let history = std::mem::take(&mut self.history);
        let small = minimised(program, what);
        let source = match &small {
            Some(program) => program.source(),
            None => history.last().cloned().unwrap_or_default(),
        };
        let file = Path::new(FINDINGS).join(format!("{}.js", name.replace(' ', "-")));
        match fs::create_dir_all(FINDINGS).and_then(|()| fs::write(&file, &source)) {
            Ok(()) if small.is_some() => {
                println!("{source}to repeat it: make fuzz TARGETS=scripts SCRIPT={}", file.display())
            }
            // It takes what ran before it in the same process.
            Ok(()) => {
                let all = file.with_extension("d");
                let _ = fs::create_dir_all(&all);
                for (place, source) in history.iter().enumerate() {
                    let _ = fs::write(all.join(format!("{place:04}.js")), source);
                }
                println!(
                    "{source}not by itself; to try again after all that ran before it: make fuzz TARGETS=scripts SCRIPT='{}/*.js'",
                    all.display()
                );
            }
            Err(error) => println!("{source}it could not be written to {}: {error}", file.display()),
        }
    }

    fn summary(&mut self) -> usize {
        let programs: usize = self.statuses.values().sum();
        println!(
            "{programs} scripts, {} findings, {} kinds of them; {:?}",
            self.findings,
            self.known.len(),
            self.statuses
        );
        self.findings
    }
}

/// Leaves out statements, as long as the same is found; none if it is not found again at all.
fn minimised(mut program: Program, what: &str) -> Option<Program> {
    let until = Instant::now() + MAX_TRIAL_TIME;
    let is_found = |statements: &[String]| {
        let trial = Program { statements: statements.to_vec(), options: program.options.clone() };
        run_in(&mut None, &trial.source()).is_err_and(|found| found == what)
    };
    // What is a matter of chance gets some chances.
    if !(0..3).any(|_| is_found(&program.statements)) {
        return None;
    }
    let mut statements = program.statements.clone();
    let mut chunk = statements.len().div_ceil(2);
    let mut trials = 0;
    while chunk > 0 {
        let mut from = 0;
        while from < statements.len() && trials < MAX_TRIALS && Instant::now() < until {
            let mut fewer = statements.clone();
            fewer.drain(from..(from + chunk).min(statements.len()));
            trials += 1;
            match is_found(&fewer) {
                true => statements = fewer,
                false => from += chunk,
            }
        }
        chunk /= 2;
    }
    program.statements = statements;
    Some(program)
}

/// Runs a program in a child, which is started if there is none, and is gone afterwards if it has to be.
fn run_in(child: &mut Option<Running>, source: &str) -> Result<String, String> {
    let running = match child {
        Some(running) => running,
        None => child.insert(Running::start()?),
    };
    match running.run(source) {
        Ok(Some(line)) => match line.split_once(' ') {
            Some(("fine", status)) => Ok(status.to_owned()),
            Some(("finding", what)) => {
                *child = None;
                Err(what.to_owned())
            }
            _ => Err(format!("the child says {line:?}")),
        },
        // It has ended by itself before: no finding of this program.
        Ok(None) => {
            *child = None;
            run_in(child, source)
        }
        Err(died) => {
            *child = None;
            Err(died)
        }
    }
}

/// A child that waits for programs.
struct Running {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    errors: PathBuf,
    builtins: Vec<String>,
}

impl Running {
    fn start() -> Result<Self, String> {
        let cannot = |error: std::io::Error| format!("the child cannot be started: {error}");
        let errors = std::env::temp_dir().join(format!("fuzz-scripts-{}.txt", std::process::id()));
        let mut process = Command::new(std::env::current_exe().map_err(cannot)?)
            .arg(CHILD)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&errors).map_err(cannot)?)
            .spawn()
            .map_err(cannot)?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err("the child has no pipes".to_owned());
        };
        let mut running = Running { process, input, output: BufReader::new(output), errors, builtins: Vec::new() };
        match running.line()? {
            Some(line) if line.starts_with("finding ") => Err(line),
            Some(line) => {
                running.builtins = line.split('\t').map(str::to_owned).collect();
                Ok(running)
            }
            None => Err("the child ended at once".to_owned()),
        }
    }

    /// What the child says of a program; nothing if it had ended before, as it does once it is used up.
    fn run(&mut self, source: &str) -> Result<Option<String>, String> {
        let sent = write!(self.input, "{}\n{source}", source.len()).and_then(|()| self.input.flush());
        match sent {
            Ok(()) => self.line(),
            Err(_) => self.ended(),
        }
    }

    fn line(&mut self) -> Result<Option<String>, String> {
        let mut line = String::new();
        match self.output.read_line(&mut line) {
            Ok(length) if length > 0 => Ok(Some(line.trim_end_matches('\n').to_owned())),
            _ => self.ended(),
        }
    }

    /// How the child has ended: by itself, or by what it ran.
    fn ended(&mut self) -> Result<Option<String>, String> {
        let status = self.process.wait().map_err(|error| format!("the child is lost: {error}"))?;
        match status.success() {
            true => Ok(None),
            false => Err(format!("CRASH: the process ended: {}{}", describe(status), self.last_words())),
        }
    }

    /// What the child said of its end, without what differs each time.
    fn last_words(&self) -> String {
        let errors = fs::read(&self.errors).unwrap_or_default();
        let errors = String::from_utf8_lossy(&errors);
        let line = errors.lines().find(|line| {
            ["Assertion failure", "MOZ_CRASH", "panicked at", "memory allocation", "overflowed"]
                .iter()
                .any(|mark| line.contains(mark))
        });
        line.map_or(String::new(), |line| format!(": {}", line.split_once("] ").map_or(line, |(_, words)| words)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_file(&self.errors);
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("signal {signal}"),
        (None, code) => format!("exit code {}", code.unwrap_or_default()),
    }
}

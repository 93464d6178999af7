//! How an execution is stopped from outside, and how answers reach it: the [`Link`] between an isolate and other
//! threads.
//!
//! The kill is *sticky*. One word holds the id of the running execution and, once there is one, the reason to end it.
//! A kill is a compare-and-swap from "this execution, no reason", so it never hits a later execution and the first
//! reason stays. SpiderMonkey forgets an interrupt request once it has been served, so whoever wants the execution
//! to end asks again until it does (the supervisor does), and every way from our code into script looks at the word
//! first: the job loop, conversion, every host function.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use mozjs::rust::ThreadSafeJSContext;

use crate::contract::{Control, KillReason};
use crate::error::Error;
use crate::execution::ToolError;
use crate::pending::{self, Pending};
use crate::sync::{Bell, Watch, lock, read_clock};
use crate::value::Value;

/// The reason in the word when the isolate itself ends the execution; the error is kept in its state.
const INTERNAL_KILL: u64 = 0xff;

/// Added to the nice value of a thread that is set aside: where processors are short, it gets a third of what another one
/// gets. More would keep it, and its memory, from ever coming back to a busy machine.
const ABANDONED_NICE: libc::c_int = 5;

/// Who has ended an execution.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Killed {
    /// The pool, for this reason.
    Outside(KillReason),
    /// The isolate itself.
    Inside,
}

/// An answer to a tool call.
pub(super) struct Answer {
    pub call_id: u64,
    pub reply: Reply,
}

/// What a tool has answered, as far as it may reach the script.
pub(super) enum Reply {
    Value(Value),
    Error(ToolError),
    /// Larger than `max_message_size`.
    TooLarge,
    /// Deeper than `max_value_depth`.
    TooDeep,
}

impl Reply {
    pub(super) fn new(result: Result<Value, ToolError>, max_message_size: u64, max_depth: u32) -> Self {
        match result {
            Ok(value) => match value.measure() {
                (size, _) if size > max_message_size => Reply::TooLarge,
                (_, depth) if depth > max_depth => Reply::TooDeep,
                _ => Reply::Value(value),
            },
            Err(error) => Reply::Error(error),
        }
    }

    /// Bytes that it holds until the script has it.
    fn bytes(&self) -> u64 {
        match self {
            Reply::Value(value) => pending::of_answer(Ok(value)),
            Reply::Error(error) => pending::of_answer(Err(error)),
            Reply::TooLarge | Reply::TooDeep => 0,
        }
    }
}

/// What threads other than the worker's may touch of an isolate.
pub(crate) struct Link {
    /// The running execution's id above 8 bits of reason; 0 when none runs.
    word: AtomicU64,
    context: ThreadSafeJSContext,
    cpu_clock: Option<libc::clockid_t>,
    /// The isolate's thread, as long as the isolate lives: its id may be another's afterwards.
    thread: Mutex<Option<libc::pid_t>>,
    answers: Mutex<Answers>,
    /// For the isolate, when it waits for answers.
    bell: Bell,
    watch: Watch,
}

#[derive(Default)]
struct Answers {
    execution_id: u64,
    /// Each with the bytes that it holds.
    waiting: VecDeque<(Answer, u64)>,
    pending: Pending,
}

impl Link {
    /// Must be called on the thread that runs the isolate.
    pub(super) fn new(context: ThreadSafeJSContext) -> Arc<Self> {
        Arc::new(Link {
            word: AtomicU64::new(0),
            context,
            cpu_clock: thread_cpu_clock(),
            // SAFETY: no preconditions.
            thread: Mutex::new(Some(unsafe { libc::gettid() })),
            answers: Mutex::default(),
            bell: Bell::default(),
            watch: Watch::default(),
        })
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        lock(&self.answers)
    }

    /// The isolate ends.
    pub(super) fn leave(&self) {
        *lock(&self.thread) = None;
    }

    pub(super) fn begin(&self, execution_id: u64, max_pending_bytes: u64) {
        let mut answers = self.answers();
        answers.execution_id = execution_id;
        answers.waiting.clear();
        answers.pending = Pending::new(max_pending_bytes);
        self.word.store(execution_id << 8, Ordering::SeqCst);
    }

    /// Ends the execution: from here on a kill or an answer for it goes nowhere. Says whether it was killed.
    pub(super) fn end(&self) -> Option<Killed> {
        let word = self.word.swap(0, Ordering::SeqCst);
        let mut answers = self.answers();
        answers.execution_id = 0;
        let late = std::mem::take(&mut answers.waiting);
        drop(answers);
        drop(late);
        (word & 0xff != 0).then(|| reason(word).map_or(Killed::Inside, Killed::Outside))
    }

    pub(super) fn killed(&self) -> bool {
        self.word.load(Ordering::Relaxed) & 0xff != 0
    }

    /// Ends the running execution from inside. False if there is none, or it is already being ended.
    pub(super) fn kill_from_inside(&self) -> bool {
        let killed = self.mark_killed_inside();
        if killed {
            self.context.request_interrupt_callback();
        }
        killed
    }

    /// Like [`Link::kill_from_inside`], but may be called inside the engine's allocator: takes no engine lock.
    pub(super) fn kill_from_allocator(&self) -> bool {
        let killed = self.mark_killed_inside();
        if killed {
            self.context.request_interrupt_callback_can_wait();
        }
        killed
    }

    fn mark_killed_inside(&self) -> bool {
        let word = self.word.load(Ordering::SeqCst);
        word != 0
            && word & 0xff == 0
            && self.word.compare_exchange(word, word | INTERNAL_KILL, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Asks the engine to call back soon, without ending anything; takes no engine lock.
    pub(super) fn poke(&self) {
        self.context.request_interrupt_callback_can_wait();
    }

    /// A tool call of the running execution is to be made that holds so many bytes.
    pub(super) fn call(&self, bytes: u64) -> Result<(), Error> {
        self.answers().pending.take(bytes)
    }

    /// The answer to a call that held `call_bytes`. If it is too much to be kept, the execution ends.
    pub(super) fn answer(&self, execution_id: u64, call_bytes: u64, answer: Answer) {
        let bytes = answer.reply.bytes();
        let mut answers = self.answers();
        if answers.execution_id != execution_id {
            return;
        }
        answers.pending.give_back(call_bytes);
        if answers.pending.take(bytes).is_ok() {
            answers.waiting.push_back((answer, bytes));
        } else {
            let idle = execution_id << 8;
            let killed = idle | INTERNAL_KILL;
            if self.word.compare_exchange(idle, killed, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                self.context.request_interrupt_callback();
            }
        }
        drop(answers);
        self.bell.ring();
    }

    /// The error of an execution for which an answer, or a call, was too much.
    pub(super) fn pending_error(&self) -> Option<Error> {
        self.answers().pending.check().err()
    }

    /// How many answers have come.
    pub(super) fn answers_waiting(&self) -> usize {
        self.answers().waiting.len()
    }

    /// The next answer that has come, without waiting.
    pub(super) fn take_answer(&self) -> Option<Answer> {
        let mut answers = self.answers();
        let (answer, bytes) = answers.waiting.pop_front()?;
        answers.pending.give_back(bytes);
        Some(answer)
    }

    /// Sleeps until there is an answer, the execution is killed or `until` has come.
    pub(super) fn wait(&self, until: Option<Instant>) {
        let mut watched = until.is_some();
        let mut answers = self.answers();
        while answers.waiting.is_empty() && !self.killed() && until.is_none_or(|until| until > Instant::now()) {
            if watched {
                answers = self.bell.sleep(answers, until);
            } else {
                self.bell.hush();
                drop(answers);
                self.watch.until(|| self.bell.rung());
                watched = true;
                answers = self.answers();
            }
        }
    }
}

impl Control for Link {
    fn kill(&self, execution_id: u64, reason: KillReason) {
        let idle = execution_id << 8;
        match self.word.compare_exchange(idle, idle | reason as u64, Ordering::SeqCst, Ordering::SeqCst) {
            // Once more for an execution that is being ended already: the first request may have been served.
            Ok(_) => {}
            Err(word) if word & !0xff == idle => {}
            Err(_) => return,
        }
        self.context.request_interrupt_callback();
        // With the lock, so that an isolate that has looked for a kill before sleeps by now, and hears it.
        drop(self.answers());
        self.bell.ring();
    }

    fn cpu_time(&self) -> Option<Duration> {
        read_clock(self.cpu_clock?)
    }

    /// A thread cannot be ended, but those that are of use need not share the processors equally with it. It is not
    /// stopped altogether: it may hold a lock that others need (the allocator has some), and shall end some day.
    fn abandon(&self) {
        let thread = lock(&self.thread);
        if let Some(thread) = *thread {
            // SAFETY: plain calls on a thread of ours, which cannot end while `thread` is locked. Should they fail, it
            // goes on as before.
            unsafe {
                let nice = libc::getpriority(libc::PRIO_PROCESS, thread as libc::id_t);
                libc::setpriority(libc::PRIO_PROCESS, thread as libc::id_t, nice + ABANDONED_NICE);
            }
        }
    }
}

fn reason(word: u64) -> Option<KillReason> {
    KillReason::from_number(word as u8)
}

/// CPU time of the calling thread.
pub(super) fn thread_cpu_time() -> Duration {
    read_clock(libc::CLOCK_THREAD_CPUTIME_ID).unwrap_or_default()
}

/// The clock of this thread's CPU time, readable from other threads as long as this one lives.
fn thread_cpu_clock() -> Option<libc::clockid_t> {
    let mut clock = 0;
    // SAFETY: pthread_self is this thread, which lives; `clock` is a valid place.
    let failed = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &mut clock) } != 0;
    (!failed).then_some(clock)
}

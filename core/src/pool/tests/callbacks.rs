//! The host's callbacks: on which terms they are called, and what may be called in them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use super::fake::*;
use crate::config::PoolConfig;
use crate::error::{Error, Status};
use crate::execution::{ExecutionOptions, Outcome, ToolError, ToolHandler};
use crate::pool::Pool;
use crate::value::Value;

fn answer(value: &'static str) -> ToolHandler {
    Arc::new(move |call| call.reply.resolve(Value::from(value)))
}

fn text(result: Result<Value, Error>) -> String {
    match result.unwrap() {
        Value::String(text) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_tool_call_is_answered_by_the_executions_handler_or_the_tool_or_the_catch_all() {
    let lab = Lab::default();
    let builder = patient(config(1)).tool("named", answer("the tool")).tool_handler(answer("the catch-all"));
    let pool = lab.build(builder).unwrap();
    let own = || ExecutionOptions { tool_handler: Some(answer("the execution's")), ..Default::default() };
    assert_eq!(text(pool.run("tool named", Default::default())), "the tool");
    assert_eq!(text(pool.run("tool other", Default::default())), "the catch-all");
    assert_eq!(text(pool.run("tool named", own())), "the execution's");
    assert_eq!(pool.stats().tool_calls, 3);
}

#[test]
fn an_executions_own_tools_stand_beside_the_pools_and_before_those_of_the_same_name() {
    let lab = Lab::default();
    let builder = patient(config(1)).tool("named", answer("the pool's")).tool("other", answer("the pool's"));
    let pool = lab.build(builder).unwrap();
    let own =
        |name: &str| ExecutionOptions { tools: vec![(name.into(), answer("the execution's"))], ..Default::default() };
    assert_eq!(text(pool.run("tool named", own("named"))), "the execution's");
    assert_eq!(text(pool.run("tool other", own("named"))), "the pool's");
    assert_eq!(text(pool.run("tool new", own("new"))), "the execution's");
    assert_eq!(text(pool.run("tool named", Default::default())), "the pool's");
    let all = ExecutionOptions { tool_handler: Some(answer("the handler's")), ..own("named") };
    assert_eq!(text(pool.run("tool named", all)), "the handler's");
    let error = pool.run("tool named", own("no name")).unwrap_err();
    assert_eq!(error.status(), Status::InvalidArgument);
}

#[test]
fn a_call_of_no_tool_is_rejected_with_a_code() {
    let lab = Lab::default();
    let pool = lab.pool(config(1));
    assert_eq!(
        text(pool.run("tool other", Default::default())),
        "there is no tool named other Some(\"TOOL_NOT_FOUND\")"
    );
}

#[test]
fn a_tool_may_answer_later_from_another_thread_or_not_at_all() {
    let lab = Lab::default();
    let later: ToolHandler = Arc::new(|call| {
        std::thread::spawn(move || call.reply.reject(ToolError::new("later")));
    });
    let builder = patient(config(1))
        .tool("later", later)
        .tool("forgets", Arc::new(|_| {}))
        .tool("panics", Arc::new(|_| panic!("in the tool")));
    let pool = lab.build(builder).unwrap();
    assert_eq!(text(pool.run("tool later", Default::default())), "later None");
    for tool in ["tool forgets", "tool panics"] {
        assert!(text(pool.run(tool, Default::default())).contains("without an answer"), "{tool}");
    }
    assert_eq!(pool.stats().workers.idle, 1);
}

#[test]
fn registering_a_tool_is_for_later_submissions_and_replaces_one_of_its_name() {
    let lab = Lab::default();
    let pool = lab.pool(config(1));
    let gate = pool.submit("gate a", Default::default()).unwrap();
    let before = pool.submit("tool t", Default::default()).unwrap();
    pool.register_tool("t", answer("first")).unwrap();
    let between = pool.submit("tool t", Default::default()).unwrap();
    pool.register_tool("t", answer("second")).unwrap();
    let after = pool.submit("tool t", Default::default()).unwrap();
    lab.open("a");
    gate.wait().unwrap();
    assert!(text(before.wait().unwrap().result.clone()).contains("no tool"));
    assert_eq!(text(between.wait().unwrap().result.clone()), "first");
    assert_eq!(text(after.wait().unwrap().result.clone()), "second");

    assert_eq!(pool.register_tool("bad name", answer("")).unwrap_err().status(), Status::InvalidArgument);
    pool.shutdown(None).unwrap();
    assert_eq!(pool.register_tool("u", answer("")), Err(Error::PoolClosed));
}

#[test]
fn a_builder_with_a_bad_name_makes_no_pool() {
    let lab = Lab::default();
    let error = lab.build(patient(config(1)).tool("bad name", answer(""))).unwrap_err();
    assert!(error.to_string().starts_with("tool name is \"bad name\""), "{error}");
}

#[test]
fn console_lines_go_to_the_execution_or_the_pool_and_are_collected_on_request() {
    let lab = Lab::default();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let to = |who: &'static str| {
        let lines = lines.clone();
        Arc::new(move |line: &crate::execution::ConsoleLine| lines.lock().unwrap().push((who, line.text.clone())))
    };
    let pool = lab.build(patient(config(1)).on_console(to("pool"))).unwrap();
    pool.run("log a", Default::default()).unwrap();
    let options = ExecutionOptions { on_console: Some(to("execution")), collect_console: true, ..Default::default() };
    let outcome = pool.run_detailed("log b", options).unwrap();
    assert_eq!(*lines.lock().unwrap(), [("pool", "a".to_owned()), ("execution", "b".to_owned())]);
    assert_eq!(outcome.console.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["b"]);
    assert!(pool.run_detailed("log c", Default::default()).unwrap().console.is_empty());
    assert_eq!(pool.stats().console_lines, 3);
}

#[test]
fn a_completion_callback_is_called_exactly_once_however_the_execution_ends() {
    let lab = Lab::default();
    let patience = crate::pool::patience::Patience { kill: Duration::from_millis(10), ..PATIENT };
    let pool = lab.build(impatient(config(1), patience)).unwrap();
    let (told, outcomes) = mpsc::channel::<Arc<Outcome>>();
    let submit = |source: &str| {
        let told = told.clone();
        pool.submit_with(source, Default::default(), move |outcome| told.send(outcome).unwrap()).unwrap()
    };
    let next = || status(&outcomes.recv_timeout(FOREVER).unwrap());

    submit("1");
    assert_eq!(next(), Status::Ok);
    submit("panic");
    assert_eq!(next(), Status::Internal);
    let hurried_lab = Lab::default();
    let hurried = hurried_lab.pool(PoolConfig { queue_timeout: Duration::from_millis(50), ..config(1) });
    hurried_lab.begin(&hurried, "gate a");
    let waiting = told.clone();
    hurried.submit_with("1", Default::default(), move |outcome| waiting.send(outcome).unwrap()).unwrap();
    assert_eq!(next(), Status::QueueTimeout);
    drop(hurried);
    let running = submit("gate a");
    lab.wait_begun("gate a", 1);
    let waiting = submit("1");
    waiting.cancel().unwrap();
    assert_eq!(next(), Status::Cancelled);
    running.cancel().unwrap();
    assert_eq!(next(), Status::Cancelled);
    let stuck = submit("stuck b");
    lab.wait_begun("stuck b", 1);
    stuck.cancel().unwrap();
    assert_eq!(next(), Status::Cancelled);
    let last = submit("gate c");
    lab.wait_begun("gate c", 1);
    submit("1");
    pool.shutdown(Some(Duration::ZERO)).unwrap();
    assert_eq!([next(), next()], [Status::PoolClosed; 2]);
    assert!(last.is_done());

    lab.open("b");
    drop(pool);
    drop(told);
    assert_eq!(outcomes.recv_timeout(FOREVER).err(), Some(mpsc::RecvTimeoutError::Disconnected));
}

#[test]
fn a_refused_submission_drops_its_callback_uncalled() {
    let lab = Lab::default();
    let pool = lab.pool(config(1));
    pool.shutdown(None).unwrap();
    let called = Arc::new(AtomicUsize::new(0));
    let callback = {
        let called = called.clone();
        move |_| {
            called.fetch_add(1, Ordering::Relaxed);
        }
    };
    assert_eq!(pool.submit_with("1", Default::default(), callback).unwrap_err(), Error::PoolClosed);
    assert_eq!(Arc::strong_count(&called), 1, "it is dropped");
    assert_eq!(called.load(Ordering::Relaxed), 0);
}

/// Calls what would wait, and says what came of it.
fn try_to_wait(pool: &Pool) -> Vec<Result<(), Error>> {
    let execution = pool.submit("gate inner", Default::default()).unwrap();
    let results = vec![
        pool.run("1", Default::default()).map(drop),
        pool.run_detailed("1", Default::default()).map(drop),
        execution.wait().map(drop),
        execution.wait_timeout(FOREVER).map(drop),
        pool.shutdown(None),
    ];
    // What does not wait is possible.
    assert_eq!(execution.wait_timeout(Duration::ZERO).unwrap().map(drop), None);
    pool.stats();
    execution.cancel().unwrap();
    results
}

#[test]
fn in_a_callback_what_would_wait_gives_invalid_state() {
    type Slot = Arc<Mutex<Option<Arc<Pool>>>>;
    let lab = Lab::default();
    let slot: Slot = Arc::default();
    let (told, results) = mpsc::channel();
    let report = {
        let slot = slot.clone();
        move |where_: &'static str| {
            let pool = slot.lock().unwrap().clone();
            if let Some(pool) = pool {
                told.send((where_, try_to_wait(&pool))).unwrap();
            }
        }
    };
    let (tool, console, recycled, stats, complete) =
        (report.clone(), report.clone(), report.clone(), report.clone(), report);
    let once = AtomicUsize::new(0);
    let builder = patient(PoolConfig { stats_interval: Duration::from_millis(5), max_queue_size: 1000, ..config(2) })
        .tool_handler(Arc::new(move |_| tool("tool")))
        .on_console(Arc::new(move |_| console("console")))
        .on_worker_recycled(move |event| {
            if event.reason == crate::contract::RecycleReason::Crash {
                recycled("recycled");
            }
        })
        .on_stats_update(move |_| {
            if once.fetch_add(1, Ordering::Relaxed) == 5 {
                stats("stats");
            }
        });
    let pool = Arc::new(lab.build(builder).unwrap());
    *slot.lock().unwrap() = Some(pool.clone());

    pool.run("tool t", Default::default()).unwrap();
    pool.run("log l", Default::default()).unwrap();
    pool.run("condemn crash", Default::default()).unwrap_err();
    let complete_on_worker = complete.clone();
    pool.submit_with("1", Default::default(), move |_| complete_on_worker("complete")).unwrap();
    // On the caller's own thread too.
    let gates = [pool.submit("gate a", Default::default()), pool.submit("gate a", Default::default())];
    let waiting = pool.submit_with("1", Default::default(), move |_| complete("cancel")).unwrap();
    waiting.cancel().unwrap();
    lab.open("a");
    for gate in gates {
        gate.unwrap().wait().unwrap();
    }

    let mut places = Vec::new();
    while places.len() < 6 {
        let (place, results) = results.recv_timeout(FOREVER).unwrap();
        for result in results {
            let error = result.expect_err(place);
            assert_eq!(error.status(), Status::InvalidState, "{place}: {error}");
            assert!(error.to_string().contains("callback"), "{error}");
        }
        places.push(place);
    }
    places.sort();
    assert_eq!(places, ["cancel", "complete", "console", "recycled", "stats", "tool"]);
    slot.lock().unwrap().take();
    // Outside of callbacks it is possible again, also on a thread that a callback has run on.
    pool.run("1", Default::default()).unwrap();
}

/// Cancels the executions of a chain, each in the callback of the one before.
struct Chain {
    executions: Mutex<Vec<crate::pool::Execution>>,
    /// Callbacks that run now, inside of each other, and the most that ever did.
    depth: AtomicUsize,
    deepest: AtomicUsize,
    said: Mutex<Vec<String>>,
}

impl Chain {
    /// A pool whose only worker is busy, and so many executions that wait.
    fn new(lab: &Lab, length: usize) -> (Pool, Arc<Chain>) {
        let pool = lab.pool(PoolConfig { max_queue_size: length, ..config(1) });
        pool.submit("gate a", Default::default()).unwrap();
        lab.wait_begun("gate a", 1);
        let chain = Arc::new(Chain {
            executions: Mutex::default(),
            depth: AtomicUsize::new(0),
            deepest: AtomicUsize::new(0),
            said: Mutex::default(),
        });
        for place in 0..length {
            let (in_callback, in_drop) = (chain.clone(), chain.clone());
            let at_drop = OnDrop(move || in_drop.say(format!("dropped {place}")));
            let options = ExecutionOptions {
                on_console: Some(Arc::new(move |_| {
                    let _ = &at_drop;
                })),
                ..Default::default()
            };
            let execution = pool.submit_with("1", options, move |_| in_callback.called(place)).unwrap();
            chain.executions.lock().unwrap().push(execution);
        }
        (pool, chain)
    }

    fn say(&self, what: String) {
        self.said.lock().unwrap().push(what);
    }

    fn called(&self, place: usize) {
        self.deepest.fetch_max(self.depth.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.say(format!("called {place}"));
        self.cancel(place + 1);
        self.depth.fetch_sub(1, Ordering::Relaxed);
    }

    fn cancel(&self, place: usize) {
        let execution = self.executions.lock().unwrap().get(place).cloned();
        if let Some(execution) = execution {
            execution.cancel().unwrap();
            assert!(execution.is_done(), "it has its outcome at once");
        }
    }
}

struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn completion_callbacks_that_end_other_executions_do_not_nest() {
    const LENGTH: usize = 100_000;
    let lab = Lab::default();
    let (pool, chain) = Chain::new(&lab, LENGTH);
    chain.cancel(0);
    assert_eq!(chain.deepest.load(Ordering::Relaxed), 1);
    let said = chain.said.lock().unwrap();
    assert_eq!(said.len(), 2 * LENGTH);
    // Each has its callback before what belongs to it is dropped, and before the one that was cancelled in it.
    for place in 0..LENGTH {
        assert_eq!(said[2 * place..][..2], [format!("called {place}"), format!("dropped {place}")]);
    }
    assert_eq!(pool.stats().executions(Status::Cancelled), LENGTH as u64);
}

#[test]
fn two_pools_whose_callbacks_end_executions_of_each_other_do_not_nest_without_end() {
    // Workers of two pools have the same numbers.
    let labs = [Lab::default(), Lab::default()];
    let pools = labs.each_ref().map(|lab| lab.pool(PoolConfig { max_queue_size: 1000, ..config(1) }));
    for (lab, pool) in labs.iter().zip(&pools) {
        pool.submit("gate a", Default::default()).unwrap();
        lab.wait_begun("gate a", 1);
    }
    let depth = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let executions: Arc<Mutex<Vec<crate::pool::Execution>>> = Arc::default();
    for place in 0..1000 {
        let (depth, others) = (depth.clone(), executions.clone());
        let callback = move |_| {
            depth.1.fetch_max(depth.0.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            let next = others.lock().unwrap().get(place + 1).cloned();
            next.inspect(|next| next.cancel().unwrap());
            depth.0.fetch_sub(1, Ordering::Relaxed);
        };
        let execution = pools[place % 2].submit_with("1", Default::default(), callback).unwrap();
        executions.lock().unwrap().push(execution);
    }
    let first = executions.lock().unwrap()[0].clone();
    first.cancel().unwrap();
    assert!(executions.lock().unwrap().iter().all(|execution| execution.is_done()));
    assert_eq!(depth.1.load(Ordering::Relaxed), 2);
}

/// Nothing here is timed; what is quadratic in the number of tools does not end while anybody waits.
#[test]
fn tools_cost_time_in_proportion_to_their_number() {
    const TOOLS: usize = 20_000;
    let lab = Lab::default();
    let tool = answer("the tool");
    let names = || (0..TOOLS).map(|place| format!("t{place}"));
    let builder = names().fold(patient(config(1)), |builder, name| builder.tool(name, tool.clone()));
    let pool = lab.build(builder).unwrap();
    for name in names() {
        pool.register_tool(format!("u{name}"), tool.clone()).unwrap();
    }
    for _ in 0..3 {
        let own = names().map(|name| (format!("v{name}"), tool.clone())).collect();
        let options = ExecutionOptions { tools: own, ..Default::default() };
        assert_eq!(text(pool.run("tool vt19999", options)), "the tool");
    }
    for _ in 0..1000 {
        assert_eq!(text(pool.run("tool ut19999", Default::default())), "the tool");
    }
}

#[test]
fn an_outcome_that_is_there_can_be_had_in_a_callback() {
    let lab = Lab::default();
    let pool = lab.pool(config(1));
    let first = pool.submit("1", Default::default()).unwrap();
    first.wait().unwrap();
    let (told, result) = mpsc::channel();
    pool.submit_with("2", Default::default(), move |_| told.send(first.wait()).unwrap()).unwrap();
    assert!(result.recv_timeout(FOREVER).unwrap().is_ok());
}

#[test]
fn another_pool_may_be_waited_for_in_a_callback() {
    let lab = Lab::default();
    let inner = lab.pool(config(1));
    let tool: ToolHandler =
        Arc::new(move |call| call.reply.resolve(inner.run("from within", Default::default()).unwrap()));
    let outer = lab.build(patient(config(1)).tool_handler(tool)).unwrap();
    assert_eq!(text(outer.run("tool t", Default::default())), "from within");
}

#[test]
fn dropping_the_last_handle_of_a_pool_in_its_callback_ends_it_without_waiting() {
    let lab = Lab::default();
    let pool = Arc::new(lab.pool(config(2)));
    let other = pool.submit("gate a", Default::default()).unwrap();
    lab.wait_begun("gate a", 1);
    let (told, dropped) = mpsc::channel();
    let (go, gone) = mpsc::channel::<()>();
    pool.submit_with("1", Default::default(), {
        let pool = pool.clone();
        move |_| {
            gone.recv().unwrap_err();
            assert_eq!(Arc::strong_count(&pool), 1);
            drop(pool);
            told.send(()).unwrap();
        }
    })
    .unwrap();
    drop(pool);
    drop(go);
    dropped.recv_timeout(FOREVER).unwrap();
    // It ends as in any shutdown.
    assert_eq!(other.wait().unwrap().result, Err(Error::PoolClosed));
    lab.wait_until(|seen| seen.alive == 0);
}

#[test]
fn a_panic_in_a_callback_ends_there() {
    let lab = Lab::default();
    let builder = patient(config(1))
        .on_console(Arc::new(|_| panic!("console")))
        .on_worker_recycled(|_| panic!("recycled"))
        .on_stats_update(|_| panic!("stats"));
    let pool = lab.build(builder).unwrap();
    pool.run("log a", Default::default()).unwrap();
    pool.run("condemn crash", Default::default()).unwrap_err();
    let execution = pool.submit_with("1", Default::default(), |_| panic!("complete")).unwrap();
    assert_eq!(status(&execution.wait().unwrap()), Status::Ok);
    pool.run("2", Default::default()).unwrap();
    assert_eq!(pool.stats().recycles(crate::contract::RecycleReason::Internal), 0);
}

#[test]
fn callbacks_are_dropped_when_the_pool_is() {
    let lab = Lab::default();
    let witness = Arc::new(());
    let [a, b, c] = std::array::from_fn(|_| witness.clone());
    let builder = patient(config(1))
        .on_console(Arc::new(move |_| drop(a.clone())))
        .tool("t", Arc::new(move |_| drop(b.clone())))
        .on_worker_recycled(move |_| drop(c.clone()));
    let pool = lab.build(builder).unwrap();
    let execution = pool.submit("1", Default::default()).unwrap();
    assert_eq!(Arc::strong_count(&witness), 4);
    drop(pool);
    assert_eq!(Arc::strong_count(&witness), 1, "though a handle of an execution is left");
    assert!(execution.is_done());
}

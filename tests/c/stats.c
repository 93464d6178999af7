/* Stats: every execution and every worker counts once; reasons and times are told; the number of workers follows the
 * load and never passes its bounds. */

#include "test.h"

static enclave_pool_stats_t *stats_of(enclave_pool_t *pool) {
    enclave_pool_stats_t *stats;
    CHECK_STATUS(enclave_pool_stats(pool, &stats, NULL), ENCLAVE_OK);
    CHECK(stats->size >= sizeof *stats);
    return stats;
}

/* The workers that count against `max_workers`. */
static uint64_t live(const enclave_pool_stats_t *stats) {
    return stats->workers_starting + stats->workers_idle + stats->workers_executing;
}

static void check_histogram(const enclave_histogram_t *times, uint64_t count) {
    if (times->count != count) {
        FAIL("the histogram has %llu entries, not %llu", (unsigned long long)times->count, (unsigned long long)count);
    }
    CHECK(times->p50_ns <= times->p90_ns && times->p90_ns <= times->p99_ns && times->p99_ns <= times->max_ns);
}

static void answer(void *data, enclave_tool_call_t *call) {
    (void)data;
    enclave_tool_call_resolve(call, enclave_value_new_null(), NULL);
    enclave_tool_call_free(call);
}

static void a_new_pool_has_done_nothing(void) {
    enclave_pool_t *pool = pool_of(config_of(2, 3));
    enclave_pool_stats_t *stats = stats_of(pool);
    CHECK(stats->workers_idle == 2 && stats->active_workers == 0);
    CHECK(stats->workers_starting == 0 && stats->workers_executing == 0);
    CHECK(stats->workers_recycling == 0 && stats->workers_set_aside == 0);
    CHECK(stats->queue_depth == 0 && stats->executions_total == 0 && stats->recycles_total == 0);
    CHECK(stats->tool_calls == 0 && stats->console_lines == 0 && stats->rate_limit_hits == 0);
    CHECK(stats->uptime_ns > 0 && stats->memory_current > 0 && stats->memory_peak >= stats->memory_current);
    check_histogram(&stats->queue_wait, 0);
    CHECK(stats->queue_wait_mean_ns == 0 && stats->run_time_mean_ns == 0);
    check_histogram(&stats->run_time, 0);
    CHECK(stats->run_time.max_ns == 0);
    enclave_pool_stats_free(stats);
    enclave_pool_free(pool);
}

static void the_lists_have_every_status_and_reason_in_order(void) {
    enclave_pool_t *pool = small_pool();
    enclave_pool_stats_t *stats = stats_of(pool);
    size_t statuses = 0, reasons = 0;
    for (int32_t number = 0; number < 1000; number++) {
        if (enclave_status_name(number) != NULL) {
            CHECK(statuses < stats->executions_len && stats->executions[statuses++].status == number);
        }
        if (enclave_recycle_reason_name(number) != NULL) {
            CHECK(reasons < stats->recycles_len && stats->recycles[reasons++].reason == number);
        }
    }
    CHECK(statuses == stats->executions_len && reasons == stats->recycles_len);
    enclave_pool_stats_free(stats);
    enclave_pool_free(pool);
}

static void every_execution_counts_once_by_its_status(void) {
    static const struct {
        const char *source;
        enclave_status_t status;
        int times;
    } table[] = {{"1", ENCLAVE_OK, 5},
                 {"await callTool('x'); console.log(1)", ENCLAVE_OK, 3},
                 {"throw 1", ENCLAVE_EXCEPTION, 4},
                 {"let x = = 1", ENCLAVE_SYNTAX_ERROR, 2},
                 {"await new Promise(() => {})", ENCLAVE_UNSETTLED, 2},
                 {"for (;;);", ENCLAVE_TIMEOUT, 2},
                 {"for (;;) console.log(1)", ENCLAVE_CONSOLE_LIMIT, 1}};
    enclave_config_t *config = config_of(1, 1);
    enclave_config_set(config, ENCLAVE_SETTING_MAX_CONSOLE_CALLS, 10);
    enclave_config_on_tool_call(config, answer, NULL, NULL);
    enclave_pool_t *pool = pool_of(config);
    enclave_options_t *hurried = enclave_options_new();
    enclave_options_set(hurried, ENCLAVE_SETTING_TIMEOUT_MS, 50);
    uint64_t total = 0;
    for (size_t i = 0; i < COUNT(table); i++) {
        for (int j = 0; j < table[i].times; j++) {
            const enclave_options_t *options = table[i].status == ENCLAVE_TIMEOUT ? hurried : NULL;
            CHECK_STATUS(enclave_pool_run(pool, table[i].source, Z, options, NULL), table[i].status);
            total++;
        }
    }
    enclave_options_free(hurried);
    enclave_pool_stats_t *stats = stats_of(pool);
    CHECK(enclave_pool_stats_executions(stats, ENCLAVE_OK) == 8);
    for (size_t i = 2; i < COUNT(table); i++) {
        CHECK(enclave_pool_stats_executions(stats, table[i].status) == (uint64_t)table[i].times);
    }
    CHECK(stats->executions_total == total);
    CHECK(stats->tool_calls == 3 && stats->console_lines == 3 + 10);
    /* On a busy machine a worker may come too late to its end. */
    CHECK(enclave_pool_stats_recycles(stats, ENCLAVE_RECYCLE_TIMEOUT) +
              enclave_pool_stats_recycles(stats, ENCLAVE_RECYCLE_UNRESPONSIVE) ==
          2);
    CHECK(enclave_pool_stats_recycles(stats, ENCLAVE_RECYCLE_CONSOLE_LIMIT) == 1);
    CHECK(stats->recycles_total == 3);
    check_histogram(&stats->queue_wait, total);
    check_histogram(&stats->run_time, total);
    CHECK(stats->run_time.max_ns >= 49 * 1000000 && stats->run_time.p50_ns > 0);
    CHECK(stats->queue_wait_mean_ns <= stats->queue_wait.max_ns);
    CHECK(stats->run_time_mean_ns <= stats->run_time.max_ns && stats->run_time_mean_ns * total >= stats->run_time.max_ns - total);
    uint64_t listed = 0;
    for (size_t i = 0; i < stats->executions_len; i++) {
        listed += stats->executions[i].count;
    }
    CHECK(listed == total);
    enclave_pool_stats_free(stats);
    enclave_pool_free(pool);
}

static void a_refused_submission_counts_too(void) {
    enclave_config_t *config = config_of(1, 1);
    enclave_config_set(config, ENCLAVE_SETTING_MAX_QUEUE_SIZE, 0);
    enclave_pool_t *pool = pool_of(config);
    enclave_execution_t *running = submit(pool, "for (;;);");
    EVENTUALLY(executing(pool) == 1);
    CHECK_STATUS(enclave_pool_run(pool, "1", Z, NULL, NULL), ENCLAVE_QUEUE_FULL);
    enclave_pool_stats_t *stats = stats_of(pool);
    CHECK(enclave_pool_stats_executions(stats, ENCLAVE_QUEUE_FULL) == 1);
    CHECK(stats->workers_executing == 1 && live(stats) == 1);
    enclave_pool_stats_free(stats);
    enclave_execution_cancel(running, NULL);
    expect(running, ENCLAVE_CANCELLED);
    enclave_pool_free(pool);
}

static void a_flood_is_a_rate_limit_hit(void) {
    enclave_config_t *config = config_of(1, 1);
    enclave_config_set(config, ENCLAVE_SETTING_MAX_MESSAGES_PER_SECOND, 10);
    enclave_pool_t *pool = pool_of(config);
    CHECK_STATUS(enclave_pool_run(pool, "for (;;) console.log(1)", Z, NULL, NULL), ENCLAVE_MESSAGE_FLOOD);
    enclave_pool_stats_t *stats = stats_of(pool);
    CHECK(stats->rate_limit_hits == 1);
    enclave_pool_stats_free(stats);
    enclave_pool_free(pool);
}

static void memory_is_measured(void) {
    enclave_pool_t *pool = pool_of(config_of(1, 1));
    enclave_pool_stats_t *before = stats_of(pool);
    enclave_outcome_t *outcome = run(pool, "new Uint8Array(3e7).fill(1).length", NULL);
    CHECK(enclave_outcome_stats(outcome)->peak_memory >= 30000000);
    enclave_outcome_free(outcome);
    enclave_pool_stats_t *after = stats_of(pool);
    CHECK(after->memory_peak >= before->memory_peak + 25000000 && after->memory_peak >= after->memory_current);
    enclave_pool_stats_free(before);
    enclave_pool_stats_free(after);
    enclave_pool_free(pool);
}

static uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void stats_of_an_execution_are_its_own(void) {
    enclave_config_t *config = config_of(1, 1);
    enclave_config_on_tool_call(config, answer, NULL, NULL);
    enclave_pool_t *pool = pool_of(config);
    enclave_outcome_t *outcome = run(pool, "const end = Date.now() + 50; while (Date.now() < end); 1", NULL);
    const enclave_execution_stats_t *stats = enclave_outcome_stats(outcome);
    CHECK(stats->size >= sizeof *stats);
    CHECK(stats->run_time_ns >= 49 * 1000000 && stats->cpu_time_ns > 0);
    CHECK(stats->cpu_time_ns <= stats->run_time_ns + 20 * 1000000);
    CHECK(stats->tool_calls == 0 && stats->console_calls == 0);
    uint64_t first = stats->execution_id;
    enclave_outcome_free(outcome);

    outcome = run(pool, "await callTool('x'); console.log(1); await new Promise((r) => setTimeout(r, 50))", NULL);
    stats = enclave_outcome_stats(outcome);
    CHECK(stats->execution_id > first && stats->worker_id > 0);
    CHECK(stats->tool_calls == 1 && stats->console_calls == 1);
    CHECK(stats->run_time_ns >= 49 * 1000000 && stats->cpu_time_ns < 40 * 1000000);
    enclave_outcome_free(outcome);

    enclave_execution_t *ahead = submit(pool, "for (;;);");
    EVENTUALLY(executing(pool) == 1);
    uint64_t submitted = now_ns();
    enclave_execution_t *behind = submit(pool, "1");
    sleep_ms(50);
    CHECK_STATUS(enclave_execution_cancel(ahead, NULL), ENCLAVE_OK);
    expect(ahead, ENCLAVE_CANCELLED);
    CHECK_STATUS(enclave_execution_wait(behind, ENCLAVE_NO_TIMEOUT, &outcome, NULL), ENCLAVE_OK);
    stats = enclave_outcome_stats(outcome);
    CHECK(stats->queue_wait_ns >= 50 * 1000000);
    /* The one is no part of the other. */
    CHECK(stats->queue_wait_ns + stats->run_time_ns <= now_ns() - submitted);
    enclave_outcome_free(outcome);
    enclave_execution_free(behind);
    enclave_pool_free(pool);
}

/* Recycling. */

typedef struct {
    pthread_mutex_t lock;
    enclave_worker_recycled_t events[64];
    size_t len;
} diary_t;

static void write_down(void *data, const enclave_worker_recycled_t *event) {
    diary_t *diary = data;
    pthread_mutex_lock(&diary->lock);
    if (diary->len < COUNT(diary->events)) {
        diary->events[diary->len++] = *event;
    }
    pthread_mutex_unlock(&diary->lock);
}

static size_t pages(diary_t *diary) {
    pthread_mutex_lock(&diary->lock);
    size_t len = diary->len;
    pthread_mutex_unlock(&diary->lock);
    return len;
}

/* Waits for the first event that is not of the end of the pool, and copies it. */
static enclave_worker_recycled_t first_event(diary_t *diary) {
    EVENTUALLY(pages(diary) > 0);
    return diary->events[0];
}

/* Runs a source, so that its worker leaves; the event must say why, after how many executions, at what age. What ends it
 * by time is only its own. False if a busy machine has brought the worker too late to its end, or too early. */
static bool left_for(enclave_recycle_reason_t reason, const char *source, enclave_status_t status,
                     enclave_setting_t setting, uint64_t value, gate_t *gate) {
    diary_t *diary = calloc(1, sizeof *diary);
    pthread_mutex_init(&diary->lock, NULL);
    enclave_config_t *config = config_of(1, 1);
    enclave_options_t *options = enclave_options_new();
    bool by_time = setting == ENCLAVE_SETTING_TIMEOUT_MS || setting == ENCLAVE_SETTING_CPU_TIME_LIMIT_MS;
    if (by_time) {
        enclave_options_set(options, setting, value);
    } else {
        enclave_config_set(config, setting, value);
    }
    enclave_config_on_worker_recycled(config, write_down, diary, NULL);
    enclave_config_on_tool_call(config, gate ? answer_at_gate : answer, gate, NULL);
    enclave_pool_t *pool = pool_of(config);
    run_json(pool, "1", NULL, "1");
    run_json(pool, "2", NULL, "2");
    enclave_outcome_t *outcome = run(pool, source, options);
    enclave_options_free(options);
    CHECK_STATUS(enclave_outcome_status(outcome), status);
    uint64_t worker = enclave_outcome_stats(outcome)->worker_id;
    enclave_outcome_free(outcome);
    enclave_worker_recycled_t event = first_event(diary);
    bool other = event.reason != reason;
    if (other && !(by_time && (event.reason == ENCLAVE_RECYCLE_UNRESPONSIVE || event.reason == ENCLAVE_RECYCLE_TIMEOUT))) {
        FAIL("the reason is %s, not %s", enclave_recycle_reason_name(event.reason),
             enclave_recycle_reason_name(reason));
    }
    CHECK(event.size >= sizeof event && event.worker_id == worker);
    CHECK(event.executions == 3 && event.age_ns > 0 && event.age_ns < 60000000000u);
    run_json(pool, "'the next worker'", NULL, "\"the next worker\"");
    enclave_pool_stats_t *stats = stats_of(pool);
    CHECK(enclave_pool_stats_recycles(stats, event.reason) == 1 && stats->recycles_total == 1);
    enclave_pool_stats_free(stats);
    if (gate != NULL) {
        gate_open(gate);
    }
    enclave_pool_free(pool);
    CHECK(diary->len == 2 && diary->events[1].reason == ENCLAVE_RECYCLE_SHUTDOWN);
    CHECK(diary->events[1].worker_id != worker);
    free(diary);
    return !other;
}

static void leaves_for(enclave_recycle_reason_t reason, const char *source, enclave_status_t status,
                       enclave_setting_t setting, uint64_t value) {
    EVENTUALLY(left_for(reason, source, status, setting, value, NULL));
}

static void a_worker_leaves_after_its_executions(void) {
    leaves_for(ENCLAVE_RECYCLE_MAX_EXECUTIONS, "3", ENCLAVE_OK, ENCLAVE_SETTING_MAX_EXECUTIONS_PER_WORKER, 3);
}

static void a_worker_leaves_for_every_limit_of_an_execution(void) {
    leaves_for(ENCLAVE_RECYCLE_TIMEOUT, "for (;;);", ENCLAVE_TIMEOUT, ENCLAVE_SETTING_TIMEOUT_MS, 100);
    leaves_for(ENCLAVE_RECYCLE_CPU_LIMIT, "for (;;);", ENCLAVE_CPU_LIMIT, ENCLAVE_SETTING_CPU_TIME_LIMIT_MS, 100);
    leaves_for(ENCLAVE_RECYCLE_MEMORY_LIMIT, "const a = []; for (;;) a.push(new Uint8Array(1e6).fill(1))",
               ENCLAVE_MEMORY_LIMIT, ENCLAVE_SETTING_MEMORY_LIMIT_PER_WORKER, 64 << 20);
    leaves_for(ENCLAVE_RECYCLE_CONSOLE_LIMIT, "for (;;) console.log(1)", ENCLAVE_CONSOLE_LIMIT,
               ENCLAVE_SETTING_MAX_CONSOLE_CALLS, 5);
    leaves_for(ENCLAVE_RECYCLE_TOOL_CALL_LIMIT, "for (;;) await callTool('x')", ENCLAVE_TOOL_CALL_LIMIT,
               ENCLAVE_SETTING_MAX_TOOL_CALLS, 5);
    leaves_for(ENCLAVE_RECYCLE_MESSAGE_FLOOD, "for (;;) console.log(1)", ENCLAVE_MESSAGE_FLOOD,
               ENCLAVE_SETTING_MAX_MESSAGES_PER_SECOND, 5);
}

static void a_worker_that_a_callback_holds_up_is_set_aside(void) {
    bool is_set_aside = false;
    /* On a busy machine some may be ended before they come to the call. */
    while (!is_set_aside) {
        /* It is not freed: a thread that is set aside may still be on its way out of it. */
        gate_t *gate = malloc(sizeof *gate);
        *gate = (gate_t)GATE;
        is_set_aside = left_for(ENCLAVE_RECYCLE_UNRESPONSIVE, "await callTool('x')", ENCLAVE_TIMEOUT,
                                ENCLAVE_SETTING_TIMEOUT_MS, 100, gate);
    }
}

static bool a_cancelled_worker_left_in_time(void) {
    diary_t *diary = calloc(1, sizeof *diary);
    pthread_mutex_init(&diary->lock, NULL);
    enclave_config_t *config = config_of(1, 1);
    enclave_config_on_worker_recycled(config, write_down, diary, NULL);
    enclave_pool_t *pool = pool_of(config);
    enclave_execution_t *running = submit(pool, "for (;;);"), *waiting = submit(pool, "1");
    EVENTUALLY(executing(pool) == 1);
    enclave_execution_cancel(waiting, NULL);
    expect(waiting, ENCLAVE_CANCELLED);
    CHECK(pages(diary) == 0);
    enclave_execution_cancel(running, NULL);
    expect(running, ENCLAVE_CANCELLED);
    enclave_recycle_reason_t reason = first_event(diary).reason;
    CHECK(reason == ENCLAVE_RECYCLE_CANCELLED || reason == ENCLAVE_RECYCLE_UNRESPONSIVE);
    enclave_pool_free(pool);
    free(diary);
    return reason == ENCLAVE_RECYCLE_CANCELLED;
}

static void a_cancelled_worker_leaves(void) {
    EVENTUALLY(a_cancelled_worker_left_in_time());
}

static void all_workers_leave_with_the_pool(void) {
    diary_t *diary = calloc(1, sizeof *diary);
    pthread_mutex_init(&diary->lock, NULL);
    enclave_config_t *config = config_of(3, 3);
    enclave_config_on_worker_recycled(config, write_down, diary, NULL);
    enclave_pool_t *pool = pool_of(config);
    CHECK_STATUS(enclave_pool_shutdown(pool, 1000, NULL), ENCLAVE_OK);
    enclave_pool_stats_t *stats = stats_of(pool);
    CHECK(live(stats) == 0 && enclave_pool_stats_recycles(stats, ENCLAVE_RECYCLE_SHUTDOWN) == 3);
    enclave_pool_stats_free(stats);
    enclave_pool_free(pool);
    CHECK(diary->len == 3);
    for (size_t i = 0; i < 3; i++) {
        CHECK(diary->events[i].reason == ENCLAVE_RECYCLE_SHUTDOWN && diary->events[i].executions == 0);
        CHECK(diary->events[i].worker_id != diary->events[(i + 1) % 3].worker_id);
    }
    free(diary);
}

/* Workers come and go. */

static bool are_idle(enclave_pool_t *pool, uint64_t idle) {
    enclave_pool_stats_t *stats = stats_of(pool);
    bool reached = stats->workers_idle == idle && live(stats) == idle;
    enclave_pool_stats_free(stats);
    return reached;
}

static void await_workers(enclave_pool_t *pool, uint64_t idle) {
    EVENTUALLY(are_idle(pool, idle));
}

static void a_burst_starts_workers_up_to_the_maximum_and_no_more(void) {
    enclave_config_t *config = config_of(1, 3);
    static gate_t gate = GATE;
    enclave_config_on_tool_call(config, answer_at_gate, &gate, NULL);
    enclave_config_set(config, ENCLAVE_SETTING_IDLE_TIMEOUT_MS, LONG_MS);
    enclave_pool_t *pool = pool_of(config);
    enclave_execution_t *executions[60];
    for (size_t i = 0; i < COUNT(executions); i++) {
        executions[i] = submit(pool, "await callTool('x'); await new Promise((r) => setTimeout(r, 5))");
    }
    EVENTUALLY(gate_count(&gate) == 3);
    CHECK(executing(pool) == 3 && queue_depth(pool) == COUNT(executions) - 3);
    gate_open(&gate);
    while (!enclave_execution_is_done(executions[COUNT(executions) - 1])) {
        enclave_pool_stats_t *stats = stats_of(pool);
        CHECK(live(stats) <= 3);
        enclave_pool_stats_free(stats);
    }
    for (size_t i = 0; i < COUNT(executions); i++) {
        expect(executions[i], ENCLAVE_OK);
    }
    enclave_pool_free(pool);
}

static void workers_beyond_the_minimum_leave_when_they_are_idle(void) {
    diary_t *diary = calloc(1, sizeof *diary);
    pthread_mutex_init(&diary->lock, NULL);
    enclave_config_t *config = config_of(1, 3);
    static gate_t gate = GATE;
    enclave_config_on_tool_call(config, answer_at_gate, &gate, NULL);
    enclave_config_set(config, ENCLAVE_SETTING_IDLE_TIMEOUT_MS, 100);
    enclave_config_on_worker_recycled(config, write_down, diary, NULL);
    enclave_pool_t *pool = pool_of(config);
    enclave_execution_t *executions[3];
    for (size_t i = 0; i < COUNT(executions); i++) {
        executions[i] = submit(pool, "await callTool('x')");
    }
    EVENTUALLY(gate_count(&gate) == 3);
    gate_open(&gate);
    for (size_t i = 0; i < COUNT(executions); i++) {
        expect(executions[i], ENCLAVE_OK);
    }
    /* Nothing is submitted from here on: it is time alone that stops them. */
    await_workers(pool, 1);
    enclave_pool_stats_t *stats = stats_of(pool);
    CHECK(enclave_pool_stats_recycles(stats, ENCLAVE_RECYCLE_IDLE) == 2);
    enclave_pool_stats_free(stats);
    CHECK(first_event(diary).reason == ENCLAVE_RECYCLE_IDLE);
    sleep_ms(250);
    await_workers(pool, 1);
    enclave_pool_free(pool);
    free(diary);
}

static void a_pool_may_keep_no_worker_at_all(void) {
    enclave_config_t *config = config_of(0, 2);
    enclave_config_set(config, ENCLAVE_SETTING_IDLE_TIMEOUT_MS, 50);
    enclave_pool_t *pool = pool_of(config);
    await_workers(pool, 0);
    run_json(pool, "1", NULL, "1");
    await_workers(pool, 0);
    run_json(pool, "2", NULL, "2");
    enclave_pool_free(pool);
}

static void a_pool_that_is_not_warm_starts_with_its_first_submission(void) {
    enclave_config_t *config = config_of(2, 2);
    enclave_config_set(config, ENCLAVE_SETTING_WARM_ON_INIT, 0);
    enclave_pool_t *pool = pool_of(config);
    await_workers(pool, 0);
    run_json(pool, "1", NULL, "1");
    await_workers(pool, 2);
    enclave_pool_free(pool);
}

/* Updates. */

typedef struct {
    atomic_int updates, wrong, finalized;
    atomic_ullong last_uptime, executions;
} news_t;

static void read_news(void *data, const enclave_pool_stats_t *stats) {
    news_t *news = data;
    unsigned long long before = atomic_exchange(&news->last_uptime, stats->uptime_ns);
    atomic_store(&news->executions, stats->executions_total);
    atomic_fetch_add(&news->wrong, stats->size < sizeof *stats || stats->uptime_ns <= before);
    atomic_fetch_add(&news->updates, 1);
}

static void finalize_news(void *data) {
    atomic_fetch_add(&((news_t *)data)->finalized, 1);
}

static void stats_are_told_at_their_interval(void) {
    news_t news;
    memset(&news, 0, sizeof news);
    enclave_config_t *config = config_of(1, 1);
    enclave_config_set(config, ENCLAVE_SETTING_STATS_INTERVAL_MS, 20);
    CHECK_STATUS(enclave_config_on_stats_update(config, read_news, &news, finalize_news), ENCLAVE_OK);
    enclave_pool_t *pool = pool_of(config);
    run_json(pool, "1", NULL, "1");
    int before = atomic_load(&news.updates);
    uint64_t start = now_ns();
    EVENTUALLY(atomic_load(&news.updates) >= before + 10);
    int updates = atomic_load(&news.updates) - before;
    /* At most one each 20 ms; on a busy machine fewer, but they come. */
    CHECK((uint64_t)updates <= (now_ns() - start) / 20000000 + 2);
    CHECK(atomic_load(&news.executions) == 1);
    CHECK(atomic_load(&news.finalized) == 0);
    enclave_pool_free(pool);
    CHECK(atomic_load(&news.wrong) == 0 && atomic_load(&news.finalized) == 1);
    updates = atomic_load(&news.updates);
    sleep_ms(60);
    CHECK(atomic_load(&news.updates) == updates);
}

static void stats_can_be_read_in_callbacks_and_after_shutdown(void) {
    enclave_pool_t *pool = small_pool();
    run_json(pool, "1", NULL, "1");
    CHECK_STATUS(enclave_pool_shutdown(pool, 1000, NULL), ENCLAVE_OK);
    CHECK_STATUS(enclave_pool_run(pool, "1", Z, NULL, NULL), ENCLAVE_POOL_CLOSED);
    enclave_pool_stats_t *stats = stats_of(pool);
    enclave_pool_free(pool);
    CHECK(enclave_pool_stats_executions(stats, ENCLAVE_OK) == 1);
    CHECK(enclave_pool_stats_executions(stats, ENCLAVE_POOL_CLOSED) == 1);
    CHECK(stats->executions[0].status == ENCLAVE_OK && stats->executions[0].count == 1);
    enclave_pool_stats_free(stats);
}

MAIN(TEST(a_new_pool_has_done_nothing),
     TEST(the_lists_have_every_status_and_reason_in_order),
     TEST(every_execution_counts_once_by_its_status),
     TEST(a_refused_submission_counts_too),
     TEST(a_flood_is_a_rate_limit_hit),
     TEST(memory_is_measured),
     TEST(stats_of_an_execution_are_its_own),
     TEST(a_worker_leaves_after_its_executions),
     TEST(a_worker_leaves_for_every_limit_of_an_execution),
     TEST(a_worker_that_a_callback_holds_up_is_set_aside),
     TEST(a_cancelled_worker_leaves),
     TEST(all_workers_leave_with_the_pool),
     TEST(a_burst_starts_workers_up_to_the_maximum_and_no_more),
     TEST(workers_beyond_the_minimum_leave_when_they_are_idle),
     TEST(a_pool_may_keep_no_worker_at_all),
     TEST(a_pool_that_is_not_warm_starts_with_its_first_submission),
     TEST(stats_are_told_at_their_interval),
     TEST(stats_can_be_read_in_callbacks_and_after_shutdown))

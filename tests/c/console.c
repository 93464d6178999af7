/* Console callbacks: which one gets a line, when, on which thread, and what a slow one holds up. What lines look like
 * is in tests/conformance/console.json. */

#include "test.h"

/* Lines as they come, of any number of executions. */
typedef struct {
    pthread_mutex_t lock;
    char text[4096];
    uint64_t execution_id;
    int64_t last_time_us;
    atomic_int lines, wrong, finalized;
    gate_t *gate;
} screen_t;

static screen_t *screen_new(void) {
    screen_t *screen = calloc(1, sizeof *screen);
    pthread_mutex_init(&screen->lock, NULL);
    return screen;
}

static void show(void *data, const enclave_console_line_t *line) {
    screen_t *screen = data;
    pthread_mutex_lock(&screen->lock);
    size_t len = strlen(screen->text);
    snprintf(screen->text + len, sizeof screen->text - len, "%s:%s;", enclave_console_level_name(line->level),
             line->text);
    atomic_fetch_add(&screen->wrong, line->size < sizeof *line || strlen(line->text) != line->text_len ||
                                         line->time_us < screen->last_time_us);
    screen->last_time_us = line->time_us;
    screen->execution_id = line->execution_id;
    pthread_mutex_unlock(&screen->lock);
    atomic_fetch_add(&screen->lines, 1);
    if (screen->gate != NULL) {
        gate_wait(screen->gate);
    }
}

static void finalize_screen(void *data) {
    atomic_fetch_add(&((screen_t *)data)->finalized, 1);
}

static enclave_pool_t *pool_on(screen_t *screen) {
    enclave_config_t *config = config_of(1, 1);
    CHECK_STATUS(enclave_config_on_console(config, show, screen, finalize_screen), ENCLAVE_OK);
    return pool_of(config);
}

static void lines_come_in_order_with_level_and_time(void) {
    screen_t *screen = screen_new();
    enclave_pool_t *pool = pool_on(screen);
    enclave_outcome_t *outcome = run(pool, "console.log('a'); await null; console.warn('b'); console.error('c')", NULL);
    CHECK_TEXT(screen->text, "log:a;warn:b;error:c;");
    CHECK(screen->execution_id == enclave_outcome_stats(outcome)->execution_id);
    CHECK(llabs(screen->last_time_us / 1000000 - (int64_t)time(NULL)) < 60);
    CHECK(atomic_load(&screen->wrong) == 0);
    CHECK(enclave_outcome_console_count(outcome) == 0);
    enclave_outcome_free(outcome);
    enclave_pool_free(pool);
    CHECK(atomic_load(&screen->finalized) == 1);
    free(screen);
}

static void lines_come_while_the_script_runs(void) {
    screen_t *screen = screen_new();
    enclave_pool_t *pool = pool_on(screen);
    enclave_execution_t *running = submit(pool, "console.log('running'); for (;;);");
    check_count(&screen->lines, 1);
    CHECK(!enclave_execution_is_done(running));
    enclave_execution_cancel(running, NULL);
    expect(running, ENCLAVE_CANCELLED);
    enclave_pool_free(pool);
    free(screen);
}

static void the_callback_of_an_execution_takes_the_place_of_the_pools(void) {
    screen_t *of_pool = screen_new(), *own = screen_new();
    enclave_pool_t *pool = pool_on(of_pool);
    enclave_options_t *options = enclave_options_new();
    CHECK_STATUS(enclave_options_on_console(options, show, own, finalize_screen), ENCLAVE_OK);
    enclave_options_set_collect_console(options, true);
    for (int i = 1; i <= 2; i++) {
        enclave_outcome_t *outcome = run(pool, "console.log('own')", options);
        CHECK(atomic_load(&own->lines) == i && atomic_load(&of_pool->lines) == 0);
        CHECK(enclave_outcome_console_count(outcome) == 1);
        CHECK_TEXT(enclave_outcome_console_line(outcome, 0)->text, "own");
        enclave_outcome_free(outcome);
    }
    CHECK_STATUS(enclave_pool_run(pool, "console.log('pool')", Z, NULL, NULL), ENCLAVE_OK);
    CHECK_TEXT(of_pool->text, "log:pool;");
    CHECK(atomic_load(&own->finalized) == 0);
    enclave_options_free(options);
    check_count(&own->finalized, 1);
    enclave_pool_free(pool);
    CHECK(atomic_load(&of_pool->finalized) == 1 && atomic_load(&own->lines) == 2);
    free(of_pool);
    free(own);
}

static void a_replaced_callback_is_finalized(void) {
    screen_t *first = screen_new(), *second = screen_new();
    enclave_config_t *config = config_of(1, 1);
    enclave_config_on_console(config, show, first, finalize_screen);
    enclave_config_on_console(config, show, second, finalize_screen);
    CHECK(atomic_load(&first->finalized) == 1 && atomic_load(&second->finalized) == 0);
    enclave_pool_t *pool = pool_of(config);
    CHECK_STATUS(enclave_pool_run(pool, "console.log('x')", Z, NULL, NULL), ENCLAVE_OK);
    enclave_pool_free(pool);
    CHECK(atomic_load(&first->lines) == 0 && atomic_load(&second->lines) == 1);
    CHECK(atomic_load(&second->finalized) == 1);
    free(first);
    free(second);
}

static void one_config_may_make_pools_that_share_its_callback(void) {
    screen_t *screen = screen_new();
    enclave_config_t *config = config_of(1, 1);
    enclave_config_on_console(config, show, screen, finalize_screen);
    enclave_pool_t *pools[3];
    for (size_t i = 0; i < COUNT(pools); i++) {
        CHECK_STATUS(enclave_pool_new(config, &pools[i], NULL), ENCLAVE_OK);
    }
    enclave_config_free(config);
    for (size_t i = 0; i < COUNT(pools); i++) {
        CHECK_STATUS(enclave_pool_run(pools[i], "console.log('x')", Z, NULL, NULL), ENCLAVE_OK);
        CHECK(atomic_load(&screen->finalized) == 0);
        enclave_pool_free(pools[i]);
    }
    CHECK(atomic_load(&screen->lines) == 3);
    check_count(&screen->finalized, 1);
    free(screen);
}

static void a_slow_callback_holds_up_its_script_no_longer_than_its_timeout(void) {
    screen_t *screen = screen_new();
    static gate_t gate = GATE;
    screen->gate = &gate;
    enclave_pool_t *pool = pool_on(screen);
    enclave_options_t *options = enclave_options_new();
    enclave_options_set(options, ENCLAVE_SETTING_TIMEOUT_MS, 100);
    /* On a busy machine some may be ended before they come to the line. */
    while (gate_count(&gate) == 0) {
        enclave_outcome_t *outcome = run(pool, "console.log('x'); 'never'", options);
        CHECK_STATUS(enclave_outcome_status(outcome), ENCLAVE_TIMEOUT);
        enclave_outcome_free(outcome);
    }
    run_json(pool, "'others run on'", NULL, "\"others run on\"");
    gate_open(&gate);
    enclave_options_free(options);
    enclave_pool_free(pool);
    check_count(&screen->finalized, 1);
    free(screen);
}

static void what_an_ended_execution_still_says_goes_nowhere(void) {
    screen_t *screen = screen_new();
    enclave_pool_t *pool = pool_on(screen);
    enclave_execution_t *running = submit(pool, "for (let i = 0; ; i++) { if (i % 100000 === 0) console.log('x') }");
    EVENTUALLY(atomic_load(&screen->lines) > 0);
    enclave_execution_cancel(running, NULL);
    expect(running, ENCLAVE_CANCELLED);
    /* A line that was on its way has arrived. */
    EVENTUALLY(leaving(pool) == 0);
    int lines = atomic_load(&screen->lines);
    sleep_ms(50);
    CHECK(atomic_load(&screen->lines) == lines);
    enclave_pool_free(pool);
    free(screen);
}

/* A callback that asks for what would wait. */
typedef struct {
    enclave_pool_t *pool;
    enclave_status_t run, submitted, shutdown;
    enclave_execution_t *execution;
} inside_t;

static void call_inside(void *data, const enclave_console_line_t *line) {
    inside_t *inside = data;
    inside->run = enclave_pool_run(inside->pool, line->text, line->text_len, NULL, NULL);
    inside->shutdown = enclave_pool_shutdown(inside->pool, 0, NULL);
    inside->submitted =
        enclave_pool_submit(inside->pool, "1 + 1", Z, NULL, NULL, NULL, NULL, &inside->execution, NULL);
}

static void a_callback_may_submit_and_may_not_wait(void) {
    inside_t inside;
    memset(&inside, 0, sizeof inside);
    enclave_config_t *config = config_of(1, 1);
    enclave_config_on_console(config, call_inside, &inside, NULL);
    enclave_pool_t *pool = inside.pool = pool_of(config);
    run_json(pool, "console.log('1'); 'ran'", NULL, "\"ran\"");
    CHECK_STATUS(inside.run, ENCLAVE_INVALID_STATE);
    CHECK_STATUS(inside.shutdown, ENCLAVE_INVALID_STATE);
    CHECK_STATUS(inside.submitted, ENCLAVE_OK);
    expect(inside.execution, ENCLAVE_OK);
    enclave_pool_free(pool);
}

MAIN(TEST(lines_come_in_order_with_level_and_time),
     TEST(lines_come_while_the_script_runs),
     TEST(the_callback_of_an_execution_takes_the_place_of_the_pools),
     TEST(a_replaced_callback_is_finalized),
     TEST(one_config_may_make_pools_that_share_its_callback),
     TEST(a_slow_callback_holds_up_its_script_no_longer_than_its_timeout),
     TEST(what_an_ended_execution_still_says_goes_nowhere),
     TEST(a_callback_may_submit_and_may_not_wait))

/* Executions: submitted, waited for, cancelled in every state; every outcome with what its error knows. */

#include "test.h"

static void a_script_gives_its_value(void) {
    enclave_pool_t *pool = small_pool();
    run_json(pool, "1 + 1", NULL, "2");
    run_json(pool, "const a = [1]; return {a, b: await Promise.resolve('c')}", NULL, "{\"a\":[1],\"b\":\"c\"}");
    run_json(pool, "await Promise.all([1, 2])", NULL, "[1,2]");
    enclave_pool_free(pool);
}

static void the_kind_says_how_a_source_is_read(void) {
    enclave_pool_t *pool = small_pool();
    enclave_options_t *options = enclave_options_new();
    enclave_options_set_kind(options, ENCLAVE_SOURCE_FUNCTION);
    run_json(pool, "7", options, "null");
    run_json(pool, "return 7", options, "7");
    enclave_options_set_kind(options, ENCLAVE_SOURCE_SCRIPT);
    run_json(pool, "7", options, "7");
    enclave_outcome_t *outcome = run(pool, "return 7", options);
    CHECK_STATUS(enclave_outcome_status(outcome), ENCLAVE_SYNTAX_ERROR);
    enclave_outcome_free(outcome);
    CHECK_STATUS(enclave_options_set_kind(options, 3), ENCLAVE_INVALID_ARGUMENT);
    enclave_options_free(options);
    enclave_pool_free(pool);
}

static void globals_come_as_value_json_and_cbor(void) {
    enclave_pool_t *pool = small_pool();
    enclave_options_t *options = enclave_options_new();
    CHECK_STATUS(enclave_options_set_global(options, "a", Z, enclave_value_new_bigint(1), NULL), ENCLAVE_OK);
    CHECK_STATUS(enclave_options_set_global_json(options, "b", Z, "[1]", Z, NULL), ENCLAVE_OK);
    CHECK_STATUS(enclave_options_set_global_json(options, "b", Z, "[2]", Z, NULL), ENCLAVE_OK);
    CHECK_STATUS(enclave_options_set_global_cbor(options, "c", Z, "\xf7", 1, NULL), ENCLAVE_OK);
    run_json(pool, "[typeof a, b, typeof c]", options, "[\"bigint\",[2],\"undefined\"]");

    enclave_error_t *error;
    CHECK_STATUS(enclave_options_set_global_json(options, "d", Z, "[", Z, &error), ENCLAVE_INVALID_ARGUMENT);
    CHECK_ERROR(error, "json");
    CHECK_STATUS(enclave_options_set_global(options, "d", Z, NULL, &error), ENCLAVE_INVALID_ARGUMENT);
    CHECK_ERROR(error, "value is NULL");
    CHECK_STATUS(enclave_options_set_global(NULL, "d", Z, enclave_value_new_null(), &error), ENCLAVE_INVALID_ARGUMENT);
    CHECK_ERROR(error, "options is NULL");
    CHECK_STATUS(enclave_options_set_global(options, "no name", Z, enclave_value_new_null(), NULL), ENCLAVE_OK);
    enclave_outcome_t *outcome = run(pool, "1", options);
    CHECK_STATUS(enclave_outcome_status(outcome), ENCLAVE_INVALID_ARGUMENT);
    enclave_outcome_free(outcome);
    enclave_options_free(options);
    enclave_pool_free(pool);
}

static void an_exception_has_all_its_parts(void) {
    enclave_pool_t *pool = small_pool();
    enclave_options_t *options = enclave_options_new();
    CHECK_STATUS(enclave_options_set_filename(options, "agent.js", Z, NULL), ENCLAVE_OK);
    const char *source = "// one\nfunction f() { throw Object.assign(new RangeError('too far'), {code: 'E_FAR'}) }\nf()";
    enclave_outcome_t *outcome = run(pool, source, options);
    CHECK_STATUS(enclave_outcome_status(outcome), ENCLAVE_EXCEPTION);
    CHECK(enclave_outcome_value(outcome) == NULL);
    const enclave_error_t *error = enclave_outcome_error(outcome);
    CHECK_STATUS(enclave_error_status(error), ENCLAVE_EXCEPTION);
    size_t len;
    CHECK_TEXT(enclave_error_name(error, &len), "RangeError");
    CHECK(len == 10);
    CHECK_TEXT(enclave_error_script_message(error, NULL), "too far");
    CHECK_TEXT(enclave_error_code(error, NULL), "E_FAR");
    CHECK_TEXT(enclave_error_filename(error, NULL), "agent.js");
    CHECK(strstr(enclave_error_message(error, NULL), "RangeError: too far") != NULL);
    CHECK(strstr(enclave_error_stack(error, NULL), "f") != NULL);
    CHECK(enclave_error_line(error) == 2 && enclave_error_column(error) > 1);
    CHECK(enclave_error_path(error, &len) == NULL && len == 0);
    CHECK(enclave_error_setting(error) == ENCLAVE_SETTING_NONE && enclave_error_limit(error) == 0);
    CHECK(enclave_error_signal(error) == 0);
    enclave_outcome_free(outcome);
    enclave_options_free(options);

    outcome = run(pool, "throw 42", NULL);
    CHECK_TEXT(enclave_error_script_message(enclave_outcome_error(outcome), NULL), "42");
    enclave_outcome_free(outcome);
    enclave_pool_free(pool);
}

static void a_syntax_error_shows_its_place(void) {
    enclave_pool_t *pool = small_pool();
    enclave_outcome_t *outcome = run(pool, "1;\nlet x = = 2;", NULL);
    const enclave_error_t *error = enclave_outcome_error(outcome);
    CHECK_STATUS(enclave_error_status(error), ENCLAVE_SYNTAX_ERROR);
    CHECK_TEXT(enclave_error_name(error, NULL), "SyntaxError");
    CHECK(enclave_error_line(error) == 2);
    CHECK_TEXT(enclave_error_source_line(error, NULL), "let x = = 2;");
    enclave_outcome_free(outcome);
    enclave_pool_free(pool);
}

static void a_result_that_cannot_be_copied_has_its_path(void) {
    enclave_pool_t *pool = small_pool();
    enclave_outcome_t *outcome = run(pool, "const o = {items: [1, {}]}; o.items[1].back = o; o", NULL);
    CHECK_STATUS(enclave_outcome_status(outcome), ENCLAVE_RESULT_NOT_TRANSFERABLE);
    CHECK(strstr(enclave_error_path(enclave_outcome_error(outcome), NULL), "items[1].back") != NULL);
    enclave_outcome_free(outcome);
    outcome = run(pool, "await new Promise(() => {})", NULL);
    CHECK_STATUS(enclave_outcome_status(outcome), ENCLAVE_UNSETTLED);
    enclave_outcome_free(outcome);
    enclave_pool_free(pool);
}

/* Runs a source under one limit, which it must pass. */
static void passes(enclave_pool_t *pool, enclave_setting_t setting, uint64_t limit, const char *source,
                   enclave_status_t status) {
    enclave_options_t *options = enclave_options_new();
    enclave_options_set(options, setting, limit);
    enclave_outcome_t *outcome = run(pool, source, options);
    CHECK_STATUS(enclave_outcome_status(outcome), status);
    CHECK(enclave_error_setting(enclave_outcome_error(outcome)) == setting);
    CHECK(enclave_error_limit(enclave_outcome_error(outcome)) == limit);
    enclave_outcome_free(outcome);
    enclave_options_free(options);
    run_json(pool, "'next'", NULL, "\"next\"");
}

static void an_answer_later(void *data, enclave_tool_call_t *call) {
    (void)data;
    enclave_tool_call_resolve(call, enclave_value_new_null(), NULL);
    enclave_tool_call_free(call);
}

static void every_limit_names_its_setting(void) {
    enclave_config_t *config = config_of(1, 2);
    enclave_config_set(config, ENCLAVE_SETTING_MAX_MESSAGES_PER_SECOND, 50);
    enclave_config_set(config, ENCLAVE_SETTING_MAX_PENDING_TOOL_CALLS, 2);
    enclave_config_set(config, ENCLAVE_SETTING_MAX_MESSAGE_SIZE, 2000);
    enclave_config_set(config, ENCLAVE_SETTING_MEMORY_LIMIT_PER_WORKER, 64 << 20);
    enclave_config_on_tool_call(config, an_answer_later, NULL, NULL);
    enclave_pool_t *pool = pool_of(config);
    const char *logs = "for (let i = 0; i < 10; i++) console.log('12345')";
    passes(pool, ENCLAVE_SETTING_TIMEOUT_MS, 50, "for (;;) {}", ENCLAVE_TIMEOUT);
    passes(pool, ENCLAVE_SETTING_TIMEOUT_MS, 50, "for (;;) { try { for (;;) {} } catch {} }", ENCLAVE_TIMEOUT);
    passes(pool, ENCLAVE_SETTING_CPU_TIME_LIMIT_MS, 50, "for (;;) {}", ENCLAVE_CPU_LIMIT);
    passes(pool, ENCLAVE_SETTING_MAX_CONSOLE_CALLS, 9, logs, ENCLAVE_CONSOLE_LIMIT);
    passes(pool, ENCLAVE_SETTING_MAX_CONSOLE_OUTPUT, 20, logs, ENCLAVE_CONSOLE_LIMIT);
    passes(pool, ENCLAVE_SETTING_MAX_TOOL_CALLS, 1, "await callTool('a'); await callTool('b')", ENCLAVE_TOOL_CALL_LIMIT);

    static const struct {
        const char *source;
        enclave_status_t status;
        enclave_setting_t setting;
        uint64_t limit;
    } table[] = {
        {"for (;;) console.log(1)", ENCLAVE_MESSAGE_FLOOD, ENCLAVE_SETTING_MAX_MESSAGES_PER_SECOND, 50},
        {"await Promise.all([1, 2, 3].map((i) => callTool('x', i)))", ENCLAVE_TOOL_CALL_LIMIT,
         ENCLAVE_SETTING_MAX_PENDING_TOOL_CALLS, 2},
        {"'x'.repeat(3000)", ENCLAVE_MESSAGE_TOO_LARGE, ENCLAVE_SETTING_MAX_MESSAGE_SIZE, 2000},
        {"const a = []; for (;;) a.push(new Uint8Array(1e6).fill(1))", ENCLAVE_MEMORY_LIMIT,
         ENCLAVE_SETTING_MEMORY_LIMIT_PER_WORKER, 64 << 20},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        enclave_outcome_t *outcome = run(pool, table[i].source, NULL);
        const enclave_error_t *error = enclave_outcome_error(outcome);
        CHECK_STATUS(enclave_outcome_status(outcome), table[i].status);
        CHECK(enclave_error_setting(error) == table[i].setting);
        CHECK(enclave_error_limit(error) == table[i].limit);
        CHECK((enclave_error_used_bytes(error) > 0) == (table[i].status == ENCLAVE_MEMORY_LIMIT));
        enclave_outcome_free(outcome);
    }
    run_json(pool, "'next'", NULL, "\"next\"");

    char source[4096];
    memset(source, ' ', sizeof source);
    enclave_error_t *error;
    CHECK_STATUS(enclave_pool_submit(pool, source, sizeof source, NULL, NULL, NULL, NULL, NULL, &error),
                 ENCLAVE_MESSAGE_TOO_LARGE);
    CHECK_ERROR(error, "the source is larger than max_message_size, 2000 bytes");
    enclave_pool_free(pool);
}

static void the_queue_has_a_bound(void) {
    enclave_config_t *config = config_of(1, 1);
    enclave_config_set(config, ENCLAVE_SETTING_MAX_QUEUE_SIZE, 1);
    enclave_pool_t *pool = pool_of(config);
    enclave_execution_t *running = submit(pool, "for (;;) {}");
    EVENTUALLY(executing(pool) == 1);
    enclave_execution_t *waiting = submit(pool, "1");
    enclave_error_t *error;
    CHECK_STATUS(enclave_pool_submit(pool, "2", Z, NULL, NULL, NULL, NULL, NULL, &error), ENCLAVE_QUEUE_FULL);
    CHECK(enclave_error_queue_size(error) == 1 && enclave_error_retry_after_ms(error) > 0);
    CHECK_ERROR(error, "the queue is full with 1 waiting executions");
    CHECK_STATUS(enclave_execution_cancel(running, NULL), ENCLAVE_OK);
    expect(running, ENCLAVE_CANCELLED);
    expect(waiting, ENCLAVE_OK);
    enclave_pool_free(pool);
}

static void the_wait_in_the_queue_has_a_bound(void) {
    enclave_config_t *config = config_of(1, 1);
    enclave_config_set(config, ENCLAVE_SETTING_QUEUE_TIMEOUT_MS, 100);
    enclave_pool_t *pool = pool_of(config);
    enclave_execution_t *running = submit(pool, "for (;;) {}");
    while (executing(pool) == 0) {
        if (enclave_execution_is_done(running)) {
            /* On a busy machine, it too may wait for too long. */
            expect(running, ENCLAVE_QUEUE_TIMEOUT);
            running = submit(pool, "for (;;) {}");
        }
    }
    enclave_outcome_t *outcome = run(pool, "1", NULL);
    CHECK_STATUS(enclave_outcome_status(outcome), ENCLAVE_QUEUE_TIMEOUT);
    CHECK(enclave_error_waited_ms(enclave_outcome_error(outcome)) >= 100);
    CHECK(enclave_outcome_stats(outcome)->worker_id == 0);
    enclave_outcome_free(outcome);
    CHECK_STATUS(enclave_execution_cancel(running, NULL), ENCLAVE_OK);
    expect(running, ENCLAVE_CANCELLED);
    enclave_pool_free(pool);
}

static void cancel_works_in_every_state(void) {
    enclave_pool_t *pool = pool_of(config_of(1, 1));
    enclave_execution_t *running = submit(pool, "for (;;) {}");
    enclave_execution_t *waiting = submit(pool, "1");
    EVENTUALLY(executing(pool) == 1);
    CHECK_STATUS(enclave_execution_cancel(waiting, NULL), ENCLAVE_OK);
    CHECK(!enclave_execution_is_done(running));
    expect(waiting, ENCLAVE_CANCELLED);
    CHECK_STATUS(enclave_execution_cancel(running, NULL), ENCLAVE_OK);
    CHECK_STATUS(enclave_execution_cancel(running, NULL), ENCLAVE_OK);
    expect(running, ENCLAVE_CANCELLED);

    enclave_execution_t *done = submit(pool, "2");
    enclave_outcome_t *outcome;
    CHECK_STATUS(enclave_execution_wait(done, ENCLAVE_NO_TIMEOUT, &outcome, NULL), ENCLAVE_OK);
    CHECK_STATUS(enclave_execution_cancel(done, NULL), ENCLAVE_OK);
    CHECK_STATUS(enclave_outcome_status(outcome), ENCLAVE_OK);
    enclave_outcome_free(outcome);
    enclave_pool_free(pool);
    CHECK_STATUS(enclave_execution_cancel(done, NULL), ENCLAVE_OK);
    expect(done, ENCLAVE_OK);
}

static void a_cancel_never_hits_another_execution(void) {
    enclave_pool_t *pool = pool_of(config_of(1, 1));
    for (int i = 0; i < 200; i++) {
        enclave_execution_t *first = submit(pool, "1");
        enclave_execution_t *second = submit(pool, "2");
        enclave_execution_cancel(first, NULL);
        expect(second, ENCLAVE_OK);
        enclave_execution_free(first);
    }
    enclave_pool_free(pool);
}

static void a_wait_looks_waits_and_may_be_repeated(void) {
    enclave_pool_t *pool = small_pool();
    enclave_execution_t *execution = submit(pool, "for (;;) {}");
    CHECK(enclave_execution_id(execution) > 0);
    enclave_outcome_t *outcome = (enclave_outcome_t *)pool;
    CHECK_STATUS(enclave_execution_wait(execution, 0, &outcome, NULL), ENCLAVE_OK);
    CHECK(outcome == NULL);
    CHECK_STATUS(enclave_execution_wait(execution, 20, &outcome, NULL), ENCLAVE_OK);
    CHECK(outcome == NULL);
    enclave_execution_cancel(execution, NULL);
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(enclave_execution_wait(execution, ENCLAVE_NO_TIMEOUT, &outcome, NULL), ENCLAVE_OK);
        CHECK_STATUS(enclave_outcome_status(outcome), ENCLAVE_CANCELLED);
        CHECK(enclave_outcome_stats(outcome)->execution_id == enclave_execution_id(execution));
        enclave_outcome_free(outcome);
    }
    CHECK(enclave_execution_is_done(execution));
    enclave_execution_free(execution);
    enclave_pool_free(pool);
}

static void an_outcome_outlives_execution_and_pool(void) {
    enclave_pool_t *pool = small_pool();
    enclave_outcome_t *outcome = run(pool, "[{a: 1}]", NULL);
    const enclave_value_t *inner = enclave_value_get(enclave_value_item(enclave_outcome_value(outcome), 0), "a", Z);
    enclave_pool_free(pool);
    CHECK(enclave_value_number(inner) == 1);
    CHECK(enclave_outcome_error(outcome) == NULL);
    const enclave_execution_stats_t *stats = enclave_outcome_stats(outcome);
    CHECK(stats->size >= sizeof *stats && stats->execution_id > 0 && stats->worker_id > 0 && stats->run_time_ns > 0);
    enclave_outcome_free(outcome);
}

static void console_lines_are_collected_where_asked_for(void) {
    enclave_pool_t *pool = small_pool();
    enclave_options_t *options = enclave_options_new();
    enclave_options_set_collect_console(options, true);
    enclave_outcome_t *outcome = run(pool, "console.log('a'); console.warn('b\\n\\u00e4')", options);
    CHECK(enclave_outcome_console_count(outcome) == 2);
    const enclave_console_line_t *line = enclave_outcome_console_line(outcome, 1);
    CHECK_TEXT(line->text, "b\n\xc3\xa4");
    CHECK(line->text_len == 4 && line->level == ENCLAVE_CONSOLE_WARN && line->size >= sizeof *line);
    CHECK(llabs(line->time_us / 1000000 - (int64_t)time(NULL)) < 60);
    CHECK(line->execution_id == enclave_outcome_stats(outcome)->execution_id);
    CHECK(enclave_outcome_stats(outcome)->console_calls == 2);
    CHECK(enclave_outcome_console_line(outcome, 2) == NULL);
    enclave_outcome_free(outcome);
    outcome = run(pool, "console.log('a')", NULL);
    CHECK(enclave_outcome_console_count(outcome) == 0);
    enclave_outcome_free(outcome);
    enclave_options_free(options);
    enclave_pool_free(pool);
}

static void a_closed_pool_says_so(void) {
    enclave_pool_t *pool = pool_of(config_of(1, 1));
    enclave_execution_t *running = submit(pool, "for (;;) {}");
    enclave_execution_t *waiting = submit(pool, "1");
    EVENTUALLY(executing(pool) == 1);
    CHECK_STATUS(enclave_pool_shutdown(pool, 20, NULL), ENCLAVE_OK);
    expect(running, ENCLAVE_POOL_CLOSED);
    expect(waiting, ENCLAVE_POOL_CLOSED);
    CHECK_STATUS(enclave_pool_run(pool, "1", Z, NULL, NULL), ENCLAVE_POOL_CLOSED);
    CHECK_STATUS(enclave_pool_shutdown(pool, ENCLAVE_POOL_TIMEOUT, NULL), ENCLAVE_OK);
    CHECK_STATUS(enclave_pool_shutdown(pool, ENCLAVE_NO_TIMEOUT, NULL), ENCLAVE_OK);
    enclave_pool_free(pool);
}

typedef struct {
    enclave_pool_t *pool;
    gate_t *gate;
} closing_t;

/* Opens the gate when the pool takes nothing any more. */
static void *open_when_closed(void *data) {
    closing_t *closing = data;
    while (enclave_pool_submit(closing->pool, "1", Z, NULL, NULL, NULL, NULL, NULL, NULL) != ENCLAVE_POOL_CLOSED) {
        sleep_ms(1);
    }
    gate_open(closing->gate);
    return NULL;
}

static void shutdown_lets_running_executions_finish(void) {
    static gate_t gate = GATE;
    enclave_config_t *config = config_of(1, 1);
    enclave_config_set(config, ENCLAVE_SETTING_GRACEFUL_SHUTDOWN_TIMEOUT_MS, LONG_MS);
    enclave_config_on_tool_call(config, answer_at_gate, &gate, NULL);
    enclave_pool_t *pool = pool_of(config);
    enclave_execution_t *running = submit(pool, "await callTool('x'); return 'done'");
    EVENTUALLY(gate_count(&gate) == 1);
    closing_t closing = {pool, &gate};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, open_when_closed, &closing) == 0);
    CHECK_STATUS(enclave_pool_shutdown(pool, ENCLAVE_POOL_TIMEOUT, NULL), ENCLAVE_OK);
    pthread_join(thread, NULL);
    expect(running, ENCLAVE_OK);
    enclave_pool_free(pool);
}

static void the_source_is_text_of_a_length(void) {
    enclave_pool_t *pool = small_pool();
    enclave_outcome_t *outcome;
    CHECK_STATUS(enclave_pool_run(pool, "1 + 1 + oops", 5, NULL, &outcome), ENCLAVE_OK);
    CHECK_JSON(enclave_outcome_value(outcome), "2");
    enclave_outcome_free(outcome);
    CHECK_STATUS(enclave_pool_run(pool, "'\xff'", Z, NULL, &outcome), ENCLAVE_INVALID_ARGUMENT);
    CHECK_TEXT(enclave_error_message(enclave_outcome_error(outcome), NULL),
               "source is not valid UTF-8 at byte 1 (0xff)");
    enclave_outcome_free(outcome);
    run_json(pool, "", NULL, "null");
    CHECK_STATUS(enclave_pool_run(pool, "1", Z, NULL, NULL), ENCLAVE_OK);
    enclave_pool_free(pool);
}

MAIN(TEST(a_script_gives_its_value),
     TEST(the_kind_says_how_a_source_is_read),
     TEST(globals_come_as_value_json_and_cbor),
     TEST(an_exception_has_all_its_parts),
     TEST(a_syntax_error_shows_its_place),
     TEST(a_result_that_cannot_be_copied_has_its_path),
     TEST(every_limit_names_its_setting),
     TEST(the_queue_has_a_bound),
     TEST(the_wait_in_the_queue_has_a_bound),
     TEST(cancel_works_in_every_state),
     TEST(a_cancel_never_hits_another_execution),
     TEST(a_wait_looks_waits_and_may_be_repeated),
     TEST(an_outcome_outlives_execution_and_pool),
     TEST(console_lines_are_collected_where_asked_for),
     TEST(a_closed_pool_says_so),
     TEST(shutdown_lets_running_executions_finish),
     TEST(the_source_is_text_of_a_length))

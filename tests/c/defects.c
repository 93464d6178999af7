/* The 24 defects that were found in the worker pool which this library succeeds: each has a test that shows that we do
 * not have it. Those of pool logic are tested in core, in every order of events, with a fake worker (`cargo test
 * defect_`); those that need the engine or the boundary, here.
 *
 *  1 memory of the whole process taken for a worker's      here
 *  2 memory kill without an answer                         here; core/src/pool/tests/limits.rs
 *  3 more workers than max_workers                         core/src/pool/tests/scheduling.rs; stats.c
 *  4 a recycled worker does not wake the queue             here; core/src/pool/tests/{admission,scheduling}.rs
 *  5 the queue loses its order                             core/src/pool/tests/admission.rs
 *  6 asynchronous loops outlive their timeout              here; core/src/pool/tests/limits.rs
 *  7 wrong counts                                          core/src/pool/tests/stats.rs; stats.c
 *  8 honest traffic counts as a flood                      here
 *  9 the guest runs on after a limit                       here; core/src/pool/tests/scheduling.rs
 * 10 twice the rate over the edge of a window              core/src/rate.rs
 * 11 a running execution cannot be aborted                 core/src/pool/tests/limits.rs; executions.c
 * 12 disposal leaves running executions hanging            core/src/pool/tests/shutdown.rs; executions.c
 * 13 no limit of message sizes                             here; core/src/pool/validate.rs
 * 14 tool names are not checked                            here; core/src/pool/validate.rs
 * 15 the host's realm can be reached                       here
 * 16 state leaks to the next execution                     here; tests/conformance/isolation.json
 * 17 the death of an idle worker ends the process          core/src/pool/tests/scheduling.rs
 * 18 idle workers are reaped only when others work         core/src/pool/tests/scheduling.rs; stats.c
 * 19 memory outside of the heap has no limit               here
 * 20 only one kind of loop is counted                      here
 * 21 values are lost on their way, stacks show the host    here; tests/conformance/results.json
 * 22 a failed start leaves a worker behind                 core/src/pool/tests/starting.rs
 * 23 console bytes miscounted, limits can be caught        here; tests/conformance/limits.json
 * 24 the timeout of a graceful shutdown is not kept        core/src/pool/tests/shutdown.rs; executions.c
 */

#include "test.h"

#define MIB ((size_t)1 << 20)

/* What the process holds, in bytes. */
static size_t process_memory(void) {
    const char *field = "VmRSS:";
    FILE *file = fopen("/proc/self/status", "r");
    CHECK(file != NULL);
    char line[256];
    size_t kib = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, field, strlen(field)) == 0) {
            kib = strtoul(line + strlen(field), NULL, 10);
        }
    }
    fclose(file);
    CHECK(kib > 0);
    return kib * 1024;
}

static enclave_pool_t *pool_with(enclave_setting_t setting, uint64_t value) {
    enclave_config_t *config = config_of(1, 1);
    enclave_config_set(config, setting, value);
    return pool_of(config);
}

static uint64_t recycles(enclave_pool_t *pool) {
    enclave_pool_stats_t *stats;
    CHECK_STATUS(enclave_pool_stats(pool, &stats, NULL), ENCLAVE_OK);
    uint64_t total = stats->recycles_total;
    enclave_pool_stats_free(stats);
    return total;
}

static void defect_01_the_memory_of_the_process_is_not_the_workers(void) {
    size_t size = 300 * MIB;
    char *of_the_host = malloc(size);
    memset(of_the_host, 1, size);
    enclave_pool_t *pool = pool_with(ENCLAVE_SETTING_MEMORY_LIMIT_PER_WORKER, 32 * MIB);
    for (int i = 0; i < 10; i++) {
        run_json(pool, "new Uint8Array(1e6).length", NULL, "1000000");
        sleep_ms(30);
    }
    CHECK(of_the_host[size - 1] == 1);
    CHECK(recycles(pool) == 0);
    enclave_pool_free(pool);
    free(of_the_host);
}

static void defect_02_a_memory_kill_answers_its_execution_at_once(void) {
    enclave_config_t *config = config_of(1, 1);
    enclave_config_set(config, ENCLAVE_SETTING_MEMORY_LIMIT_PER_WORKER, 64 * MIB);
    enclave_pool_t *pool = pool_of(config);
    enclave_outcome_t *outcome = run(pool, "const a = []; for (;;) a.push(new Uint8Array(1e6).fill(1))", NULL);
    CHECK_STATUS(enclave_outcome_status(outcome), ENCLAVE_MEMORY_LIMIT);
    CHECK(enclave_error_used_bytes(enclave_outcome_error(outcome)) > 32 * MIB);
    CHECK(enclave_error_limit(enclave_outcome_error(outcome)) == 64 * MIB);
    enclave_outcome_free(outcome);
    enclave_pool_free(pool);
}

static void defect_04_a_worker_that_is_replaced_wakes_the_queue(void) {
    enclave_config_t *config = config_of(1, 1);
    enclave_config_set(config, ENCLAVE_SETTING_MAX_EXECUTIONS_PER_WORKER, 1);
    enclave_pool_t *pool = pool_of(config);
    enclave_execution_t *executions[20];
    for (size_t i = 0; i < COUNT(executions); i++) {
        executions[i] = submit(pool, i % 3 == 2 ? "throw 1" : "1");
    }
    for (size_t i = 0; i < COUNT(executions); i++) {
        expect(executions[i], i % 3 == 2 ? ENCLAVE_EXCEPTION : ENCLAVE_OK);
    }
    enclave_pool_free(pool);
}

static void defect_06_a_timeout_covers_more_than_the_first_synchronous_run(void) {
    static const char *const sources[] = {
        "for (;;) await null",
        "(function again() { return Promise.resolve().then(again) })()",
        "await new Promise(() => (function again() { setTimeout(again, 0) })())",
        "({get a() { for (;;); }})",
        "({toJSON() { for (;;); }, get b() { for (;;); }})",
        "throw Object.defineProperty(new Error(), 'message', {get() { for (;;); }})",
        "console.log({toString() { for (;;); }}); for (;;);",
    };
    enclave_pool_t *pool = pool_with(ENCLAVE_SETTING_TIMEOUT_MS, 100);
    for (size_t i = 0; i < COUNT(sources); i++) {
        enclave_outcome_t *outcome = run(pool, sources[i], NULL);
        CHECK_STATUS(enclave_outcome_status(outcome), ENCLAVE_TIMEOUT);
        /* The defect was the timeout and 5 s. What counts is the time that the script had. */
        CHECK(enclave_outcome_stats(outcome)->cpu_time_ns < 3000000000);
        enclave_outcome_free(outcome);
        await_late(pool);
    }
    enclave_pool_free(pool);
}

static void answer(void *data, enclave_tool_call_t *call) {
    (void)data;
    enclave_tool_call_resolve(call, enclave_value_clone(enclave_tool_call_args(call)), NULL);
    enclave_tool_call_free(call);
}

static void defect_08_results_are_no_flood(void) {
    enclave_config_t *config = enclave_config_new(ENCLAVE_PRESET_STRICT);
    enclave_config_set(config, ENCLAVE_SETTING_MAX_WORKERS, 1);
    enclave_pool_t *pool = pool_of(config);
    for (int i = 0; i < 300; i++) {
        run_json(pool, "return 1", NULL, "1");
    }
    enclave_pool_free(pool);
}

static void defect_09_what_passed_a_limit_does_not_run_on_in_the_next_execution(void) {
    enclave_config_t *config = config_of(1, 1);
    enclave_config_set(config, ENCLAVE_SETTING_MAX_MESSAGES_PER_SECOND, 20);
    enclave_config_set(config, ENCLAVE_SETTING_MAX_PENDING_TOOL_CALLS, 2);
    enclave_config_on_tool_call(config, answer, NULL, NULL);
    enclave_pool_t *pool = pool_of(config);
    for (int i = 0; i < 5; i++) {
        CHECK_STATUS(enclave_pool_run(pool, "for (;;) { try { console.log(1) } catch {} }", Z, NULL, NULL),
                     ENCLAVE_MESSAGE_FLOOD);
        run_json(pool, "console.log('mine'); await callTool('x', 1)", NULL, "null");
        CHECK_STATUS(enclave_pool_run(pool, "for (;;) { try { callTool('x') } catch {} }", Z, NULL, NULL),
                     ENCLAVE_TOOL_CALL_LIMIT);
        run_json(pool, "await callTool('x', 2)", NULL, "2");
    }
    enclave_pool_free(pool);
}

static void sends_20_mb(void *data, enclave_tool_call_t *call) {
    (void)data;
    size_t len = 20 * MIB;
    char *text = malloc(len);
    memset(text, 'x', len);
    enclave_tool_call_resolve(call, enclave_value_new_string(text, len, NULL), NULL);
    enclave_tool_call_free(call);
    free(text);
}

static void defect_13_messages_have_a_size_in_both_directions(void) {
    enclave_config_t *config = config_of(1, 1);
    enclave_config_set(config, ENCLAVE_SETTING_MAX_MESSAGE_SIZE, 1024);
    enclave_config_on_tool_call(config, sends_20_mb, NULL, NULL);
    enclave_pool_t *pool = pool_of(config);
    static const char *const sources[] = {"'x'.repeat(5e6)", "await callTool('x')",
                                          "await callTool('x', 'y'.repeat(2e3))", "console.log('x'.repeat(2e3))"};
    for (size_t i = 0; i < COUNT(sources); i++) {
        CHECK_STATUS(enclave_pool_run(pool, sources[i], Z, NULL, NULL), ENCLAVE_MESSAGE_TOO_LARGE);
    }
    enclave_options_t *options = enclave_options_new();
    char *large = calloc(1, 2001);
    memset(large, '1', 2000);
    CHECK_STATUS(enclave_options_set_global(options, "a", Z, enclave_value_new_string(large, Z, NULL), NULL),
                 ENCLAVE_OK);
    CHECK_STATUS(enclave_pool_run(pool, "1", Z, options, NULL), ENCLAVE_MESSAGE_TOO_LARGE);
    CHECK_STATUS(enclave_pool_run(pool, large, Z, NULL, NULL), ENCLAVE_MESSAGE_TOO_LARGE);
    CHECK(recycles(pool) == 0);
    free(large);
    enclave_options_free(options);
    enclave_pool_free(pool);
}

static void defect_14_no_bad_name_reaches_a_tool(void) {
    atomic_int calls = 0;
    enclave_config_t *config = config_of(1, 1);
    enclave_config_on_tool_call(config, answer, NULL, NULL);
    enclave_pool_t *pool = pool_of(config);
    CHECK_STATUS(enclave_pool_register_tool(pool, "bad name\0 ../../x", 17, answer, &calls, count, NULL),
                 ENCLAVE_INVALID_ARGUMENT);
    CHECK(atomic_load(&calls) == 1);
    run_json(pool,
             "let n = 0; for (const name of ['bad name\\0 ../../x', '../x', 'a b', 'é', '__proto__ ', 5, null])"
             " try { await callTool(name) } catch (e) { n += e instanceof TypeError } return n",
             NULL, "7");
    enclave_pool_free(pool);
}

static void defect_15_no_constructor_leads_out_of_the_realm(void) {
    enclave_config_t *config = config_of(1, 1);
    enclave_config_on_tool_call(config, answer, NULL, NULL);
    enclave_config_set(config, ENCLAVE_SETTING_ALLOW_CODE_GENERATION, 1);
    enclave_pool_t *pool = pool_of(config);
    enclave_options_t *options = enclave_options_new();
    enclave_options_set_global_json(options, "input", Z, "{\"a\":[{}]}", Z, NULL);
    /* Code may be made here, so that a way out would be seen to lead somewhere. */
    run_json(pool,
             "const reply = await callTool('x', {a: [{}]});"
             "let error; try { await callTool('bad name') } catch (e) { error = e }"
             "const start = [Object, Math, JSON, Array, callTool, console, console.log, tools, setTimeout, atob, input,"
             " input.a, input.a[0], reply, reply.a, error, new TextEncoder(), structuredClone({}), globalThis];"
             "return start.every((x) => { const F = x.constructor.constructor; const g = F('return this')();"
             " return g === globalThis && F('return typeof process + typeof require')() === 'undefined'.repeat(2) })",
             options, "true");
    enclave_options_free(options);
    enclave_pool_free(pool);
}

static void defect_16_nothing_leaks_to_the_next_execution(void) {
    enclave_config_t *config = enclave_config_new(ENCLAVE_PRESET_STRICT);
    enclave_config_set(config, ENCLAVE_SETTING_MAX_WORKERS, 1);
    enclave_pool_t *pool = pool_of(config);
    for (int i = 0; i < 3; i++) {
        run_json(pool, "[Math.secret, ({}).poll, globalThis.mine].filter((x) => x !== undefined)", NULL, "[]");
        run_json(pool, "Math.secret = 1; Object.prototype.poll = 2; globalThis.mine = 3", NULL, "3");
    }
    enclave_pool_free(pool);
}

static void defect_19_memory_outside_of_the_heap_is_limited(void) {
    static const char *const sources[] = {
        "const a = []; for (let i = 0; i < 300; i++) a.push(new Uint8Array(1e6).fill(1)); a.length",
        "const a = []; for (let i = 0; i < 300; i++) new Uint8Array(a[i] = new ArrayBuffer(1e6)).fill(1)",
        "new Uint8Array(3e8).fill(1).length",
        "const m = new Map(); for (let i = 0; i < 1e7; i++) m.set(i, 'v' + i); m.size",
        "new Array(3e7).fill(0).map((_, i) => i).length",
        "const s = 'x'.repeat(1e6), a = []; for (let i = 0; i < 300; i++) a.push((s + i).split('').join(''))",
    };
    enclave_pool_t *pool = pool_with(ENCLAVE_SETTING_MEMORY_LIMIT_PER_WORKER, 64 * MIB);
    run_json(pool, "1", NULL, "1");
    size_t before = process_memory(), peak = before;
    for (size_t i = 0; i < COUNT(sources); i++) {
        enclave_execution_t *execution = submit(pool, sources[i]);
        while (!enclave_execution_is_done(execution)) {
            size_t now = process_memory();
            peak = now > peak ? now : peak;
            sleep_ms(1);
        }
        expect(execution, ENCLAVE_MEMORY_LIMIT);
    }
    if (peak > before + 192 * MIB) {
        FAIL("the process grew from %d to %d MiB", (int)(before / MIB), (int)(peak / MIB));
    }
    enclave_pool_free(pool);
}

static void defect_20_every_kind_of_loop_counts(void) {
    static const char *const sources[] = {
        "for (;;);",
        "while (true);",
        "do {} while (true)",
        "for (const x of (function* () { for (;;) yield 1 })());",
        "const o = new Proxy({}, {ownKeys() { for (;;); }}); for (const k in o);",
        "label: for (;;) continue label",
        "(function f() { try { f() } catch { f() } })()",
        "const a = [1]; a.forEach(function again(x) { a.push(x); [1].map(() => { for (;;); }) })",
        "[...Array(1e4)].reduce((s) => { for (let i = 0; i < 1e9; i++); return s }, 0)",
        "'x'.repeat(10).replace(/x/g, () => { for (;;); })",
        "for (let i = 0n; ; i++);",
    };
    enclave_pool_t *pool = pool_with(ENCLAVE_SETTING_CPU_TIME_LIMIT_MS, 50);
    for (size_t i = 0; i < COUNT(sources); i++) {
        enclave_outcome_t *outcome = run(pool, sources[i], NULL);
        CHECK_STATUS(enclave_outcome_status(outcome), ENCLAVE_CPU_LIMIT);
        CHECK(enclave_outcome_stats(outcome)->cpu_time_ns >= 49 * 1000000);
        enclave_outcome_free(outcome);
        await_late(pool);
    }
    enclave_pool_free(pool);
}

static void defect_21_values_are_kept_and_stacks_show_only_the_script(void) {
    enclave_pool_t *pool = small_pool();
    enclave_outcome_t *outcome = run(pool, "[-0, NaN, Infinity, new Date(5), new Map([[1, 2]]), 2n, undefined]", NULL);
    const enclave_value_t *list = enclave_outcome_value(outcome);
    CHECK(signbit(enclave_value_number(enclave_value_item(list, 0))));
    CHECK(isnan(enclave_value_number(enclave_value_item(list, 1))));
    CHECK(isinf(enclave_value_number(enclave_value_item(list, 2))));
    CHECK(enclave_value_date(enclave_value_item(list, 3)) == 5);
    CHECK(enclave_value_kind(enclave_value_item(list, 4)) == ENCLAVE_VALUE_MAP);
    CHECK(enclave_value_kind(enclave_value_item(list, 5)) == ENCLAVE_VALUE_BIGINT);
    CHECK(enclave_value_kind(enclave_value_item(list, 6)) == ENCLAVE_VALUE_UNDEFINED);
    enclave_outcome_free(outcome);

    enclave_options_t *options = enclave_options_new();
    enclave_options_set_filename(options, "secret.js", Z, NULL);
    for (uint64_t sanitize = 0; sanitize <= 1; sanitize++) {
        enclave_options_set(options, ENCLAVE_SETTING_SANITIZE_STACK_TRACES, sanitize);
        outcome = run(pool, "function inner() { throw new Error('x') }\n[1].forEach(inner)", options);
        const char *stack = enclave_error_stack(enclave_outcome_error(outcome), NULL);
        CHECK(stack != NULL && strstr(stack, "inner") != NULL);
        CHECK((strstr(stack, "secret.js") == NULL) == (sanitize == 1));
        static const char *const foreign[] = {"enclave", "safeSerialize", "handleExecute", ".rs", "/"};
        for (size_t i = 0; i < COUNT(foreign); i++) {
            CHECK(strstr(stack, foreign[i]) == NULL);
        }
        enclave_outcome_free(outcome);
    }
    enclave_options_free(options);
    enclave_pool_free(pool);
}

static void defect_23_console_output_counts_bytes_and_its_limit_cannot_be_caught(void) {
    enclave_pool_t *pool = pool_with(ENCLAVE_SETTING_MAX_CONSOLE_OUTPUT, 30);
    /* 20 UTF-16 units are 40 bytes here. */
    enclave_outcome_t *outcome =
        run(pool, "let caught = 0; for (;;) { try { console.log('\xc3\xa4'.repeat(20)) } catch { caught++ } }", NULL);
    CHECK_STATUS(enclave_outcome_status(outcome), ENCLAVE_CONSOLE_LIMIT);
    CHECK(enclave_error_setting(enclave_outcome_error(outcome)) == ENCLAVE_SETTING_MAX_CONSOLE_OUTPUT);
    enclave_outcome_free(outcome);
    run_json(pool, "console.log('\xc3\xa4'.repeat(15)); 'ok'", NULL, "\"ok\"");
    enclave_pool_free(pool);
}

MAIN(TEST(defect_01_the_memory_of_the_process_is_not_the_workers),
     TEST(defect_02_a_memory_kill_answers_its_execution_at_once),
     TEST(defect_04_a_worker_that_is_replaced_wakes_the_queue),
     TEST(defect_06_a_timeout_covers_more_than_the_first_synchronous_run),
     TEST(defect_08_results_are_no_flood),
     TEST(defect_09_what_passed_a_limit_does_not_run_on_in_the_next_execution),
     TEST(defect_13_messages_have_a_size_in_both_directions),
     TEST(defect_14_no_bad_name_reaches_a_tool),
     TEST(defect_15_no_constructor_leads_out_of_the_realm),
     TEST(defect_16_nothing_leaks_to_the_next_execution),
     TEST(defect_19_memory_outside_of_the_heap_is_limited),
     TEST(defect_20_every_kind_of_loop_counts),
     TEST(defect_21_values_are_kept_and_stacks_show_only_the_script),
     TEST(defect_23_console_output_counts_bytes_and_its_limit_cannot_be_caught))

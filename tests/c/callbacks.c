/* What a callback may do: anything, but wait for its own pool. Every callback that there is calls everything that might
 * wait, everything that does not, and frees what calls it. */

#include "test.h"

typedef enum { COMPLETE, TOOL, ANY_TOOL, OWN_TOOL, CONSOLE, OWN_CONSOLE, STATS, RECYCLED, KINDS } callback_kind_t;

static const char *const names[KINDS] = {"completion",        "tool",          "tool of all", "tool of an execution", "console",
                                         "console of an execution", "stats", "worker recycled"};

typedef struct {
    enclave_pool_t *pool;
    enclave_pool_t *other;
    enclave_execution_t *endless;
    enclave_script_t *script;
    bool frees;        /* frees the pool, in place of all else */
    atomic_bool ready; /* all of this is there, and the call that led here has returned */
    atomic_bool entered;
    atomic_int done, finalized;
    enclave_status_t run, run_script, compile, wait, shutdown;
    enclave_status_t run_other, submit, stats, tool, cancel;
    enclave_execution_t *submitted;
} inside_t;

static void ignore_call(void *data, enclave_tool_call_t *call) {
    (void)data;
    enclave_tool_call_free(call);
}

static void inside(inside_t *in) {
    while (!atomic_load(&in->ready)) {
        sleep_ms(1);
    }
    if (atomic_exchange(&in->entered, true)) {
        return;
    }
    if (in->frees) {
        enclave_pool_free(in->pool);
        atomic_store(&in->done, 1);
        return;
    }
    enclave_error_t *error;
    enclave_outcome_t *outcome;
    in->run = enclave_pool_run(in->pool, "1", Z, NULL, &outcome);
    enclave_outcome_free(outcome);
    in->run_script = enclave_pool_run_script(in->pool, in->script, NULL, &outcome);
    enclave_outcome_free(outcome);
    enclave_script_t *script;
    in->compile = enclave_pool_compile(in->pool, "1", Z, NULL, &script, &error);
    enclave_error_free(error);
    in->wait = enclave_execution_wait(in->endless, ENCLAVE_NO_TIMEOUT, &outcome, &error);
    enclave_error_free(error);
    in->shutdown = enclave_pool_shutdown(in->pool, ENCLAVE_NO_TIMEOUT, &error);
    enclave_error_free(error);

    in->run_other = enclave_pool_run(in->other, "1", Z, NULL, NULL);
    in->submit = enclave_pool_submit(in->pool, "2", Z, NULL, NULL, NULL, NULL, &in->submitted, NULL);
    enclave_pool_stats_t *stats;
    in->stats = enclave_pool_stats(in->pool, &stats, NULL);
    enclave_pool_stats_free(stats);
    in->tool = enclave_pool_register_tool(in->pool, "late", Z, ignore_call, NULL, NULL, NULL);
    in->cancel = enclave_execution_cancel(in->endless, NULL);
    atomic_store(&in->done, 1);
}

static void on_complete(void *data, enclave_outcome_t *outcome) {
    enclave_outcome_free(outcome);
    inside(data);
}

static void on_tool(void *data, enclave_tool_call_t *call) {
    inside(data);
    enclave_tool_call_resolve_json(call, "null", Z, NULL);
    enclave_tool_call_free(call);
}

static void on_console(void *data, const enclave_console_line_t *line) {
    (void)line;
    inside(data);
}

static void on_stats(void *data, const enclave_pool_stats_t *stats) {
    (void)stats;
    inside(data);
}

static void on_recycled(void *data, const enclave_worker_recycled_t *event) {
    (void)event;
    inside(data);
}

static void finalize(void *data) {
    inside_t *in = data;
    atomic_fetch_add(&in->finalized, 1);
}

/* Has a callback of this kind called. */
static void start(callback_kind_t kind, inside_t *in) {
    enclave_config_t *config = config_of(0, 3);
    const char *source = "1";
    switch (kind) {
        case ANY_TOOL:
            enclave_config_on_tool_call(config, on_tool, in, finalize);
            source = "await callTool('any')";
            break;
        case CONSOLE:
            enclave_config_on_console(config, on_console, in, finalize);
            source = "console.log(1)";
            break;
        case STATS:
            enclave_config_set(config, ENCLAVE_SETTING_STATS_INTERVAL_MS, 1);
            enclave_config_on_stats_update(config, on_stats, in, finalize);
            break;
        case RECYCLED:
            enclave_config_set(config, ENCLAVE_SETTING_MAX_EXECUTIONS_PER_WORKER, 1);
            enclave_config_on_worker_recycled(config, on_recycled, in, finalize);
            break;
        default: break;
    }
    in->pool = pool_of(config);
    enclave_options_t *options = enclave_options_new();
    if (kind == TOOL) {
        CHECK_STATUS(enclave_pool_register_tool(in->pool, "tool", Z, on_tool, in, finalize, NULL), ENCLAVE_OK);
        source = "await callTool('tool')";
    } else if (kind == OWN_TOOL) {
        enclave_options_on_tool_call(options, on_tool, in, finalize);
        source = "await callTool('own')";
    } else if (kind == OWN_CONSOLE) {
        enclave_options_on_console(options, on_console, in, finalize);
        source = "console.log(1)";
    }
    if (!in->frees) {
        in->endless = submit(in->pool, "for (;;);");
        CHECK_STATUS(enclave_pool_submit_compile(in->pool, "3", Z, NULL, NULL, NULL, NULL, &in->script, NULL, NULL),
                     ENCLAVE_OK);
        in->other = pool_of(config_of(1, 1));
    }
    bool completes = kind == COMPLETE;
    CHECK_STATUS(enclave_pool_submit(in->pool, source, Z, options, completes ? on_complete : NULL,
                                     completes ? in : NULL, completes ? finalize : NULL, NULL, NULL),
                 ENCLAVE_OK);
    enclave_options_free(options);
    atomic_store(&in->ready, true);
}

static void a_callback_may_call_anything_that_does_not_wait(void) {
    for (callback_kind_t kind = 0; kind < KINDS; kind++) {
        static inside_t in;
        memset(&in, 0, sizeof in);
        start(kind, &in);
        check_count(&in.done, 1);
        struct {
            const char *call;
            enclave_status_t got, expected;
        } calls[] = {
            {"run", in.run, ENCLAVE_INVALID_STATE},         {"run_script", in.run_script, ENCLAVE_INVALID_STATE},
            {"compile", in.compile, ENCLAVE_INVALID_STATE}, {"wait", in.wait, ENCLAVE_INVALID_STATE},
            {"shutdown", in.shutdown, ENCLAVE_INVALID_STATE}, {"run of another pool", in.run_other, ENCLAVE_OK},
            {"submit", in.submit, ENCLAVE_OK},              {"stats", in.stats, ENCLAVE_OK},
            {"register_tool", in.tool, ENCLAVE_OK},         {"cancel", in.cancel, ENCLAVE_OK},
        };
        for (size_t i = 0; i < COUNT(calls); i++) {
            if (calls[i].got != calls[i].expected) {
                FAIL("%s in the callback %s: %s", calls[i].call, names[kind], enclave_status_name(calls[i].got));
            }
        }
        expect(in.submitted, ENCLAVE_OK);
        expect(in.endless, ENCLAVE_CANCELLED);
        enclave_script_free(in.script);
        enclave_pool_free(in.other);
        enclave_pool_free(in.pool);
        CHECK(atomic_load(&in.finalized) == 1);
    }
}

static void any_callback_may_free_its_pool(void) {
    for (callback_kind_t kind = 0; kind < KINDS; kind++) {
        static inside_t in;
        memset(&in, 0, sizeof in);
        in.frees = true;
        start(kind, &in);
        check_count(&in.done, 1);
        check_count(&in.finalized, 1);
    }
}

/* Each of these cancels the next, and so has its callback called. */
enum { CHAIN = 20000 };

typedef struct {
    enclave_execution_t **executions;
    atomic_int completed;
} chain_t;

static chain_t chain;

static void cancel_the_next(void *data, enclave_outcome_t *outcome) {
    uintptr_t next = (uintptr_t)data + 1;
    if (enclave_outcome_status(outcome) == ENCLAVE_CANCELLED) {
        atomic_fetch_add(&chain.completed, 1);
    }
    enclave_outcome_free(outcome);
    if (next < CHAIN) {
        enclave_execution_cancel(chain.executions[next], NULL);
    }
}

static void a_chain_of_callbacks_needs_no_stack(void) {
    chain = (chain_t){.executions = calloc(CHAIN, sizeof *chain.executions)};
    enclave_config_t *config = config_of(1, 1);
    enclave_config_set(config, ENCLAVE_SETTING_MAX_QUEUE_SIZE, CHAIN);
    enclave_pool_t *pool = pool_of(config);
    enclave_execution_t *runs = submit(pool, "for (;;);");
    for (uintptr_t i = 0; i < CHAIN; i++) {
        CHECK_STATUS(enclave_pool_submit(pool, "1", Z, NULL, cancel_the_next, (void *)i, NULL, &chain.executions[i], NULL),
                     ENCLAVE_OK);
    }
    enclave_execution_cancel(chain.executions[0], NULL);
    check_count(&chain.completed, CHAIN);
    enclave_execution_cancel(runs, NULL);
    expect(runs, ENCLAVE_CANCELLED);
    for (int i = 0; i < CHAIN; i++) {
        enclave_execution_free(chain.executions[i]);
    }
    free(chain.executions);
    enclave_pool_free(pool);
}

MAIN(TEST(a_callback_may_call_anything_that_does_not_wait), TEST(any_callback_may_free_its_pool),
     TEST(a_chain_of_callbacks_needs_no_stack))

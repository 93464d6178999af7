/* Tool calls: answered at once, later, from other threads, twice, too late, never. */

#include "test.h"

static void echo(void *data, enclave_tool_call_t *call) {
    (void)data;
    enclave_tool_call_resolve(call, enclave_value_clone(enclave_tool_call_args(call)), NULL);
    enclave_tool_call_free(call);
}

static enclave_pool_t *pool_with(enclave_tool_fn tool, void *data) {
    enclave_config_t *config = config_of(1, 2);
    enclave_config_on_tool_call(config, tool, data, NULL);
    return pool_of(config);
}

/* What a failed tool call looks like to the script. */
#define FAILURE_OF(call) \
    "try { await " call "; return 'no failure' } catch (e) { return [e instanceof Error, e.name, e.message, e.code] }"

static void a_tool_answers_at_once(void) {
    enclave_pool_t *pool = pool_with(echo, NULL);
    run_json(pool, "await callTool('echo', {a: [1, null]})", NULL, "{\"a\":[1,null]}");
    run_json(pool, "const m = await callTool('echo', new Map([[1, 2n]])); return [m instanceof Map, typeof m.get(1)]", NULL,
             "[true,\"bigint\"]");
    run_json(pool, "typeof await callTool('echo')", NULL, "\"undefined\"");
    enclave_pool_free(pool);
}

static void named(void *data, enclave_tool_call_t *call) {
    char json[64];
    size_t len;
    const char *name = enclave_tool_call_name(call, &len);
    snprintf(json, sizeof json, "[\"%s\",\"%s\",%d]", (const char *)data, name, len == strlen(name));
    enclave_tool_call_resolve_json(call, json, Z, NULL);
    enclave_tool_call_free(call);
}

static void a_registered_tool_comes_before_the_one_for_all(void) {
    enclave_pool_t *pool = pool_with(named, "all");
    enclave_error_t *error;
    CHECK_STATUS(enclave_pool_register_tool(pool, "search", Z, named, "first", NULL, NULL), ENCLAVE_OK);
    CHECK_STATUS(enclave_pool_register_tool(pool, "search", Z, named, "own", NULL, &error), ENCLAVE_OK);
    CHECK(error == NULL);
    CHECK_STATUS(enclave_pool_register_tool(pool, "no name", Z, named, "own", NULL, &error), ENCLAVE_INVALID_ARGUMENT);
    CHECK_ERROR(error, "no name");
    run_json(pool, "await callTool('search')", NULL, "[\"own\",\"search\",1]");
    run_json(pool, "await tools.search({})", NULL, "[\"own\",\"search\",1]");
    run_json(pool, "await callTool('other')", NULL, "[\"all\",\"other\",1]");
    run_json(pool, "typeof tools.other", NULL, "\"undefined\"");

    enclave_options_t *options = enclave_options_new();
    enclave_options_on_tool_call(options, named, "mine", NULL);
    run_json(pool, "await callTool('search')", options, "[\"mine\",\"search\",1]");
    enclave_options_free(options);
    enclave_pool_free(pool);
}

typedef struct {
    const char *name;
    atomic_int finalized;
} owner_t;

static void of_owner(void *data, enclave_tool_call_t *call) {
    named((void *)((owner_t *)data)->name, call);
}

static void finalize_owner(void *data) {
    atomic_fetch_add(&((owner_t *)data)->finalized, 1);
}

static void an_execution_may_have_tools_of_its_own(void) {
    enclave_pool_t *pool = small_pool();
    CHECK_STATUS(enclave_pool_register_tool(pool, "shared", Z, named, "pool", NULL, NULL), ENCLAVE_OK);
    CHECK_STATUS(enclave_pool_register_tool(pool, "search", Z, named, "pool", NULL, NULL), ENCLAVE_OK);
    owner_t first = {"first", 0}, own = {"own", 0}, other = {"other", 0};
    enclave_options_t *options = enclave_options_new();
    CHECK_STATUS(enclave_options_add_tool(options, "search", Z, of_owner, &first, finalize_owner, NULL), ENCLAVE_OK);
    CHECK_STATUS(enclave_options_add_tool(options, "search", Z, of_owner, &own, finalize_owner, NULL), ENCLAVE_OK);
    CHECK_STATUS(enclave_options_add_tool(options, "mine", Z, of_owner, &other, finalize_owner, NULL), ENCLAVE_OK);
    /* The later one of a name counts, and the earlier one is given back. */
    CHECK(atomic_load(&first.finalized) == 1);
    for (int i = 0; i < 2; i++) {
        run_json(pool, "[await tools.search(), await callTool('search')]", options,
                 "[[\"own\",\"search\",1],[\"own\",\"search\",1]]");
        run_json(pool, "[await tools.mine(), await tools.shared(), Object.keys(tools)]", options,
                 "[[\"other\",\"mine\",1],[\"pool\",\"shared\",1],[\"mine\",\"search\",\"shared\"]]");
        /* They are this execution's alone. */
        run_json(pool, "[typeof tools.mine, await tools.search()]", NULL, "[\"undefined\",[\"pool\",\"search\",1]]");
    }
    run_json(pool, FAILURE_OF("callTool('nobody')"), options, "[true,\"Error\",\"there is no tool named nobody\",\"TOOL_NOT_FOUND\"]");
    CHECK(atomic_load(&own.finalized) == 0 && atomic_load(&other.finalized) == 0);
    /* A handler of all is one of these, too. */
    enclave_options_on_tool_call(options, named, "all", NULL);
    run_json(pool, "[await tools.search(), await tools.mine(), await tools.shared()]", options,
             "[[\"all\",\"search\",1],[\"all\",\"mine\",1],[\"all\",\"shared\",1]]");
    enclave_options_free(options);
    check_count(&own.finalized, 1);
    check_count(&other.finalized, 1);

    /* An execution keeps its tools, whatever becomes of the options. */
    owner_t late = {"late", 0};
    options = enclave_options_new();
    enclave_options_add_tool(options, "late", Z, of_owner, &late, finalize_owner, NULL);
    enclave_execution_t *execution;
    CHECK_STATUS(enclave_pool_submit(pool, "await tools.late()", Z, options, NULL, NULL, NULL, &execution, NULL), ENCLAVE_OK);
    enclave_options_free(options);
    expect(execution, ENCLAVE_OK);
    check_count(&late.finalized, 1);

    /* A name that no tool can have is refused with the submission. */
    owner_t refused = {"refused", 0};
    options = enclave_options_new();
    CHECK_STATUS(enclave_options_add_tool(options, "no name", Z, of_owner, &refused, finalize_owner, NULL), ENCLAVE_OK);
    enclave_error_t *error;
    CHECK_STATUS(enclave_pool_submit(pool, "1", Z, options, NULL, NULL, NULL, NULL, &error), ENCLAVE_INVALID_ARGUMENT);
    CHECK_ERROR(error, "no name");
    enclave_options_free(options);
    check_count(&refused.finalized, 1);
    enclave_pool_free(pool);
}

static void a_tool_that_nobody_has_is_an_error_of_the_script(void) {
    enclave_pool_t *pool = small_pool();
    enclave_outcome_t *outcome = run(pool, FAILURE_OF("callTool('nobody')"), NULL);
    CHECK_STATUS(enclave_outcome_status(outcome), ENCLAVE_OK);
    CHECK(enclave_value_bool(enclave_value_item(enclave_outcome_value(outcome), 0)));
    enclave_outcome_free(outcome);
    enclave_pool_free(pool);
}

static void rejects(void *data, enclave_tool_call_t *call) {
    (void)data;
    enclave_tool_call_reject(call, "NotFoundError", Z, "no such row", Z, "ENOENT", Z, NULL);
    enclave_tool_call_free(call);
}

static void rejects_plainly(void *data, enclave_tool_call_t *call) {
    (void)data;
    enclave_tool_call_reject(call, NULL, 0, "no", Z, NULL, 0, NULL);
    enclave_tool_call_free(call);
}

static void a_rejection_is_name_message_and_code(void) {
    enclave_pool_t *pool = pool_with(rejects, NULL);
    run_json(pool, FAILURE_OF("callTool('x')"), NULL, "[true,\"NotFoundError\",\"no such row\",\"ENOENT\"]");
    enclave_outcome_t *outcome = run(pool, "await callTool('x')", NULL);
    CHECK_STATUS(enclave_outcome_status(outcome), ENCLAVE_EXCEPTION);
    CHECK_TEXT(enclave_error_name(enclave_outcome_error(outcome), NULL), "NotFoundError");
    CHECK_TEXT(enclave_error_code(enclave_outcome_error(outcome), NULL), "ENOENT");
    enclave_outcome_free(outcome);
    enclave_pool_free(pool);
    pool = pool_with(rejects_plainly, NULL);
    run_json(pool, FAILURE_OF("callTool('x')"), NULL, "[true,\"Error\",\"no\",null]");
    enclave_pool_free(pool);
}

static void drops(void *data, enclave_tool_call_t *call) {
    (void)data;
    enclave_tool_call_free(call);
}

static void a_call_freed_without_an_answer_is_rejected(void) {
    enclave_pool_t *pool = pool_with(drops, NULL);
    run_json(pool, "try { await callTool('x') } catch (e) { return e instanceof Error }", NULL, "true");
    enclave_pool_free(pool);
}

typedef struct {
    enclave_status_t statuses[6];
} answers_t;

static void answers_too_often(void *data, enclave_tool_call_t *call) {
    answers_t *answers = data;
    answers->statuses[0] = enclave_tool_call_resolve(call, NULL, NULL);
    answers->statuses[1] = enclave_tool_call_resolve_json(call, "{", Z, NULL);
    answers->statuses[2] = enclave_tool_call_resolve_cbor(call, "\xff", 1, NULL);
    answers->statuses[3] = enclave_tool_call_resolve_cbor(call, "\x63one", 4, NULL);
    answers->statuses[4] = enclave_tool_call_resolve(call, enclave_value_new_null(), NULL);
    answers->statuses[5] = enclave_tool_call_reject(call, NULL, 0, "late", Z, NULL, 0, NULL);
    enclave_tool_call_free(call);
}

static void the_first_answer_counts_and_a_wrong_one_is_none(void) {
    answers_t answers;
    enclave_pool_t *pool = pool_with(answers_too_often, &answers);
    run_json(pool, "await callTool('x')", NULL, "\"one\"");
    enclave_pool_free(pool);
    static const enclave_status_t expected[] = {ENCLAVE_INVALID_ARGUMENT, ENCLAVE_INVALID_ARGUMENT,
                                                ENCLAVE_INVALID_ARGUMENT, ENCLAVE_OK,
                                                ENCLAVE_INVALID_STATE,    ENCLAVE_INVALID_STATE};
    for (size_t i = 0; i < COUNT(expected); i++) {
        CHECK_STATUS(answers.statuses[i], expected[i]);
    }
}

/* Calls that wait for other threads. */
typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enclave_tool_call_t *calls[256];
    int count;
    int ended;
    bool closed;
} desk_t;

static desk_t *desk_new(void) {
    desk_t *desk = calloc(1, sizeof *desk);
    pthread_mutex_init(&desk->lock, NULL);
    pthread_cond_init(&desk->changed, NULL);
    return desk;
}

static void lay_on_desk(void *data, enclave_tool_call_t *call) {
    desk_t *desk = data;
    pthread_mutex_lock(&desk->lock);
    desk->calls[desk->count++] = call;
    pthread_cond_broadcast(&desk->changed);
    pthread_mutex_unlock(&desk->lock);
}

static enclave_tool_call_t *take_from_desk(desk_t *desk) {
    pthread_mutex_lock(&desk->lock);
    while (desk->count == 0 && !desk->closed) {
        pthread_cond_wait(&desk->changed, &desk->lock);
    }
    enclave_tool_call_t *call = desk->count > 0 ? desk->calls[--desk->count] : NULL;
    pthread_mutex_unlock(&desk->lock);
    return call;
}

static void *clerk(void *data) {
    for (enclave_tool_call_t *call; (call = take_from_desk(data)) != NULL;) {
        sleep_ms(1);
        enclave_tool_call_resolve(call, enclave_value_clone(enclave_tool_call_args(call)), NULL);
        enclave_tool_call_free(call);
    }
    return NULL;
}

static void answers_come_later_from_other_threads_in_any_order(void) {
    desk_t *desk = desk_new();
    pthread_t clerks[4];
    for (size_t i = 0; i < COUNT(clerks); i++) {
        CHECK(pthread_create(&clerks[i], NULL, clerk, desk) == 0);
    }
    enclave_pool_t *pool = pool_with(lay_on_desk, desk);
    enclave_execution_t *executions[20];
    for (size_t i = 0; i < COUNT(executions); i++) {
        executions[i] = submit(pool, "const all = await Promise.all([...Array(10).keys()].map((i) => callTool('x', i)));"
                                     "if (all.join() !== '0,1,2,3,4,5,6,7,8,9') throw new Error(all.join())");
    }
    for (size_t i = 0; i < COUNT(executions); i++) {
        expect(executions[i], ENCLAVE_OK);
    }
    enclave_pool_free(pool);
    pthread_mutex_lock(&desk->lock);
    desk->closed = true;
    pthread_cond_broadcast(&desk->changed);
    pthread_mutex_unlock(&desk->lock);
    for (size_t i = 0; i < COUNT(clerks); i++) {
        pthread_join(clerks[i], NULL);
    }
    free(desk);
}

static void *answerer(void *data) {
    return (void *)(intptr_t)enclave_tool_call_resolve(data, enclave_value_new_null(), NULL);
}

static void of_many_threads_that_answer_one_is_heard(void) {
    desk_t *desk = desk_new();
    enclave_pool_t *pool = pool_with(lay_on_desk, desk);
    for (int round = 0; round < 20; round++) {
        enclave_execution_t *execution = submit(pool, "await callTool('x')");
        enclave_tool_call_t *call = take_from_desk(desk);
        pthread_t threads[4];
        for (size_t i = 0; i < COUNT(threads); i++) {
            CHECK(pthread_create(&threads[i], NULL, answerer, call) == 0);
        }
        int heard = 0;
        for (size_t i = 0; i < COUNT(threads); i++) {
            void *status;
            pthread_join(threads[i], &status);
            heard += (intptr_t)status == ENCLAVE_OK;
            CHECK((intptr_t)status == ENCLAVE_OK || (intptr_t)status == ENCLAVE_INVALID_STATE);
        }
        CHECK(heard == 1);
        enclave_tool_call_free(call);
        expect(execution, ENCLAVE_OK);
    }
    enclave_pool_free(pool);
    free(desk);
}

static void a_call_without_an_answer_ends_at_the_deadline_and_outlives_its_pool(void) {
    desk_t *desk = desk_new();
    enclave_pool_t *pool = pool_with(lay_on_desk, desk);
    enclave_options_t *options = enclave_options_new();
    enclave_options_set(options, ENCLAVE_SETTING_TIMEOUT_MS, 100);
    uint64_t id, calls = 0;
    /* On a busy machine some may be ended before they come to the call. */
    while (calls == 0) {
        enclave_outcome_t *outcome = run(pool, "await callTool('never', {a: 1})", options);
        CHECK_STATUS(enclave_outcome_status(outcome), ENCLAVE_TIMEOUT);
        id = enclave_outcome_stats(outcome)->execution_id;
        calls = enclave_outcome_stats(outcome)->tool_calls;
        enclave_outcome_free(outcome);
    }
    CHECK(calls == 1);
    enclave_options_free(options);
    enclave_pool_free(pool);

    enclave_tool_call_t *call = take_from_desk(desk);
    CHECK_TEXT(enclave_tool_call_name(call, NULL), "never");
    CHECK_JSON(enclave_tool_call_args(call), "{\"a\":1}");
    CHECK(enclave_tool_call_execution_id(call) == id);
    CHECK_STATUS(enclave_tool_call_resolve(call, enclave_value_new_null(), NULL), ENCLAVE_OK);
    enclave_tool_call_free(call);
    free(desk);
}

static void a_cancelled_execution_does_not_wait_for_its_tool(void) {
    desk_t *desk = desk_new();
    enclave_pool_t *pool = pool_with(lay_on_desk, desk);
    enclave_execution_t *execution = submit(pool, "try { await callTool('x') } finally { for (;;) {} }");
    enclave_tool_call_t *call = take_from_desk(desk);
    CHECK_STATUS(enclave_execution_cancel(execution, NULL), ENCLAVE_OK);
    expect(execution, ENCLAVE_CANCELLED);
    enclave_tool_call_free(call);
    enclave_pool_free(pool);
    free(desk);
}

static void sends_too_much(void *data, enclave_tool_call_t *call) {
    (void)data;
    char *text = malloc(100000);
    memset(text, 'x', 100000);
    enclave_tool_call_resolve(call, enclave_value_new_string(text, 100000, NULL), NULL);
    enclave_tool_call_free(call);
    free(text);
}

static void an_answer_that_is_too_large_is_an_error_of_the_script(void) {
    enclave_config_t *config = config_of(1, 2);
    enclave_config_set(config, ENCLAVE_SETTING_MAX_MESSAGE_SIZE, 10000);
    enclave_config_on_tool_call(config, sends_too_much, NULL, NULL);
    enclave_pool_t *pool = pool_of(config);
    enclave_outcome_t *outcome = run(pool, "await callTool('x')", NULL);
    CHECK_STATUS(enclave_outcome_status(outcome), ENCLAVE_MESSAGE_TOO_LARGE);
    enclave_outcome_free(outcome);
    enclave_pool_free(pool);
}

MAIN(TEST(a_tool_answers_at_once),
     TEST(a_registered_tool_comes_before_the_one_for_all),
     TEST(an_execution_may_have_tools_of_its_own),
     TEST(a_tool_that_nobody_has_is_an_error_of_the_script),
     TEST(a_rejection_is_name_message_and_code),
     TEST(a_call_freed_without_an_answer_is_rejected),
     TEST(the_first_answer_counts_and_a_wrong_one_is_none),
     TEST(answers_come_later_from_other_threads_in_any_order),
     TEST(of_many_threads_that_answer_one_is_heard),
     TEST(a_call_without_an_answer_ends_at_the_deadline_and_outlives_its_pool),
     TEST(a_cancelled_execution_does_not_wait_for_its_tool),
     TEST(an_answer_that_is_too_large_is_an_error_of_the_script))

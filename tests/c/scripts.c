/* Compiled scripts. */

#include "test.h"

static enclave_script_t *compile(const enclave_pool_t *pool, const char *source, const enclave_options_t *options) {
    enclave_script_t *script;
    enclave_error_t *error;
    CHECK_STATUS(enclave_pool_compile(pool, source, Z, options, &script, &error), ENCLAVE_OK);
    CHECK(script != NULL && error == NULL);
    return script;
}

static void a_script_is_compiled_once_and_run_often(void) {
    enclave_pool_t *pool = small_pool();
    enclave_options_t *options = enclave_options_new();
    enclave_options_set_kind(options, ENCLAVE_SOURCE_FUNCTION);
    enclave_script_t *script = compile(pool, "globalThis.n = (globalThis.n ?? 0) + 1; return [n, typeof a]", options);
    enclave_options_free(options);
    for (int i = 0; i < 10; i++) {
        enclave_outcome_t *outcome;
        CHECK_STATUS(enclave_pool_run_script(pool, script, NULL, &outcome), ENCLAVE_OK);
        CHECK_JSON(enclave_outcome_value(outcome), "[1,\"undefined\"]");
        enclave_outcome_free(outcome);
    }
    options = enclave_options_new();
    CHECK_STATUS(enclave_options_set_global(options, "a", Z, enclave_value_new_null(), NULL), ENCLAVE_OK);
    enclave_execution_t *execution;
    CHECK_STATUS(enclave_pool_submit_script(pool, script, options, NULL, NULL, NULL, &execution, NULL), ENCLAVE_OK);
    enclave_script_free(script);
    enclave_outcome_t *outcome;
    CHECK_STATUS(enclave_execution_wait(execution, ENCLAVE_NO_TIMEOUT, &outcome, NULL), ENCLAVE_OK);
    CHECK_JSON(enclave_outcome_value(outcome), "[1,\"object\"]");
    enclave_outcome_free(outcome);
    enclave_execution_free(execution);
    enclave_options_free(options);
    enclave_pool_free(pool);
}

static void a_syntax_error_is_known_at_once(void) {
    enclave_pool_t *pool = small_pool();
    enclave_script_t *script = (enclave_script_t *)pool;
    enclave_error_t *error;
    CHECK_STATUS(enclave_pool_compile(pool, "let a;\nlet = = 1", Z, NULL, &script, &error), ENCLAVE_SYNTAX_ERROR);
    CHECK(script == NULL);
    CHECK(enclave_error_line(error) == 2);
    enclave_error_free(error);
    run_json(pool, "1", NULL, "1");
    enclave_pool_free(pool);
}

static void count_success(void *user_data, enclave_outcome_t *outcome) {
    CHECK_STATUS(enclave_outcome_status(outcome), ENCLAVE_OK);
    CHECK(enclave_value_kind(enclave_outcome_value(outcome)) == ENCLAVE_VALUE_UNDEFINED);
    enclave_outcome_free(outcome);
    ++*(int *)user_data;
}

static void add_hundred(void *user_data) {
    *(int *)user_data += 100;
}

static void a_script_is_compiled_without_waiting(void) {
    enclave_pool_t *pool = small_pool();
    int calls = 0;
    enclave_script_t *script;
    enclave_execution_t *execution;
    enclave_error_t *error;
    CHECK_STATUS(enclave_pool_submit_compile(pool, "throw a", Z, NULL, count_success, &calls, add_hundred, &script,
                                             &execution, &error),
                 ENCLAVE_OK);
    CHECK(script != NULL && error == NULL);
    enclave_outcome_t *outcome;
    CHECK_STATUS(enclave_execution_wait(execution, ENCLAVE_NO_TIMEOUT, &outcome, NULL), ENCLAVE_OK);
    CHECK_STATUS(enclave_outcome_status(outcome), ENCLAVE_OK);
    enclave_outcome_free(outcome);
    enclave_execution_free(execution);
    enclave_pool_run_script(pool, script, NULL, &outcome);
    CHECK_STATUS(enclave_outcome_status(outcome), ENCLAVE_EXCEPTION);
    enclave_outcome_free(outcome);
    enclave_script_free(script);

    /* That it does not compile, the execution says; the script fails as its source would. */
    CHECK_STATUS(enclave_pool_submit_compile(pool, "let = =", Z, NULL, NULL, NULL, NULL, &script, &execution, NULL),
                 ENCLAVE_OK);
    CHECK_STATUS(enclave_execution_wait(execution, ENCLAVE_NO_TIMEOUT, &outcome, NULL), ENCLAVE_OK);
    CHECK_STATUS(enclave_outcome_status(outcome), ENCLAVE_SYNTAX_ERROR);
    enclave_outcome_free(outcome);
    enclave_execution_free(execution);
    enclave_pool_run_script(pool, script, NULL, &outcome);
    CHECK_STATUS(enclave_outcome_status(outcome), ENCLAVE_SYNTAX_ERROR);
    enclave_outcome_free(outcome);
    enclave_script_free(script);

    enclave_pool_free(pool);
    CHECK(calls == 101);
}

static void bad_arguments_are_refused(void) {
    enclave_pool_t *pool = small_pool();
    enclave_script_t *script;
    enclave_error_t *error;
    CHECK_STATUS(enclave_pool_compile(NULL, "1", Z, NULL, &script, &error), ENCLAVE_INVALID_ARGUMENT);
    CHECK_ERROR(error, "pool is NULL");
    CHECK_STATUS(enclave_pool_compile(pool, NULL, Z, NULL, &script, &error), ENCLAVE_INVALID_ARGUMENT);
    CHECK_ERROR(error, "source is NULL");
    CHECK_STATUS(enclave_pool_compile(pool, "1", Z, NULL, NULL, &error), ENCLAVE_INVALID_ARGUMENT);
    CHECK_ERROR(error, "script is NULL");
    CHECK_STATUS(enclave_pool_compile(pool, "\xff", 1, NULL, &script, &error), ENCLAVE_INVALID_ARGUMENT);
    CHECK_ERROR(error, "UTF-8");
    CHECK_STATUS(enclave_pool_submit_script(pool, NULL, NULL, NULL, NULL, NULL, NULL, &error), ENCLAVE_INVALID_ARGUMENT);
    CHECK_ERROR(error, "script is NULL");
    enclave_outcome_t *outcome;
    CHECK_STATUS(enclave_pool_run_script(pool, NULL, NULL, &outcome), ENCLAVE_INVALID_ARGUMENT);
    enclave_outcome_free(outcome);
    script = compile(pool, "1", NULL);
    CHECK_STATUS(enclave_pool_run_script(NULL, script, NULL, NULL), ENCLAVE_INVALID_ARGUMENT);
    enclave_script_free(NULL);
    enclave_script_t *late;
    int finalized = 0;
    CHECK_STATUS(enclave_pool_submit_compile(pool, "\xff", 1, NULL, count_success, &finalized, add_hundred, &late, NULL,
                                             NULL),
                 ENCLAVE_INVALID_ARGUMENT);
    CHECK(finalized == 100);
    enclave_pool_shutdown(pool, 0, NULL);
    CHECK_STATUS(enclave_pool_run_script(pool, script, NULL, NULL), ENCLAVE_POOL_CLOSED);
    CHECK_STATUS(enclave_pool_compile(pool, "1", Z, NULL, &late, NULL), ENCLAVE_POOL_CLOSED);
    enclave_script_free(script);
    enclave_pool_free(pool);
}

MAIN(TEST(a_script_is_compiled_once_and_run_often),
     TEST(a_script_is_compiled_without_waiting),
     TEST(a_syntax_error_is_known_at_once),
     TEST(bad_arguments_are_refused))

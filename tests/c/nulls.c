/* NULL and misuse into every function of the header: none crashes, each says what was wrong. That no function is left
 * out is checked against the header itself: beside this file, or where ENCLAVE_HEADER says. */

#include <ctype.h>

#include "test.h"

static const char *called[512];
static size_t called_len;

static void note(const char *name) {
    for (size_t i = 0; i < called_len; i++) {
        if (strcmp(called[i], name) == 0) {
            return;
        }
    }
    CHECK(called_len < COUNT(called));
    called[called_len++] = name;
}

/* A function of the header, noted as called. */
#define F(function) (note(#function), function)

/* A call that must be refused as INVALID_ARGUMENT, with an error that holds a text. The call has `&error` last. */
#define REFUSED(call, part)                                  \
    do {                                                     \
        enclave_error_t *error = (enclave_error_t *)&called; \
        CHECK_STATUS(call, ENCLAVE_INVALID_ARGUMENT);        \
        CHECK(error != NULL);                                \
        CHECK_STATUS(enclave_error_status(error), ENCLAVE_INVALID_ARGUMENT); \
        CHECK_ERROR(error, part);                            \
    } while (0)

/* The same for one that makes a script. */
#define MAKES_NO_SCRIPT(call, part)                             \
    do {                                                        \
        enclave_script_t *script = (enclave_script_t *)&called; \
        REFUSED(call, part);                                    \
        CHECK(script == NULL);                                  \
    } while (0)

/* The same for a function that makes something. */
#define MAKES_NOTHING(call, part)                            \
    do {                                                     \
        enclave_error_t *error = (enclave_error_t *)&called; \
        CHECK((call) == NULL);                               \
        CHECK_STATUS(enclave_error_status(error), ENCLAVE_INVALID_ARGUMENT); \
        CHECK_ERROR(error, part);                            \
    } while (0)

#define TOO_LONG ((size_t)INTPTR_MAX + 1)

static enclave_value_t *one(void) {
    return F(enclave_value_new_number)(1);
}

static void no_callback(void *data, enclave_tool_call_t *call) {
    (void)data;
    enclave_tool_call_free(call);
}

static void no_console(void *data, const enclave_console_line_t *line) {
    (void)data;
    (void)line;
}

static void no_event(void *data, const enclave_worker_recycled_t *event) {
    (void)data;
    (void)event;
}

static void no_stats(void *data, const enclave_pool_stats_t *stats) {
    (void)data;
    (void)stats;
}

static void no_outcome(void *data, enclave_outcome_t *outcome) {
    (void)data;
    enclave_outcome_free(outcome);
}

static void names_of_numbers_that_are_none_are_null(void) {
    static const int32_t none[] = {INT32_MIN, -1, 6, 99, 1000, INT32_MAX};
    for (size_t i = 0; i < COUNT(none); i++) {
        CHECK(F(enclave_status_name)(none[i]) == NULL);
        CHECK(F(enclave_console_level_name)(none[i]) == NULL);
        CHECK(none[i] == 6 || F(enclave_recycle_reason_name)(none[i]) == NULL);
        CHECK(none[i] == 6 || F(enclave_setting_name)(none[i]) == NULL);
    }
    CHECK(enclave_setting_name(ENCLAVE_SETTING_NONE) == NULL);
    CHECK(F(enclave_sandbox_part_name)(0) == NULL && enclave_sandbox_part_name(3) == NULL);
    CHECK(strcmp(enclave_sandbox_part_name(ENCLAVE_SANDBOX_SECCOMP), "seccomp") == 0);
    CHECK(F(enclave_version)() != NULL && F(enclave_version_number)() > 0);
    CHECK(F(enclave_setting_from_name)(NULL, Z) == ENCLAVE_SETTING_NONE);
    CHECK(enclave_setting_from_name(NULL, 0) == ENCLAVE_SETTING_NONE);
    CHECK(enclave_setting_from_name("max_workers", 0) == ENCLAVE_SETTING_NONE);
    CHECK(enclave_setting_from_name("max_workers", TOO_LONG) == ENCLAVE_SETTING_NONE);
    CHECK(enclave_setting_from_name("\xff", Z) == ENCLAVE_SETTING_NONE);
}

static void an_error_of_null_has_nothing(void) {
    size_t len;
#define NO_TEXT(function)               \
    len = 7;                            \
    CHECK(F(function)(NULL, &len) == NULL && len == 0); \
    CHECK(function(NULL, NULL) == NULL)
    NO_TEXT(enclave_error_message);
    NO_TEXT(enclave_error_name);
    NO_TEXT(enclave_error_script_message);
    NO_TEXT(enclave_error_code);
    NO_TEXT(enclave_error_stack);
    NO_TEXT(enclave_error_filename);
    NO_TEXT(enclave_error_source_line);
    NO_TEXT(enclave_error_field);
    NO_TEXT(enclave_error_path);
    CHECK_STATUS(F(enclave_error_status)(NULL), ENCLAVE_INVALID_ARGUMENT);
    CHECK(F(enclave_error_line)(NULL) == 0 && F(enclave_error_column)(NULL) == 0);
    CHECK(F(enclave_error_setting)(NULL) == ENCLAVE_SETTING_NONE && F(enclave_error_limit)(NULL) == 0);
    CHECK(F(enclave_error_used_bytes)(NULL) == 0 && F(enclave_error_queue_size)(NULL) == 0);
    CHECK(F(enclave_error_retry_after_ms)(NULL) == 0 && F(enclave_error_waited_ms)(NULL) == 0);
    CHECK(F(enclave_error_signal)(NULL) == 0);
    F(enclave_error_free)(NULL);
    F(enclave_buffer_free)(NULL);
    enclave_buffer_t buffer = {NULL, 0};
    enclave_buffer_free(&buffer);
}

static void making_values_says_what_is_wrong(void) {
    MAKES_NOTHING(F(enclave_value_new_bigint_text)(NULL, Z, &error), "digits is NULL");
    MAKES_NOTHING(enclave_value_new_bigint_text("12", TOO_LONG, &error), "digits has a length of");
    MAKES_NOTHING(enclave_value_new_bigint_text("1\xff", Z, &error), "digits is not valid UTF-8");
    MAKES_NOTHING(F(enclave_value_new_string)(NULL, Z, &error), "string is NULL");
    MAKES_NOTHING(enclave_value_new_string(NULL, 0, &error), "string is NULL");
    MAKES_NOTHING(enclave_value_new_string("a", TOO_LONG, &error), "string has a length of");
    MAKES_NOTHING(enclave_value_new_string("\xc0\x80", Z, &error), "string is not valid UTF-8");
    MAKES_NOTHING(enclave_value_new_string("\xf4\x90\x80\x80", Z, &error), "string is not valid UTF-8");
    MAKES_NOTHING(F(enclave_value_new_bytes)(NULL, 1, &error), "bytes is NULL");
    MAKES_NOTHING(enclave_value_new_bytes("a", TOO_LONG, &error), "bytes has a length of");
    MAKES_NOTHING(F(enclave_value_new_error)(NULL, 0, NULL, 0, NULL, 0, &error), "message is NULL");
    MAKES_NOTHING(enclave_value_new_error("\xff", Z, "m", Z, NULL, 0, &error), "name is not valid UTF-8");
    MAKES_NOTHING(enclave_value_new_error(NULL, 0, "\xff", Z, NULL, 0, &error), "message is not valid UTF-8");
    MAKES_NOTHING(enclave_value_new_error(NULL, 0, "m", Z, "\xff", Z, &error), "code is not valid UTF-8");
    MAKES_NOTHING(F(enclave_value_from_json)(NULL, Z, &error), "json is NULL");
    MAKES_NOTHING(enclave_value_from_json("1", TOO_LONG, &error), "json has a length of");
    MAKES_NOTHING(enclave_value_from_json("\"\xff\"", Z, &error), "json is not valid UTF-8");
    MAKES_NOTHING(F(enclave_value_from_cbor)(NULL, 1, &error), "cbor is NULL");
    MAKES_NOTHING(enclave_value_from_cbor("\x01", TOO_LONG, &error), "cbor has a length of");
    MAKES_NOTHING(enclave_value_from_cbor(NULL, 0, &error), "cbor");
    CHECK(enclave_value_new_string(NULL, Z, NULL) == NULL && enclave_value_from_json("{", Z, NULL) == NULL);
}

static void values_that_cannot_fail_take_any_number(void) {
    static const double numbers[] = {NAN, -NAN, INFINITY, -INFINITY, -0.0, 1e308, 5e-324};
    for (size_t i = 0; i < COUNT(numbers); i++) {
        enclave_value_t *number = enclave_value_new_number(numbers[i]);
        CHECK(isnan(numbers[i]) ? isnan(enclave_value_number(number)) : enclave_value_number(number) == numbers[i]);
        enclave_value_free(number);
        enclave_value_t *date = F(enclave_value_new_date)(numbers[i]);
        CHECK(fabs(numbers[i]) <= 8.64e15 || isnan(enclave_value_date(date)));
        enclave_value_free(date);
    }
    enclave_value_t *made[] = {F(enclave_value_new_undefined)(), F(enclave_value_new_null)(),
                               F(enclave_value_new_bool)(true),  F(enclave_value_new_bigint)(INT64_MIN),
                               F(enclave_value_new_array)(),     F(enclave_value_new_map)(),
                               F(enclave_value_new_set)(),       F(enclave_value_new_object)()};
    for (size_t i = 0; i < COUNT(made); i++) {
        CHECK(made[i] != NULL);
        CHECK(enclave_value_item(made[i], SIZE_MAX) == NULL && enclave_value_map_key(made[i], SIZE_MAX) == NULL);
        CHECK(enclave_value_object_key(made[i], SIZE_MAX, NULL) == NULL);
        enclave_value_free(made[i]);
    }
}

static void reading_null_gives_nothing(void) {
    size_t len;
    NO_TEXT(enclave_value_string);
    NO_TEXT(enclave_value_bytes);
    NO_TEXT(enclave_value_error_name);
    NO_TEXT(enclave_value_error_message);
    NO_TEXT(enclave_value_error_code);
    NO_TEXT(enclave_value_error_stack);
    CHECK(F(enclave_value_kind)(NULL) == ENCLAVE_VALUE_UNDEFINED);
    CHECK(!F(enclave_value_bool)(NULL) && isnan(F(enclave_value_number)(NULL)) && isnan(F(enclave_value_date)(NULL)));
    int64_t integer = 7;
    CHECK(!F(enclave_value_int64)(NULL, &integer) && !enclave_value_int64(NULL, NULL));
    CHECK(F(enclave_value_count)(NULL) == 0 && F(enclave_value_item)(NULL, 0) == NULL);
    CHECK(F(enclave_value_map_key)(NULL, 0) == NULL);
    CHECK(F(enclave_value_object_key)(NULL, 0, &len) == NULL && len == 0);
    CHECK(F(enclave_value_get)(NULL, "a", Z) == NULL);
    CHECK(F(enclave_value_clone)(NULL) == NULL);
    F(enclave_value_free)(NULL);
    enclave_value_t *object = enclave_value_new_object();
    CHECK(enclave_value_get(object, NULL, Z) == NULL && enclave_value_get(object, NULL, 0) == NULL);
    CHECK(enclave_value_get(object, "\xff", Z) == NULL && enclave_value_get(object, "a", TOO_LONG) == NULL);
    enclave_value_free(object);

    enclave_buffer_t buffer = {(char *)&buffer, 7};
    REFUSED(F(enclave_value_bigint_text)(NULL, &buffer, &error), "value is NULL");
    CHECK(buffer.data == NULL && buffer.len == 0);
    buffer = (enclave_buffer_t){(char *)&buffer, 7};
    REFUSED(F(enclave_value_to_json)(NULL, &buffer, &error), "value is NULL");
    CHECK(buffer.data == NULL && buffer.len == 0);
    REFUSED(F(enclave_value_to_cbor)(NULL, &buffer, &error), "value is NULL");
    CHECK(buffer.data == NULL && buffer.len == 0);
    enclave_value_t *bigint = enclave_value_new_bigint(1);
    REFUSED(enclave_value_bigint_text(bigint, NULL, &error), "digits is NULL");
    REFUSED(enclave_value_to_json(bigint, NULL, &error), "json is NULL");
    REFUSED(enclave_value_to_cbor(bigint, NULL, &error), "cbor is NULL");
    CHECK_STATUS(enclave_value_to_json(NULL, NULL, NULL), ENCLAVE_INVALID_ARGUMENT);
    enclave_value_free(bigint);
}

static void containers_take_their_values_also_when_they_refuse_them(void) {
    enclave_value_t *array = enclave_value_new_array(), *map = enclave_value_new_map(),
                    *object = enclave_value_new_object();
    REFUSED(F(enclave_value_push)(NULL, one(), &error), "container is NULL");
    REFUSED(enclave_value_push(array, NULL, &error), "value is NULL");
    REFUSED(enclave_value_push(NULL, NULL, &error), "NULL");
    REFUSED(enclave_value_push(map, one(), &error), "accepted");
    REFUSED(F(enclave_value_map_set)(NULL, one(), one(), &error), "map is NULL");
    REFUSED(enclave_value_map_set(map, NULL, one(), &error), "key is NULL");
    REFUSED(enclave_value_map_set(map, one(), NULL, &error), "value is NULL");
    REFUSED(enclave_value_map_set(array, one(), one(), &error), "accepted is map");
    REFUSED(F(enclave_value_object_set)(NULL, "a", Z, one(), &error), "object is NULL");
    REFUSED(enclave_value_object_set(object, NULL, Z, one(), &error), "key is NULL");
    REFUSED(enclave_value_object_set(object, "a", Z, NULL, &error), "value is NULL");
    REFUSED(enclave_value_object_set(object, "a\xff", Z, one(), &error), "key is not valid UTF-8 at byte 1");
    REFUSED(enclave_value_object_set(object, "a", TOO_LONG, one(), &error), "key has a length of");
    CHECK(enclave_value_count(array) == 0 && enclave_value_count(map) == 0 && enclave_value_count(object) == 0);
    CHECK_STATUS(enclave_value_push(NULL, one(), NULL), ENCLAVE_INVALID_ARGUMENT);
    enclave_value_free(array);
    enclave_value_free(map);
    enclave_value_free(object);
}

static void a_config_refuses_by_name(void) {
    CHECK(F(enclave_config_new)(-1) == NULL && enclave_config_new(INT32_MIN) == NULL && enclave_config_new(5) == NULL);
    F(enclave_config_free)(NULL);
    enclave_config_t *config = enclave_config_new(ENCLAVE_PRESET_DEFAULT);
    CHECK_STATUS(F(enclave_config_set)(NULL, ENCLAVE_SETTING_MAX_WORKERS, 1), ENCLAVE_INVALID_ARGUMENT);
    static const enclave_setting_t none[] = {INT32_MIN, -1, 0, 50, 99, 150, INT32_MAX};
    for (size_t i = 0; i < COUNT(none); i++) {
        enclave_config_t *other = enclave_config_new(ENCLAVE_PRESET_DEFAULT);
        CHECK_STATUS(enclave_config_set(other, none[i], 1), ENCLAVE_INVALID_ARGUMENT);
        CHECK(F(enclave_config_get)(other, none[i]) == 0);
        REFUSED(F(enclave_config_validate)(other, &error), "setting is");
        enclave_config_free(other);
    }
    CHECK(enclave_config_get(NULL, ENCLAVE_SETTING_MAX_WORKERS) == 0);
    CHECK_STATUS(F(enclave_config_set_worker_path)(NULL, "/", Z), ENCLAVE_INVALID_ARGUMENT);
    CHECK_STATUS(enclave_config_set_worker_path(config, NULL, Z), ENCLAVE_INVALID_ARGUMENT);
    CHECK_STATUS(enclave_config_set_worker_path(config, "a\xff", Z), ENCLAVE_INVALID_ARGUMENT);
    CHECK_STATUS(F(enclave_config_set_cgroup)(NULL, "/", Z), ENCLAVE_INVALID_ARGUMENT);
    CHECK_STATUS(enclave_config_set_cgroup(config, NULL, 1), ENCLAVE_INVALID_ARGUMENT);
    CHECK_STATUS(enclave_config_set_cgroup(config, "/", TOO_LONG), ENCLAVE_INVALID_ARGUMENT);
    REFUSED(enclave_config_validate(NULL, &error), "config is NULL");
    CHECK_STATUS(enclave_config_validate(NULL, NULL), ENCLAVE_INVALID_ARGUMENT);

    enclave_pool_t *pool = (enclave_pool_t *)config;
    REFUSED(F(enclave_pool_new)(NULL, &pool, &error), "config is NULL");
    CHECK(pool == NULL);
    REFUSED(enclave_pool_new(config, NULL, &error), "pool is NULL");
    CHECK_STATUS(enclave_pool_new(NULL, NULL, NULL), ENCLAVE_INVALID_ARGUMENT);
    enclave_config_free(config);
}

static void a_registration_that_fails_runs_its_finalizer_once(void) {
    atomic_int finalized = 0;
    int expected = 0;
#define FINALIZES(call)                          \
    CHECK_STATUS(call, ENCLAVE_INVALID_ARGUMENT); \
    CHECK(atomic_load(&finalized) == ++expected)
    enclave_config_t *config = enclave_config_new(ENCLAVE_PRESET_DEFAULT);
    enclave_options_t *options = F(enclave_options_new)();
    FINALIZES(F(enclave_config_on_worker_recycled)(NULL, no_event, &finalized, count));
    FINALIZES(enclave_config_on_worker_recycled(config, NULL, &finalized, count));
    FINALIZES(F(enclave_config_on_stats_update)(NULL, no_stats, &finalized, count));
    FINALIZES(enclave_config_on_stats_update(config, NULL, &finalized, count));
    FINALIZES(F(enclave_config_on_console)(NULL, no_console, &finalized, count));
    FINALIZES(enclave_config_on_console(config, NULL, &finalized, count));
    FINALIZES(F(enclave_config_on_tool_call)(NULL, no_callback, &finalized, count));
    FINALIZES(enclave_config_on_tool_call(config, NULL, &finalized, count));
    FINALIZES(F(enclave_options_on_console)(NULL, no_console, &finalized, count));
    FINALIZES(enclave_options_on_console(options, NULL, &finalized, count));
    FINALIZES(F(enclave_options_on_tool_call)(NULL, no_callback, &finalized, count));
    FINALIZES(enclave_options_on_tool_call(options, NULL, &finalized, count));
    FINALIZES(F(enclave_options_add_tool)(NULL, "a", Z, no_callback, &finalized, count, NULL));
    FINALIZES(enclave_options_add_tool(options, NULL, Z, no_callback, &finalized, count, NULL));
    FINALIZES(enclave_options_add_tool(options, "a", Z, NULL, &finalized, count, NULL));
    FINALIZES(enclave_options_add_tool(options, "a\xff", Z, no_callback, &finalized, count, NULL));
    FINALIZES(enclave_options_add_tool(options, "a", TOO_LONG, no_callback, &finalized, count, NULL));

    enclave_pool_t *pool = small_pool();
    FINALIZES(F(enclave_pool_register_tool)(NULL, "a", Z, no_callback, &finalized, count, NULL));
    FINALIZES(enclave_pool_register_tool(pool, NULL, Z, no_callback, &finalized, count, NULL));
    FINALIZES(enclave_pool_register_tool(pool, "a", Z, NULL, &finalized, count, NULL));
    FINALIZES(enclave_pool_register_tool(pool, "a\xff", Z, no_callback, &finalized, count, NULL));
    FINALIZES(enclave_pool_register_tool(pool, "a", TOO_LONG, no_callback, &finalized, count, NULL));
    FINALIZES(enclave_pool_register_tool(pool, "", Z, no_callback, &finalized, count, NULL));
    FINALIZES(enclave_pool_register_tool(pool, "a b", Z, no_callback, &finalized, count, NULL));
    FINALIZES(F(enclave_pool_submit)(NULL, "1", Z, NULL, no_outcome, &finalized, count, NULL, NULL));
    FINALIZES(enclave_pool_submit(pool, NULL, Z, NULL, no_outcome, &finalized, count, NULL, NULL));
    FINALIZES(F(enclave_pool_submit_script)(pool, NULL, NULL, no_outcome, &finalized, count, NULL, NULL));
    FINALIZES(enclave_pool_submit(pool, "'\xff'", Z, NULL, no_outcome, &finalized, count, NULL, NULL));
    FINALIZES(enclave_pool_submit(pool, "1", TOO_LONG, NULL, no_outcome, &finalized, count, NULL, NULL));

    /* Without a finalizer there is nothing to run. */
    CHECK_STATUS(enclave_config_on_console(config, NULL, &finalized, NULL), ENCLAVE_INVALID_ARGUMENT);
    CHECK_STATUS(enclave_pool_submit(pool, "1", Z, NULL, NULL, NULL, NULL, NULL, NULL), ENCLAVE_OK);
    enclave_pool_free(pool);
    CHECK(atomic_load(&finalized) == expected);
    enclave_options_free(options);
    enclave_config_free(config);
}

static void options_refuse_by_name(void) {
    enclave_options_t *options = enclave_options_new();
    F(enclave_options_free)(NULL);
    CHECK_STATUS(F(enclave_options_set)(NULL, ENCLAVE_SETTING_TIMEOUT_MS, 1), ENCLAVE_INVALID_ARGUMENT);
    CHECK_STATUS(F(enclave_options_set_kind)(NULL, ENCLAVE_SOURCE_AUTO), ENCLAVE_INVALID_ARGUMENT);
    CHECK_STATUS(enclave_options_set_kind(options, -1), ENCLAVE_INVALID_ARGUMENT);
    CHECK_STATUS(enclave_options_set_kind(options, INT32_MAX), ENCLAVE_INVALID_ARGUMENT);
    CHECK_STATUS(F(enclave_options_set_collect_console)(NULL, true), ENCLAVE_INVALID_ARGUMENT);
    REFUSED(F(enclave_options_set_filename)(NULL, "a", Z, &error), "options is NULL");
    REFUSED(enclave_options_set_filename(options, NULL, Z, &error), "filename is NULL");
    REFUSED(enclave_options_set_filename(options, "\xff", Z, &error), "filename is not valid UTF-8");
    REFUSED(enclave_options_set_filename(options, "a", TOO_LONG, &error), "filename has a length of");
    REFUSED(F(enclave_options_set_global)(NULL, "a", Z, one(), &error), "options is NULL");
    REFUSED(enclave_options_set_global(options, NULL, Z, one(), &error), "name is NULL");
    REFUSED(enclave_options_set_global(options, "\xff", Z, one(), &error), "name is not valid UTF-8");
    REFUSED(enclave_options_set_global(options, "a", TOO_LONG, one(), &error), "name has a length of");
    REFUSED(enclave_options_set_global(options, "a", Z, NULL, &error), "value is NULL");
    REFUSED(F(enclave_options_set_global_json)(NULL, "a", Z, "1", Z, &error), "options is NULL");
    REFUSED(enclave_options_set_global_json(options, NULL, Z, "1", Z, &error), "name is NULL");
    REFUSED(enclave_options_set_global_json(options, "a", Z, NULL, Z, &error), "json is NULL");
    REFUSED(enclave_options_set_global_json(options, "a", Z, "1", TOO_LONG, &error), "json has a length of");
    REFUSED(F(enclave_options_set_global_cbor)(NULL, "a", Z, "\x01", 1, &error), "options is NULL");
    REFUSED(enclave_options_set_global_cbor(options, NULL, Z, "\x01", 1, &error), "name is NULL");
    REFUSED(enclave_options_set_global_cbor(options, "a", Z, NULL, 1, &error), "cbor is NULL");
    REFUSED(enclave_options_set_global_cbor(options, "a", Z, "\x01", TOO_LONG, &error), "cbor has a length of");
    REFUSED(enclave_options_add_tool(NULL, "a", Z, no_callback, NULL, NULL, &error), "options is NULL");
    REFUSED(enclave_options_add_tool(options, NULL, 1, no_callback, NULL, NULL, &error), "name is NULL");
    REFUSED(enclave_options_add_tool(options, "a", Z, NULL, NULL, NULL, &error), "callback is NULL");
    REFUSED(enclave_options_add_tool(options, "\xff", Z, no_callback, NULL, NULL, &error), "name");
    enclave_options_free(options);
}

static void a_pool_refuses_by_name(void) {
    enclave_pool_t *pool = small_pool();
    F(enclave_pool_free)(NULL);
    CHECK(F(enclave_pool_setting)(NULL, ENCLAVE_SETTING_MAX_WORKERS) == 0);
    CHECK(enclave_pool_setting(pool, -1) == 0 && enclave_pool_setting(pool, INT32_MAX) == 0);
    REFUSED(enclave_pool_register_tool(NULL, "a", Z, no_callback, NULL, NULL, &error), "pool is NULL");
    REFUSED(enclave_pool_register_tool(pool, "a", Z, NULL, NULL, NULL, &error), "callback is NULL");
    enclave_execution_t *execution = (enclave_execution_t *)pool;
    REFUSED(enclave_pool_submit(NULL, "1", Z, NULL, NULL, NULL, NULL, &execution, &error), "pool is NULL");
    CHECK(execution == NULL);
    REFUSED(enclave_pool_submit(pool, NULL, 3, NULL, NULL, NULL, NULL, NULL, &error), "source is NULL");
    REFUSED(F(enclave_pool_shutdown)(NULL, 0, &error), "pool is NULL");
    CHECK_STATUS(enclave_pool_shutdown(NULL, ENCLAVE_NO_TIMEOUT, NULL), ENCLAVE_INVALID_ARGUMENT);
    enclave_pool_stats_t *stats = (enclave_pool_stats_t *)pool;
    REFUSED(F(enclave_pool_stats)(NULL, &stats, &error), "pool is NULL");
    CHECK(stats == NULL);
    REFUSED(enclave_pool_stats(pool, NULL, &error), "stats is NULL");
    F(enclave_pool_stats_free)(NULL);
    CHECK(F(enclave_pool_stats_executions)(NULL, ENCLAVE_OK) == 0);
    CHECK(F(enclave_pool_stats_recycles)(NULL, ENCLAVE_RECYCLE_IDLE) == 0);
    CHECK_STATUS(enclave_pool_stats(pool, &stats, NULL), ENCLAVE_OK);
    CHECK(enclave_pool_stats_executions(stats, -1) == 0 && enclave_pool_stats_executions(stats, 7) == 0);
    CHECK(enclave_pool_stats_recycles(stats, -1) == 0 && enclave_pool_stats_recycles(stats, 14) == 0);
    enclave_pool_stats_free(stats);

    static const char *const sources[] = {NULL, "'\xff'", "\xed\xa0\x80"};
    for (size_t i = 0; i < COUNT(sources); i++) {
        enclave_outcome_t *outcome;
        CHECK_STATUS(F(enclave_pool_run)(pool, sources[i], Z, NULL, &outcome), ENCLAVE_INVALID_ARGUMENT);
        CHECK_STATUS(enclave_outcome_status(outcome), ENCLAVE_INVALID_ARGUMENT);
        CHECK_TEXT(enclave_error_field(enclave_outcome_error(outcome), NULL), "source");
        CHECK(enclave_outcome_value(outcome) == NULL && enclave_outcome_stats(outcome)->execution_id == 0);
        enclave_outcome_free(outcome);
    }
    MAKES_NO_SCRIPT(F(enclave_pool_compile)(NULL, "1", Z, NULL, &script, &error), "pool is NULL");
    MAKES_NO_SCRIPT(enclave_pool_compile(pool, NULL, Z, NULL, &script, &error), "source is NULL");
    MAKES_NO_SCRIPT(enclave_pool_compile(pool, "1", TOO_LONG, NULL, &script, &error), "source");
    REFUSED(enclave_pool_compile(pool, "1", Z, NULL, NULL, &error), "script is NULL");
    MAKES_NO_SCRIPT(F(enclave_pool_submit_compile)(NULL, "1", Z, NULL, NULL, NULL, NULL, &script, NULL, &error),
                    "pool is NULL");
    MAKES_NO_SCRIPT(enclave_pool_submit_compile(pool, NULL, Z, NULL, NULL, NULL, NULL, &script, NULL, &error),
                    "source is NULL");
    REFUSED(enclave_pool_submit_compile(pool, "1", Z, NULL, NULL, NULL, NULL, NULL, NULL, &error), "script is NULL");
    F(enclave_script_free)(NULL);
    enclave_outcome_t *outcome;
    CHECK_STATUS(F(enclave_pool_run_script)(pool, NULL, NULL, &outcome), ENCLAVE_INVALID_ARGUMENT);
    CHECK(strstr(enclave_error_message(enclave_outcome_error(outcome), NULL), "script is NULL") != NULL);
    enclave_outcome_free(outcome);
    CHECK_STATUS(enclave_pool_run(NULL, "1", Z, NULL, &outcome), ENCLAVE_INVALID_ARGUMENT);
    CHECK(strstr(enclave_error_message(enclave_outcome_error(outcome), NULL), "pool is NULL") != NULL);
    enclave_outcome_free(outcome);
    CHECK_STATUS(enclave_pool_run(NULL, NULL, TOO_LONG, NULL, NULL), ENCLAVE_INVALID_ARGUMENT);
    enclave_pool_free(pool);
}

static void executions_and_outcomes_refuse_null(void) {
    enclave_outcome_t *outcome = (enclave_outcome_t *)&called;
    F(enclave_execution_free)(NULL);
    CHECK(F(enclave_execution_id)(NULL) == 0);
    CHECK(!F(enclave_execution_is_done)(NULL));
    REFUSED(F(enclave_execution_wait)(NULL, 0, &outcome, &error), "execution is NULL");
    CHECK(outcome == NULL);
    REFUSED(F(enclave_execution_cancel)(NULL, &error), "execution is NULL");
    enclave_pool_t *pool = small_pool();
    enclave_execution_t *execution = submit(pool, "1");
    REFUSED(enclave_execution_wait(execution, ENCLAVE_NO_TIMEOUT, NULL, &error), "outcome is NULL");
    expect(execution, ENCLAVE_OK);
    enclave_pool_free(pool);

    F(enclave_outcome_free)(NULL);
    CHECK_STATUS(F(enclave_outcome_status)(NULL), ENCLAVE_INVALID_ARGUMENT);
    CHECK(F(enclave_outcome_value)(NULL) == NULL && F(enclave_outcome_error)(NULL) == NULL);
    CHECK(F(enclave_outcome_stats)(NULL) == NULL && F(enclave_outcome_console_count)(NULL) == 0);
    CHECK(F(enclave_outcome_console_line)(NULL, 0) == NULL);
}

static void misuses_call(void *data, enclave_tool_call_t *call) {
    if (setjmp(test_failed) != 0) {
        enclave_tool_call_free(call);
        return;
    }
    REFUSED(F(enclave_tool_call_resolve)(call, NULL, &error), "value is NULL");
    REFUSED(F(enclave_tool_call_resolve_json)(call, NULL, Z, &error), "json is NULL");
    REFUSED(enclave_tool_call_resolve_json(call, "[1", Z, &error), "json is not accepted");
    REFUSED(enclave_tool_call_resolve_json(call, "1", TOO_LONG, &error), "json has a length of");
    REFUSED(F(enclave_tool_call_resolve_cbor)(call, NULL, 1, &error), "cbor is NULL");
    REFUSED(enclave_tool_call_resolve_cbor(call, "\xff", 1, &error), "cbor is not");
    REFUSED(F(enclave_tool_call_reject)(call, NULL, 0, NULL, Z, NULL, 0, &error), "message is NULL");
    REFUSED(enclave_tool_call_reject(call, "\xff", Z, "m", Z, NULL, 0, &error), "name is not valid UTF-8");
    REFUSED(enclave_tool_call_reject(call, NULL, 0, "\xff", Z, NULL, 0, &error), "message is not valid UTF-8");
    REFUSED(enclave_tool_call_reject(call, NULL, 0, "m", Z, "c", TOO_LONG, &error), "code has a length of");
    CHECK_STATUS(enclave_tool_call_resolve(call, enclave_value_new_null(), NULL), ENCLAVE_OK);
    enclave_error_t *error;
    CHECK_STATUS(enclave_tool_call_resolve(call, one(), &error), ENCLAVE_INVALID_STATE);
    CHECK_ERROR(error, "answered");
    CHECK_STATUS(enclave_tool_call_resolve(call, one(), NULL), ENCLAVE_INVALID_STATE);
    enclave_tool_call_free(call);
    count(data);
}

static void tool_calls_refuse_by_name(void) {
    size_t len = 7;
    F(enclave_tool_call_free)(NULL);
    CHECK(F(enclave_tool_call_execution_id)(NULL) == 0);
    CHECK(F(enclave_tool_call_name)(NULL, &len) == NULL && len == 0);
    CHECK(F(enclave_tool_call_args)(NULL) == NULL);
    REFUSED(enclave_tool_call_resolve(NULL, one(), &error), "call is NULL");
    REFUSED(enclave_tool_call_resolve_json(NULL, "1", Z, &error), "call is NULL");
    REFUSED(enclave_tool_call_resolve_cbor(NULL, "\x01", 1, &error), "call is NULL");
    REFUSED(enclave_tool_call_reject(NULL, NULL, 0, "m", Z, NULL, 0, &error), "call is NULL");

    /* A failed check may only jump on its own thread, so the callback has a place of its own to jump to meanwhile. */
    jmp_buf before;
    memcpy(&before, &test_failed, sizeof before);
    atomic_int passed = 0;
    enclave_config_t *config = config_of(1, 1);
    enclave_config_on_tool_call(config, misuses_call, &passed, NULL);
    enclave_pool_t *pool = pool_of(config);
    enclave_status_t status = enclave_pool_run(pool, "await callTool('x')", Z, NULL, NULL);
    enclave_pool_free(pool);
    memcpy(&test_failed, &before, sizeof before);
    CHECK_STATUS(status, ENCLAVE_OK);
    CHECK(atomic_load(&passed) == 1);
}

static FILE *open_header(void) {
    char path[4096];
    const char *slash = strrchr(__FILE__, '/');
    snprintf(path, sizeof path, "%.*s/../../include/enclave.h", slash ? (int)(slash - __FILE__) : 1,
             slash ? __FILE__ : ".");
    return fopen(getenv("ENCLAVE_HEADER") ? getenv("ENCLAVE_HEADER") : path, "r");
}

/* The function that a line declares, NULL if it declares none. */
static char *declared(char *line) {
    char *name = strstr(line, "enclave_");
    while (name != NULL) {
        char *end = name;
        while (isalnum((unsigned char)*end) || *end == '_') {
            end++;
        }
        if (*end == '(') {
            *end = 0;
            return name;
        }
        name = strstr(end, "enclave_");
    }
    return NULL;
}

static void no_function_of_the_header_was_left_out(void) {
    FILE *header = open_header();
    CHECK(header != NULL);
    char line[1024];
    size_t functions = 0, missing = 0;
    while (fgets(line, sizeof line, header) != NULL) {
        char *name = line[0] == '/' || line[0] == ' ' ? NULL : declared(line);
        if (name == NULL || strncmp(line, "typedef", 7) == 0) {
            continue;
        }
        functions++;
        size_t i = 0;
        while (i < called_len && strcmp(called[i], name) != 0) {
            i++;
        }
        if (i == called_len) {
            printf("    %s is not called\n", name);
            missing++;
        }
    }
    fclose(header);
    CHECK(missing == 0);
    CHECK(functions > 100 && functions == called_len);
}

int main(int argc, char **argv) {
    static const test_t tests[] = {TEST(names_of_numbers_that_are_none_are_null),
                                   TEST(an_error_of_null_has_nothing),
                                   TEST(making_values_says_what_is_wrong),
                                   TEST(values_that_cannot_fail_take_any_number),
                                   TEST(reading_null_gives_nothing),
                                   TEST(containers_take_their_values_also_when_they_refuse_them),
                                   TEST(a_config_refuses_by_name),
                                   TEST(a_registration_that_fails_runs_its_finalizer_once),
                                   TEST(options_refuse_by_name),
                                   TEST(a_pool_refuses_by_name),
                                   TEST(executions_and_outcomes_refuse_null),
                                   TEST(tool_calls_refuse_by_name)};
    static const test_t last[] = {TEST(no_function_of_the_header_was_left_out)};
    int failed = run_tests(tests, COUNT(tests), argc, argv);
    /* With a filter not all were called. */
    return failed || (argc == 1 && run_tests(last, COUNT(last), argc, argv));
}

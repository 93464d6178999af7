/* Settings: the four presets exact, what is refused and how. */

#include "test.h"

#define KIB ((uint64_t)1024)
#define MIB (1024 * KIB)

static void the_presets_have_the_published_numbers(void) {
    /* setting, then STRICT, SECURE, STANDARD, PERMISSIVE */
    static const struct {
        enclave_setting_t setting;
        uint64_t values[4];
    } table[] = {
        {ENCLAVE_SETTING_ISOLATION, {1, 1, 1, 1}},
        {ENCLAVE_SETTING_MIN_WORKERS, {2, 2, 2, 4}},
        {ENCLAVE_SETTING_MAX_WORKERS, {4, 8, 16, 32}},
        {ENCLAVE_SETTING_MEMORY_LIMIT_PER_WORKER, {64 * MIB, 128 * MIB, 256 * MIB, 512 * MIB}},
        {ENCLAVE_SETTING_MAX_EXECUTIONS_PER_WORKER, {100, 500, 1000, 5000}},
        {ENCLAVE_SETTING_MAX_QUEUE_SIZE, {20, 50, 100, 500}},
        {ENCLAVE_SETTING_QUEUE_TIMEOUT_MS, {10000, 20000, 30000, 60000}},
        {ENCLAVE_SETTING_MAX_MESSAGES_PER_SECOND, {100, 500, 1000, 5000}},
        {ENCLAVE_SETTING_IDLE_TIMEOUT_MS, {15000, 30000, 30000, 60000}},
        {ENCLAVE_SETTING_GRACEFUL_SHUTDOWN_TIMEOUT_MS, {2000, 3000, 5000, 10000}},
        {ENCLAVE_SETTING_MAX_MESSAGE_SIZE, {1 * MIB, 4 * MIB, 16 * MIB, 64 * MIB}},
        {ENCLAVE_SETTING_MAX_PENDING_TOOL_CALLS, {10, 50, 100, 1000}},
        {ENCLAVE_SETTING_WARM_ON_INIT, {1, 1, 1, 1}},
        {ENCLAVE_SETTING_STATS_INTERVAL_MS, {1000, 1000, 1000, 1000}},
        {ENCLAVE_SETTING_JIT, {0, 1, 1, 1}},
        {ENCLAVE_SETTING_REQUIRE_SANDBOX, {0, 0, 0, 0}},
        {ENCLAVE_SETTING_REQUIRE_SECCOMP, {1, 1, 0, 0}},
        {ENCLAVE_SETTING_TIMEOUT_MS, {5000, 15000, 30000, 60000}},
        {ENCLAVE_SETTING_CPU_TIME_LIMIT_MS, {2000, 10000, 0, 0}},
        {ENCLAVE_SETTING_MAX_TOOL_CALLS, {10, 50, 100, 1000}},
        {ENCLAVE_SETTING_MAX_CONSOLE_CALLS, {100, 500, 1000, 10000}},
        {ENCLAVE_SETTING_MAX_CONSOLE_OUTPUT, {64 * KIB, 256 * KIB, 1 * MIB, 10 * MIB}},
        {ENCLAVE_SETTING_MAX_VALUE_DEPTH, {32, 64, 128, 256}},
        {ENCLAVE_SETTING_SANITIZE_STACK_TRACES, {1, 1, 0, 0}},
        {ENCLAVE_SETTING_BLOCK_TIMING_APIS, {1, 0, 0, 0}},
        {ENCLAVE_SETTING_ALLOW_CODE_GENERATION, {0, 0, 0, 1}},
        {ENCLAVE_SETTING_ALLOW_WASM, {0, 0, 0, 0}},
        {ENCLAVE_SETTING_MAX_PENDING_BYTES, {4 * MIB, 16 * MIB, 64 * MIB, 256 * MIB}},
    };
    size_t settings = 0;
    for (enclave_setting_t setting = 1; setting < 1000; setting++) {
        settings += enclave_setting_name(setting) != NULL;
    }
    CHECK(settings == COUNT(table));
    for (enclave_preset_t preset = ENCLAVE_PRESET_STRICT; preset <= ENCLAVE_PRESET_PERMISSIVE; preset++) {
        enclave_config_t *config = enclave_config_new(preset);
        for (size_t i = 0; i < COUNT(table); i++) {
            uint64_t expected = table[i].values[preset - ENCLAVE_PRESET_STRICT];
            uint64_t actual = enclave_config_get(config, table[i].setting);
            if (actual != expected) {
                FAIL("preset %d: %s is %llu", (int)preset, enclave_setting_name(table[i].setting),
                     (unsigned long long)actual);
            }
        }
        CHECK_STATUS(enclave_config_validate(config, NULL), ENCLAVE_OK);
        enclave_config_free(config);
    }
    CHECK(enclave_config_new(5) == NULL && enclave_config_new(-1) == NULL);
}

static void a_setting_is_found_by_its_name(void) {
    CHECK(enclave_setting_from_name("queue_timeout_ms", Z) == ENCLAVE_SETTING_QUEUE_TIMEOUT_MS);
    CHECK(enclave_setting_from_name("max_workers_", 11) == ENCLAVE_SETTING_MAX_WORKERS);
    CHECK(enclave_setting_from_name("workers", Z) == ENCLAVE_SETTING_NONE);
    for (enclave_setting_t setting = 1; setting < 1000; setting++) {
        const char *name = enclave_setting_name(setting);
        CHECK(name == NULL || enclave_setting_from_name(name, Z) == setting);
    }
}

/* Sets one value and gives the message of the pool that cannot be made. */
static void refused(enclave_setting_t setting, uint64_t value, const char *message) {
    enclave_config_t *config = enclave_config_new(ENCLAVE_PRESET_DEFAULT);
    enclave_config_set(config, setting, value);
    enclave_pool_t *pool = (enclave_pool_t *)config;
    enclave_error_t *error;
    CHECK_STATUS(enclave_pool_new(config, &pool, &error), ENCLAVE_INVALID_ARGUMENT);
    CHECK(pool == NULL);
    CHECK_ERROR(error, message);
    CHECK_STATUS(enclave_config_validate(config, &error), ENCLAVE_INVALID_ARGUMENT);
    CHECK_ERROR(error, message);
    enclave_config_free(config);
}

static void what_is_out_of_range_is_refused_by_name_and_value(void) {
    refused(ENCLAVE_SETTING_MAX_WORKERS, 0, "max_workers is 0; accepted is 1 to 1024");
    refused(ENCLAVE_SETTING_MAX_WORKERS, (uint64_t)-1, "max_workers is 18446744073709551615");
    refused(ENCLAVE_SETTING_MEMORY_LIMIT_PER_WORKER, 1, "memory_limit_per_worker is 1;");
    refused(ENCLAVE_SETTING_MAX_TOOL_CALLS, (uint64_t)-1, "max_tool_calls is 18446744073709551615");
    refused(ENCLAVE_SETTING_QUEUE_TIMEOUT_MS, 0, "queue_timeout");
    refused(ENCLAVE_SETTING_QUEUE_TIMEOUT_MS, UINT64_MAX, "queue_timeout");
    refused(ENCLAVE_SETTING_TIMEOUT_MS, 0, "timeout");
    refused(ENCLAVE_SETTING_WARM_ON_INIT, 2, "warm_on_init is 2; accepted is 0 and 1");
    refused(ENCLAVE_SETTING_ISOLATION, 9, "isolation is 9");
    refused(ENCLAVE_SETTING_MAX_VALUE_DEPTH, 513, "max_value_depth is 513");
    refused(77, 1, "setting is 77");
}

static void webassembly_cannot_be_allowed(void) {
    enclave_config_t *config = enclave_config_new(ENCLAVE_PRESET_PERMISSIVE);
    enclave_config_set(config, ENCLAVE_SETTING_ALLOW_WASM, 1);
    enclave_error_t *error;
    CHECK_STATUS(enclave_config_validate(config, &error), ENCLAVE_UNSUPPORTED);
    CHECK_TEXT(enclave_error_field(error, NULL), "allow_wasm");
    CHECK_ERROR(error, "WebAssembly");
    enclave_config_free(config);
}

static void min_workers_follows_max_workers_down_unless_it_is_set(void) {
    enclave_config_t *config = enclave_config_new(ENCLAVE_PRESET_SECURE);
    enclave_config_set(config, ENCLAVE_SETTING_MAX_WORKERS, 1);
    CHECK(enclave_config_get(config, ENCLAVE_SETTING_MIN_WORKERS) == 1);
    CHECK_STATUS(enclave_config_validate(config, NULL), ENCLAVE_OK);
    enclave_config_set(config, ENCLAVE_SETTING_MIN_WORKERS, 2);
    enclave_error_t *error;
    CHECK_STATUS(enclave_config_validate(config, &error), ENCLAVE_INVALID_ARGUMENT);
    CHECK_ERROR(error, "min_workers is 2");
    enclave_config_free(config);
}

static void a_pool_tells_its_settings(void) {
    enclave_config_t *config = config_of(1, 3);
    enclave_config_set(config, ENCLAVE_SETTING_TIMEOUT_MS, 1234);
    enclave_pool_t *pool = pool_of(config);
    CHECK(enclave_pool_setting(pool, ENCLAVE_SETTING_MAX_WORKERS) == 3);
    CHECK(enclave_pool_setting(pool, ENCLAVE_SETTING_TIMEOUT_MS) == 1234);
    CHECK(enclave_pool_setting(pool, 77) == 0);
    enclave_pool_free(pool);
}

static void options_have_only_limits(void) {
    enclave_options_t *options = enclave_options_new();
    CHECK_STATUS(enclave_options_set(options, ENCLAVE_SETTING_TIMEOUT_MS, 100), ENCLAVE_OK);
    CHECK_STATUS(enclave_options_set(options, ENCLAVE_SETTING_MAX_WORKERS, 1), ENCLAVE_INVALID_ARGUMENT);
    enclave_pool_t *pool = small_pool();
    enclave_outcome_t *outcome = run(pool, "1", options);
    CHECK_STATUS(enclave_outcome_status(outcome), ENCLAVE_INVALID_ARGUMENT);
    CHECK(strstr(enclave_error_message(enclave_outcome_error(outcome), NULL), "max_workers, which belongs to a pool"));
    enclave_outcome_free(outcome);
    enclave_options_free(options);
    enclave_pool_free(pool);
}

static void worker_processes_are_found_or_it_is_said_where_they_were_looked_for(void) {
    enclave_config_t *config = config_of(1, 1);
    enclave_config_set(config, ENCLAVE_SETTING_ISOLATION, ENCLAVE_ISOLATION_PROCESS);
    CHECK_STATUS(enclave_config_set_worker_path(config, "/nowhere/worker", ENCLAVE_NUL_TERMINATED), ENCLAVE_OK);
    enclave_pool_t *pool;
    enclave_error_t *error;
    CHECK_STATUS(enclave_pool_new(config, &pool, &error), ENCLAVE_UNSUPPORTED);
    CHECK(strstr(enclave_error_message(error, NULL), "worker_path is /nowhere/worker, which does not exist"));
    enclave_error_free(error);
    /* Beside the library, where `make install` has put it. */
    CHECK_STATUS(enclave_config_set_worker_path(config, "", 0), ENCLAVE_OK);
    pool = pool_of(config);
    enclave_outcome_free(run(pool, "1 + 1", NULL));
    enclave_pool_stats_t *stats;
    CHECK_STATUS(enclave_pool_stats(pool, &stats, NULL), ENCLAVE_OK);
    CHECK(stats->isolation == ENCLAVE_ISOLATION_PROCESS && stats->sandbox_violations == 0);
    CHECK((stats->sandbox_missing & ~ENCLAVE_SANDBOX_LANDLOCK_NETWORK) == 0);
    enclave_pool_stats_free(stats);
    enclave_pool_free(pool);
}

static void a_sandbox_that_is_required_and_cannot_be_had_is_refused(void) {
    enclave_config_t *config = config_of(1, 1);
    enclave_config_set(config, ENCLAVE_SETTING_ISOLATION, ENCLAVE_ISOLATION_PROCESS);
    CHECK_STATUS(enclave_config_set_cgroup(config, "/nowhere", ENCLAVE_NUL_TERMINATED), ENCLAVE_OK);
    enclave_config_set(config, ENCLAVE_SETTING_REQUIRE_SANDBOX, 1);
    enclave_pool_t *pool;
    enclave_error_t *error;
    CHECK_STATUS(enclave_pool_new(config, &pool, &error), ENCLAVE_UNSUPPORTED);
    CHECK(strstr(enclave_error_message(error, NULL), "does not give a worker process cgroup"));
    enclave_error_free(error);
    enclave_config_set(config, ENCLAVE_SETTING_REQUIRE_SANDBOX, 0);
    pool = pool_of(config);
    enclave_pool_stats_t *stats;
    CHECK_STATUS(enclave_pool_stats(pool, &stats, NULL), ENCLAVE_OK);
    CHECK(stats->sandbox_missing & ENCLAVE_SANDBOX_CGROUP);
    enclave_pool_stats_free(stats);
    enclave_pool_free(pool);
}

MAIN(TEST(the_presets_have_the_published_numbers),
     TEST(a_setting_is_found_by_its_name),
     TEST(what_is_out_of_range_is_refused_by_name_and_value),
     TEST(webassembly_cannot_be_allowed),
     TEST(min_workers_follows_max_workers_down_unless_it_is_set),
     TEST(a_pool_tells_its_settings),
     TEST(worker_processes_are_found_or_it_is_said_where_they_were_looked_for),
     TEST(a_sandbox_that_is_required_and_cannot_be_had_is_refused),
     TEST(options_have_only_limits))

/* A test is a function; a program is a list of them. A failed check ends its test, names the place and goes on with
 * the next. */

#ifndef ENCLAVE_TEST_H
#define ENCLAVE_TEST_H

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "enclave.h"

#define Z ENCLAVE_NUL_TERMINATED
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
/* Longer than anything takes on a busy machine. */
#define LONG_MS 300000

static jmp_buf test_failed;

#define FAIL(...) (printf("    %s:%d: ", __FILE__, __LINE__), printf(__VA_ARGS__), puts(""), longjmp(test_failed, 1))

#define CHECK(condition) ((condition) ? (void)0 : FAIL("%s", #condition))

#define CHECK_STATUS(actual, expected) check_status((actual), (expected), #actual, __FILE__, __LINE__)

#define CHECK_TEXT(actual, expected) check_text((actual), (expected), #actual, __FILE__, __LINE__)

#define CHECK_JSON(value, expected) check_json((value), (expected), #value, __FILE__, __LINE__)

/* The message of an error holds a text; the error is freed. */
#define CHECK_ERROR(error, part) check_error((error), (part), __FILE__, __LINE__)

static inline void check_status(enclave_status_t actual, enclave_status_t expected, const char *what, const char *file,
                                int line) {
    if (actual != expected) {
        const char *name = enclave_status_name(actual);
        printf("    %s:%d: %s is %s (%d), not %s\n", file, line, what, name ? name : "no status", (int)actual,
               enclave_status_name(expected));
        longjmp(test_failed, 1);
    }
}

static inline void check_text(const char *actual, const char *expected, const char *what, const char *file, int line) {
    if (actual == NULL || strcmp(actual, expected) != 0) {
        printf("    %s:%d: %s is \"%s\", not \"%s\"\n", file, line, what, actual ? actual : "(NULL)", expected);
        longjmp(test_failed, 1);
    }
}

/* The text that a function lends of a value, which has no NUL behind it. */
static inline void check_lent(const char *(*lend)(const enclave_value_t *, size_t *), const enclave_value_t *value,
                              const char *expected) {
    size_t len = 0;
    const char *text = lend(value, &len);
    if (text == NULL || len != strlen(expected) || memcmp(text, expected, len) != 0) {
        FAIL("a text is \"%.*s\", not \"%s\"", (int)len, text ? text : "", expected);
    }
}

static inline void check_json(const enclave_value_t *value, const char *expected, const char *what, const char *file,
                              int line) {
    enclave_buffer_t json;
    check_status(enclave_value_to_json(value, &json, NULL), ENCLAVE_OK, what, file, line);
    int same = strcmp(json.data, expected) == 0;
    if (!same) {
        printf("    %s:%d: %s is %s, not %s\n", file, line, what, json.data, expected);
    }
    enclave_buffer_free(&json);
    if (!same) {
        longjmp(test_failed, 1);
    }
}

static inline void check_error(enclave_error_t *error, const char *part, const char *file, int line) {
    char message[512];
    snprintf(message, sizeof message, "%s", error ? enclave_error_message(error, NULL) : "(no error)");
    enclave_error_free(error);
    if (strstr(message, part) == NULL) {
        printf("    %s:%d: the error is \"%s\", without \"%s\"\n", file, line, message, part);
        longjmp(test_failed, 1);
    }
}

typedef struct {
    const char *name;
    void (*run)(void);
} test_t;

#define TEST(function) \
    { #function, function }

/* Runs the tests whose name holds the first argument, or all; the exit code of the program. */
static inline int run_tests(const test_t *tests, size_t count, int argc, char **argv) {
    volatile int failed = 0; /* it is read after a longjmp */
    for (size_t i = 0; i < count; i++) {
        if (argc > 1 && strstr(tests[i].name, argv[1]) == NULL) {
            continue;
        }
        if (setjmp(test_failed) == 0) {
            tests[i].run();
            printf("  ok      %s\n", tests[i].name);
        } else {
            printf("  FAILED  %s\n", tests[i].name);
            failed = 1;
        }
        fflush(stdout);
    }
    return failed;
}

#define MAIN(...)                                                   \
    int main(int argc, char **argv) {                               \
        static const test_t tests[] = {__VA_ARGS__};                \
        return run_tests(tests, COUNT(tests), argc, argv);          \
    }

/* A config of few workers, so that a test knows what waits and what runs; time ends nothing. */
static inline enclave_config_t *config_of(uint64_t min_workers, uint64_t max_workers) {
    enclave_config_t *config = enclave_config_new(ENCLAVE_PRESET_DEFAULT);
    enclave_config_set(config, ENCLAVE_SETTING_TIMEOUT_MS, LONG_MS);
    enclave_config_set(config, ENCLAVE_SETTING_QUEUE_TIMEOUT_MS, LONG_MS);
    enclave_config_set(config, ENCLAVE_SETTING_MIN_WORKERS, min_workers);
    enclave_config_set(config, ENCLAVE_SETTING_MAX_WORKERS, max_workers);
    return config;
}

/* A pool of this config, which is freed. */
static inline enclave_pool_t *pool_of(enclave_config_t *config) {
    enclave_pool_t *pool;
    enclave_error_t *error;
    enclave_status_t status = enclave_pool_new(config, &pool, &error);
    enclave_config_free(config);
    if (status != ENCLAVE_OK) {
        FAIL("enclave_pool_new: %s", enclave_error_message(error, NULL));
    }
    return pool;
}

static inline enclave_pool_t *small_pool(void) {
    return pool_of(config_of(1, 2));
}

/* Runs a source and gives its outcome. */
static inline enclave_outcome_t *run(enclave_pool_t *pool, const char *source, const enclave_options_t *options) {
    enclave_outcome_t *outcome;
    enclave_status_t status = enclave_pool_run(pool, source, Z, options, &outcome);
    CHECK_STATUS(status, enclave_outcome_status(outcome));
    return outcome;
}

/* Runs a source whose result has this JSON. */
static inline void run_json(enclave_pool_t *pool, const char *source, const enclave_options_t *options,
                            const char *expected) {
    enclave_outcome_t *outcome = run(pool, source, options);
    if (enclave_outcome_status(outcome) != ENCLAVE_OK) {
        FAIL("%s: %s", source, enclave_error_message(enclave_outcome_error(outcome), NULL));
    }
    CHECK_JSON(enclave_outcome_value(outcome), expected);
    enclave_outcome_free(outcome);
}

static inline enclave_execution_t *submit(enclave_pool_t *pool, const char *source) {
    enclave_execution_t *execution;
    CHECK_STATUS(enclave_pool_submit(pool, source, Z, NULL, NULL, NULL, NULL, &execution, NULL), ENCLAVE_OK);
    return execution;
}

/* Waits for an execution, which must end in this status, and frees it. */
static inline void expect(enclave_execution_t *execution, enclave_status_t status) {
    enclave_outcome_t *outcome;
    CHECK_STATUS(enclave_execution_wait(execution, LONG_MS, &outcome, NULL), ENCLAVE_OK);
    CHECK(outcome != NULL);
    CHECK_STATUS(enclave_outcome_status(outcome), status);
    enclave_outcome_free(outcome);
    enclave_execution_free(execution);
}

static inline void sleep_ms(long ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* Waits until a condition holds that nobody tells of. */
#define EVENTUALLY(condition)                           \
    do {                                                \
        for (int left = LONG_MS / 2; !(condition);) {   \
            if (left-- == 0) {                          \
                FAIL("waited in vain: %s", #condition); \
            }                                           \
            sleep_ms(2);                                \
        }                                               \
    } while (false)

/* A gate at which callbacks wait until the test opens it. */
typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    bool open;
    int waiting;
} gate_t;

#define GATE {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0}

static inline void gate_wait(gate_t *gate) {
    pthread_mutex_lock(&gate->lock);
    gate->waiting++;
    while (!gate->open) {
        pthread_cond_wait(&gate->opened, &gate->lock);
    }
    pthread_mutex_unlock(&gate->lock);
}

/* How many have come to the gate so far. */
static inline int gate_count(gate_t *gate) {
    pthread_mutex_lock(&gate->lock);
    int count = gate->waiting;
    pthread_mutex_unlock(&gate->lock);
    return count;
}

static inline void gate_open(gate_t *gate) {
    pthread_mutex_lock(&gate->lock);
    gate->open = true;
    pthread_cond_broadcast(&gate->opened);
    pthread_mutex_unlock(&gate->lock);
}

/* A tool that answers when the gate is open. */
static inline void answer_at_gate(void *gate, enclave_tool_call_t *call) {
    gate_wait(gate);
    enclave_tool_call_resolve(call, enclave_value_new_null(), NULL);
    enclave_tool_call_free(call);
}

static inline uint64_t executing(enclave_pool_t *pool) {
    enclave_pool_stats_t *stats;
    CHECK_STATUS(enclave_pool_stats(pool, &stats, NULL), ENCLAVE_OK);
    uint64_t workers = stats->workers_executing;
    enclave_pool_stats_free(stats);
    return workers;
}

static inline uint64_t queue_depth(enclave_pool_t *pool) {
    enclave_pool_stats_t *stats;
    CHECK_STATUS(enclave_pool_stats(pool, &stats, NULL), ENCLAVE_OK);
    uint64_t depth = stats->queue_depth;
    enclave_pool_stats_free(stats);
    return depth;
}

/* Workers that end what they ran, or leave. */
static inline uint64_t leaving(enclave_pool_t *pool) {
    enclave_pool_stats_t *stats;
    CHECK_STATUS(enclave_pool_stats(pool, &stats, NULL), ENCLAVE_OK);
    uint64_t workers = stats->workers_executing + stats->workers_recycling + stats->workers_set_aside;
    enclave_pool_stats_free(stats);
    return workers;
}

/* Waits for workers that have come too late to their end, as they may on a busy machine, and were set aside: when too many
 * are, the pool runs nothing more. */
static inline void await_late(enclave_pool_t *pool) {
    EVENTUALLY(leaving(pool) == 0);
}

/* Counts what happens, from any thread. */
static inline void count(void *counter) {
    atomic_fetch_add((atomic_int *)counter, 1);
}

/* Waits until a counter has come to a number, and shows that it stays there. */
static inline void check_count(atomic_int *counter, int expected) {
    EVENTUALLY(atomic_load(counter) >= expected);
    sleep_ms(5);
    if (atomic_load(counter) != expected) {
        FAIL("the count is %d, not %d", atomic_load(counter), expected);
    }
}

#endif

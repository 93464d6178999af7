/* enclave through its C interface: a contestant of the benchmarks (benches/README.md). Requests are JSON, which the
 * library itself reads: enclave_value_from_json. */
#define _GNU_SOURCE

#include <semaphore.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "enclave.h"

enum { MAX_POOLS = 16, MAX_IN_FLIGHT = 100000 };

/* Pools are kept between requests. */
typedef struct {
    bool process;
    uint64_t workers;
    enclave_pool_t *pool;
} kept_t;

static kept_t pools[MAX_POOLS];
static size_t pools_len;

/* What is executed, and what must come out. */
typedef struct {
    const char *source;
    size_t source_len;
    /* NULL if there is none: read for each execution, and the result is written as JSON. */
    enclave_buffer_t input;
    enclave_buffer_t expect;
    size_t count;
    int64_t *ns;
    /* Of the concurrent ones. */
    atomic_size_t left;
    bool each;
    sem_t done;
    _Atomic(const char *) failed;
} round_t;

/* One execution that is under way. */
typedef struct {
    round_t *round;
    size_t number;
    int64_t begun;
} flight_t;

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

/* The answer is one line: {"error": "..."}. The texts are ours and need no escapes. */
static void answer(const char *key, const char *text) {
    printf("{\"%s\": \"%s\"}\n", key, text);
}

static int compare(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double micros(const round_t *round, size_t percent) {
    size_t at = round->count * percent / 100;
    return (double)round->ns[at < round->count ? at : round->count - 1] / 1000;
}

static bool is_text(const enclave_value_t *value, const char *text) {
    size_t len;
    const char *string = enclave_value_string(value, &len);
    return string != NULL && len == strlen(text) && memcmp(string, text, len) == 0;
}

static const enclave_value_t *get(const enclave_value_t *object, const char *key) {
    return enclave_value_get(object, key, ENCLAVE_NUL_TERMINATED);
}

static size_t count_of(const enclave_value_t *request, const char *key) {
    int64_t number;
    return enclave_value_int64(get(request, key), &number) && number > 0 ? (size_t)number : 1;
}

static void echo(void *user_data, enclave_tool_call_t *call) {
    (void)user_data;
    enclave_tool_call_resolve(call, enclave_value_clone(enclave_tool_call_args(call)), NULL);
    enclave_tool_call_free(call);
}

/* STANDARD, with the limits of the protocol. What would end a benchmark (queue, messages) is wide. */
static const enclave_pool_t *pool_of(bool process, uint64_t workers) {
    for (size_t i = 0; i < pools_len; i++) {
        if (pools[i].process == process && pools[i].workers == workers) {
            return pools[i].pool;
        }
    }
    if (pools_len == MAX_POOLS) {
        return NULL;
    }
    enclave_config_t *config = enclave_config_new(ENCLAVE_PRESET_STANDARD);
    enclave_config_set(config, ENCLAVE_SETTING_ISOLATION,
                       process ? ENCLAVE_ISOLATION_PROCESS : ENCLAVE_ISOLATION_THREAD);
    enclave_config_set(config, ENCLAVE_SETTING_MIN_WORKERS, workers);
    enclave_config_set(config, ENCLAVE_SETTING_MAX_WORKERS, workers);
    enclave_config_set(config, ENCLAVE_SETTING_MEMORY_LIMIT_PER_WORKER, 128 << 20);
    enclave_config_set(config, ENCLAVE_SETTING_MAX_QUEUE_SIZE, MAX_IN_FLIGHT);
    enclave_config_set(config, ENCLAVE_SETTING_QUEUE_TIMEOUT_MS, 600000);
    enclave_config_set(config, ENCLAVE_SETTING_MAX_EXECUTIONS_PER_WORKER, 1000000000);
    enclave_config_set(config, ENCLAVE_SETTING_MAX_MESSAGES_PER_SECOND, 1000000);
    enclave_config_set(config, ENCLAVE_SETTING_TIMEOUT_MS, 5000);
    enclave_pool_t *pool;
    enclave_error_t *error;
    if (enclave_pool_new(config, &pool, &error) != ENCLAVE_OK) {
        fprintf(stderr, "%s\n", enclave_error_message(error, NULL));
        enclave_error_free(error);
    } else {
        enclave_pool_register_tool(pool, "echo", ENCLAVE_NUL_TERMINATED, echo, NULL, NULL, NULL);
        pools[pools_len++] = (kept_t){process, workers, pool};
    }
    enclave_config_free(config);
    return pool;
}

/* The options of one execution; NULL where it needs none. */
static enclave_options_t *options_of(const round_t *round) {
    if (round->input.data == NULL) {
        return NULL;
    }
    enclave_options_t *options = enclave_options_new();
    enclave_options_set_global_json(options, "input", ENCLAVE_NUL_TERMINATED, round->input.data, round->input.len,
                                    NULL);
    return options;
}

/* Takes an outcome as a user would, frees it, and gives what is wrong with it. The first and the last are compared. */
static const char *take(const round_t *round, size_t number, enclave_outcome_t *outcome) {
    const char *failed = NULL;
    bool counts = number == 0 || number == round->count - 1;
    if (enclave_outcome_status(outcome) != ENCLAVE_OK) {
        failed = enclave_status_name(enclave_outcome_status(outcome));
    } else if (counts || round->input.data != NULL) {
        enclave_buffer_t json;
        enclave_value_to_json(enclave_outcome_value(outcome), &json, NULL);
        if (counts && (json.len != round->expect.len || memcmp(json.data, round->expect.data, json.len) != 0)) {
            failed = "the result is another";
        }
        enclave_buffer_free(&json);
    }
    enclave_outcome_free(outcome);
    return failed;
}

static const char *sequential(const enclave_pool_t *pool, round_t *round) {
    for (size_t i = 0; i < round->count; i++) {
        int64_t begun = now();
        enclave_options_t *options = options_of(round);
        enclave_outcome_t *outcome;
        enclave_pool_run(pool, round->source, round->source_len, options, &outcome);
        enclave_options_free(options);
        const char *failed = take(round, i, outcome);
        round->ns[i] = now() - begun;
        if (failed != NULL) {
            return failed;
        }
    }
    return NULL;
}

static void complete(void *user_data, enclave_outcome_t *outcome) {
    flight_t *flight = user_data;
    round_t *round = flight->round;
    const char *failed = take(round, flight->number, outcome);
    if (failed != NULL) {
        atomic_store(&round->failed, failed);
    }
    round->ns[flight->number] = now() - flight->begun;
    /* Where all are submitted at once, nobody is told but of the last. */
    if (atomic_fetch_sub(&round->left, 1) == 1 || round->each) {
        sem_post(&round->done);
    }
}

static const char *concurrent(const enclave_pool_t *pool, round_t *round, size_t in_flight) {
    flight_t *flights = calloc(round->count, sizeof *flights);
    atomic_store(&round->left, round->count);
    atomic_store(&round->failed, NULL);
    round->each = in_flight < round->count;
    sem_init(&round->done, 0, 0);
    size_t submitted = 0;
    for (; submitted < round->count; submitted++) {
        if (submitted >= in_flight) {
            sem_wait(&round->done);
        }
        flight_t *flight = &flights[submitted];
        *flight = (flight_t){round, submitted, now()};
        enclave_options_t *options = options_of(round);
        enclave_status_t status = enclave_pool_submit(pool, round->source, round->source_len, options, complete, flight,
                                                      NULL, NULL, NULL);
        enclave_options_free(options);
        if (status != ENCLAVE_OK) {
            fprintf(stderr, "not submitted: %s\n", enclave_status_name(status));
            exit(1);
        }
    }
    for (size_t i = 0; i < (round->each ? in_flight : 1); i++) {
        sem_wait(&round->done);
    }
    sem_destroy(&round->done);
    free(flights);
    return atomic_load(&round->failed);
}

static void run(const enclave_value_t *request) {
    if (enclave_value_bool(get(get(request, "options"), "compiled"))) {
        answer("unsupported", "only the Rust program compiles scripts");
        return;
    }
    const enclave_pool_t *pool = pool_of(is_text(get(request, "isolation"), "process"), count_of(request, "workers"));
    if (pool == NULL) {
        answer("error", "there is no pool");
        return;
    }
    round_t round = {.count = count_of(request, "count")};
    round.source = enclave_value_string(get(request, "source"), &round.source_len);
    round.ns = calloc(round.count, sizeof *round.ns);
    if (get(request, "input") != NULL) {
        enclave_value_to_json(get(request, "input"), &round.input, NULL);
    }
    enclave_value_to_json(get(request, "expect"), &round.expect, NULL);
    int64_t begun = now();
    const char *failed = is_text(get(request, "mode"), "concurrent")
                             ? concurrent(pool, &round, count_of(request, "in_flight"))
                             : sequential(pool, &round);
    double seconds = (double)(now() - begun) / 1e9;
    if (failed != NULL) {
        answer("error", failed);
    } else {
        qsort(round.ns, round.count, sizeof *round.ns, compare);
        printf("{\"seconds\": %.9f, \"count\": %zu, \"p10_us\": %.3f, \"p50_us\": %.3f, \"p99_us\": %.3f, "
               "\"max_us\": %.3f}\n",
               seconds, round.count, micros(&round, 10), micros(&round, 50), micros(&round, 99), micros(&round, 100));
    }
    free(round.ns);
    enclave_buffer_free(&round.input);
    enclave_buffer_free(&round.expect);
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("{\"contestant\": \"c\", \"version\": \"%s\", \"engine\": \"SpiderMonkey 153\", \"notes\": "
           "\"timeout 5 s and memory 128 MiB a worker, both also inside of native functions\"}\n",
           enclave_version());
    char *line = NULL;
    size_t size = 0;
    ssize_t len;
    while ((len = getline(&line, &size, stdin)) > 0) {
        enclave_value_t *request = enclave_value_from_json(line, (size_t)len, NULL);
        if (request == NULL) {
            answer("error", "the request is no JSON");
        } else if (is_text(get(request, "op"), "run")) {
            run(request);
        } else {
            answer("unsupported", "only run");
        }
        enclave_value_free(request);
    }
    free(line);
    for (size_t i = 0; i < pools_len; i++) {
        enclave_pool_free(pools[i].pool);
    }
    return 0;
}

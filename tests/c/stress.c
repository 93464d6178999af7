/* Many threads, many pools, cancel and shutdown at every moment: every submission is answered exactly once, every
 * finalizer runs exactly once, and no thread or file is left behind. */

#include <dirent.h>

#include "test.h"

#define THREADS 64

/* A submission that counts what comes back. */
typedef struct {
    atomic_int called, finalized, status;
    enclave_status_t submitted;
    enclave_execution_t *execution;
} ticket_t;

static void on_complete(void *data, enclave_outcome_t *outcome) {
    ticket_t *ticket = data;
    atomic_store(&ticket->status, enclave_outcome_status(outcome));
    atomic_fetch_add(&ticket->called, 1);
    enclave_outcome_free(outcome);
}

static void on_finalize(void *data) {
    atomic_fetch_add(&((ticket_t *)data)->finalized, 1);
}

static void send(enclave_pool_t *pool, const char *source, const enclave_options_t *options, ticket_t *ticket) {
    ticket->submitted = enclave_pool_submit(pool, source, Z, options, on_complete, ticket, on_finalize,
                                            &ticket->execution, NULL);
}

/* Frees the handle of a ticket; the pool is gone, so that all is counted. */
static void check_once(ticket_t *ticket) {
    int expected = ticket->submitted == ENCLAVE_OK;
    CHECK((ticket->execution != NULL) == expected);
    if (atomic_load(&ticket->called) != expected || atomic_load(&ticket->finalized) != 1) {
        FAIL("submitted %s, called %d times, finalized %d times", enclave_status_name(ticket->submitted),
             atomic_load(&ticket->called), atomic_load(&ticket->finalized));
    }
    enclave_execution_free(ticket->execution);
}

static void answer(void *data, enclave_tool_call_t *call) {
    (void)data;
    enclave_tool_call_resolve(call, enclave_value_clone(enclave_tool_call_args(call)), NULL);
    enclave_tool_call_free(call);
}

/* What the threads run, and how it ends. */
static const struct {
    const char *source;
    enclave_status_t status;
} MIX[] = {{"1 + 1", ENCLAVE_OK},
           {"await callTool('x', {a: [1, 2, 3]})", ENCLAVE_OK},
           {"await new Promise((r) => setTimeout(r, 3))", ENCLAVE_OK},
           {"throw new Error('x')", ENCLAVE_EXCEPTION},
           {"let x = = 1", ENCLAVE_SYNTAX_ERROR},
           {"await new Promise(() => {})", ENCLAVE_UNSETTLED},
           {"const o = {}; o.o = o; o", ENCLAVE_RESULT_NOT_TRANSFERABLE},
           {"for (let i = 0; ; i++) console.log(i)", ENCLAVE_CONSOLE_LIMIT},
           {"for (;;);", ENCLAVE_TIMEOUT}};

#define PER_THREAD (2 * COUNT(MIX))

typedef struct {
    enclave_pool_t *pool;
    enclave_options_t *options;
    ticket_t tickets[PER_THREAD];
} client_t;

static void *submit_the_mix(void *data) {
    client_t *client = data;
    for (size_t i = 0; i < PER_THREAD; i++) {
        send(client->pool, MIX[i % COUNT(MIX)].source, client->options, &client->tickets[i]);
    }
    for (size_t i = 0; i < PER_THREAD; i++) {
        enclave_outcome_t *outcome;
        enclave_execution_wait(client->tickets[i].execution, ENCLAVE_NO_TIMEOUT, &outcome, NULL);
        enclave_outcome_free(outcome);
    }
    return NULL;
}

static void each_of_64_threads_gets_each_outcome_once(void) {
    enclave_config_t *config = config_of(2, 4);
    enclave_config_set(config, ENCLAVE_SETTING_MAX_QUEUE_SIZE, 10000);
    enclave_config_set(config, ENCLAVE_SETTING_MAX_EXECUTIONS_PER_WORKER, 20);
    enclave_config_on_tool_call(config, answer, NULL, NULL);
    enclave_pool_t *pool = pool_of(config);
    enclave_options_t *options = enclave_options_new();
    enclave_options_set(options, ENCLAVE_SETTING_MAX_CONSOLE_CALLS, 50);
    enclave_options_set(options, ENCLAVE_SETTING_TIMEOUT_MS, 20);
    client_t *clients = calloc(THREADS, sizeof *clients);
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        clients[i].pool = pool;
        clients[i].options = options;
        CHECK(pthread_create(&threads[i], NULL, submit_the_mix, &clients[i]) == 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    enclave_pool_stats_t *stats;
    CHECK_STATUS(enclave_pool_stats(pool, &stats, NULL), ENCLAVE_OK);
    CHECK(stats->executions_total == THREADS * PER_THREAD);
    CHECK(stats->queue_depth == 0);
    enclave_pool_stats_free(stats);
    enclave_pool_free(pool);
    for (size_t i = 0; i < THREADS; i++) {
        for (size_t j = 0; j < PER_THREAD; j++) {
            ticket_t *ticket = &clients[i].tickets[j];
            enclave_status_t status = atomic_load(&ticket->status);
            /* On a busy machine whatever runs may pass its 20 ms, and the pool may run nothing while too many workers
             * have not come to their end. */
            CHECK(ticket->submitted == ENCLAVE_OK || ticket->submitted == ENCLAVE_WORKER_CRASHED);
            CHECK(ticket->submitted != ENCLAVE_OK || status == MIX[j % COUNT(MIX)].status || status == ENCLAVE_TIMEOUT ||
                  status == ENCLAVE_WORKER_CRASHED);
            check_once(ticket);
        }
    }
    enclave_options_free(options);
    free(clients);
}

static void *submit_to_a_small_queue(void *data) {
    client_t *client = data;
    for (size_t i = 0; i < PER_THREAD; i++) {
        send(client->pool, "1", NULL, &client->tickets[i]);
    }
    return NULL;
}

static void what_a_full_queue_refuses_is_finalized_and_never_called(void) {
    enclave_config_t *config = config_of(1, 1);
    enclave_config_set(config, ENCLAVE_SETTING_MAX_QUEUE_SIZE, 3);
    enclave_pool_t *pool = pool_of(config);
    client_t *clients = calloc(8, sizeof *clients);
    pthread_t threads[8];
    for (size_t i = 0; i < COUNT(threads); i++) {
        clients[i].pool = pool;
        CHECK(pthread_create(&threads[i], NULL, submit_to_a_small_queue, &clients[i]) == 0);
    }
    size_t refused = 0;
    for (size_t i = 0; i < COUNT(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    enclave_pool_free(pool);
    for (size_t i = 0; i < COUNT(threads); i++) {
        for (size_t j = 0; j < PER_THREAD; j++) {
            enclave_status_t submitted = clients[i].tickets[j].submitted;
            CHECK(submitted == ENCLAVE_OK || submitted == ENCLAVE_QUEUE_FULL);
            refused += submitted == ENCLAVE_QUEUE_FULL;
            check_once(&clients[i].tickets[j]);
        }
    }
    CHECK(refused > 0);
    free(clients);
}

static int entries(const char *path) {
    DIR *directory = opendir(path);
    CHECK(directory != NULL);
    int count = 0;
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count;
}

/* Waits for a number of threads: the system forgets a joined one a moment later. */
static void check_threads(int expected) {
    EVENTUALLY(entries("/proc/self/task") <= expected);
}

static void two_hundred_pools_leave_no_thread_and_no_file(void) {
    /* The first pool starts what the engine keeps for good. */
    enclave_pool_free(small_pool());
    int threads = entries("/proc/self/task"), files = entries("/proc/self/fd");
    for (int i = 0; i < 200; i++) {
        enclave_pool_t *pool = pool_of(config_of(1 + i % 2, 2));
        run_json(pool, "1 + 1", NULL, "2");
        enclave_execution_t *left = i % 4 == 3 ? submit(pool, "for (;;);") : submit(pool, "1");
        if (i % 2 == 0) {
            CHECK_STATUS(enclave_pool_shutdown(pool, ENCLAVE_POOL_TIMEOUT, NULL), ENCLAVE_OK);
        } else if (i % 4 == 3) {
            CHECK_STATUS(enclave_pool_shutdown(pool, 0, NULL), ENCLAVE_OK);
        }
        enclave_pool_free(pool);
        CHECK(enclave_execution_is_done(left));
        enclave_execution_free(left);
    }
    check_threads(threads);
    CHECK(entries("/proc/self/fd") == files);
}

static void many_pools_at_once_are_independent(void) {
    enclave_pool_t *pools[20];
    for (size_t i = 0; i < COUNT(pools); i++) {
        pools[i] = pool_of(config_of(1, 1));
    }
    for (size_t i = 0; i < COUNT(pools); i++) {
        run_json(pools[i], "globalThis.n = (globalThis.n ?? 0) + 1", NULL, "1");
        CHECK_STATUS(enclave_pool_shutdown(pools[(i * 7) % COUNT(pools)], 0, NULL), ENCLAVE_OK);
        CHECK_STATUS(enclave_pool_run(pools[(i * 7) % COUNT(pools)], "1", Z, NULL, NULL), ENCLAVE_POOL_CLOSED);
        enclave_pool_free(pools[(i * 7) % COUNT(pools)]);
        pools[(i * 7) % COUNT(pools)] = small_pool();
    }
    for (size_t i = 0; i < COUNT(pools); i++) {
        enclave_pool_free(pools[i]);
    }
}

typedef struct {
    ticket_t *tickets;
    size_t count;
    unsigned seed;
    atomic_bool *stop;
} storm_t;

static void *cancel_at_random(void *data) {
    storm_t *storm = data;
    while (!atomic_load(storm->stop)) {
        storm->seed = storm->seed * 1103515245 + 12345;
        ticket_t *ticket = &storm->tickets[storm->seed / 65536 % storm->count];
        if (enclave_execution_cancel(ticket->execution, NULL) != ENCLAVE_OK) {
            return storm;
        }
        if (storm->seed % 16 == 0) {
            sleep_ms(1);
        }
    }
    return NULL;
}

static void a_storm_of_cancels_ends_each_execution_once(void) {
    static const char *const sources[] = {"1", "for (let i = 0; i < 1e5; i++);", "await callTool('x')",
                                          "await new Promise((r) => setTimeout(r, 2))", "for (;;);"};
    enclave_config_t *config = config_of(1, 3);
    enclave_config_set(config, ENCLAVE_SETTING_MAX_QUEUE_SIZE, 10000);
    enclave_config_on_tool_call(config, answer, NULL, NULL);
    enclave_pool_t *pool = pool_of(config);
    enclave_options_t *options = enclave_options_new();
    enclave_options_set(options, ENCLAVE_SETTING_TIMEOUT_MS, 200);
    size_t count = 400;
    ticket_t *tickets = calloc(count, sizeof *tickets);
    for (size_t i = 0; i < count; i++) {
        send(pool, sources[i % COUNT(sources)], options, &tickets[i]);
        CHECK_STATUS(tickets[i].submitted, ENCLAVE_OK);
    }
    enclave_options_free(options);
    atomic_bool stop = false;
    pthread_t threads[6];
    storm_t storms[6];
    for (size_t i = 0; i < COUNT(threads); i++) {
        storms[i] = (storm_t){tickets, count, (unsigned)i + 1, &stop};
        CHECK(pthread_create(&threads[i], NULL, cancel_at_random, &storms[i]) == 0);
    }
    size_t cancelled = 0;
    for (size_t i = 0; i < count; i++) {
        enclave_outcome_t *outcome;
        CHECK_STATUS(enclave_execution_wait(tickets[i].execution, LONG_MS, &outcome, NULL), ENCLAVE_OK);
        CHECK(outcome != NULL);
        enclave_status_t status = enclave_outcome_status(outcome);
        CHECK(status == ENCLAVE_OK || status == ENCLAVE_CANCELLED || status == ENCLAVE_TIMEOUT ||
              status == ENCLAVE_WORKER_CRASHED);
        cancelled += status == ENCLAVE_CANCELLED;
        enclave_outcome_free(outcome);
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < COUNT(threads); i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        CHECK(failed == NULL);
    }
    CHECK(cancelled > 0);
    await_late(pool);
    run_json(pool, "'alive'", NULL, "\"alive\"");
    enclave_pool_free(pool);
    for (size_t i = 0; i < count; i++) {
        check_once(&tickets[i]);
    }
    free(tickets);
}

static void *shut_down(void *pool) {
    return (void *)(intptr_t)enclave_pool_shutdown(pool, 30, NULL);
}

static void a_shutdown_with_1000_waiting_answers_each_once(void) {
    enclave_config_t *config = config_of(2, 2);
    enclave_config_set(config, ENCLAVE_SETTING_MAX_QUEUE_SIZE, 1000);
    enclave_pool_t *pool = pool_of(config);
    size_t count = 1000, closed = 0;
    ticket_t *tickets = calloc(count, sizeof *tickets);
    for (size_t i = 0; i < count; i++) {
        send(pool, i < 2 ? "for (;;);" : "1", NULL, &tickets[i]);
        CHECK_STATUS(tickets[i].submitted, ENCLAVE_OK);
    }
    pthread_t threads[4];
    for (size_t i = 0; i < COUNT(threads); i++) {
        CHECK(pthread_create(&threads[i], NULL, shut_down, pool) == 0);
    }
    for (size_t i = 0; i < COUNT(threads); i++) {
        void *status;
        pthread_join(threads[i], &status);
        CHECK_STATUS((enclave_status_t)(intptr_t)status, ENCLAVE_OK);
    }
    /* A shutdown returns when every execution has its outcome, and its callback has returned. */
    for (size_t i = 0; i < count; i++) {
        CHECK(atomic_load(&tickets[i].called) == 1);
        closed += atomic_load(&tickets[i].status) == ENCLAVE_POOL_CLOSED;
    }
    CHECK(closed == count);
    enclave_pool_free(pool);
    for (size_t i = 0; i < count; i++) {
        check_once(&tickets[i]);
    }
    free(tickets);
}

static void *wait_for(void *execution) {
    enclave_outcome_t *outcome;
    enclave_status_t status = enclave_execution_wait(execution, ENCLAVE_NO_TIMEOUT, &outcome, NULL);
    intptr_t result = status == ENCLAVE_OK ? enclave_outcome_status(outcome) : -1;
    enclave_outcome_free(outcome);
    return (void *)result;
}

static void those_who_wait_get_their_outcome_when_the_pool_is_freed(void) {
    enclave_config_t *config = config_of(1, 1);
    enclave_config_set(config, ENCLAVE_SETTING_GRACEFUL_SHUTDOWN_TIMEOUT_MS, 0);
    enclave_pool_t *pool = pool_of(config);
    enclave_execution_t *executions[] = {submit(pool, "for (;;);"), submit(pool, "1")};
    pthread_t threads[16];
    for (size_t i = 0; i < COUNT(threads); i++) {
        CHECK(pthread_create(&threads[i], NULL, wait_for, executions[i % 2]) == 0);
    }
    sleep_ms(30);
    enclave_pool_free(pool);
    for (size_t i = 0; i < COUNT(threads); i++) {
        void *status;
        pthread_join(threads[i], &status);
        CHECK_STATUS((enclave_status_t)(intptr_t)status, ENCLAVE_POOL_CLOSED);
    }
    enclave_execution_free(executions[0]);
    enclave_execution_free(executions[1]);
}

/* A pool that is freed by the completion callback of its own execution. */
typedef struct {
    enclave_pool_t *pool;
    atomic_int done;
} suicide_t;

static void free_the_pool(void *data, enclave_outcome_t *outcome) {
    suicide_t *suicide = data;
    enclave_outcome_free(outcome);
    enclave_pool_free(suicide->pool);
}

static void finalize_suicide(void *data) {
    atomic_fetch_add(&((suicide_t *)data)->done, 1);
}

static void a_pool_may_be_freed_by_its_own_callback(void) {
    for (int i = 0; i < 20; i++) {
        suicide_t suicide = {.pool = small_pool()};
        CHECK_STATUS(enclave_pool_submit(suicide.pool, "await null", Z, NULL, free_the_pool, &suicide, finalize_suicide,
                                         NULL, NULL),
                     ENCLAVE_OK);
        check_count(&suicide.done, 1);
    }
}

MAIN(TEST(each_of_64_threads_gets_each_outcome_once),
     TEST(what_a_full_queue_refuses_is_finalized_and_never_called),
     TEST(two_hundred_pools_leave_no_thread_and_no_file),
     TEST(many_pools_at_once_are_independent),
     TEST(a_storm_of_cancels_ends_each_execution_once),
     TEST(a_shutdown_with_1000_waiting_answers_each_once),
     TEST(those_who_wait_get_their_outcome_when_the_pool_is_freed),
     TEST(a_pool_may_be_freed_by_its_own_callback))

/* One case, in a process of its own: a pool, a warm-up, the attack, and what must hold afterwards.
 *
 * The process writes a line that begins with ! for all that is wrong, and at the end one line of results, which
 * `read_results` reads in the parent. If that is missing, the attack has taken the process down. */

#ifndef HOSTILE_ATTACK_H
#define HOSTILE_ATTACK_H

#include <dirent.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tools.h"

/* Memory that may be left when all is over: what is not collected yet, and warmer caches; or a quarter of the limit,
 * which a worker that stays may keep for its heap. */
#define LEAST_TOLERANCE_KIB (16 * 1024)
/* Of the script's own time, past the end of it: late is not an outcome that takes its time on a busy machine, but one
 * that waits for the script. */
#define LATE_AT_MOST_US 1000000
/* A worker collects its garbage after 50 executions at most. */
#define EXECUTIONS_TO_SETTLE 60

typedef struct {
    const char *dir;
    uint64_t limit_mib, timeout_ms;
    /* Under a limit that is not the case's own, it may pass that, not come to it in time, or even fit. */
    bool any_limit;
} attack_options_t;

/* What one process measures. */
typedef struct {
    char status[32];
    long peak_over_limit_kib, late_us, elapsed_us, rss_left_kib;
} results_t;

static void write_results(const results_t *results) {
    dprintf(STDOUT_FILENO, "=%s %ld %ld %ld %ld\n", results->status, results->peak_over_limit_kib, results->late_us,
            results->elapsed_us, results->rss_left_kib);
}

static bool read_results(const char *line, results_t *results) {
    return sscanf(line, "=%31s %ld %ld %ld %ld", results->status, &results->peak_over_limit_kib, &results->late_us,
                  &results->elapsed_us, &results->rss_left_kib) == 5;
}

/* A field of /proc/PROCESS/status, a number; -1 if there is none. */
static long status_of(const char *process, const char *name) {
    char line[512];
    snprintf(line, sizeof line, "/proc/%s/status", process);
    FILE *file = fopen(line, "r");
    long kib = -1;
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0) {
            kib = strtol(line + strlen(name) + 1, NULL, 10);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return kib;
}

/* A field of our own, in KiB. */
static long memory_of(const char *name) {
    return status_of("self", name);
}

/* What the worker process holds, in KiB; 0 if there is none. */
static long memory_of_worker(void) {
    long kib = 0;
    struct dirent *entry;
    DIR *processes = opendir("/proc");
    while (processes != NULL && (entry = readdir(processes)) != NULL) {
        if (status_of(entry->d_name, "PPid:") == getpid()) {
            long resident = status_of(entry->d_name, "VmRSS:");
            kib = resident > kib ? resident : kib;
        }
    }
    if (processes != NULL) {
        closedir(processes);
    }
    return kib;
}

/* The most that a worker process has held that has ended, in KiB. */
static long peak_of_workers(void) {
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    return usage.ru_maxrss;
}

/* VmHWM starts anew at what is resident now. */
static void forget_peak(void) {
    FILE *file = fopen("/proc/self/clear_refs", "w");
    if (file == NULL || fputs("5", file) < 0 || fclose(file) != 0) {
        fail("the peak of memory cannot be reset: /proc/self/clear_refs");
    }
}

/* Where an outcome comes in. */
typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t came;
    enclave_outcome_t *outcome;
    int outcomes, finalized;
} inbox_t;

static void on_complete(void *data, enclave_outcome_t *outcome) {
    inbox_t *inbox = data;
    pthread_mutex_lock(&inbox->lock);
    enclave_outcome_free(inbox->outcome);
    inbox->outcome = outcome;
    inbox->outcomes++;
    pthread_cond_signal(&inbox->came);
    pthread_mutex_unlock(&inbox->lock);
}

static void on_finalize(void *data) {
    inbox_t *inbox = data;
    pthread_mutex_lock(&inbox->lock);
    inbox->finalized++;
    pthread_cond_signal(&inbox->came);
    pthread_mutex_unlock(&inbox->lock);
}

/* Waits for the outcome; the parent ends the process if it never comes. */
static enclave_outcome_t *take_outcome(inbox_t *inbox) {
    pthread_mutex_lock(&inbox->lock);
    while (inbox->outcome == NULL) {
        pthread_cond_wait(&inbox->came, &inbox->lock);
    }
    enclave_outcome_t *outcome = inbox->outcome;
    inbox->outcome = NULL;
    pthread_mutex_unlock(&inbox->lock);
    return outcome;
}

static const char *status_name(const enclave_outcome_t *outcome) {
    const char *name = enclave_status_name(enclave_outcome_status(outcome));
    return name ? name : "no status";
}

static const char *message_of(const enclave_outcome_t *outcome) {
    const enclave_error_t *error = enclave_outcome_error(outcome);
    return error ? enclave_error_message(error, NULL) : "";
}

static bool is_expected(const case_t *a_case, const char *status, const attack_options_t *options) {
    if (expects(a_case, status)) {
        return true;
    }
    return options->any_limit && (strcmp(status, "MEMORY_LIMIT") == 0 || strcmp(status, "TIMEOUT") == 0 ||
                                  (strcmp(status, "OK") == 0 && flag(a_case, "fits")));
}

static void check_json(json_t value, json_t expected, const char *what) {
    enclave_buffer_t left = {NULL, 0}, right = {NULL, 0};
    enclave_value_to_json(value, &left, NULL);
    enclave_value_to_json(expected, &right, NULL);
    if (left.len != right.len || memcmp(left.data, right.data, left.len) != 0) {
        fail("%s is %.300s, not %.300s", what, left.data, right.data);
    }
    enclave_buffer_free(&left);
    enclave_buffer_free(&right);
}

/* What holds for the texts of every error, whatever script has put into them. */
static void check_error(const enclave_error_t *error) {
    typedef const char *(*part_t)(const enclave_error_t *, size_t *);
    static const part_t parts[] = {enclave_error_message, enclave_error_name, enclave_error_script_message,
                                   enclave_error_code, enclave_error_stack, enclave_error_filename,
                                   enclave_error_source_line, enclave_error_field, enclave_error_path};
    for (size_t i = 0; i < COUNT(parts); i++) {
        size_t len;
        const char *text = parts[i](error, &len);
        if (text == NULL) {
            continue;
        }
        if (text[len] != '\0' || !is_utf8(text, len)) {
            fail("text %zu of the error is no UTF-8 with a NUL behind it", i);
        }
        if (len > 256 * 1024) {
            fail("text %zu of the error has %zu bytes", i, len);
        }
        if (strstr(text, ".rs:") != NULL || strstr(text, "libenclave") != NULL) {
            fail("text %zu of the error tells of the host: %.200s", i, text);
        }
    }
    enclave_status_t status = enclave_error_status(error);
    if (status == ENCLAVE_MEMORY_LIMIT && enclave_error_used_bytes(error) == 0) {
        fail("the error does not say how much memory was used");
    }
    bool is_limit = status >= ENCLAVE_TIMEOUT && status < ENCLAVE_CANCELLED;
    if (is_limit && enclave_error_setting(error) == ENCLAVE_SETTING_NONE) {
        fail("the error does not say which setting was passed");
    }
}

/* How long after the time that ended it an execution had its outcome, if it has taken so long. */
static long late_by(const case_t *a_case, const enclave_outcome_t *outcome, uint64_t elapsed_us) {
    uint64_t deadline_us;
    const enclave_error_t *error = enclave_outcome_error(outcome);
    switch (enclave_outcome_status(outcome)) {
    case ENCLAVE_TIMEOUT:
        deadline_us = enclave_error_limit(error) * 1000;
        break;
    case ENCLAVE_CPU_LIMIT:
        elapsed_us = enclave_outcome_stats(outcome)->cpu_time_ns / 1000;
        deadline_us = enclave_error_limit(error) * 1000;
        break;
    case ENCLAVE_CANCELLED:
        deadline_us = number(a_case, "cancel_ms", 0) * 1000;
        break;
    default:
        return 0;
    }
    return elapsed_us > deadline_us ? (long)(elapsed_us - deadline_us) : 0;
}

/* No more output came than the limits of the execution allow. */
static void check_console(const case_t *a_case, const enclave_pool_t *pool) {
    json_t limits = enclave_value_get(a_case->spec, "limits", Z);
    json_t own_calls = enclave_value_get(limits, "max_console_calls", Z);
    json_t own_output = enclave_value_get(limits, "max_console_output", Z);
    uint64_t calls = own_calls ? (uint64_t)enclave_value_number(own_calls)
                               : enclave_pool_setting(pool, ENCLAVE_SETTING_MAX_CONSOLE_CALLS);
    uint64_t output = own_output ? (uint64_t)enclave_value_number(own_output)
                                 : enclave_pool_setting(pool, ENCLAVE_SETTING_MAX_CONSOLE_OUTPUT);
    uint64_t lines = atomic_load(&seen.console_lines), bytes = atomic_load(&seen.console_bytes);
    if (lines > calls || bytes > output) {
        fail("%llu lines of %llu bytes came; the limits are %llu and %llu", (unsigned long long)lines,
             (unsigned long long)bytes, (unsigned long long)calls, (unsigned long long)output);
    }
}

/* Runs the attack once. */
static void attack(const case_t *a_case, enclave_pool_t *pool, const attack_options_t *how, results_t *results) {
    enclave_options_t *options = options_of(a_case, how->timeout_ms);
    text_t source = source_of(a_case, "source", enclave_pool_setting(pool, ENCLAVE_SETTING_MEMORY_LIMIT_PER_WORKER));
    inbox_t *inbox = calloc(1, sizeof *inbox);
    pthread_mutex_init(&inbox->lock, NULL);
    pthread_cond_init(&inbox->came, NULL);
    enclave_execution_t *execution = NULL;
    enclave_error_t *error;
    memset(&seen, 0, sizeof seen);

    uint64_t start = now_us();
    enclave_status_t status = enclave_pool_submit(pool, source.data, source.len, options, on_complete, inbox,
                                                  on_finalize, &execution, &error);
    if (status != ENCLAVE_OK) {
        snprintf(results->status, sizeof results->status, "%s", enclave_status_name(status));
        if (!is_expected(a_case, results->status, how)) {
            fail("the submission is refused: %s", enclave_error_message(error, NULL));
        }
        check_error(error);
        enclave_error_free(error);
        enclave_options_free(options);
        free(source.data);
        return;
    }
    atomic_store(&seen.execution, enclave_execution_id(execution));
    if (field(a_case, "cancel_ms") != NULL) {
        sleep_ms(number(a_case, "cancel_ms", 0));
        enclave_execution_cancel(execution, NULL);
    }
    enclave_outcome_t *outcome = take_outcome(inbox);
    uint64_t end = now_us();

    snprintf(results->status, sizeof results->status, "%s", status_name(outcome));
    results->elapsed_us = (long)(end - start);
    long late_us = late_by(a_case, outcome, end - start);
    results->late_us = late_us > results->late_us ? late_us : results->late_us;
    if (!is_expected(a_case, results->status, how)) {
        enclave_buffer_t value = {NULL, 0};
        enclave_value_to_json(enclave_outcome_value(outcome), &value, NULL);
        fail("the outcome is %s: %.300s%.300s", results->status, message_of(outcome), value.data ? value.data : "");
        enclave_buffer_free(&value);
    }
    long cpu_late_us = late_by(a_case, outcome, enclave_outcome_stats(outcome)->cpu_time_ns / 1000);
    if (cpu_late_us > LATE_AT_MOST_US) {
        fail("the script ran on for %ld ms before the outcome came", cpu_late_us / 1000);
    }
    if (enclave_outcome_error(outcome) != NULL) {
        check_error(enclave_outcome_error(outcome));
    } else if (enclave_value_get(a_case->spec, "value", Z) != NULL) {
        check_json(enclave_outcome_value(outcome), enclave_value_get(a_case->spec, "value", Z), "the result");
    }
    json_t part = enclave_value_get(a_case->spec, "message_has", Z);
    if (part != NULL && strstr(message_of(outcome), string_of(part)) == NULL) {
        fail("the message is \"%.300s\"", message_of(outcome));
    }
    check_console(a_case, pool);
    enclave_outcome_free(outcome);
    enclave_execution_free(execution);
    enclave_options_free(options);
    free(source.data);
    pthread_mutex_lock(&inbox->lock);
    while (inbox->finalized == 0) {
        pthread_cond_wait(&inbox->came, &inbox->lock);
    }
    if (inbox->outcomes != 1 || inbox->finalized != 1) {
        fail("%d outcomes came, and the finalizer ran %d times", inbox->outcomes, inbox->finalized);
    }
    pthread_mutex_unlock(&inbox->lock);
}

/* Runs a source that must work, and gives its outcome. */
static enclave_outcome_t *run_well(enclave_pool_t *pool, const char *source, const enclave_options_t *options,
                                   const char *what) {
    enclave_outcome_t *outcome;
    if (enclave_pool_run(pool, source, Z, options, &outcome) != ENCLAVE_OK) {
        fail("%s: %s: %s", what, status_name(outcome), message_of(outcome));
    }
    return outcome;
}

static void run_quietly(enclave_pool_t *pool, int times) {
    for (int i = 0; i < times; i++) {
        enclave_outcome_free(run_well(pool, "1 + 1", NULL, "1 + 1"));
    }
}

/* What a realm of this pool is made of, and that a sum is still a sum. */
static enclave_outcome_t *look_at_realm(enclave_pool_t *pool, const char *probe, const char *when) {
    enclave_options_t *options = enclave_options_new();
    enclave_options_set_kind(options, ENCLAVE_SOURCE_FUNCTION);
    enclave_outcome_t *sum = run_well(pool, "1 + 1", NULL, when);
    int64_t two;
    if (!enclave_value_int64(enclave_outcome_value(sum), &two) || two != 2) {
        fail("%s: 1 + 1 is not 2", when);
    }
    enclave_outcome_free(sum);
    enclave_outcome_t *realm = run_well(pool, probe, options, when);
    enclave_options_free(options);
    return realm;
}

/* The first line in which two texts differ, of the second. */
static void check_same_realm(const enclave_outcome_t *before, const enclave_outcome_t *after) {
    size_t before_len, after_len;
    const char *left = enclave_value_string(enclave_outcome_value(before), &before_len);
    const char *right = enclave_value_string(enclave_outcome_value(after), &after_len);
    if (left == NULL || right == NULL || (before_len == after_len && memcmp(left, right, before_len) == 0)) {
        return;
    }
    size_t line = 0, i = 0;
    for (; i < before_len && i < after_len && left[i] == right[i]; i++) {
        line = right[i] == '\n' ? i + 1 : line;
    }
    size_t end = i;
    while (end < after_len && right[end] != '\n') {
        end++;
    }
    fail("the next realm is not clean: %.*s", (int)(end - line), right + line);
}

/* Whether a thread that the attack ran on may stay for ever, with what it holds: in a native that does not look up, or
 * parked where the engine could not go on. A process never may. */
static bool is_lost(const case_t *a_case) {
    return !in_process() && (flag(a_case, "sticks") || flag(a_case, "crash"));
}

/* How many workers may stay set aside. */
static uint64_t may_stay(const case_t *a_case) {
    return is_lost(a_case) ? number(a_case, "times", 1) : 0;
}

/* Waits until no worker is set aside that only came too late to its end, as it may on a busy machine: when too many are,
 * the pool takes nothing. */
static void await_late(const case_t *a_case, enclave_pool_t *pool) {
    uint64_t aside;
    do {
        enclave_pool_stats_t *stats;
        if (enclave_pool_stats(pool, &stats, NULL) != ENCLAVE_OK) {
            fail("there are no stats");
            return;
        }
        aside = stats->workers_set_aside;
        enclave_pool_stats_free(stats);
    } while (aside > may_stay(a_case) && (sleep_ms(1), true));
}

/* Waits until no worker is busy, and says if one stays so. */
static void check_idle(const case_t *a_case, enclave_pool_t *pool) {
    uint64_t busy = 1, aside = 1, queued = 1;
    for (int i = 0; i < LONG_MS / 10 && (busy != 0 || queued != 0 || aside > may_stay(a_case)); i++) {
        enclave_pool_stats_t *stats;
        if (i > 0) {
            sleep_ms(10);
        }
        if (enclave_pool_stats(pool, &stats, NULL) != ENCLAVE_OK) {
            fail("there are no stats");
            return;
        }
        busy = stats->workers_executing + stats->workers_starting + stats->workers_recycling;
        aside = stats->workers_set_aside;
        queued = stats->queue_depth;
        enclave_pool_stats_free(stats);
    }
    if (busy != 0 || queued != 0) {
        fail("%llu workers are busy and %llu executions wait", (unsigned long long)busy, (unsigned long long)queued);
    }
    if (aside > may_stay(a_case)) {
        fail("%llu workers stay set aside", (unsigned long long)aside);
    }
}

static long limit_kib_of(const enclave_pool_t *pool) {
    return (long)(enclave_pool_setting(pool, ENCLAVE_SETTING_MEMORY_LIMIT_PER_WORKER) / 1024);
}

/* What the tools of this program hold at most for the case, which is not the library's; on the way to a process it is
 * held in a second form. */
static long host_kib(const case_t *a_case) {
    return (long)number(a_case, "host_mib", 0) * 1024 * (in_process() ? 2 : 1);
}

/* What a process may hold over what it held before, by what is documented: a quarter and 8 MiB over the limit, and the
 * headroom of the ledger. */
static void check_peak(const results_t *results, long limit_kib, long message_kib) {
    const long least = 8 * 1024;
    long headroom = limit_kib / 4 > least ? limit_kib / 4 : least;
    if (in_process()) {
        /* The two processes may hold a message in two forms each. */
        headroom += 4 * message_kib;
    }
    if (results->peak_over_limit_kib > limit_kib / 4 + least + headroom) {
        fail("memory was %ld KiB over the limit", results->peak_over_limit_kib);
    }
}

/* What the process holds, in KiB: what is resident, and what malloc says is in use and free. */
typedef struct {
    long resident, used, free, worker;
} memory_t;

static memory_t measure_memory(void) {
    memory_t memory = {memory_of("VmRSS"), 0, 0, in_process() ? memory_of_worker() : 0};
    struct mallinfo2 info = mallinfo2();
    memory.used = (long)((info.uordblks + info.hblkhd) / 1024);
    memory.free = (long)(info.fordblks / 1024);
    return memory;
}

/* Memory is as before: at once, or when the worker has collected its garbage. What malloc keeps of what was freed is
 * not held by anybody: malloc gives back the end of an arena only when more than up to 64 MiB of it are free. */
static void check_memory(const case_t *a_case, enclave_pool_t *pool, const memory_t *before, results_t *results) {
    long quarter = limit_kib_of(pool) / 4;
    long tolerance = (quarter > LEAST_TOLERANCE_KIB ? quarter : LEAST_TOLERANCE_KIB) + host_kib(a_case);
    if (in_process()) {
        /* A worker process gives back what is more than that, and keeps its stack. */
        tolerance += 12 * 1024;
    }
    long used = 0, resident = 0;
    for (int i = 0; i < (is_lost(a_case) ? 3 : 10); i++) {
        run_quietly(pool, EXECUTIONS_TO_SETTLE);
        memory_t now = measure_memory();
        long freed = now.free > before->free ? now.free - before->free : 0;
        results->rss_left_kib = now.resident + now.worker - before->resident - before->worker;
        used = now.used - before->used;
        resident = results->rss_left_kib - freed;
        if (used <= tolerance && resident <= tolerance) {
            return;
        }
        sleep_ms((uint64_t)50 << i);
    }
    if (!is_lost(a_case)) {
        fail("memory is left: %ld KiB in use, %ld KiB resident and not free", used, resident);
    }
}

/* Limits for the process itself, so that a failure of the library does no harm to the machine. */
static void protect_machine(void) {
    struct rlimit none = {0, 0}, data = {(rlim_t)6 << 30, (rlim_t)6 << 30};
    setrlimit(RLIMIT_CORE, &none);
    setrlimit(RLIMIT_DATA, &data);
}

/* Runs a case to its end, in this process; nothing of it may run any more when the process ends. */
static void run_case(const case_t *a_case, const attack_options_t *how) {
    protect_machine();
    char path[4096];
    snprintf(path, sizeof path, "%s/realm.js", how->dir);
    text_t probe = read_file(path);
    enclave_config_t *config = config_of(a_case, how->limit_mib);
    enclave_config_on_console(config, on_console, NULL, NULL);
    enclave_pool_t *pool;
    enclave_error_t *error;
    if (enclave_pool_new(config, &pool, &error) != ENCLAVE_OK) {
        DIE("enclave_pool_new: %s", enclave_error_message(error, NULL));
    }
    enclave_config_free(config);
    register_tools(pool);
    run_quietly(pool, EXECUTIONS_TO_SETTLE);
    enclave_outcome_t *realm = look_at_realm(pool, probe.data, "before the attack");
    check_idle(a_case, pool);

    results_t results = {"", 0, 0, 0, 0};
    memory_t before = measure_memory();
    forget_peak();
    for (uint64_t i = number(a_case, "times", 1); i > 0; i--) {
        attack(a_case, pool, how, &results);
        if (i > 1) {
            await_late(a_case, pool);
        }
    }
    /* Nothing waits for what a tool still holds. */
    if (enclave_value_get(a_case->spec, "then", Z) != NULL) {
        text_t then = source_of(a_case, "then", 0);
        enclave_outcome_t *next = run_well(pool, then.data, NULL, "the execution after the attack");
        check_json(enclave_outcome_value(next), enclave_value_get(a_case->spec, "then_value", Z), "the next result");
        enclave_outcome_free(next);
    }
    answer_held();
    enclave_outcome_t *after = look_at_realm(pool, probe.data, "after the attack");
    check_same_realm(realm, after);
    release_blocked();
    check_idle(a_case, pool);
    atomic_store(&seen.over, true);
    long limit_kib = limit_kib_of(pool);
    long message_kib = (long)(enclave_pool_setting(pool, ENCLAVE_SETTING_MAX_MESSAGE_SIZE) / 1024);
    results.peak_over_limit_kib = memory_of("VmHWM") - before.resident - limit_kib - host_kib(a_case);
    check_memory(a_case, pool, &before, &results);
    enclave_pool_free(pool);
    if (in_process()) {
        results.peak_over_limit_kib += peak_of_workers() - before.worker;
    }
    check_peak(&results, limit_kib, message_kib);
    write_results(&results);
    _exit(0);
}

#endif

/* Attacks on the library, one process each.
 *
 * The program reads the cases of a directory and starts itself anew for each of them, two at a time. Such a process
 * runs one attack and checks what must hold afterwards (attack.h); this one collects what they say, ends those that
 * never end, and prints the tables. README.md describes the cases. */

#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "attack.h"

#define MAX_FAMILIES 64
/* Whatever a case does, its process ends before, also on a busy machine: what waits in vain is found by this. */
#define PATIENCE_MS 300000

extern char **environ;

static struct {
    const char *dir, *family, *a_case;
    uint64_t limit_mib, timeout_ms;
    int jobs, every;
    bool verbose, json, sweep, markdown;
} options = {"tests/hostile", NULL, NULL, 0, 0, 2, 1, false, false, false, false};

/* A case and what came of it. */
typedef struct {
    case_t a_case;
    uint64_t limit_mib;
    results_t results;
    /* What is wrong, a line each; empty if nothing. */
    text_t failures;
} attempt_t;

typedef struct {
    attempt_t *attempts;
    size_t count, next;
    pthread_mutex_t lock;
} work_t;

/* Starts this program for one case, with its output in a pipe. */
static pid_t start_process(const attempt_t *attempt, int *output) {
    char index[32], limit[32], timeout[32];
    int ends[2];
    snprintf(index, sizeof index, "%zu", attempt->a_case.index);
    snprintf(limit, sizeof limit, "%llu", (unsigned long long)attempt->limit_mib);
    snprintf(timeout, sizeof timeout, "%llu", (unsigned long long)options.timeout_ms);
    char *arguments[] = {"hostile",      "--dir",       (char *)options.dir,
                         "--family",     attempt->a_case.family->name,
                         "--limit-mb",   limit,         "--timeout-ms",
                         timeout,        "--run-index", index,
                         options.sweep ? "--sweep" : NULL,
                         NULL};
    if (pipe2(ends, O_CLOEXEC) != 0) {
        DIE("pipe: %s", strerror(errno));
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    pid_t pid;
    int error = posix_spawn(&pid, "/proc/self/exe", &actions, NULL, arguments, environ);
    if (error != 0) {
        DIE("posix_spawn: %s", strerror(error));
    }
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    *output = ends[0];
    return pid;
}

/* Reads until the process has closed its output; false if it did not in time. */
static bool read_output(int output, text_t *text) {
    uint64_t deadline = now_us() + (uint64_t)PATIENCE_MS * 1000;
    char part[4096];
    for (;;) {
        uint64_t now = now_us();
        struct pollfd ready = {output, POLLIN, 0};
        int events = now < deadline ? poll(&ready, 1, (int)((deadline - now) / 1000) + 1) : 0;
        if (events == 0) {
            return false;
        }
        ssize_t len = events > 0 ? read(output, part, sizeof part) : -1;
        if (len == 0) {
            return true;
        }
        if (len > 0) {
            append(text, part, (size_t)len);
        } else if (errno != EINTR) {
            DIE("read: %s", strerror(errno));
        }
    }
}

static void note(attempt_t *attempt, const char *format, ...) {
    char line[2048];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    append(&attempt->failures, line, (size_t)len < sizeof line ? (size_t)len : sizeof line - 1);
}

/* Runs the process of an attempt and reads what it says. */
static void make_attempt(attempt_t *attempt) {
    text_t output = {NULL, 0, 0};
    append(&output, "", 0);
    int pipe_end, status;
    pid_t pid = start_process(attempt, &pipe_end);
    bool ended = read_output(pipe_end, &output);
    close(pipe_end);
    if (!ended) {
        kill(pid, SIGKILL);
    }
    waitpid(pid, &status, 0);

    bool finished = false;
    const char *last_words = "";
    char *rest;
    for (char *line = strtok_r(output.data, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        if (line[0] == '!') {
            note(attempt, "%s\n", line + 1);
        } else if (line[0] == '=' && read_results(line, &attempt->results)) {
            finished = true;
        } else {
            last_words = line;
        }
    }
    if (!ended) {
        note(attempt, "the process did not end in %d s\n", PATIENCE_MS / 1000);
    } else if (WIFSIGNALED(status)) {
        note(attempt, "the process died of signal %d: %s\n", WTERMSIG(status), last_words);
    } else if (!finished || WEXITSTATUS(status) != 0) {
        note(attempt, "the process ended with %d: %s\n", WEXITSTATUS(status), last_words);
    }
    free(output.data);
}

static double mib(long kib) {
    return (double)kib / 1024;
}

static double ms(long us) {
    return (double)us / 1000;
}

static void tell(const attempt_t *attempt) {
    const results_t *results = &attempt->results;
    bool failed = attempt->failures.len > 0;
    if (options.json || (!failed && !options.verbose)) {
        return;
    }
    printf("%s %s/%s", failed ? "FAILED" : "ok    ", attempt->a_case.family->name, attempt->a_case.name);
    if (attempt->limit_mib != 0) {
        printf(" at %llu MiB", (unsigned long long)attempt->limit_mib);
    }
    if (options.verbose && results->status[0] != '\0') {
        printf("  [%s in %.0f ms, %.1f ms late, peak %+.1f MiB over the limit, %.1f MiB left]", results->status,
               ms(results->elapsed_us), ms(results->late_us), mib(results->peak_over_limit_kib),
               mib(results->rss_left_kib));
    }
    for (size_t i = 0; failed && i + 1 < attempt->failures.len; i++) {
        char c = attempt->failures.data[i];
        printf("%s%c", i == 0 ? ": " : "", c == '\n' ? ';' : c);
    }
    puts("");
    fflush(stdout);
}

static void *work_on(void *data) {
    work_t *work = data;
    for (;;) {
        pthread_mutex_lock(&work->lock);
        attempt_t *attempt = work->next < work->count ? &work->attempts[work->next++] : NULL;
        pthread_mutex_unlock(&work->lock);
        if (attempt == NULL) {
            return NULL;
        }
        make_attempt(attempt);
        pthread_mutex_lock(&work->lock);
        tell(attempt);
        pthread_mutex_unlock(&work->lock);
    }
}

static void work_through(attempt_t *attempts, size_t count) {
    work_t work = {attempts, count, 0, PTHREAD_MUTEX_INITIALIZER};
    pthread_t threads[64];
    for (int i = 0; i < options.jobs; i++) {
        if (pthread_create(&threads[i], NULL, work_on, &work) != 0) {
            DIE("a thread cannot be started");
        }
    }
    for (int i = 0; i < options.jobs; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void add_attempts(const family_t *family, uint64_t limit_mib, attempt_t **attempts, size_t *count) {
    for (size_t i = 0; i < family->count; i += (size_t)options.every) {
        attempt_t attempt = {case_of(family, i), limit_mib, {"", 0, 0, 0, 0}, {NULL, 0, 0}};
        if (options.a_case != NULL && strstr(attempt.a_case.name, options.a_case) == NULL) {
            continue;
        }
        *attempts = realloc(*attempts, (*count + 1) * sizeof **attempts);
        if (*attempts == NULL) {
            DIE("out of memory");
        }
        (*attempts)[(*count)++] = attempt;
    }
}

/* The row of a table: what attempts of one family under one limit have in common. */
static void print_row(const char *name, const attempt_t *attempts, size_t count) {
    size_t failed = 0;
    const attempt_t *peak = NULL, *late = NULL;
    for (size_t i = 0; i < count; i++) {
        const attempt_t *one = &attempts[i];
        failed += one->failures.len > 0;
        if (one->results.status[0] == '\0') {
            continue;
        }
        if (peak == NULL || one->results.peak_over_limit_kib > peak->results.peak_over_limit_kib) {
            peak = one;
        }
        if (late == NULL || one->results.late_us > late->results.late_us) {
            late = one;
        }
    }
    if (options.markdown) {
        double over = peak != NULL && peak->results.peak_over_limit_kib > 0 ? mib(peak->results.peak_over_limit_kib) : 0;
        printf("| %s | %zu | %zu | %.0f MiB | %.0f ms |\n", name, count, failed, over,
               late != NULL && late->results.late_us > 0 ? ms(late->results.late_us) : 0);
        return;
    }
    printf("%-12s %5zu %6zu", name, count, failed);
    if (peak != NULL) {
        bool over = peak->results.peak_over_limit_kib > 0;
        bool is_late = late->results.late_us > 0;
        printf("  %9.1f  %-44.44s %7.1f  %.44s", over ? mib(peak->results.peak_over_limit_kib) : 0.0,
               over ? peak->a_case.name : "-", ms(late->results.late_us), is_late ? late->a_case.name : "-");
    }
    puts("");
}

static bool same_group(const attempt_t *a, const attempt_t *b) {
    return a->a_case.family == b->a_case.family && a->limit_mib == b->limit_mib;
}

static void print_table(const attempt_t *attempts, size_t count) {
    if (options.markdown) {
        printf("| %s | cases | failed | most memory over the limit | latest outcome past the deadline |\n|---|---|---|---|---|\n",
               options.sweep ? "limit" : "family");
    } else {
        printf("\n%-12s %5s %6s  %9s  %-44s %7s  %s\n", options.sweep ? "limit" : "family", "cases", "failed", "MiB over",
           "worst peak over the limit", "ms late", "worst time past the deadline");
    }
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from; to < count && same_group(&attempts[from], &attempts[to]); to++) {
        }
        char name[64];
        snprintf(name, sizeof name, "%llu MiB", (unsigned long long)attempts[from].limit_mib);
        print_row(options.sweep ? name : attempts[from].a_case.family->name, attempts + from, to - from);
    }
    puts("");
}

static void set(enclave_value_t *object, const char *key, enclave_value_t *value) {
    enclave_value_object_set(object, key, Z, value, NULL);
}

static void print_json(const attempt_t *attempts, size_t count) {
    enclave_value_t *list = enclave_value_new_array();
    for (size_t i = 0; i < count; i++) {
        const attempt_t *attempt = &attempts[i];
        enclave_value_t *one = enclave_value_new_object();
        set(one, "family", enclave_value_new_string(attempt->a_case.family->name, Z, NULL));
        set(one, "name", enclave_value_new_string(attempt->a_case.name, Z, NULL));
        set(one, "limit_mib", enclave_value_new_number((double)attempt->limit_mib));
        set(one, "status", enclave_value_new_string(attempt->results.status, Z, NULL));
        set(one, "elapsed_ms", enclave_value_new_number(ms(attempt->results.elapsed_us)));
        set(one, "late_ms", enclave_value_new_number(ms(attempt->results.late_us)));
        set(one, "peak_over_limit_mib", enclave_value_new_number(mib(attempt->results.peak_over_limit_kib)));
        set(one, "left_mib", enclave_value_new_number(mib(attempt->results.rss_left_kib)));
        const char *failures = attempt->failures.data ? attempt->failures.data : "";
        set(one, "failures", enclave_value_new_string(failures, Z, NULL));
        enclave_value_push(list, one, NULL);
    }
    enclave_buffer_t json;
    enclave_value_to_json(list, &json, NULL);
    puts(json.data);
    enclave_buffer_free(&json);
    enclave_value_free(list);
}

static void usage(void) {
    puts("hostile [--dir DIR] [--family NAME] [--case PART] [--limit-mb N] [--timeout-ms N] [--jobs N] [--every N]\n"
         "        [--sweep] [--process] [--verbose] [--markdown] [--json]\n"
         "Runs the attacks of DIR (tests/hostile). --limit-mb and --timeout-ms stand over what the cases say; --sweep\n"
         "runs one family (memory) under limits from 16 to 512 MiB.");
    exit(2);
}

int main(int argc, char **argv) {
    static const struct option names[] = {
        {"dir", 1, NULL, 'd'},        {"family", 1, NULL, 'f'}, {"case", 1, NULL, 'c'},    {"limit-mb", 1, NULL, 'l'},
        {"timeout-ms", 1, NULL, 't'}, {"jobs", 1, NULL, 'j'},   {"sweep", 0, NULL, 's'},   {"verbose", 0, NULL, 'v'},
        {"process", 0, NULL, 'p'},   {"markdown", 0, NULL, 'm'},  {"every", 1, NULL, 'e'},
        {"json", 0, NULL, 'o'},       {"run-index", 1, NULL, 'r'}, {NULL, 0, NULL, 0}};
    const char *run_index = NULL;
    for (int name; (name = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (name) {
        case 'd': options.dir = optarg; break;
        case 'f': options.family = optarg; break;
        case 'c': options.a_case = optarg; break;
        case 'l': options.limit_mib = strtoull(optarg, NULL, 10); break;
        case 't': options.timeout_ms = strtoull(optarg, NULL, 10); break;
        case 'j': options.jobs = atoi(optarg); break;
        case 's': options.sweep = true; break;
        case 'v': options.verbose = true; break;
        case 'o': options.json = true; break;
        case 'p': setenv("ENCLAVE_HOSTILE_PROCESS", "1", 1); break;
        case 'e': options.every = atoi(optarg); break;
        case 'm': options.markdown = true; break;
        case 'r': run_index = optarg; break;
        default: usage();
        }
    }
    if (optind < argc || options.jobs < 1 || options.jobs > 64 || options.every < 1) {
        usage();
    }
    if (options.sweep && options.family == NULL) {
        options.family = "memory";
    }
    static family_t families[MAX_FAMILIES];
    size_t family_count = read_families(options.dir, families, MAX_FAMILIES);

    attempt_t *attempts = NULL;
    size_t count = 0;
    static const uint64_t sweep[] = {16, 24, 32, 64, 128, 256, 512};
    for (size_t i = 0; i < family_count; i++) {
        if (options.family != NULL && strcmp(options.family, families[i].name) != 0) {
            continue;
        }
        if (run_index != NULL) {
            case_t a_case = case_of(&families[i], (size_t)strtoull(run_index, NULL, 10));
            attack_options_t how = {options.dir, options.limit_mib, options.timeout_ms, options.sweep};
            run_case(&a_case, &how);
        }
        for (size_t k = 0; k < (options.sweep ? COUNT(sweep) : 1); k++) {
            add_attempts(&families[i], options.sweep ? sweep[k] : options.limit_mib, &attempts, &count);
        }
    }
    work_through(attempts, count);
    size_t failed = 0;
    for (size_t i = 0; i < count; i++) {
        failed += attempts[i].failures.len > 0;
    }
    if (options.json) {
        print_json(attempts, count);
    } else {
        print_table(attempts, count);
        printf("%zu passed, %zu failed\n", count - failed, failed);
    }
    return failed > 0 || count == 0;
}

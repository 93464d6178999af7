/* The conformance table of tests/conformance through the C ABI; its README.md says what the fields mean.
 * An argument runs the cases whose name holds it. */

#include <dirent.h>
#include <sys/wait.h>
#include <unistd.h>

#include "table.h"

#define MAX_CALLS 200000
#define MAX_NAMED 8

typedef struct {
    char *name;
    enclave_value_t *args;
} call_t;

typedef struct case_t case_t;

/* A tool of the table, as the user data of its callback. */
typedef struct tool_t {
    case_t *owner;
    const enclave_value_t *behaviour;
    struct tool_t *next;
} tool_t;

/* An answer that comes later, from its own thread. */
typedef struct later_t {
    pthread_t thread;
    enclave_tool_call_t *call;
    const enclave_value_t *behaviour;
    struct later_t *next;
} later_t;

/* A case that runs. It lives on the heap, so that the pool of a case that failed may go on using it. */
struct case_t {
    const enclave_value_t *json;
    enclave_pool_t *pool;
    pthread_mutex_t lock;
    tool_t *tools;
    later_t *later;
    call_t *calls;
    size_t calls_len, calls_checked;
    enclave_tool_call_t **kept;
    size_t kept_len;
    enclave_recycle_reason_t recycled[64];
    bool accounted[64];
    size_t recycled_len;
    struct {
        char *name;
        enclave_execution_t *execution;
    } named[MAX_NAMED];
    size_t named_len;
};

/* Statuses that no case can bring about; the README says where they are tested. */
static const enclave_status_t UNREACHABLE[] = {ENCLAVE_WORKER_CRASHED, ENCLAVE_WORKER_STARTUP, ENCLAVE_INTERNAL};

/* Tools. */

static void answer(enclave_tool_call_t *call, const enclave_value_t *behaviour) {
    const enclave_value_t *rejects = get(behaviour, "rejects");
    if (rejects != NULL) {
        size_t name_len, message_len, code_len;
        const char *name = enclave_value_string(get(rejects, "name"), &name_len);
        const char *message = enclave_value_string(get(rejects, "message"), &message_len);
        const char *code = enclave_value_string(get(rejects, "code"), &code_len);
        enclave_tool_call_reject(call, name, name_len, message, message_len, code, code_len, NULL);
    } else if (get(behaviour, "echoes") != NULL) {
        enclave_tool_call_resolve(call, enclave_value_clone(enclave_tool_call_args(call)), NULL);
    } else if (get(behaviour, "resolves") != NULL) {
        enclave_tool_call_resolve(call, value_of(get(behaviour, "resolves")), NULL);
    }
    enclave_tool_call_free(call);
}

static void *answer_later(void *data) {
    later_t *later = data;
    sleep_ms((long)number_of(get(later->behaviour, "after_ms")));
    answer(later->call, later->behaviour);
    return NULL;
}

static enclave_execution_t *named(case_t *run, const enclave_value_t *name) {
    for (size_t i = 0; i < run->named_len; i++) {
        if (text_is(name, run->named[i].name)) {
            return run->named[i].execution;
        }
    }
    return NULL;
}

static enclave_status_t wait_here(case_t *run, const enclave_value_t *name) {
    enclave_outcome_t *outcome;
    enclave_status_t status = enclave_execution_wait(named(run, name), 1000, &outcome, NULL);
    enclave_outcome_free(outcome);
    return status;
}

static void call_host(case_t *run, enclave_tool_call_t *call, const enclave_value_t *what) {
    enclave_value_t *w = enclave_value_new_string("w", Z, NULL);
    enclave_status_t status = text_is(what, "run")        ? enclave_pool_run(run->pool, "1", Z, NULL, NULL)
                              : text_is(what, "shutdown") ? enclave_pool_shutdown(run->pool, 1000, NULL)
                                                          : wait_here(run, w);
    enclave_value_free(w);
    expected_statuses[status] = true;
    enclave_tool_call_resolve(call, enclave_value_new_string(enclave_status_name(status), Z, NULL), NULL);
    enclave_tool_call_free(call);
}

static void on_tool_call(void *data, enclave_tool_call_t *call) {
    tool_t *tool = data;
    case_t *run = tool->owner;
    size_t len;
    const char *name = enclave_tool_call_name(call, &len);
    pthread_mutex_lock(&run->lock);
    if (run->calls_len < MAX_CALLS) {
        call_t *made = &run->calls[run->calls_len++];
        made->name = memcpy(malloc(len + 1), name, len + 1);
        made->args = enclave_value_clone(enclave_tool_call_args(call));
    }
    pthread_mutex_unlock(&run->lock);

    if (get(tool->behaviour, "keeps") != NULL) {
        pthread_mutex_lock(&run->lock);
        run->kept = realloc(run->kept, (run->kept_len + 1) * sizeof *run->kept);
        run->kept[run->kept_len++] = call;
        pthread_mutex_unlock(&run->lock);
    } else if (get(tool->behaviour, "host_calls") != NULL) {
        call_host(run, call, get(tool->behaviour, "host_calls"));
    } else if (get(tool->behaviour, "after_ms") != NULL) {
        later_t *later = malloc(sizeof *later);
        *later = (later_t){.call = call, .behaviour = tool->behaviour};
        pthread_mutex_lock(&run->lock);
        later->next = run->later;
        run->later = later;
        pthread_create(&later->thread, NULL, answer_later, later);
        pthread_mutex_unlock(&run->lock);
    } else {
        answer(call, tool->behaviour);
    }
}

static tool_t *tool_of(case_t *run, const enclave_value_t *behaviour) {
    only_fields(behaviour, "a tool", " resolves echoes rejects drops keeps host_calls after_ms ");
    tool_t *tool = malloc(sizeof *tool);
    *tool = (tool_t){.owner = run, .behaviour = behaviour, .next = run->tools};
    run->tools = tool;
    return tool;
}

/* Outcomes. */

static void check_calls(case_t *run, const enclave_value_t *calls) {
    pthread_mutex_lock(&run->lock);
    size_t from = run->calls_checked, to = run->calls_len;
    run->calls_checked = to;
    pthread_mutex_unlock(&run->lock);
    if (to - from != enclave_value_count(calls)) {
        FAIL("%d tool calls reached the host, not %d", (int)(to - from), (int)enclave_value_count(calls));
    }
    for (size_t i = 0; from + i < to; i++) {
        enclave_value_t *wanted = value_of(enclave_value_item(calls, i));
        CHECK(text_is(enclave_value_item(wanted, 0), run->calls[from + i].name));
        CHECK(same_value(enclave_value_item(wanted, 1), run->calls[from + i].args));
        enclave_value_free(wanted);
    }
}

static void check_outcome(case_t *run, const enclave_outcome_t *outcome, const enclave_value_t *step) {
    const enclave_error_t *error = enclave_outcome_error(outcome);
    check_status_of_table(enclave_outcome_status(outcome), error, status_field(step, "status"));
    CHECK((error == NULL) == (enclave_outcome_status(outcome) == ENCLAVE_OK));
    CHECK((enclave_outcome_value(outcome) == NULL) == (error != NULL));
    if (get(step, "value") != NULL) {
        check_value(enclave_outcome_value(outcome), get(step, "value"));
    }
    if (get(step, "error") != NULL) {
        check_error_of_table(error, get(step, "error"));
    }
    if (get(step, "console") != NULL) {
        check_console(outcome, get(step, "console"));
    }
    if (get(step, "calls") != NULL) {
        check_calls(run, get(step, "calls"));
    }
    if (get(step, "stats") != NULL) {
        check_execution_stats(enclave_outcome_stats(outcome), get(step, "stats"));
    }
}

/* Steps. */

static char *source_of(const enclave_value_t *step, size_t *len) {
    const enclave_value_t *source = get(step, "source");
    CHECK(source != NULL);
    if (enclave_value_kind(source) != ENCLAVE_VALUE_ARRAY) {
        enclave_value_t *text = value_of(source);
        char *copy = text_of(text, len);
        enclave_value_free(text);
        return copy;
    }
    char *joined = calloc(1, 1);
    *len = 0;
    for (size_t i = 0; i < enclave_value_count(source); i++) {
        size_t line_len;
        const char *line = enclave_value_string(enclave_value_item(source, i), &line_len);
        joined = realloc(joined, *len + line_len + 2);
        if (i > 0) {
            joined[(*len)++] = '\n';
        }
        memcpy(joined + *len, line, line_len);
        *len += line_len;
        joined[*len] = 0;
    }
    return joined;
}

static enclave_options_t *options_of(case_t *run, const enclave_value_t *step) {
    enclave_options_t *options = enclave_options_new();
    enclave_options_set_kind(options, number_in(SOURCE_KINDS, COUNT(SOURCE_KINDS), get(step, "kind"), 0));
    enclave_options_set_collect_console(options, get(step, "console") != NULL);
    size_t len;
    const char *filename = enclave_value_string(get(step, "filename"), &len);
    if (filename != NULL) {
        CHECK_STATUS(enclave_options_set_filename(options, filename, len, NULL), ENCLAVE_OK);
    }
    const enclave_value_t *globals = get(step, "globals"), *limits = get(step, "limits");
    for (size_t i = 0; i < enclave_value_count(globals); i++) {
        const char *name = enclave_value_object_key(globals, i, &len);
        enclave_value_t *value = value_of(enclave_value_item(globals, i));
        CHECK_STATUS(enclave_options_set_global(options, name, len, value, NULL), ENCLAVE_OK);
    }
    for (size_t i = 0; i < enclave_value_count(limits); i++) {
        uint64_t limit = number_of(enclave_value_item(limits, i));
        CHECK_STATUS(enclave_options_set(options, setting_at(limits, i), limit), ENCLAVE_OK);
    }
    if (get(step, "own_tool") != NULL) {
        enclave_options_on_tool_call(options, on_tool_call, tool_of(run, get(step, "own_tool")), NULL);
    }
    return options;
}

static void step_run(case_t *run, const enclave_value_t *step) {
    size_t len;
    char *source = source_of(step, &len);
    enclave_options_t *options = options_of(run, step);
    uint64_t times = get(step, "times") != NULL ? number_of(get(step, "times")) : 1;
    for (uint64_t i = 0; i < times; i++) {
        enclave_outcome_t *outcome;
        enclave_pool_run(run->pool, source, len, options, &outcome);
        check_outcome(run, outcome, step);
        enclave_outcome_free(outcome);
    }
    enclave_options_free(options);
    free(source);
}

static void step_submit(case_t *run, const enclave_value_t *step) {
    size_t len;
    char *source = source_of(step, &len);
    enclave_options_t *options = options_of(run, step);
    enclave_execution_t *execution;
    enclave_error_t *error;
    enclave_status_t status =
        enclave_pool_submit(run->pool, source, len, options, NULL, NULL, NULL, &execution, &error);
    check_status_of_table(status, error, status_field(step, "status"));
    if (get(step, "error") != NULL) {
        check_error_of_table(error, get(step, "error"));
    }
    CHECK(run->named_len < MAX_NAMED);
    run->named[run->named_len].name = text_field(step, "as");
    run->named[run->named_len++].execution = execution;
    enclave_error_free(error);
    enclave_options_free(options);
    free(source);
}

static void step_wait(case_t *run, const enclave_value_t *step) {
    enclave_outcome_t *outcome;
    enclave_execution_t *execution = named(run, get(step, "for"));
    CHECK_STATUS(enclave_execution_wait(execution, LONG_MS, &outcome, NULL), ENCLAVE_OK);
    CHECK(outcome != NULL);
    check_outcome(run, outcome, step);
    enclave_outcome_free(outcome);
}

static void step_await_executing(case_t *run, const enclave_value_t *step) {
    for (int i = 0; i < LONG_MS / 2; i++) {
        enclave_pool_stats_t *stats;
        CHECK_STATUS(enclave_pool_stats(run->pool, &stats, NULL), ENCLAVE_OK);
        bool enough = stats->workers_executing >= number_of(get(step, "count"));
        enclave_pool_stats_free(stats);
        if (enough) {
            return;
        }
        sleep_ms(2);
    }
    FAIL("too few workers execute");
}

static void step_await_calls(case_t *run, const enclave_value_t *step) {
    for (int i = 0; i < LONG_MS / 2; i++) {
        pthread_mutex_lock(&run->lock);
        bool enough = run->calls_len >= number_of(get(step, "count"));
        pthread_mutex_unlock(&run->lock);
        if (enough) {
            return;
        }
        sleep_ms(2);
    }
    FAIL("too few tool calls were made");
}

static enclave_status_t call_in_child(case_t *run, const enclave_value_t *step) {
    const enclave_value_t *call = get(step, "call");
    enclave_pool_stats_t *stats;
    if (text_is(call, "submit")) {
        return enclave_pool_submit(run->pool, "1", Z, NULL, NULL, NULL, NULL, NULL, NULL);
    } else if (text_is(call, "run")) {
        return enclave_pool_run(run->pool, "1", Z, NULL, NULL);
    } else if (text_is(call, "shutdown")) {
        return enclave_pool_shutdown(run->pool, 0, NULL);
    } else if (text_is(call, "stats")) {
        return enclave_pool_stats(run->pool, &stats, NULL);
    } else if (text_is(call, "cancel")) {
        return enclave_execution_cancel(named(run, get(step, "for")), NULL);
    }
    return wait_here(run, get(step, "for"));
}

static void step_forked(case_t *run, const enclave_value_t *step) {
    enclave_status_t expected = status_field(step, "status");
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        _exit(call_in_child(run, step) == expected ? 0 : 1);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#define SUBMISSION " source kind filename globals limits own_tool "
#define OUTCOME " status value error console calls stats "

static void take_step(case_t *run, const enclave_value_t *step) {
    const enclave_value_t *what = get(step, "do");
    if (what == NULL || text_is(what, "run")) {
        if (step != run->json) {
            only_fields(step, "a step", " do times " SUBMISSION OUTCOME);
        }
        step_run(run, step);
    } else if (text_is(what, "submit")) {
        only_fields(step, "a step", " do as status error " SUBMISSION);
        step_submit(run, step);
    } else if (text_is(what, "wait")) {
        only_fields(step, "a step", " do for " OUTCOME);
        step_wait(run, step);
    } else if (text_is(what, "cancel")) {
        enclave_status_t status = enclave_execution_cancel(named(run, get(step, "for")), NULL);
        CHECK_STATUS(status, status_field(step, "status"));
    } else if (text_is(what, "await_executing")) {
        step_await_executing(run, step);
    } else if (text_is(what, "await_calls")) {
        step_await_calls(run, step);
    } else if (text_is(what, "sleep")) {
        sleep_ms((long)number_of(get(step, "ms")));
    } else if (text_is(what, "shutdown")) {
        const enclave_value_t *ms = get(step, "timeout_ms");
        CHECK_STATUS(enclave_pool_shutdown(run->pool, ms ? number_of(ms) : ENCLAVE_POOL_TIMEOUT, NULL),
                     status_field(step, "status"));
    } else if (text_is(what, "forked")) {
        step_forked(run, step);
    } else {
        FAIL("there is no such step");
    }
}

/* Cases. */

static void on_recycled(void *data, const enclave_worker_recycled_t *event) {
    case_t *run = data;
    pthread_mutex_lock(&run->lock);
    if (event->reason != ENCLAVE_RECYCLE_SHUTDOWN && run->recycled_len < COUNT(run->recycled)) {
        run->recycled[run->recycled_len++] = event->reason;
    }
    pthread_mutex_unlock(&run->lock);
}

/* Whether a worker that was to leave for one reason may have left for another: one that a busy machine has kept from
 * answering in time is unresponsive. */
static bool may_leave_for(enclave_recycle_reason_t reason, const enclave_value_t *wanted) {
    return text_is(wanted, enclave_recycle_reason_name(reason)) ||
           (reason == ENCLAVE_RECYCLE_UNRESPONSIVE &&
            (text_is(wanted, "timeout") || text_is(wanted, "cpu_limit") || text_is(wanted, "cancelled")));
}

static void check_recycled(case_t *run) {
    const enclave_value_t *wanted = get(run->json, "recycled");
    for (size_t i = 0; i < run->recycled_len; i++) {
        size_t j = 0;
        while (j < enclave_value_count(wanted) &&
               (run->accounted[j] || !may_leave_for(run->recycled[i], enclave_value_item(wanted, j)))) {
            j++;
        }
        if (j == enclave_value_count(wanted)) {
            FAIL("a worker left for %s", enclave_recycle_reason_name(run->recycled[i]));
        }
        run->accounted[j] = true;
    }
    if (run->recycled_len != enclave_value_count(wanted)) {
        FAIL("%d workers left, not %d", (int)run->recycled_len, (int)enclave_value_count(wanted));
    }
}

/* Where workers run, and what they may hold (0: as the preset says), in cases that do not say. */
static uint64_t isolation = ENCLAVE_ISOLATION_THREAD, memory_limit;

static enclave_config_t *config_of_case(const enclave_value_t *json) {
    enclave_config_t *config = enclave_config_new(number_in(PRESETS, COUNT(PRESETS), get(json, "preset"), 0));
    if (get(json, "settings") == NULL) {
        enclave_config_set(config, ENCLAVE_SETTING_ISOLATION, isolation);
        enclave_config_set(config, ENCLAVE_SETTING_MIN_WORKERS, 1);
        enclave_config_set(config, ENCLAVE_SETTING_MAX_WORKERS, 1);
        if (memory_limit != 0) {
            enclave_config_set(config, ENCLAVE_SETTING_MEMORY_LIMIT_PER_WORKER, memory_limit);
            /* A message must fit, in more than one form. */
            enclave_config_set(config, ENCLAVE_SETTING_MAX_MESSAGE_SIZE, memory_limit / 16);
        }
    }
    const enclave_value_t *settings = get(json, "pool");
    for (size_t i = 0; i < enclave_value_count(settings); i++) {
        uint64_t value = number_of(enclave_value_item(settings, i));
        CHECK_STATUS(enclave_config_set(config, setting_at(settings, i), value), ENCLAVE_OK);
    }
    return config;
}

static void check_settings(const enclave_value_t *json) {
    enclave_config_t *config = config_of_case(json);
    const enclave_value_t *settings = get(json, "settings");
    for (size_t i = 0; i < enclave_value_count(settings); i++) {
        enclave_setting_t setting = setting_at(settings, i);
        check_number(enclave_config_get(config, setting), enclave_value_item(settings, i),
                     enclave_setting_name(setting));
    }
    enclave_config_free(config);
}

static void check_pool_error(const enclave_value_t *json) {
    enclave_config_t *config = config_of_case(json);
    enclave_pool_t *pool;
    enclave_error_t *error;
    enclave_status_t status = enclave_pool_new(config, &pool, &error);
    check_status_of_table(status, error, status_field(get(json, "pool_error"), "status"));
    check_error_of_table(error, get(json, "pool_error"));
    enclave_error_free(error);
    enclave_config_free(config);
}

static void make_pool(case_t *run) {
    enclave_config_t *config = config_of_case(run->json);
    enclave_config_on_worker_recycled(config, on_recycled, run, NULL);
    if (get(run->json, "any_tool") != NULL) {
        enclave_config_on_tool_call(config, on_tool_call, tool_of(run, get(run->json, "any_tool")), NULL);
    }
    run->pool = pool_of(config);
    const enclave_value_t *tools = get(run->json, "tools");
    for (size_t i = 0; i < enclave_value_count(tools); i++) {
        size_t len;
        const char *name = enclave_value_object_key(tools, i, &len);
        tool_t *tool = tool_of(run, enclave_value_item(tools, i));
        CHECK_STATUS(enclave_pool_register_tool(run->pool, name, len, on_tool_call, tool, NULL, NULL), ENCLAVE_OK);
    }
}

static void free_case(case_t *run) {
    for (size_t i = 0; i < run->kept_len; i++) {
        enclave_tool_call_free(run->kept[i]);
    }
    for (later_t *later = run->later, *next; later != NULL; later = next) {
        next = later->next;
        pthread_join(later->thread, NULL);
        free(later);
    }
    for (tool_t *tool = run->tools, *next; tool != NULL; tool = next) {
        next = tool->next;
        free(tool);
    }
    for (size_t i = 0; i < run->calls_len; i++) {
        free(run->calls[i].name);
        enclave_value_free(run->calls[i].args);
    }
    for (size_t i = 0; i < run->named_len; i++) {
        free(run->named[i].name);
        enclave_execution_free(run->named[i].execution);
    }
    free(run->kept);
    free(run->calls);
    free(run);
}

static void run_case(const enclave_value_t *json) {
    only_fields(json, "a case",
                " name preset pool tools any_tool needs steps recycled pool_error settings constants table times "
                SUBMISSION OUTCOME);
    if (get(json, "settings") != NULL) {
        check_settings(json);
        return;
    } else if (get(json, "constants") != NULL) {
        check_constants(get(json, "table"), get(json, "constants"));
        return;
    } else if (get(json, "pool_error") != NULL) {
        check_pool_error(json);
        return;
    }
    case_t *run = calloc(1, sizeof *run);
    run->json = json;
    run->calls = malloc(MAX_CALLS * sizeof *run->calls);
    pthread_mutex_init(&run->lock, NULL);
    make_pool(run);
    const enclave_value_t *steps = get(json, "steps");
    if (steps == NULL) {
        take_step(run, json);
    }
    for (size_t i = 0; i < enclave_value_count(steps); i++) {
        take_step(run, enclave_value_item(steps, i));
    }
    enclave_pool_free(run->pool);
    check_recycled(run);
    free_case(run);
}

/* Files. */

static enclave_value_t *read_table(const char *path) {
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL);
    char *text = NULL;
    size_t len = 0, part;
    do {
        text = realloc(text, len + 65536);
        part = fread(text + len, 1, 65536, file);
        len += part;
    } while (part > 0);
    fclose(file);
    enclave_error_t *error;
    enclave_value_t *table = enclave_value_from_json(text, len, &error);
    free(text);
    if (table == NULL) {
        FAIL("%s: %s", path, enclave_error_message(error, NULL));
    }
    return table;
}

/* Names of cases so far: each may be there once. */
static char *names[5000];
static size_t names_len;

static void check_name_is_new(const char *name) {
    for (size_t i = 0; i < names_len; i++) {
        if (strcmp(names[i], name) == 0) {
            FAIL("two cases have this name");
        }
    }
    CHECK(names_len < COUNT(names));
    names[names_len++] = strcpy(malloc(strlen(name) + 1), name);
}

static bool passes(const char *name, const enclave_value_t *json) {
    switch (setjmp(test_failed)) {
    case 0:
        check_name_is_new(name);
        run_case(json);
        return true;
    case TOO_SLOW: printf("  too slow: %s\n", name); return true;
    default: return false;
    }
}

static enclave_value_t *read_table_or_fail(const char *path) {
    return setjmp(test_failed) == 0 ? read_table(path) : NULL;
}

/* Runs the cases of a file; the number of those that failed. */
static int run_file(const char *path, const char *name, const char *filter) {
    enclave_value_t *table = read_table_or_fail(path);
    if (table == NULL) {
        return 1;
    }
    const enclave_value_t *cases = get(table, "cases");
    int failed = 0, ran = 0;
    for (size_t i = 0; i < enclave_value_count(cases); i++) {
        const enclave_value_t *json = enclave_value_item(cases, i);
        char *title = text_field(json, "name");
        if (filter == NULL || strstr(title, filter) != NULL) {
            ran++;
            if (!passes(title, json)) {
                printf("  FAILED  %s: %s\n", name, title);
                failed++;
            }
            fflush(stdout);
        }
        free(title);
    }
    printf("  %s  %s: %d of %d cases\n", failed == 0 ? "ok    " : "FAILED", name, ran - failed, ran);
    enclave_value_free(table);
    return failed;
}

static int check_every_status_has_a_case(void) {
    int missing = 0;
    for (enclave_status_t status = 0; status <= ENCLAVE_INTERNAL; status++) {
        bool reachable = enclave_status_name(status) != NULL;
        for (size_t i = 0; i < COUNT(UNREACHABLE); i++) {
            reachable = reachable && status != UNREACHABLE[i];
        }
        if (reachable && !expected_statuses[status]) {
            printf("  FAILED  no case ends in %s\n", enclave_status_name(status));
            missing++;
        }
    }
    return missing;
}

static int is_table(const struct dirent *entry) {
    size_t len = strlen(entry->d_name);
    return len > 5 && strcmp(entry->d_name + len - 5, ".json") == 0;
}

/* The directory of the table: beside the one of this file, unless the environment says otherwise. */
static const char *directory(void) {
    static char path[4096];
    if (getenv("ENCLAVE_CONFORMANCE") != NULL) {
        return getenv("ENCLAVE_CONFORMANCE");
    }
    const char *slash = strrchr(__FILE__, '/');
    int len = slash ? (int)(slash - __FILE__) : 1;
    snprintf(path, sizeof path, "%.*s/../conformance", len, slash ? __FILE__ : ".");
    return path;
}

/* conformance [--process] [--memory-mib N] [FILTER] */
int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "--process") == 0) {
        isolation = ENCLAVE_ISOLATION_PROCESS;
        argc--, argv++;
    }
    if (argc > 2 && strcmp(argv[1], "--memory-mib") == 0) {
        memory_limit = strtoull(argv[2], NULL, 10) << 20;
        argc -= 2, argv += 2;
    }
    struct dirent **entries;
    int failed = 0, count = scandir(directory(), &entries, is_table, alphasort);
    if (count <= 0) {
        printf("  FAILED  there is no table in %s; ENCLAVE_CONFORMANCE says where else\n", directory());
        return 1;
    }
    for (int i = 0; i < count; i++) {
        char path[8192];
        snprintf(path, sizeof path, "%s/%s", directory(), entries[i]->d_name);
        failed += run_file(path, entries[i]->d_name, argc > 1 ? argv[1] : NULL);
        free(entries[i]);
    }
    free(entries);
    failed += argc > 1 ? 0 : check_every_status_has_a_case();
    while (names_len > 0) {
        free(names[--names_len]);
    }
    return failed > 0;
}

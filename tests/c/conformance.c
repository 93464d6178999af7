/* The runner of the conformance table for the C ABI: one question a line on its input, one answer a line on its output.
 * tests/conformance/README.md says what they are. */

#include <sys/wait.h>
#include <unistd.h>

#include "tagged.h"

#define MAX_CALLS 200000
#define MAX_NAMED 8

typedef struct {
    const char *name;
    int32_t number;
} named_t;

/* Constants that have no function for their names. */
static const named_t PRESETS[] = {{"default", ENCLAVE_PRESET_DEFAULT},
                                  {"strict", ENCLAVE_PRESET_STRICT},
                                  {"secure", ENCLAVE_PRESET_SECURE},
                                  {"standard", ENCLAVE_PRESET_STANDARD},
                                  {"permissive", ENCLAVE_PRESET_PERMISSIVE}};
static const named_t SOURCE_KINDS[] = {{"auto", ENCLAVE_SOURCE_AUTO},
                                       {"script", ENCLAVE_SOURCE_SCRIPT},
                                       {"function", ENCLAVE_SOURCE_FUNCTION}};
static const named_t ISOLATIONS[] = {{"thread", ENCLAVE_ISOLATION_THREAD}, {"process", ENCLAVE_ISOLATION_PROCESS}};
static const named_t VALUE_KINDS[] = {
    {"undefined", ENCLAVE_VALUE_UNDEFINED}, {"null", ENCLAVE_VALUE_NULL},     {"bool", ENCLAVE_VALUE_BOOL},
    {"number", ENCLAVE_VALUE_NUMBER},       {"bigint", ENCLAVE_VALUE_BIGINT}, {"string", ENCLAVE_VALUE_STRING},
    {"bytes", ENCLAVE_VALUE_BYTES},         {"date", ENCLAVE_VALUE_DATE},     {"array", ENCLAVE_VALUE_ARRAY},
    {"map", ENCLAVE_VALUE_MAP},             {"set", ENCLAVE_VALUE_SET},       {"object", ENCLAVE_VALUE_OBJECT},
    {"error", ENCLAVE_VALUE_ERROR}};

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
        enclave_pool_t *pool;
    pthread_mutex_t lock;
    tool_t *tools;
    later_t *later;
    call_t *calls;
    size_t calls_len, calls_said;
    enclave_tool_call_t **kept;
    size_t kept_len;
    enclave_recycle_reason_t recycled[64];
    size_t recycled_len;
    struct {
        char *name;
        enclave_execution_t *execution;
    } named[MAX_NAMED];
    size_t named_len;
};

/* Reading questions. */

/* A field that is there and is not null. */
static const enclave_value_t *get(const enclave_value_t *json, const char *key) {
    const enclave_value_t *field = enclave_value_get(json, key, Z);
    return enclave_value_kind(field) == ENCLAVE_VALUE_NULL ? NULL : field;
}

static uint64_t number_of(const enclave_value_t *json) {
    return (uint64_t)enclave_value_number(json);
}

static int32_t number_in(const named_t *table, size_t len, const enclave_value_t *name, int32_t absent) {
    if (name == NULL) {
        return absent;
    }
    for (size_t i = 0; i < len; i++) {
        if (text_is(name, table[i].name)) {
            return table[i].number;
        }
    }
    FAIL("a name is in none of the tables");
}

static enclave_setting_t setting_at(const enclave_value_t *settings, size_t index) {
    size_t len;
    const char *name = enclave_value_object_key(settings, index, &len);
    enclave_setting_t setting = enclave_setting_from_name(name, len);
    if (setting == ENCLAVE_SETTING_NONE) {
        FAIL("%.*s is no setting", (int)len, name);
    }
    return setting;
}

/* Giving answers. */

static void say(enclave_value_t *object, const char *key, enclave_value_t *value) {
    CHECK_STATUS(enclave_value_object_set(object, key, Z, value, NULL), ENCLAVE_OK);
}

static void say_text(enclave_value_t *object, const char *key, const char *text) {
    say(object, key, text_value(text, text ? strlen(text) : 0));
}

static void say_number(enclave_value_t *object, const char *key, uint64_t number) {
    say(object, key, enclave_value_new_number((double)number));
}

static enclave_value_t *error_seen(const enclave_error_t *error) {
    enclave_value_t *seen = enclave_value_new_object();
    struct {
        const char *key;
        const char *(*read)(const enclave_error_t *, size_t *);
    } texts[] = {{"message", enclave_error_message},   {"name", enclave_error_name},
                 {"script_message", enclave_error_script_message}, {"code", enclave_error_code},
                 {"stack", enclave_error_stack},       {"filename", enclave_error_filename},
                 {"source_line", enclave_error_source_line}, {"field", enclave_error_field},
                 {"path", enclave_error_path}};
    for (size_t i = 0; i < COUNT(texts); i++) {
        size_t len;
        const char *text = texts[i].read(error, &len);
        say(seen, texts[i].key, text_value(text, len));
    }
    say_text(seen, "status", enclave_status_name(enclave_error_status(error)));
    say_text(seen, "setting", enclave_setting_name(enclave_error_setting(error)));
    say_number(seen, "line", enclave_error_line(error));
    say_number(seen, "column", enclave_error_column(error));
    say_number(seen, "signal", (uint64_t)enclave_error_signal(error));
    say_number(seen, "limit", enclave_error_limit(error));
    say_number(seen, "queue_size", enclave_error_queue_size(error));
    say_number(seen, "used_bytes", enclave_error_used_bytes(error));
    say_number(seen, "waited_ms", enclave_error_waited_ms(error));
    say_number(seen, "retry_after_ms", enclave_error_retry_after_ms(error));
    return seen;
}

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
    tool_t *tool = malloc(sizeof *tool);
    *tool = (tool_t){.owner = run, .behaviour = behaviour, .next = run->tools};
    run->tools = tool;
    return tool;
}

/* Outcomes. */

static enclave_value_t *console_seen(const enclave_outcome_t *outcome) {
    enclave_value_t *lines = enclave_value_new_array();
    for (size_t i = 0; i < enclave_outcome_console_count(outcome); i++) {
        const enclave_console_line_t *line = enclave_outcome_console_line(outcome, i);
        const char *level = enclave_console_level_name(line->level);
        enclave_value_t *pair = enclave_value_new_array();
        enclave_value_push(pair, text_value(level, strlen(level)), NULL);
        enclave_value_push(pair, text_value(line->text, line->text_len), NULL);
        enclave_value_push(lines, pair, NULL);
    }
    return lines;
}

/* The calls that have come since they were last asked for. */
static enclave_value_t *calls_seen(case_t *run) {
    enclave_value_t *calls = enclave_value_new_array();
    pthread_mutex_lock(&run->lock);
    for (; run->calls_said < run->calls_len; run->calls_said++) {
        call_t *call = &run->calls[run->calls_said];
        enclave_value_t *pair = enclave_value_new_array();
        enclave_value_push(pair, text_value(call->name, strlen(call->name)), NULL);
        enclave_value_push(pair, tagged(call->args), NULL);
        enclave_value_push(calls, pair, NULL);
    }
    pthread_mutex_unlock(&run->lock);
    return calls;
}

static void say_outcome(case_t *run, const enclave_outcome_t *outcome, const enclave_value_t *step,
                        enclave_value_t *seen) {
    const enclave_error_t *error = enclave_outcome_error(outcome);
    const enclave_value_t *value = enclave_outcome_value(outcome);
    CHECK((value == NULL) == (error != NULL));
    say_text(seen, "status", enclave_status_name(enclave_outcome_status(outcome)));
    if (error != NULL) {
        say(seen, "error", error_seen(error));
    }
    if (get(step, "value") != NULL) {
        say(seen, "value", value ? tagged(value) : enclave_value_new_null());
    }
    if (get(step, "console") != NULL) {
        say(seen, "console", console_seen(outcome));
    }
    if (get(step, "calls") != NULL) {
        say(seen, "calls", calls_seen(run));
    }
    const enclave_execution_stats_t *took = enclave_outcome_stats(outcome);
    enclave_value_t *stats = enclave_value_new_object();
    say_number(stats, "tool_calls", took->tool_calls);
    say_number(stats, "console_calls", took->console_calls);
    say_number(stats, "run_time_ms", took->run_time_ns / 1000000);
    say_number(stats, "cpu_time_ms", took->cpu_time_ns / 1000000);
    say(seen, "stats", stats);
}

/* Steps. */

static enclave_options_t *options_of(case_t *run, const enclave_value_t *step) {
    enclave_options_t *options = enclave_options_new();
    enclave_options_set_kind(options, number_in(SOURCE_KINDS, COUNT(SOURCE_KINDS), get(step, "kind"), 0));
    enclave_options_set_collect_console(options, get(step, "console") != NULL);
    size_t len;
    const char *filename = enclave_value_string(get(step, "filename"), &len);
    if (filename != NULL) {
        CHECK_STATUS(enclave_options_set_filename(options, filename, len, NULL), ENCLAVE_OK);
    }
    const enclave_value_t *globals = get(step, "globals"), *limits = get(step, "limits"), *tools = get(step, "own_tools");
    for (size_t i = 0; i < enclave_value_count(globals); i++) {
        const char *name = enclave_value_object_key(globals, i, &len);
        enclave_value_t *value = value_of(enclave_value_item(globals, i));
        CHECK_STATUS(enclave_options_set_global(options, name, len, value, NULL), ENCLAVE_OK);
    }
    for (size_t i = 0; i < enclave_value_count(limits); i++) {
        uint64_t limit = number_of(enclave_value_item(limits, i));
        CHECK_STATUS(enclave_options_set(options, setting_at(limits, i), limit), ENCLAVE_OK);
    }
    for (size_t i = 0; i < enclave_value_count(tools); i++) {
        const char *name = enclave_value_object_key(tools, i, &len);
        tool_t *tool = tool_of(run, enclave_value_item(tools, i));
        CHECK_STATUS(enclave_options_add_tool(options, name, len, on_tool_call, tool, NULL, NULL), ENCLAVE_OK);
    }
    if (get(step, "own_tool") != NULL) {
        enclave_options_on_tool_call(options, on_tool_call, tool_of(run, get(step, "own_tool")), NULL);
    }
    return options;
}

static void step_run(case_t *run, const enclave_value_t *step, enclave_value_t *seen) {
    size_t len;
    const char *source = enclave_value_string(get(step, "source"), &len);
    enclave_options_t *options = options_of(run, step);
    enclave_outcome_t *outcome;
    enclave_status_t status = enclave_pool_run(run->pool, source, len, options, &outcome);
    CHECK_STATUS(status, enclave_outcome_status(outcome));
    say_outcome(run, outcome, step, seen);
    enclave_outcome_free(outcome);
    enclave_options_free(options);
}

static void step_submit(case_t *run, const enclave_value_t *step, enclave_value_t *seen) {
    size_t len;
    const char *source = enclave_value_string(get(step, "source"), &len);
    enclave_options_t *options = options_of(run, step);
    enclave_execution_t *execution;
    enclave_error_t *error;
    enclave_status_t status =
        enclave_pool_submit(run->pool, source, len, options, NULL, NULL, NULL, &execution, &error);
    say_text(seen, "status", enclave_status_name(status));
    if (error != NULL) {
        say(seen, "error", error_seen(error));
    }
    CHECK(run->named_len < MAX_NAMED);
    run->named[run->named_len].name = text_of(get(step, "as"), NULL);
    run->named[run->named_len++].execution = execution;
    enclave_error_free(error);
    enclave_options_free(options);
}

static void step_wait(case_t *run, const enclave_value_t *step, enclave_value_t *seen) {
    enclave_outcome_t *outcome;
    CHECK_STATUS(enclave_execution_wait(named(run, get(step, "for")), LONG_MS, &outcome, NULL), ENCLAVE_OK);
    CHECK(outcome != NULL);
    say_outcome(run, outcome, step, seen);
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

static void step_forked(case_t *run, const enclave_value_t *step, enclave_value_t *seen) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    if (child == 0) {
        enclave_status_t status = call_in_child(run, step);
        _exit(write(ends[1], &status, sizeof status) == sizeof status ? 0 : 1);
    }
    close(ends[1]);
    enclave_status_t status = -1;
    CHECK(read(ends[0], &status, sizeof status) == sizeof status);
    close(ends[0]);
    int code;
    CHECK(waitpid(child, &code, 0) == child);
    CHECK(WIFEXITED(code) && WEXITSTATUS(code) == 0);
    say_text(seen, "status", enclave_status_name(status));
}

static enclave_value_t *take_step(case_t *run, const enclave_value_t *step) {
    enclave_value_t *seen = enclave_value_new_object();
    const enclave_value_t *what = get(step, "do");
    if (text_is(what, "run")) {
        step_run(run, step, seen);
    } else if (text_is(what, "submit")) {
        step_submit(run, step, seen);
    } else if (text_is(what, "wait")) {
        step_wait(run, step, seen);
    } else if (text_is(what, "cancel")) {
        say_text(seen, "status", enclave_status_name(enclave_execution_cancel(named(run, get(step, "for")), NULL)));
    } else if (text_is(what, "await_executing")) {
        step_await_executing(run, step);
    } else if (text_is(what, "await_calls")) {
        step_await_calls(run, step);
    } else if (text_is(what, "sleep")) {
        sleep_ms((long)number_of(get(step, "ms")));
    } else if (text_is(what, "shutdown")) {
        const enclave_value_t *ms = get(step, "timeout_ms");
        enclave_status_t status = enclave_pool_shutdown(run->pool, ms ? number_of(ms) : ENCLAVE_POOL_TIMEOUT, NULL);
        say_text(seen, "status", enclave_status_name(status));
    } else if (text_is(what, "forked")) {
        step_forked(run, step, seen);
    } else {
        FAIL("there is no such step");
    }
    return seen;
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

static enclave_config_t *config_of_case(const enclave_value_t *json) {
    enclave_config_t *config = enclave_config_new(number_in(PRESETS, COUNT(PRESETS), get(json, "preset"), 0));
    const enclave_value_t *settings = get(json, "pool");
    for (size_t i = 0; i < enclave_value_count(settings); i++) {
        uint64_t value = number_of(enclave_value_item(settings, i));
        CHECK_STATUS(enclave_config_set(config, setting_at(settings, i), value), ENCLAVE_OK);
    }
    return config;
}

static void answer_settings(const enclave_value_t *question, enclave_value_t *answer) {
    enclave_config_t *config = config_of_case(question);
    const enclave_value_t *names = get(question, "names");
    enclave_value_t *settings = enclave_value_new_object();
    for (size_t i = 0; i < enclave_value_count(names); i++) {
        char *name = text_of(enclave_value_item(names, i), NULL);
        say_number(settings, name, enclave_config_get(config, enclave_setting_from_name(name, Z)));
        free(name);
    }
    say(answer, "settings", settings);
    enclave_config_free(config);
}

/* The name that the library has for a number of a table, NULL if there is none. */
static const char *name_of(const enclave_value_t *table, int32_t number) {
    static const struct {
        const char *table;
        const named_t *names;
        size_t len;
    } lists[] = {{"value_kind", VALUE_KINDS, COUNT(VALUE_KINDS)},
                 {"preset", PRESETS, COUNT(PRESETS)},
                 {"source_kind", SOURCE_KINDS, COUNT(SOURCE_KINDS)},
                 {"isolation", ISOLATIONS, COUNT(ISOLATIONS)}};
    if (text_is(table, "status")) {
        return enclave_status_name(number);
    } else if (text_is(table, "recycle_reason")) {
        return enclave_recycle_reason_name(number);
    } else if (text_is(table, "console_level")) {
        return enclave_console_level_name(number);
    } else if (text_is(table, "setting")) {
        return enclave_setting_name(number);
    }
    for (size_t i = 0; i < COUNT(lists); i++) {
        for (size_t j = 0; text_is(table, lists[i].table) && j < lists[i].len; j++) {
            if (lists[i].names[j].number == number) {
                return lists[i].names[j].name;
            }
        }
    }
    return NULL;
}

static void answer_constants(const enclave_value_t *question, enclave_value_t *answer) {
    enclave_value_t *constants = enclave_value_new_object();
    for (int32_t number = -100; number < 1000; number++) {
        const char *name = name_of(get(question, "table"), number);
        if (name != NULL) {
            say_number(constants, name, (uint64_t)number);
        }
    }
    say(answer, "constants", constants);
}

/* False, with an answer, if there is no pool. */
static bool make_pool(case_t *run, const enclave_value_t *question, enclave_value_t *answer) {
    enclave_config_t *config = config_of_case(question);
    enclave_config_on_worker_recycled(config, on_recycled, run, NULL);
    if (get(question, "any_tool") != NULL) {
        enclave_config_on_tool_call(config, on_tool_call, tool_of(run, get(question, "any_tool")), NULL);
    }
    enclave_error_t *error;
    enclave_status_t status = enclave_pool_new(config, &run->pool, &error);
    enclave_config_free(config);
    if (status != ENCLAVE_OK) {
        say(answer, "pool_error", error_seen(error));
        enclave_error_free(error);
        return false;
    }
    const enclave_value_t *tools = get(question, "tools");
    for (size_t i = 0; i < enclave_value_count(tools); i++) {
        size_t len;
        const char *name = enclave_value_object_key(tools, i, &len);
        tool_t *tool = tool_of(run, enclave_value_item(tools, i));
        CHECK_STATUS(enclave_pool_register_tool(run->pool, name, len, on_tool_call, tool, NULL, NULL), ENCLAVE_OK);
    }
    return true;
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

static void answer_case(const enclave_value_t *question, enclave_value_t *answer) {
    case_t *run = calloc(1, sizeof *run);
    run->calls = malloc(MAX_CALLS * sizeof *run->calls);
    pthread_mutex_init(&run->lock, NULL);
    if (make_pool(run, question, answer)) {
        enclave_value_t *seen = enclave_value_new_array();
        const enclave_value_t *steps = get(question, "steps");
        for (size_t i = 0; i < enclave_value_count(steps); i++) {
            enclave_value_push(seen, take_step(run, enclave_value_item(steps, i)), NULL);
        }
        say(answer, "steps", seen);
        enclave_pool_free(run->pool);
        enclave_value_t *recycled = enclave_value_new_array();
        for (size_t i = 0; i < run->recycled_len; i++) {
            const char *name = enclave_recycle_reason_name(run->recycled[i]);
            enclave_value_push(recycled, text_value(name, strlen(name)), NULL);
        }
        say(answer, "recycled", recycled);
    }
    free_case(run);
}

static void write_line(FILE *to, const enclave_value_t *answer) {
    enclave_buffer_t json;
    CHECK_STATUS(enclave_value_to_json(answer, &json, NULL), ENCLAVE_OK);
    fwrite(json.data, 1, json.len, to);
    fputc('\n', to);
    fflush(to);
    enclave_buffer_free(&json);
}

/* What a question that failed is answered with; its place and reason are in the errors. */
static void write_problem(FILE *to) {
    fflush(stdout);
    fputs("{\"problems\": [\"a check of the runner failed; its errors have which\"]}\n", to);
    fflush(to);
}

int main(void) {
    /* The output is for answers alone; what the checks print goes to the errors. */
    FILE *answers = fdopen(dup(STDOUT_FILENO), "w");
    dup2(STDERR_FILENO, STDOUT_FILENO);
    fputs("{\"runner\": \"C\", \"merges\": []}\n", answers);
    fflush(answers);
    static char *line;
    static size_t room;
    for (ssize_t len; (len = getline(&line, &room, stdin)) > 0;) {
        if (setjmp(test_failed) != 0) {
            write_problem(answers);
            continue;
        }
        enclave_value_t *question = enclave_value_from_json(line, (size_t)len, NULL);
        CHECK(question != NULL);
        enclave_value_t *answer = enclave_value_new_object();
        const enclave_value_t *what = get(question, "do");
        if (text_is(what, "constants")) {
            answer_constants(question, answer);
        } else if (text_is(what, "settings")) {
            answer_settings(question, answer);
        } else {
            answer_case(question, answer);
        }
        write_line(answers, answer);
        enclave_value_free(answer);
        enclave_value_free(question);
    }
    free(line);
    return 0;
}

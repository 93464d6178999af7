#include "shim.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "_cgo_export.h"

/* Callbacks: C on the outside, Go on the inside. */

/* Of which pool this thread runs a callback with code of the user, 0 of none. */
static _Thread_local uint64_t callback_of;

void enclave_go_set_callback_of(uint64_t pool) {
    callback_of = pool;
}

uint64_t enclave_go_callback_of(void) {
    return callback_of;
}

static void release(void *user_data) {
    enclaveGoRelease((uintptr_t)user_data);
}

static void read_outcome(enclave_outcome_t *outcome, enclave_go_outcome_t *read) {
    *read = (enclave_go_outcome_t){
        .status = enclave_outcome_status(outcome),
        .error = enclave_outcome_error(outcome),
        .stats = enclave_outcome_stats(outcome),
        .outcome = outcome,
    };
    if (read->status == ENCLAVE_OK) {
        read->status = enclave_value_to_cbor(enclave_outcome_value(outcome), &read->value, &read->failure);
        read->error = read->failure;
    }
}

void enclave_go_free_outcome(enclave_go_outcome_t *outcome) {
    enclave_error_free(outcome->failure);
    enclave_buffer_free(&outcome->value);
    enclave_outcome_free(outcome->outcome);
}

static void on_complete(void *user_data, enclave_outcome_t *outcome) {
    enclave_go_outcome_t read;
    read_outcome(outcome, &read);
    enclaveGoComplete((uintptr_t)user_data, &read);
    enclave_go_free_outcome(&read);
}

struct enclave_go_wait_t {
    atomic_int users; /* who waits, and the library */
    /* The handle to complete; or nobody's, as long as it is waited for; or that the execution has ended. */
    atomic_uintptr_t complete;
};

#define WAITED_FOR ((uintptr_t)0)
#define ENDED UINTPTR_MAX

static void leave(void *user_data) {
    enclave_go_wait_t *wait = user_data;
    if (atomic_fetch_sub(&wait->users, 1) == 1) {
        free(wait);
    }
}

static void on_complete_waited(void *user_data, enclave_outcome_t *outcome) {
    enclave_go_wait_t *wait = user_data;
    uintptr_t complete = atomic_exchange(&wait->complete, ENDED);
    if (complete == WAITED_FOR) {
        enclave_outcome_free(outcome); /* who waits has another handle of it, or gets it */
    } else {
        on_complete((void *)complete, outcome);
    }
}

static void on_tool_call(void *user_data, enclave_tool_call_t *call) {
    enclave_buffer_t args;
    if (enclave_value_to_cbor(enclave_tool_call_args(call), &args, NULL) != ENCLAVE_OK) {
        enclave_tool_call_free(call);
        return;
    }
    size_t name_len;
    const char *name = enclave_tool_call_name(call, &name_len);
    enclaveGoToolCall((uintptr_t)user_data, call, (char *)name, name_len, args.data, args.len);
    enclave_buffer_free(&args);
}

/* A tool was registered after the execution had taken its tools, and before it was submitted. */
static void on_late_tool_call(void *user_data, enclave_tool_call_t *call) {
    (void)user_data;
    static const char message[] = "this tool was registered after the execution was submitted";
    enclave_go_reject(call, NULL, 0, message, sizeof message - 1, "TOOL_NOT_FOUND", ENCLAVE_NUL_TERMINATED);
}

static void on_console(void *user_data, const enclave_console_line_t *line) {
    enclaveGoConsole((uintptr_t)user_data, (enclave_console_line_t *)line);
}

static void on_worker_recycled(void *user_data, const enclave_worker_recycled_t *event) {
    enclaveGoWorkerRecycled((uintptr_t)user_data, (enclave_worker_recycled_t *)event);
}

static void on_stats_update(void *user_data, const enclave_pool_stats_t *stats) {
    enclaveGoStatsUpdate((uintptr_t)user_data, (enclave_pool_stats_t *)stats);
}

/* Errors. */

void enclave_go_read_error(const enclave_error_t *error, enclave_go_error_t *read) {
    *read = (enclave_go_error_t){
        .status = enclave_error_status(error),
        .setting = enclave_error_setting(error),
        .line = enclave_error_line(error),
        .column = enclave_error_column(error),
        .signal = enclave_error_signal(error),
        .limit = enclave_error_limit(error),
        .used_bytes = enclave_error_used_bytes(error),
        .queue_size = enclave_error_queue_size(error),
        .retry_after_ms = enclave_error_retry_after_ms(error),
        .waited_ms = enclave_error_waited_ms(error),
    };
    read->message.data = enclave_error_message(error, &read->message.len);
    read->name.data = enclave_error_name(error, &read->name.len);
    read->script_message.data = enclave_error_script_message(error, &read->script_message.len);
    read->code.data = enclave_error_code(error, &read->code.len);
    read->stack.data = enclave_error_stack(error, &read->stack.len);
    read->filename.data = enclave_error_filename(error, &read->filename.len);
    read->source_line.data = enclave_error_source_line(error, &read->source_line.len);
    read->field.data = enclave_error_field(error, &read->field.len);
    read->path.data = enclave_error_path(error, &read->path.len);
}

/* Pools. */

void enclave_go_preset(enclave_preset_t preset, enclave_go_setting_t *settings, size_t settings_len) {
    enclave_config_t *config = enclave_config_new(preset);
    for (size_t i = 0; i < settings_len; i++) {
        settings[i].value = enclave_config_get(config, (enclave_setting_t)settings[i].setting);
    }
    enclave_config_free(config);
}

enclave_status_t enclave_go_pool_new(enclave_preset_t preset, const enclave_go_setting_t *settings, size_t settings_len,
                                     const char *worker_path, size_t worker_path_len, const char *cgroup,
                                     size_t cgroup_len, uintptr_t recycled, uintptr_t stats, uintptr_t console,
                                     enclave_pool_t **pool, enclave_error_t **error) {
    enclave_config_t *config = enclave_config_new(preset);
    for (size_t i = 0; i < settings_len; i++) {
        enclave_config_set(config, (enclave_setting_t)settings[i].setting, settings[i].value);
    }
    if (recycled != 0) {
        enclave_config_on_worker_recycled(config, on_worker_recycled, (void *)recycled, release);
    }
    if (stats != 0) {
        enclave_config_on_stats_update(config, on_stats_update, (void *)stats, release);
    }
    if (console != 0) {
        enclave_config_on_console(config, on_console, (void *)console, release);
    }
    enclave_status_t status = enclave_config_set_worker_path(config, worker_path, worker_path_len);
    if (status == ENCLAVE_OK) {
        status = enclave_config_set_cgroup(config, cgroup, cgroup_len);
    }
    if (status == ENCLAVE_OK) {
        status = enclave_pool_new(config, pool, error);
    }
    enclave_config_free(config);
    return status;
}

enclave_status_t enclave_go_register_tool(const enclave_pool_t *pool, const char *name, size_t name_len,
                                          enclave_error_t **error) {
    return enclave_pool_register_tool(pool, name, name_len, on_late_tool_call, NULL, NULL, error);
}

/* Executions. */

/* Takes a length and so many bytes from the front of a buffer. */
static const char *take(const char **buffer, size_t *len) {
    uint64_t stated;
    memcpy(&stated, *buffer, sizeof stated);
    const char *bytes = *buffer + sizeof stated;
    *len = stated;
    *buffer = bytes + stated;
    return bytes;
}

static enclave_status_t set_globals(enclave_options_t *options, const char *globals, size_t globals_len,
                                    enclave_error_t **error) {
    enclave_status_t status = ENCLAVE_OK;
    const char *end = globals + globals_len;
    while (status == ENCLAVE_OK && globals < end) {
        size_t name_len, cbor_len;
        const char *name = take(&globals, &name_len);
        const char *cbor = take(&globals, &cbor_len);
        status = enclave_options_set_global_cbor(options, name, name_len, cbor, cbor_len, error);
    }
    return status;
}

/* The names are those that the script knows; the calls go to the callback of all. */
static enclave_status_t add_tools(enclave_options_t *options, const char *names, size_t names_len,
                                  enclave_error_t **error) {
    enclave_status_t status = ENCLAVE_OK;
    const char *end = names + names_len;
    while (status == ENCLAVE_OK && names < end) {
        size_t len;
        const char *name = take(&names, &len);
        status = enclave_options_add_tool(options, name, len, on_late_tool_call, NULL, NULL, error);
    }
    return status;
}

/* NULL if there is nothing to say. */
static enclave_options_t *options_of(const enclave_go_submission_t *what, enclave_status_t *status,
                                     enclave_error_t **error) {
    if (what->settings_len == 0 && what->filename == NULL && what->globals_len == 0 && what->tool_names_len == 0 &&
        what->kind == ENCLAVE_SOURCE_AUTO && !what->collect_console && what->on_tool_call == 0 && what->on_console == 0) {
        return NULL;
    }
    enclave_options_t *options = enclave_options_new();
    /* First, so that the handles are the library's whatever happens. */
    if (what->on_tool_call != 0) {
        enclave_options_on_tool_call(options, on_tool_call, (void *)what->on_tool_call, release);
    }
    if (what->on_console != 0) {
        enclave_options_on_console(options, on_console, (void *)what->on_console, release);
    }
    for (size_t i = 0; i < what->settings_len; i++) {
        enclave_options_set(options, (enclave_setting_t)what->settings[i].setting, what->settings[i].value);
    }
    enclave_options_set_kind(options, what->kind);
    enclave_options_set_collect_console(options, what->collect_console);
    if (what->filename != NULL) {
        *status = enclave_options_set_filename(options, what->filename, what->filename_len, error);
    }
    if (*status == ENCLAVE_OK) {
        *status = set_globals(options, what->globals, what->globals_len, error);
    }
    if (*status == ENCLAVE_OK) {
        *status = add_tools(options, what->tool_names, what->tool_names_len, error);
    }
    return options;
}

enclave_status_t enclave_go_submit(const enclave_pool_t *pool, enclave_go_submission_t what, enclave_script_t **compiled,
                                   enclave_go_wait_t **wait, enclave_go_outcome_t *outcome,
                                   enclave_execution_t **execution, enclave_error_t **error) {
    enclave_complete_fn callback = on_complete;
    void *data = (void *)what.on_complete;
    enclave_finalizer_fn finalizer = NULL;
    enclave_status_t status = ENCLAVE_OK;
    enclave_options_t *options = options_of(&what, &status, error);
    if (wait != NULL) {
        enclave_go_wait_t *made = malloc(sizeof *made);
        if (made == NULL) {
            abort(); /* as Go does */
        }
        atomic_init(&made->users, 2);
        atomic_init(&made->complete, WAITED_FOR);
        *wait = made;
        callback = on_complete_waited;
        data = made;
        finalizer = leave;
    }
    if (status == ENCLAVE_OK && compiled != NULL) {
        status = enclave_pool_submit_compile(pool, what.source, what.source_len, options, callback, data, finalizer, compiled,
                                             execution, error);
    } else if (status == ENCLAVE_OK && what.script != NULL) {
        status = enclave_pool_submit_script(pool, what.script, options, callback, data, finalizer, execution, error);
    } else if (status == ENCLAVE_OK) {
        status = enclave_pool_submit(pool, what.source, what.source_len, options, callback, data, finalizer, execution,
                                     error);
    } else if (finalizer != NULL) {
        finalizer(data);
    }
    enclave_options_free(options);
    if (wait != NULL) {
        enclave_outcome_t *ended = NULL;
        if (status == ENCLAVE_OK) {
            enclave_execution_wait(*execution, 1, &ended, NULL);
        }
        if (ended != NULL) {
            read_outcome(ended, outcome);
            enclave_execution_free(*execution);
        }
        if (ended != NULL || status != ENCLAVE_OK) {
            leave(*wait);
            *wait = NULL;
        }
    }
    return status;
}

bool enclave_go_stop_waiting(enclave_go_wait_t *wait, uintptr_t complete, const enclave_execution_t *execution,
                             enclave_go_outcome_t *outcome) {
    uintptr_t waited_for = WAITED_FOR;
    bool stopped = atomic_compare_exchange_strong(&wait->complete, &waited_for, complete);
    leave(wait);
    if (!stopped) {
        enclave_outcome_t *ended = NULL;
        enclave_execution_wait(execution, 0, &ended, NULL);
        read_outcome(ended, outcome);
    }
    return stopped;
}

/* Tool calls. */

enclave_status_t enclave_go_resolve(enclave_tool_call_t *call, const void *cbor, size_t cbor_len,
                                    enclave_error_t **error) {
    enclave_status_t status = enclave_tool_call_resolve_cbor(call, cbor, cbor_len, error);
    if (status == ENCLAVE_OK) {
        enclave_tool_call_free(call);
    }
    return status;
}

void enclave_go_reject(enclave_tool_call_t *call, const char *name, size_t name_len, const char *message,
                       size_t message_len, const char *code, size_t code_len) {
    enclave_tool_call_reject(call, name, name_len, message, message_len, code, code_len, NULL);
    enclave_tool_call_free(call);
}

/* Values. */

enclave_status_t enclave_go_cbor_to_json(const void *cbor, size_t cbor_len, enclave_buffer_t *json,
                                         enclave_error_t **error) {
    enclave_value_t *value = enclave_value_from_cbor(cbor, cbor_len, error);
    enclave_status_t status = value == NULL ? ENCLAVE_INVALID_ARGUMENT : enclave_value_to_json(value, json, error);
    enclave_value_free(value);
    return status;
}

enclave_status_t enclave_go_json_to_cbor(const char *json, size_t json_len, enclave_buffer_t *cbor,
                                         enclave_error_t **error) {
    enclave_value_t *value = enclave_value_from_json(json, json_len, error);
    enclave_status_t status = value == NULL ? ENCLAVE_INVALID_ARGUMENT : enclave_value_to_cbor(value, cbor, error);
    enclave_value_free(value);
    return status;
}

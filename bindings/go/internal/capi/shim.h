/* What Go calls and what calls Go: one crossing, one buffer in and one out, for each thing that happens.
 *
 * Handles (runtime/cgo.Handle) cross as uintptr_t. The library keeps them as the user data of its callbacks, and the
 * finalizer gives them back; 0 says that there is no such callback. */

#ifndef ENCLAVE_GO_SHIM_H
#define ENCLAVE_GO_SHIM_H

#include <enclave.h>

/* A pointer to data of Go in a structure would break the rules of cgo; so settings are pairs of numbers. */
typedef struct {
    int64_t setting;
    uint64_t value;
} enclave_go_setting_t;

/* An error, read in one crossing. All texts are lent by it. */
typedef struct {
    enclave_status_t status;
    enclave_setting_t setting;
    uint32_t line, column;
    int32_t signal;
    uint64_t limit, used_bytes, queue_size, retry_after_ms, waited_ms;
    struct {
        const char *data;
        size_t len;
    } message, name, script_message, code, stack, filename, source_line, field, path;
} enclave_go_error_t;

/* How an execution ended, read in one crossing: all of it lives until `enclave_go_free_outcome`. */
typedef struct {
    enclave_status_t status;
    enclave_buffer_t value;   /* CBOR */
    enclave_error_t *failure; /* of writing the value */
    const enclave_error_t *error;
    const enclave_execution_stats_t *stats;
    enclave_outcome_t *outcome;
} enclave_go_outcome_t;

/* An execution that is waited for by the thread that submitted it, for a moment: if it ends meanwhile, no thread of the
 * library has to enter Go and wake a goroutine. */
typedef struct enclave_go_wait_t enclave_go_wait_t;

void enclave_go_read_error(const enclave_error_t *error, enclave_go_error_t *read);

void enclave_go_preset(enclave_preset_t preset, enclave_go_setting_t *settings, size_t settings_len);

/* An empty path is none. */
enclave_status_t enclave_go_pool_new(enclave_preset_t preset, const enclave_go_setting_t *settings, size_t settings_len,
                                     const char *worker_path, size_t worker_path_len, const char *cgroup,
                                     size_t cgroup_len, uintptr_t on_worker_recycled, uintptr_t on_stats_update,
                                     uintptr_t on_console, enclave_pool_t **pool, enclave_error_t **error);

/* Registers a name only: calls are answered by the callback of their execution. */
enclave_status_t enclave_go_register_tool(const enclave_pool_t *pool, const char *name, size_t name_len,
                                          enclave_error_t **error);

void enclave_go_free_outcome(enclave_go_outcome_t *outcome);

/* What is to run. It crosses by value: a pointer to it would be a pointer to pointers of Go. */
typedef struct {
    const char *source;
    size_t source_len;
    const enclave_script_t *script; /* in place of the source, if not NULL */
    const char *filename;           /* NULL: the library's default */
    size_t filename_len;
    const enclave_go_setting_t *settings;
    size_t settings_len;
    const char *globals; /* `name_len name cbor_len cbor`, one after the other, lengths as uint64_t */
    size_t globals_len;
    const char *tool_names; /* `name_len name`, one after the other: those beside the pool's */
    size_t tool_names_len;
    enclave_source_kind_t kind;
    bool collect_console;
    uintptr_t on_tool_call, on_console, on_complete; /* handles */
} enclave_go_submission_t;

/* A `compiled` that is not NULL receives the script, and nothing is run.
 *
 * With a `wait` it waits up to a millisecond: then either `outcome` has an outcome, or `wait` is to be given to
 * `enclave_go_stop_waiting`. Without, `on_complete` is called. */
enclave_status_t enclave_go_submit(const enclave_pool_t *pool, enclave_go_submission_t submission,
                                   enclave_script_t **compiled, enclave_go_wait_t **wait, enclave_go_outcome_t *outcome,
                                   enclave_execution_t **execution, enclave_error_t **error);

/* From here on `on_complete` is called; or there is the outcome now, and it gives false. */
bool enclave_go_stop_waiting(enclave_go_wait_t *wait, uintptr_t on_complete, const enclave_execution_t *execution,
                             enclave_go_outcome_t *outcome);

/* Of which pool the calling thread runs a callback, by its number in Go; 0 of none. */
void enclave_go_set_callback_of(uint64_t pool);
uint64_t enclave_go_callback_of(void);

/* Answers a call and frees it. If the answer is refused, the call is as before, and the error says why. */
enclave_status_t enclave_go_resolve(enclave_tool_call_t *call, const void *cbor, size_t cbor_len,
                                    enclave_error_t **error);
void enclave_go_reject(enclave_tool_call_t *call, const char *name, size_t name_len, const char *message,
                       size_t message_len, const char *code, size_t code_len);

enclave_status_t enclave_go_cbor_to_json(const void *cbor, size_t cbor_len, enclave_buffer_t *json,
                                         enclave_error_t **error);
enclave_status_t enclave_go_json_to_cbor(const char *json, size_t json_len, enclave_buffer_t *cbor,
                                         enclave_error_t **error);

#endif

/* A script file, and what its first lines say about it:
 *
 *     // expect: OK {"n":344}                the status it must end in, and for OK its result as JSON, or
 *     // expect: EXCEPTION RangeError E_BUDGET     for an exception its name and code; both may be left out
 *     // limit: timeout_ms=200               settings of this execution; any number of lines
 *     // run: alone                          nothing else runs meanwhile
 *
 * They end at the first line that is no `//` comment. Other comments among them are just comments. */

#ifndef SCRIPT_H
#define SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

#include "enclave.h"

typedef struct {
    /* The name of the file, without its directory; lent by the path. */
    const char *name;
    char *source;
    size_t source_len;
    /* The status that it must end in: OK if it says nothing. */
    enclave_status_t expected_status;
    /* What follows the status in its expectation, or NULL. */
    char *expected_detail;
    /* Whether nothing else may run meanwhile. */
    bool alone;
    enclave_options_t *options;
} script_t;

/* Reads a script; the path must outlive it. False on failure: `message`, a place of `size` bytes, says why, and the
 * script is empty. */
bool script_read(script_t *script, const char *path, char *message, size_t size);

/* Whether an outcome is what the script expects. `value` may be NULL unless the status is OK, `error` if it is. */
bool script_accepts(const script_t *script, enclave_status_t status, const enclave_value_t *value,
                    const enclave_error_t *error);

void script_free(script_t *script);

/* Reads `name=number`, as in `timeout_ms=200`. False on failure, and `message` says why. */
bool parse_setting(const char *text, enclave_setting_t *setting, uint64_t *value, char *message, size_t size);

/* Reads a whole number from 0. */
bool parse_number(const char *text, uint64_t *number);

#endif

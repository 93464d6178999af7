/* What run_scripts prints: for people (report_text.c), or for programs as a JSON object a line (report_json.c). */

#ifndef REPORT_H
#define REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "enclave.h"
#include "script.h"
#include "tools.h"

/* How a script has ended. */
typedef struct {
    const script_t *script;
    enclave_status_t status;
    /* NULL if the pool did not take the script. */
    const enclave_outcome_t *outcome;
    /* NULL if the status is OK. */
    const enclave_error_t *error;
    bool expected;
} result_t;

/* The head of the table, for these scripts. */
void text_begin(const script_t *scripts, size_t count);

/* A line of the table, the console lines that the outcome has, and what was wrong if the result is not expected. */
void text_result(const result_t *result);

/* What the scripts have saved, and the pool's stats. */
void text_end(const tools_t *tools, const enclave_pool_stats_t *stats);

/* {"script", "expected", "status", "result" or "error", "console", what it took} */
void json_result(const result_t *result);

/* {"reports", "stats"} */
void json_end(const tools_t *tools, const enclave_pool_stats_t *stats);

#endif

/* The tools that scripts may call, over the tables of a data directory:
 *
 *     tools.list_datasets()                              [{name, rows, columns}]
 *     tools.read_rows({dataset, offset, limit})          {total, rows}, at most 100 rows at once
 *     tools.lookup({dataset, column, value})             the first row with this value
 *     tools.save_report({title, body})                   {id, bytes}
 *
 * A row is an object; what looks like a number is one, and `NA` or nothing is null. A call that cannot be answered is
 * rejected with an error whose code says why: BAD_ARGUMENT, NO_DATASET, NO_COLUMN, NOT_FOUND or TOO_MANY_REPORTS. */

#ifndef TOOLS_H
#define TOOLS_H

#include <stddef.h>

#include "enclave.h"

typedef struct tools tools_t;

/* Reads all tables, and starts the thread that answers `read_rows`. NULL on failure: `message`, a place of `size`
 * bytes, says why. Without a directory (NULL) there are no data sets. */
tools_t *tools_new(const char *directory, char *message, size_t size);

/* Registers the tools with a pool. Their status and error are those of `enclave_pool_register_tool`. */
enclave_status_t tools_register(tools_t *tools, const enclave_pool_t *pool, enclave_error_t **error);

/* Frees the tools. The pools that they were registered with must be gone, so that nobody calls them any more. */
void tools_free(tools_t *tools);

/* Reports that scripts have saved. To be read when nothing runs any more. */
size_t tools_report_count(const tools_t *tools);
const char *tools_report_title(const tools_t *tools, size_t index);
const char *tools_report_body(const tools_t *tools, size_t index);

#endif

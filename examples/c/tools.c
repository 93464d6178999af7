#define _POSIX_C_SOURCE 200809L

#include "tools.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csv.h"
#include "support.h"

enum {
    MAX_ROWS = 100,
    MAX_REPORTS = 20,
    MAX_REPORT_BYTES = 64 * 1024,
};

typedef struct {
    char *name;
    csv_t csv;
} dataset_t;

typedef struct {
    char *title;
    char *body;
} report_t;

/* A call that waits for the reader thread. */
typedef struct waiting {
    enclave_tool_call_t *call;
    struct waiting *next;
} waiting_t;

struct tools {
    /* Written before the pool exists and only read afterwards, so that all threads may read without a lock. */
    dataset_t *datasets;
    size_t dataset_count;

    pthread_t reader;
    /* Guards all that follows: tools are called by several workers at once. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    waiting_t *first;
    waiting_t **end;
    bool stopping;
    report_t reports[MAX_REPORTS];
    size_t report_count;
};

/* Answers. Each tool answers its call once and then frees it. The status is of no use here: it can only say that the
 * answer comes too late, because the script has ended meanwhile. */

static void resolve(enclave_tool_call_t *call, enclave_value_t *value) {
    enclave_tool_call_resolve(call, value, NULL);
    enclave_tool_call_free(call);
}

static void reject(enclave_tool_call_t *call, const char *name, const char *code, const char *message) {
    enclave_tool_call_reject(call, name, ENCLAVE_NUL_TERMINATED, message, ENCLAVE_NUL_TERMINATED, code,
                             ENCLAVE_NUL_TERMINATED, NULL);
    enclave_tool_call_free(call);
}

static void reject_argument(enclave_tool_call_t *call, const char *message) {
    reject(call, "TypeError", "BAD_ARGUMENT", message);
}

/* Arguments. They come from untrusted code: any of them may be missing or of any kind and size. The accessors allow
 * for that, and give NULL where there is nothing of the kind. */

static const enclave_value_t *argument(const enclave_tool_call_t *call, const char *name) {
    return enclave_value_get(enclave_tool_call_args(call), name, ENCLAVE_NUL_TERMINATED);
}

/* A value's string has a length and no NUL behind it. */
static bool is_text(const enclave_value_t *value, const char *text) {
    size_t len;
    const char *string = enclave_value_string(value, &len);
    return string != NULL && len == strlen(text) && memcmp(string, text, len) == 0;
}

/* A whole number from `min` to `max`, or `otherwise` if the script has given none. */
static bool read_count(const enclave_value_t *value, int64_t min, int64_t max, int64_t otherwise, int64_t *count) {
    *count = otherwise;
    if (enclave_value_kind(value) == ENCLAVE_VALUE_UNDEFINED) {
        return true;
    }
    return enclave_value_int64(value, count) && *count >= min && *count <= max;
}

/* A data set is found by its name among those that were loaded: no text of a script ever becomes a path. If there is
 * none, the call is answered and gone. */
static const csv_t *find_dataset(const tools_t *tools, enclave_tool_call_t *call) {
    const enclave_value_t *name = argument(call, "dataset");
    for (size_t i = 0; i < tools->dataset_count; i++) {
        if (is_text(name, tools->datasets[i].name)) {
            return &tools->datasets[i].csv;
        }
    }
    reject(call, "NotFoundError", "NO_DATASET", "there is no such data set: list_datasets() names those that are");
    return NULL;
}

/* Values. */

static enclave_value_t *text_value(const char *text) {
    /* Only text that is not UTF-8 gives NULL. */
    enclave_value_t *value = enclave_value_new_string(text, ENCLAVE_NUL_TERMINATED, NULL);
    return value != NULL ? value : enclave_value_new_null();
}

static bool read_number(const char *cell, double *number) {
    char *end;
    /* strtod() also takes such things as `inf` and `0x10`. */
    if (cell[strspn(cell, "0123456789+-.eE")] != '\0') {
        return false;
    }
    *number = strtod(cell, &end);
    return end != cell && *end == '\0';
}

static enclave_value_t *cell_value(const char *cell) {
    double number;
    if (cell[0] == '\0' || strcmp(cell, "NA") == 0) {
        return enclave_value_new_null();
    }
    return read_number(cell, &number) ? enclave_value_new_number(number) : text_value(cell);
}

/* Gives a value to an object, which takes it. */
static void set(enclave_value_t *object, const char *key, enclave_value_t *value) {
    enclave_value_object_set(object, key, ENCLAVE_NUL_TERMINATED, value, NULL);
}

static enclave_value_t *row_value(const csv_t *csv, size_t row) {
    enclave_value_t *object = enclave_value_new_object();
    for (size_t column = 0; column < csv->columns; column++) {
        set(object, csv_column(csv, column), cell_value(csv_cell(csv, row, column)));
    }
    return object;
}

/* list_datasets: answers at once. */

static void list_datasets(void *user_data, enclave_tool_call_t *call) {
    const tools_t *tools = user_data;
    enclave_value_t *list = enclave_value_new_array();
    for (size_t i = 0; i < tools->dataset_count; i++) {
        const csv_t *csv = &tools->datasets[i].csv;
        enclave_value_t *columns = enclave_value_new_array();
        for (size_t column = 0; column < csv->columns; column++) {
            enclave_value_push(columns, text_value(csv_column(csv, column)), NULL);
        }
        enclave_value_t *dataset = enclave_value_new_object();
        set(dataset, "name", text_value(tools->datasets[i].name));
        set(dataset, "rows", enclave_value_new_number((double)csv->rows));
        set(dataset, "columns", columns);
        enclave_value_push(list, dataset, NULL);
    }
    resolve(call, list);
}

/* lookup: answers at once, or rejects. */

static bool cell_matches(const char *cell, const enclave_value_t *wanted) {
    double number;
    if (enclave_value_kind(wanted) == ENCLAVE_VALUE_NUMBER) {
        return read_number(cell, &number) && number == enclave_value_number(wanted);
    }
    return is_text(wanted, cell);
}

static void lookup(void *user_data, enclave_tool_call_t *call) {
    const csv_t *csv = find_dataset(user_data, call);
    if (csv == NULL) {
        return;
    }
    size_t column = 0;
    while (column < csv->columns && !is_text(argument(call, "column"), csv_column(csv, column))) {
        column++;
    }
    if (column == csv->columns) {
        reject(call, "NotFoundError", "NO_COLUMN", "the data set has no such column");
        return;
    }
    const enclave_value_t *wanted = argument(call, "value");
    for (size_t row = 0; row < csv->rows; row++) {
        if (cell_matches(csv_cell(csv, row, column), wanted)) {
            resolve(call, row_value(csv, row));
            return;
        }
    }
    reject(call, "NotFoundError", "NOT_FOUND", "no row has this value");
}

/* read_rows: answers later. A tool runs on the worker's thread, where its script stands still, so that work that may
 * take long belongs elsewhere, such as to this thread. Nothing has to bound the line of waiting calls, because the
 * pool does: a script may have `max_pending_tool_calls` of them. */

static void answer_read_rows(const tools_t *tools, enclave_tool_call_t *call) {
    const csv_t *csv = find_dataset(tools, call);
    if (csv == NULL) {
        return;
    }
    int64_t offset, limit;
    if (!read_count(argument(call, "offset"), 0, INT32_MAX, 0, &offset)) {
        reject_argument(call, "read_rows: offset must be a whole number from 0");
        return;
    }
    if (!read_count(argument(call, "limit"), 1, MAX_ROWS, MAX_ROWS, &limit)) {
        reject_argument(call, "read_rows: limit must be a whole number from 1 to 100");
        return;
    }
    enclave_value_t *rows = enclave_value_new_array();
    for (size_t row = (size_t)offset; row < csv->rows && limit > 0; row++, limit--) {
        enclave_value_push(rows, row_value(csv, row), NULL);
    }
    enclave_value_t *page = enclave_value_new_object();
    set(page, "total", enclave_value_new_number((double)csv->rows));
    set(page, "rows", rows);
    resolve(call, page);
}

/* The call is ours until it is freed, so it may simply be handed to another thread. */
static void read_rows(void *user_data, enclave_tool_call_t *call) {
    tools_t *tools = user_data;
    waiting_t *waiting = allocate(1, sizeof *waiting);
    waiting->call = call;
    pthread_mutex_lock(&tools->lock);
    *tools->end = waiting;
    tools->end = &waiting->next;
    pthread_cond_signal(&tools->changed);
    pthread_mutex_unlock(&tools->lock);
}

static void *run_reader(void *user_data) {
    tools_t *tools = user_data;
    pthread_mutex_lock(&tools->lock);
    for (;;) {
        waiting_t *waiting = tools->first;
        if (waiting != NULL) {
            tools->first = waiting->next;
            if (tools->first == NULL) {
                tools->end = &tools->first;
            }
            pthread_mutex_unlock(&tools->lock);
            answer_read_rows(tools, waiting->call);
            free(waiting);
            pthread_mutex_lock(&tools->lock);
        } else if (tools->stopping) {
            break;
        } else {
            pthread_cond_wait(&tools->changed, &tools->lock);
        }
    }
    pthread_mutex_unlock(&tools->lock);
    return NULL;
}

/* save_report: changes the host, so it is the host that says how much a script may ask for. */

static void save_report(void *user_data, enclave_tool_call_t *call) {
    tools_t *tools = user_data;
    size_t title_len, body_len;
    const char *title = enclave_value_string(argument(call, "title"), &title_len);
    const char *body = enclave_value_string(argument(call, "body"), &body_len);
    if (title == NULL || body == NULL) {
        reject_argument(call, "save_report: title and body must be strings");
        return;
    }
    if (title_len + body_len > MAX_REPORT_BYTES) {
        reject_argument(call, "save_report: title and body must not be longer than 64 KiB");
        return;
    }
    pthread_mutex_lock(&tools->lock);
    size_t id = tools->report_count;
    if (id < MAX_REPORTS) {
        tools->reports[id].title = copy_text(title, title_len);
        tools->reports[id].body = copy_text(body, body_len);
        tools->report_count++;
    }
    pthread_mutex_unlock(&tools->lock);
    if (id == MAX_REPORTS) {
        reject(call, "RangeError", "TOO_MANY_REPORTS", "no more reports can be saved");
        return;
    }
    enclave_value_t *saved = enclave_value_new_object();
    set(saved, "id", enclave_value_new_number((double)id + 1));
    set(saved, "bytes", enclave_value_new_number((double)body_len));
    resolve(call, saved);
}

static bool load_datasets(tools_t *tools, const char *directory, char *message, size_t size) {
    list_t paths = {0};
    if (!list_add_files(&paths, directory, ".csv")) {
        snprintf(message, size, "data directory %s: %s", directory, strerror(errno));
        return false;
    }
    tools->datasets = allocate(paths.count, sizeof *tools->datasets);
    bool ok = true;
    for (size_t i = 0; i < paths.count && ok; i++) {
        dataset_t *dataset = &tools->datasets[i];
        const char *name = file_name(paths.items[i]);
        dataset->name = copy_text(name, strlen(name) - strlen(".csv"));
        tools->dataset_count++;
        ok = csv_read(&dataset->csv, paths.items[i], message, size);
    }
    list_free(&paths);
    return ok;
}

static void free_data(tools_t *tools) {
    for (size_t i = 0; i < tools->dataset_count; i++) {
        free(tools->datasets[i].name);
        csv_free(&tools->datasets[i].csv);
    }
    free(tools->datasets);
    for (size_t i = 0; i < tools->report_count; i++) {
        free(tools->reports[i].title);
        free(tools->reports[i].body);
    }
    free(tools);
}

tools_t *tools_new(const char *directory, char *message, size_t size) {
    tools_t *tools = allocate(1, sizeof *tools);
    if (directory != NULL && !load_datasets(tools, directory, message, size)) {
        free_data(tools);
        return NULL;
    }
    tools->end = &tools->first;
    pthread_mutex_init(&tools->lock, NULL);
    pthread_cond_init(&tools->changed, NULL);
    int error = pthread_create(&tools->reader, NULL, run_reader, tools);
    if (error != 0) {
        snprintf(message, size, "cannot start a thread: %s", strerror(error));
        free_data(tools);
        return NULL;
    }
    return tools;
}

enclave_status_t tools_register(tools_t *tools, const enclave_pool_t *pool, enclave_error_t **error) {
    static const struct {
        const char *name;
        enclave_tool_fn callback;
    } all[] = {
        {"list_datasets", list_datasets},
        {"read_rows", read_rows},
        {"lookup", lookup},
        {"save_report", save_report},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        /* No finalizer: the tools outlive the pool and are freed by who made them. */
        enclave_status_t status = enclave_pool_register_tool(pool, all[i].name, ENCLAVE_NUL_TERMINATED,
                                                             all[i].callback, tools, NULL, error);
        if (status != ENCLAVE_OK) {
            return status;
        }
    }
    return ENCLAVE_OK;
}

void tools_free(tools_t *tools) {
    if (tools == NULL) {
        return;
    }
    pthread_mutex_lock(&tools->lock);
    tools->stopping = true;
    pthread_cond_signal(&tools->changed);
    pthread_mutex_unlock(&tools->lock);
    pthread_join(tools->reader, NULL);
    pthread_cond_destroy(&tools->changed);
    pthread_mutex_destroy(&tools->lock);
    free_data(tools);
}

size_t tools_report_count(const tools_t *tools) {
    return tools->report_count;
}

const char *tools_report_title(const tools_t *tools, size_t index) {
    return tools->reports[index].title;
}

const char *tools_report_body(const tools_t *tools, size_t index) {
    return tools->reports[index].body;
}

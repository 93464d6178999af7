#include <stdio.h>

#include "report.h"

/* The library's values make the JSON, so that nothing has to be escaped here. An object takes what it is given, also
 * on failure; the only failure is text that is not UTF-8, and such a property is left out. */

static void set(enclave_value_t *object, const char *key, enclave_value_t *value) {
    enclave_value_object_set(object, key, ENCLAVE_NUL_TERMINATED, value, NULL);
}

static void set_number(enclave_value_t *object, const char *key, double number) {
    set(object, key, enclave_value_new_number(number));
}

static void set_text(enclave_value_t *object, const char *key, const char *text, size_t len) {
    if (text != NULL) {
        set(object, key, enclave_value_new_string(text, len, NULL));
    }
}

static void print_line(enclave_value_t *value) {
    enclave_buffer_t json;
    if (enclave_value_to_json(value, &json, NULL) == ENCLAVE_OK) {
        puts(json.data);
        fflush(stdout);
    }
    enclave_buffer_free(&json);
    enclave_value_free(value);
}

static double milliseconds(uint64_t ns) {
    return (double)ns / 1e6;
}

/* Only the fields that the error has. */
static enclave_value_t *error_value(const enclave_error_t *error) {
    static const struct {
        const char *key;
        const char *(*get)(const enclave_error_t *, size_t *);
    } texts[] = {
        {"message", enclave_error_message},
        {"name", enclave_error_name},
        {"code", enclave_error_code},
        {"stack", enclave_error_stack},
        {"path", enclave_error_path},
    };
    enclave_value_t *object = enclave_value_new_object();
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t len;
        const char *text = texts[i].get(error, &len);
        set_text(object, texts[i].key, text, len);
    }
    if (enclave_error_line(error) > 0) {
        set_number(object, "line", enclave_error_line(error));
        set_number(object, "column", enclave_error_column(error));
    }
    if (enclave_error_setting(error) != ENCLAVE_SETTING_NONE) {
        const char *setting = enclave_setting_name(enclave_error_setting(error));
        set_text(object, "setting", setting, ENCLAVE_NUL_TERMINATED);
        set_number(object, "limit", (double)enclave_error_limit(error));
    }
    return object;
}

static enclave_value_t *console_value(const enclave_outcome_t *outcome) {
    enclave_value_t *lines = enclave_value_new_array();
    for (size_t i = 0; i < enclave_outcome_console_count(outcome); i++) {
        const enclave_console_line_t *line = enclave_outcome_console_line(outcome, i);
        enclave_value_t *object = enclave_value_new_object();
        set_text(object, "level", enclave_console_level_name(line->level), ENCLAVE_NUL_TERMINATED);
        set_text(object, "text", line->text, line->text_len);
        enclave_value_push(lines, object, NULL);
    }
    return lines;
}

void json_result(const result_t *result) {
    enclave_value_t *object = enclave_value_new_object();
    set_text(object, "script", result->script->name, ENCLAVE_NUL_TERMINATED);
    set(object, "expected", enclave_value_new_bool(result->expected));
    set_text(object, "status", enclave_status_name(result->status), ENCLAVE_NUL_TERMINATED);
    if (result->error != NULL) {
        set(object, "error", error_value(result->error));
    } else {
        /* Lent by the outcome, and so copied. */
        set(object, "result", enclave_value_clone(enclave_outcome_value(result->outcome)));
    }
    if (enclave_outcome_console_count(result->outcome) > 0) {
        set(object, "console", console_value(result->outcome));
    }
    const enclave_execution_stats_t *stats = enclave_outcome_stats(result->outcome);
    if (stats != NULL) {
        set_number(object, "run_time_ms", milliseconds(stats->run_time_ns));
        set_number(object, "queue_wait_ms", milliseconds(stats->queue_wait_ns));
        set_number(object, "cpu_time_ms", milliseconds(stats->cpu_time_ns));
        set_number(object, "peak_memory", (double)stats->peak_memory);
        set_number(object, "worker_id", (double)stats->worker_id);
        set_number(object, "tool_calls", stats->tool_calls);
        set_number(object, "console_calls", stats->console_calls);
    }
    print_line(object);
}

static enclave_value_t *reports_value(const tools_t *tools) {
    enclave_value_t *reports = enclave_value_new_array();
    for (size_t i = 0; i < tools_report_count(tools); i++) {
        enclave_value_t *report = enclave_value_new_object();
        set_text(report, "title", tools_report_title(tools, i), ENCLAVE_NUL_TERMINATED);
        set_text(report, "body", tools_report_body(tools, i), ENCLAVE_NUL_TERMINATED);
        enclave_value_push(reports, report, NULL);
    }
    return reports;
}

static enclave_value_t *histogram_value(const enclave_histogram_t *histogram) {
    enclave_value_t *object = enclave_value_new_object();
    set_number(object, "count", (double)histogram->count);
    set_number(object, "p50_ms", milliseconds(histogram->p50_ns));
    set_number(object, "p90_ms", milliseconds(histogram->p90_ns));
    set_number(object, "p99_ms", milliseconds(histogram->p99_ns));
    set_number(object, "max_ms", milliseconds(histogram->max_ns));
    return object;
}

static enclave_value_t *stats_value(const enclave_pool_stats_t *stats) {
    enclave_value_t *workers = enclave_value_new_object();
    set_number(workers, "starting", (double)stats->workers_starting);
    set_number(workers, "idle", (double)stats->workers_idle);
    set_number(workers, "executing", (double)stats->workers_executing);
    set_number(workers, "recycling", (double)stats->workers_recycling);
    set_number(workers, "set_aside", (double)stats->workers_set_aside);
    enclave_value_t *executions = enclave_value_new_object();
    for (size_t i = 0; i < stats->executions_len; i++) {
        const enclave_status_count_t *entry = &stats->executions[i];
        set_number(executions, enclave_status_name(entry->status), (double)entry->count);
    }
    enclave_value_t *recycles = enclave_value_new_object();
    for (size_t i = 0; i < stats->recycles_len; i++) {
        const enclave_recycle_count_t *entry = &stats->recycles[i];
        set_number(recycles, enclave_recycle_reason_name(entry->reason), (double)entry->count);
    }
    enclave_value_t *object = enclave_value_new_object();
    set_number(object, "uptime_ms", milliseconds(stats->uptime_ns));
    set(object, "workers", workers);
    set(object, "executions", executions);
    set(object, "recycles", recycles);
    set_number(object, "tool_calls", (double)stats->tool_calls);
    set_number(object, "console_lines", (double)stats->console_lines);
    set_number(object, "rate_limit_hits", (double)stats->rate_limit_hits);
    set_number(object, "queue_depth", (double)stats->queue_depth);
    set_number(object, "memory_current", (double)stats->memory_current);
    set_number(object, "memory_peak", (double)stats->memory_peak);
    set(object, "queue_wait", histogram_value(&stats->queue_wait));
    set(object, "run_time", histogram_value(&stats->run_time));
    return object;
}

void json_end(const tools_t *tools, const enclave_pool_stats_t *stats) {
    enclave_value_t *object = enclave_value_new_object();
    set(object, "reports", reports_value(tools));
    set(object, "stats", stats_value(stats));
    print_line(object);
}

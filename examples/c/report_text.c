#define _POSIX_C_SOURCE 200809L

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "report.h"

enum {
    /* Where there is no terminal. */
    DEFAULT_WIDTH = 160,
    MIN_RESULT_WIDTH = 40,
    MAX_CONSOLE_LINES = 10,
};

static size_t name_width;
static size_t status_width;

static size_t max_size(size_t a, size_t b) {
    return a > b ? a : b;
}

static size_t terminal_width(void) {
    struct winsize window;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0) {
        return window.ws_col;
    }
    return DEFAULT_WIDTH;
}

/* Text of a script is as untrusted as the script: printed as it is, it could hold commands to the terminal, or turn
 * the direction of what follows. */

static size_t character_len(unsigned char first) {
    return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

static bool is_printable(const unsigned char *character, size_t len) {
    if (len == 1) {
        return character[0] >= 0x20 && character[0] != 0x7f;
    }
    if (len == 2) {
        /* U+0080 to U+009F: controls. */
        return character[0] != 0xc2 || character[1] >= 0xa0;
    }
    if (len == 3 && character[0] == 0xe2) {
        /* U+200B to U+200F, U+2028 to U+202E, U+2066 to U+2069: invisible, breaks, directions. */
        unsigned last = character[2];
        return !(character[1] == 0x80 && ((last >= 0x8b && last <= 0x8f) || (last >= 0xa8 && last <= 0xae))) &&
               !(character[1] == 0x81 && last >= 0xa6 && last <= 0xa9);
    }
    return true;
}

/* Prints UTF-8 in one line of at most `width` characters. */
static void print_text(const char *text, size_t len, size_t width) {
    const unsigned char *next = (const unsigned char *)text;
    const unsigned char *end = next + len;
    while (next < end) {
        size_t size = character_len(*next);
        if (size > (size_t)(end - next)) {
            size = (size_t)(end - next);
        }
        if (width == 1 && next + size < end) {
            fputs("\xe2\x80\xa6", stdout); /* U+2026, an ellipsis. */
            return;
        }
        if (is_printable(next, size)) {
            fwrite(next, 1, size, stdout);
        } else {
            fputs(*next == '\n' || *next == '\t' ? " " : "\xef\xbf\xbd", stdout);
        }
        next += size;
        width--;
    }
}

/* Prints text of several lines, each behind `prefix`. */
static void print_lines(const char *prefix, const char *text, size_t len) {
    size_t from = 0;
    while (from <= len) {
        const char *newline = memchr(text + from, '\n', len - from);
        size_t line_len = newline != NULL ? (size_t)(newline - (text + from)) : len - from;
        fputs(prefix, stdout);
        print_text(text + from, line_len, SIZE_MAX);
        putchar('\n');
        from += line_len + 1;
    }
}

static void print_duration(uint64_t ns) {
    double ms = (double)ns / 1e6;
    if (ms < 1000) {
        printf(" %6.*f ms", ms < 10 ? 2 : 1, ms);
    } else {
        printf(" %7.2f s", ms / 1000);
    }
}

static double mebibytes(uint64_t bytes) {
    return (double)bytes / (1024 * 1024);
}

void text_begin(const script_t *scripts, size_t count) {
    name_width = strlen("script");
    status_width = strlen("EXCEPTION");
    for (size_t i = 0; i < count; i++) {
        name_width = max_size(name_width, strlen(scripts[i].name));
        status_width = max_size(status_width, strlen(enclave_status_name(scripts[i].expected_status)));
    }
    printf("     %-*s  %-*s %9s %9s %9s %9s %6s  %s\n", (int)name_width, "script", (int)status_width, "status", "time",
           "wait", "cpu", "memory", "worker", "result");
}

/* The result as JSON (which has no undefined), or the error's message. */
static void print_result(const result_t *result, size_t width) {
    if (result->error != NULL) {
        size_t len;
        const char *message = enclave_error_message(result->error, &len);
        print_text(message, len, width);
        return;
    }
    const enclave_value_t *value = enclave_outcome_value(result->outcome);
    if (enclave_value_kind(value) == ENCLAVE_VALUE_UNDEFINED) {
        fputs("undefined", stdout);
        return;
    }
    enclave_buffer_t json;
    if (enclave_value_to_json(value, &json, NULL) == ENCLAVE_OK) {
        print_text(json.data, json.len, width);
    }
    enclave_buffer_free(&json);
}

static void print_console(const enclave_outcome_t *outcome) {
    size_t count = enclave_outcome_console_count(outcome);
    for (size_t i = 0; i < count && i < MAX_CONSOLE_LINES; i++) {
        const enclave_console_line_t *line = enclave_outcome_console_line(outcome, i);
        char prefix[32];
        snprintf(prefix, sizeof prefix, "       %-5s | ", enclave_console_level_name(line->level));
        print_lines(prefix, line->text, line->text_len);
    }
    if (count > MAX_CONSOLE_LINES) {
        printf("       and %zu more console lines\n", count - MAX_CONSOLE_LINES);
    }
}

/* What helps to understand an outcome that was not expected. */
static void print_details(const result_t *result) {
    const script_t *script = result->script;
    printf("       expected %s", enclave_status_name(script->expected_status));
    if (script->expected_detail != NULL) {
        printf(" %s", script->expected_detail);
    }
    printf(", not this:\n         ");
    print_result(result, SIZE_MAX);
    putchar('\n');
    size_t len;
    const char *source_line = enclave_error_source_line(result->error, &len);
    if (source_line != NULL) {
        print_lines("         at  ", source_line, len);
    }
    const char *stack = enclave_error_stack(result->error, &len);
    if (stack != NULL) {
        print_lines("         by  ", stack, len);
    }
}

void text_result(const result_t *result) {
    static const enclave_execution_stats_t nothing;
    const enclave_execution_stats_t *stats = enclave_outcome_stats(result->outcome);
    if (stats == NULL) {
        stats = &nothing;
    }
    printf("%s %-*s  %-*s", result->expected ? "ok  " : "FAIL", (int)name_width, result->script->name,
           (int)status_width, enclave_status_name(result->status));
    print_duration(stats->run_time_ns);
    print_duration(stats->queue_wait_ns);
    print_duration(stats->cpu_time_ns);
    printf(" %5.1f MiB %6llu  ", mebibytes(stats->peak_memory), (unsigned long long)stats->worker_id);
    size_t used = 5 + name_width + 2 + status_width + 3 * 10 + 10 + 7 + 2;
    size_t width = terminal_width();
    print_result(result, width > used + MIN_RESULT_WIDTH ? width - used : MIN_RESULT_WIDTH);
    putchar('\n');
    print_console(result->outcome);
    if (!result->expected) {
        print_details(result);
    }
    fflush(stdout);
}

static void print_histogram(const char *name, const enclave_histogram_t *histogram) {
    printf("  %-10s  p50", name);
    print_duration(histogram->p50_ns);
    printf("   p90");
    print_duration(histogram->p90_ns);
    printf("   p99");
    print_duration(histogram->p99_ns);
    printf("   max");
    print_duration(histogram->max_ns);
    putchar('\n');
}

/* ", 3 idle", without the comma for the first. */
static void print_count(const char **separator, uint64_t count, const char *what) {
    if (count > 0) {
        printf("%s%llu %s", *separator, (unsigned long long)count, what);
        *separator = ", ";
    }
}

static void print_counts(const enclave_pool_stats_t *stats) {
    const char *separator = "";
    printf("  %-10s  ", "workers");
    print_count(&separator, stats->workers_starting, "starting");
    print_count(&separator, stats->workers_idle, "idle");
    print_count(&separator, stats->workers_executing, "executing");
    print_count(&separator, stats->workers_recycling, "recycling");
    print_count(&separator, stats->workers_set_aside, "set aside");
    separator = "";
    printf("\n  %-10s  ", "executions");
    for (size_t i = 0; i < stats->executions_len; i++) {
        print_count(&separator, stats->executions[i].count, enclave_status_name(stats->executions[i].status));
    }
    separator = "";
    printf("\n  %-10s  ", "recycled");
    if (stats->recycles_total == 0) {
        fputs("none", stdout);
    }
    for (size_t i = 0; i < stats->recycles_len; i++) {
        print_count(&separator, stats->recycles[i].count, enclave_recycle_reason_name(stats->recycles[i].reason));
    }
    printf("\n  %-10s  tool calls: %llu, console lines: %llu\n", "messages", (unsigned long long)stats->tool_calls,
           (unsigned long long)stats->console_lines);
}

void text_end(const tools_t *tools, const enclave_pool_stats_t *stats) {
    for (size_t i = 0; i < tools_report_count(tools); i++) {
        const char *title = tools_report_title(tools, i);
        const char *body = tools_report_body(tools, i);
        printf("\nSaved report %zu: ", i + 1);
        print_text(title, strlen(title), SIZE_MAX);
        putchar('\n');
        print_lines("  ", body, strlen(body));
    }
    printf("\nThe pool, after %.2f s\n", (double)stats->uptime_ns / 1e9);
    print_counts(stats);
    print_histogram("queue wait", &stats->queue_wait);
    print_histogram("run time", &stats->run_time);
    printf("  %-10s  %.1f MiB now, %.1f MiB at most\n", "memory", mebibytes(stats->memory_current),
           mebibytes(stats->memory_peak));
}

/* Reading the cases of the conformance table, and comparing what the library gives with what a case expects. */

#ifndef ENCLAVE_TABLE_H
#define ENCLAVE_TABLE_H

#include "tagged.h"

/* For longjmp: with the debug engine a case may run out of time that does not otherwise; then it shows nothing. */
enum { TOO_SLOW = 2 };

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

/* The statuses that some case expects, by their number. */
static bool expected_statuses[ENCLAVE_INTERNAL + 1];

/* Reading the table. */

static inline const enclave_value_t *get(const enclave_value_t *json, const char *key) {
    return enclave_value_get(json, key, Z);
}

static inline uint64_t number_of(const enclave_value_t *json) {
    return (uint64_t)enclave_value_number(json);
}

/* The text of a field, to be freed; NULL if it is not there. */
static inline char *text_field(const enclave_value_t *json, const char *key) {
    return text_of(get(json, key), NULL);
}

/* Fails for a field that is not in a list, so that no expectation goes unread. */
static inline void only_fields(const enclave_value_t *json, const char *what, const char *fields) {
    for (size_t i = 0; i < enclave_value_count(json); i++) {
        size_t len;
        const char *key = enclave_value_object_key(json, i, &len);
        char quoted[64];
        snprintf(quoted, sizeof quoted, " %.*s ", (int)len, key);
        if (strstr(fields, quoted) == NULL) {
            FAIL("%s has an unknown field%s", what, quoted);
        }
    }
}

static inline int32_t number_in(const named_t *table, size_t len, const enclave_value_t *name, int32_t absent) {
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

static inline enclave_status_t status_field(const enclave_value_t *json, const char *key) {
    enclave_status_t status = ENCLAVE_OK;
    const enclave_value_t *name = get(json, key);
    if (name != NULL) {
        while (status <= ENCLAVE_INTERNAL &&
               (enclave_status_name(status) == NULL || !text_is(name, enclave_status_name(status)))) {
            status++;
        }
        CHECK(status <= ENCLAVE_INTERNAL);
    }
    expected_statuses[status] = true;
    return status;
}

static inline enclave_setting_t setting_at(const enclave_value_t *settings, size_t index) {
    size_t len;
    const char *name = enclave_value_object_key(settings, index, &len);
    enclave_setting_t setting = enclave_setting_from_name(name, len);
    if (setting == ENCLAVE_SETTING_NONE) {
        FAIL("%.*s is no setting", (int)len, name);
    }
    return setting;
}

/* Comparing. */

static inline void check_part(const char *text, const enclave_value_t *part, bool present, const char *what) {
    if (enclave_value_kind(part) == ENCLAVE_VALUE_ARRAY) {
        for (size_t i = 0; i < enclave_value_count(part); i++) {
            check_part(text, enclave_value_item(part, i), present, what);
        }
        return;
    }
    char *wanted = text_of(part, NULL);
    if ((strstr(text ? text : "", wanted) != NULL) != present) {
        FAIL("%s is \"%s\", %s \"%s\"", what, text ? text : "(NULL)", present ? "without" : "with", wanted);
    }
    free(wanted);
}

static inline void check_error_text(const char *actual, size_t len, const enclave_value_t *wanted, const char *what) {
    size_t wanted_len;
    const char *text = enclave_value_string(wanted, &wanted_len);
    if ((text == NULL) != (actual == NULL) || (text != NULL && (len != wanted_len || memcmp(text, actual, len) != 0))) {
        FAIL("%s is \"%s\", not \"%.*s\"", what, actual ? actual : "(NULL)", (int)wanted_len, text ? text : "(NULL)");
    }
}

static inline void check_number(uint64_t actual, const enclave_value_t *wanted, const char *what) {
    if (actual != number_of(wanted)) {
        FAIL("%s is %llu, not %llu", what, (unsigned long long)actual, (unsigned long long)number_of(wanted));
    }
}

static inline void check_bound(uint64_t actual, const enclave_value_t *json, const char *at_least,
                               const char *at_most) {
    if (get(json, at_least) != NULL && actual < number_of(get(json, at_least))) {
        FAIL("%s: it is %llu", at_least, (unsigned long long)actual);
    }
    if (get(json, at_most) != NULL && actual > number_of(get(json, at_most))) {
        FAIL("%s: it is %llu", at_most, (unsigned long long)actual);
    }
}

static inline void check_error_of_table(const enclave_error_t *error, const enclave_value_t *wanted) {
    static const struct {
        const char *field;
        const char *(*get)(const enclave_error_t *, size_t *);
    } texts[] = {{"name", enclave_error_name},         {"script_message", enclave_error_script_message},
                 {"code", enclave_error_code},         {"filename", enclave_error_filename},
                 {"field", enclave_error_field},       {"source_line", enclave_error_source_line},
                 {"path", enclave_error_path}};
    only_fields(wanted, "error",
                " status name script_message code filename source_line field path line column limit queue_size signal "
                "setting message_has script_message_has stack_has stack_lacks source_line_at_most used_bytes_at_least "
                "waited_ms_at_least retry_after_ms_at_least ");
    for (size_t i = 0; i < COUNT(texts); i++) {
        if (get(wanted, texts[i].field) != NULL) {
            size_t len;
            const char *text = texts[i].get(error, &len);
            check_error_text(text, len, get(wanted, texts[i].field), texts[i].field);
        }
    }
    struct {
        const char *field;
        uint64_t actual;
    } numbers[] = {{"line", enclave_error_line(error)},
                   {"column", enclave_error_column(error)},
                   {"limit", enclave_error_limit(error)},
                   {"queue_size", enclave_error_queue_size(error)},
                   {"signal", (uint64_t)enclave_error_signal(error)}};
    for (size_t i = 0; i < COUNT(numbers); i++) {
        if (get(wanted, numbers[i].field) != NULL) {
            check_number(numbers[i].actual, get(wanted, numbers[i].field), numbers[i].field);
        }
    }
    const enclave_value_t *setting = get(wanted, "setting");
    if (setting != NULL) {
        const char *name = enclave_setting_name(enclave_error_setting(error));
        check_error_text(name, name ? strlen(name) : 0, setting, "setting");
    }
    struct {
        const char *field;
        const char *text;
        bool present;
    } parts[] = {{"message_has", enclave_error_message(error, NULL), true},
                 {"script_message_has", enclave_error_script_message(error, NULL), true},
                 {"stack_has", enclave_error_stack(error, NULL), true},
                 {"stack_lacks", enclave_error_stack(error, NULL), false}};
    for (size_t i = 0; i < COUNT(parts); i++) {
        if (get(wanted, parts[i].field) != NULL) {
            check_part(parts[i].text, get(wanted, parts[i].field), parts[i].present, parts[i].field);
        }
    }
    size_t line_len;
    enclave_error_source_line(error, &line_len);
    check_bound(line_len, wanted, "", "source_line_at_most");
    check_bound(enclave_error_used_bytes(error), wanted, "used_bytes_at_least", "");
    check_bound(enclave_error_waited_ms(error), wanted, "waited_ms_at_least", "");
    check_bound(enclave_error_retry_after_ms(error), wanted, "retry_after_ms_at_least", "");
}

/* A status as it should be, or its error on the way out. */
static inline void check_status_of_table(enclave_status_t actual, const enclave_error_t *error,
                                         enclave_status_t expected) {
    if (actual == ENCLAVE_TIMEOUT && actual != expected && getenv("ENCLAVE_CONFORMANCE_SLOW") != NULL) {
        longjmp(test_failed, TOO_SLOW);
    }
    if (actual != expected) {
        FAIL("the status is %s, not %s: %s", enclave_status_name(actual), enclave_status_name(expected),
             error ? enclave_error_message(error, NULL) : "no error");
    }
}

static inline void check_value(const enclave_value_t *actual, const enclave_value_t *json) {
    enclave_value_t *wanted = value_of(json);
    if (!same_value(wanted, actual)) {
        enclave_buffer_t a, b;
        enclave_value_to_json(actual, &a, NULL);
        enclave_value_to_json(json, &b, NULL);
        FAIL("the value is %.300s (kind %d), not %.300s", a.data, (int)enclave_value_kind(actual), b.data);
    }
    enclave_value_free(wanted);
}

static inline void check_console(const enclave_outcome_t *outcome, const enclave_value_t *lines) {
    for (size_t i = 0; i < enclave_value_count(lines); i++) {
        const enclave_console_line_t *line = enclave_outcome_console_line(outcome, i);
        if (line == NULL) {
            FAIL("there are only %d console lines", (int)i);
        }
        const enclave_value_t *wanted = enclave_value_item(lines, i);
        if (!text_is(enclave_value_item(wanted, 0), enclave_console_level_name(line->level))) {
            FAIL("console line %d has the level %s", (int)i, enclave_console_level_name(line->level));
        }
        check_error_text(line->text, line->text_len, enclave_value_item(wanted, 1), "a console line");
    }
    if (enclave_outcome_console_count(outcome) != enclave_value_count(lines)) {
        FAIL("there are %d console lines", (int)enclave_outcome_console_count(outcome));
    }
}

static inline void check_execution_stats(const enclave_execution_stats_t *stats, const enclave_value_t *wanted) {
    only_fields(wanted, "stats",
                " tool_calls console_calls run_time_ms_at_least run_time_ms_at_most cpu_time_ms_at_most ");
    if (get(wanted, "tool_calls") != NULL) {
        check_number(stats->tool_calls, get(wanted, "tool_calls"), "tool_calls");
    }
    if (get(wanted, "console_calls") != NULL) {
        check_number(stats->console_calls, get(wanted, "console_calls"), "console_calls");
    }
    check_bound(stats->run_time_ns / 1000000, wanted, "run_time_ms_at_least", "run_time_ms_at_most");
    check_bound(stats->cpu_time_ns / 1000000, wanted, "", "cpu_time_ms_at_most");
}

/* Constants. */

/* The name that the library has for a number of a table, NULL if there is none. */
static inline const char *name_of(const enclave_value_t *table, int32_t number) {
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

static inline void check_constants(const enclave_value_t *table, const enclave_value_t *constants) {
    size_t known = 0;
    for (int32_t number = -100; number < 1000; number++) {
        const char *name = name_of(table, number);
        if (name != NULL) {
            known++;
            CHECK(get(constants, name) != NULL);
            check_number((uint64_t)number, get(constants, name), name);
        }
    }
    CHECK(known == enclave_value_count(constants));
}

#endif

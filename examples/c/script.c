#include "script.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

bool parse_number(const char *text, uint64_t *number) {
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    /* strtoull() also takes a sign and white space. */
    return isdigit((unsigned char)text[0]) && *end == '\0' && errno == 0;
}

bool parse_setting(const char *text, enclave_setting_t *setting, uint64_t *value, char *message, size_t size) {
    const char *equals = strchr(text, '=');
    if (equals == NULL) {
        snprintf(message, size, "`%s` is not a setting: write NAME=NUMBER, as in timeout_ms=200", text);
        return false;
    }
    *setting = enclave_setting_from_name(text, (size_t)(equals - text));
    if (*setting == ENCLAVE_SETTING_NONE) {
        snprintf(message, size, "there is no setting `%.*s`", (int)(equals - text), text);
        return false;
    }
    if (!parse_number(equals + 1, value)) {
        snprintf(message, size, "%s: `%s` is not a whole number from 0", enclave_setting_name(*setting), equals + 1);
        return false;
    }
    return true;
}

static bool parse_status(const char *name, size_t len, enclave_status_t *status) {
    for (*status = 0; *status < 1000; ++*status) {
        const char *known = enclave_status_name(*status);
        if (known != NULL && strlen(known) == len && memcmp(known, name, len) == 0) {
            return true;
        }
    }
    return false;
}

static bool read_expectation(script_t *script, const char *text, char *message, size_t size) {
    size_t len = strcspn(text, " ");
    if (!parse_status(text, len, &script->expected_status)) {
        snprintf(message, size, "there is no status `%.*s`", (int)len, text);
        return false;
    }
    const char *detail = text + len + strspn(text + len, " ");
    free(script->expected_detail);
    script->expected_detail = *detail != '\0' ? copy_text(detail, strlen(detail)) : NULL;
    return true;
}

static bool read_limit(script_t *script, const char *text, char *message, size_t size) {
    enclave_setting_t setting;
    uint64_t value;
    if (!parse_setting(text, &setting, &value, message, size)) {
        return false;
    }
    if (enclave_options_set(script->options, setting, value) != ENCLAVE_OK) {
        snprintf(message, size, "%s is a setting of the pool, not of one execution", enclave_setting_name(setting));
        return false;
    }
    return true;
}

static bool read_mode(script_t *script, const char *text, char *message, size_t size) {
    if (strcmp(text, "alone") != 0) {
        snprintf(message, size, "`run: %s` is not known, only `run: alone` is", text);
        return false;
    }
    script->alone = true;
    return true;
}

/* Reads one comment, without its slashes. */
static bool read_directive(script_t *script, const char *text, char *message, size_t size) {
    static const struct {
        const char *prefix;
        bool (*read)(script_t *, const char *, char *, size_t);
    } all[] = {{"expect:", read_expectation}, {"limit:", read_limit}, {"run:", read_mode}};
    text += strspn(text, " \t");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        size_t len = strlen(all[i].prefix);
        if (strncmp(text, all[i].prefix, len) == 0) {
            text += len;
            return all[i].read(script, text + strspn(text, " \t"), message, size);
        }
    }
    return true;
}

static bool read_directives(script_t *script, const char *path, char *message, size_t size) {
    const char *next = script->source;
    bool ok = true;
    for (int number = 1; ok && strncmp(next, "//", 2) == 0; number++) {
        size_t len = strcspn(next, "\n");
        size_t text_len = len;
        while (text_len > 2 && isspace((unsigned char)next[text_len - 1])) {
            text_len--;
        }
        char *text = copy_text(next + 2, text_len - 2);
        char reason[256];
        ok = read_directive(script, text, reason, sizeof reason);
        if (!ok) {
            snprintf(message, size, "%s:%d: %s", path, number, reason);
        }
        free(text);
        next += len + (next[len] == '\n');
    }
    return ok;
}

bool script_read(script_t *script, const char *path, char *message, size_t size) {
    *script = (script_t){.name = file_name(path)};
    script->source = read_file(path, &script->source_len);
    if (script->source == NULL) {
        snprintf(message, size, "%s: %s", path, strerror(errno));
        return false;
    }
    script->options = enclave_options_new();
    /* Only a name that is not UTF-8 is refused; then the stack traces say `main.js`. */
    enclave_options_set_filename(script->options, script->name, ENCLAVE_NUL_TERMINATED, NULL);
    if (!read_directives(script, path, message, size)) {
        script_free(script);
        return false;
    }
    return true;
}

/* Takes the next word off a text, which is NULL when there is none any more, and compares it. */
static bool next_word_is(const char **words, const char *text) {
    if (*words == NULL || **words == '\0') {
        return true;
    }
    size_t len = strcspn(*words, " ");
    bool same = text != NULL && strlen(text) == len && memcmp(*words, text, len) == 0;
    *words += len + strspn(*words + len, " ");
    return same;
}

static bool is_json(const enclave_value_t *value, const char *expected) {
    enclave_buffer_t json;
    if (enclave_value_to_json(value, &json, NULL) != ENCLAVE_OK) {
        return false;
    }
    bool same = strcmp(json.data, expected) == 0;
    enclave_buffer_free(&json);
    return same;
}

bool script_accepts(const script_t *script, enclave_status_t status, const enclave_value_t *value,
                    const enclave_error_t *error) {
    const char *detail = script->expected_detail;
    if (status != script->expected_status || detail == NULL) {
        return status == script->expected_status;
    }
    if (status == ENCLAVE_OK) {
        return is_json(value, detail);
    }
    return next_word_is(&detail, enclave_error_name(error, NULL)) &&
           next_word_is(&detail, enclave_error_code(error, NULL)) && *detail == '\0';
}

void script_free(script_t *script) {
    enclave_options_free(script->options);
    free(script->expected_detail);
    free(script->source);
    *script = (script_t){0};
}

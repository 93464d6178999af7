/* The cases: read from the family files, and made into configs, options and sources. README.md describes the form. */

#ifndef HOSTILE_CASE_H
#define HOSTILE_CASE_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "enclave.h"

#define Z ENCLAVE_NUL_TERMINATED
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MIB ((uint64_t)1024 * 1024)
/* Longer than anything takes on a busy machine. */
#define LONG_MS 120000

#define DIE(...) (fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), exit(2))

typedef const enclave_value_t *json_t;

/* A text that grows. */
typedef struct {
    char *data;
    size_t len, room;
} text_t;

static inline void append(text_t *text, const char *data, size_t len) {
    if (text->len + len + 1 > text->room) {
        text->room = (text->len + len + 1) * 2;
        text->data = realloc(text->data, text->room);
        if (text->data == NULL) {
            DIE("out of memory");
        }
    }
    memcpy(text->data + text->len, data, len);
    text->len += len;
    text->data[text->len] = '\0';
}

/* A copy of a JSON string with a NUL behind it, which lives as long as the program. */
static inline char *string_of(json_t value) {
    text_t text = {NULL, 0, 0};
    size_t len;
    const char *data = enclave_value_string(value, &len);
    append(&text, data ? data : "", len);
    return text.data;
}

static inline text_t read_file(const char *path) {
    text_t text = {NULL, 0, 0};
    char part[65536];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        DIE("cannot open %s", path);
    }
    append(&text, "", 0);
    for (size_t len; (len = fread(part, 1, sizeof part, file)) > 0;) {
        append(&text, part, len);
    }
    fclose(file);
    return text;
}

typedef struct {
    char *name;
    json_t file;
    json_t cases;
    size_t count;
} family_t;

typedef struct {
    const family_t *family;
    size_t index;
    char *name;
    json_t spec;
} case_t;

/* What a case says of a key, else what its family says for all. */
static inline json_t field(const case_t *a_case, const char *key) {
    json_t own = enclave_value_get(a_case->spec, key, Z);
    return own ? own : enclave_value_get(a_case->family->file, key, Z);
}

static inline bool flag(const case_t *a_case, const char *key) {
    return enclave_value_bool(field(a_case, key));
}

static inline uint64_t number(const case_t *a_case, const char *key, uint64_t otherwise) {
    json_t value = field(a_case, key);
    return value ? (uint64_t)enclave_value_number(value) : otherwise;
}

static inline case_t case_of(const family_t *family, size_t index) {
    json_t spec = enclave_value_item(family->cases, index);
    json_t name = enclave_value_get(spec, "name", Z);
    if (name == NULL) {
        DIE("case %zu of %s has no name", index, family->name);
    }
    return (case_t){family, index, string_of(name), spec};
}

static inline int by_name(const void *a, const void *b) {
    return strcmp(((const family_t *)a)->name, ((const family_t *)b)->name);
}

static inline family_t read_family(const char *dir, const char *file) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, file);
    text_t text = read_file(path);
    enclave_error_t *error;
    json_t json = enclave_value_from_json(text.data, text.len, &error);
    free(text.data);
    if (json == NULL) {
        DIE("%s: %s", path, enclave_error_message(error, NULL));
    }
    json_t cases = enclave_value_get(json, "cases", Z);
    family_t family = {strdup(file), json, cases, enclave_value_count(cases)};
    *strrchr(family.name, '.') = '\0';
    return family;
}

/* Reads all families of a directory, in the order of their names. */
static inline size_t read_families(const char *dir, family_t *families, size_t room) {
    DIR *entries = opendir(dir);
    if (entries == NULL) {
        DIE("cannot read the directory %s", dir);
    }
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        const char *dot = strrchr(entry->d_name, '.');
        if (dot != NULL && strcmp(dot, ".json") == 0 && count < room) {
            families[count++] = read_family(dir, entry->d_name);
        }
    }
    closedir(entries);
    qsort(families, count, sizeof families[0], by_name);
    return count;
}

/* Appends a text in which every LIMIT_BYTES is the memory limit, and every # the number, if there is one. */
static inline void append_filled(text_t *text, const char *from, size_t len, uint64_t limit, const size_t *index) {
    static const char placeholder[] = "LIMIT_BYTES";
    char digits[32];
    for (size_t i = 0; i < len;) {
        if (len - i >= sizeof placeholder - 1 && memcmp(from + i, placeholder, sizeof placeholder - 1) == 0) {
            append(text, digits, (size_t)snprintf(digits, sizeof digits, "%llu", (unsigned long long)limit));
            i += sizeof placeholder - 1;
        } else if (index != NULL && from[i] == '#') {
            append(text, digits, (size_t)snprintf(digits, sizeof digits, "%zu", *index));
            i++;
        } else {
            append(text, from + i++, 1);
        }
    }
}

/* A piece of a generated source: text, or [text, times], or [text, times, "#"] where # becomes the number. */
static inline void append_piece(text_t *text, json_t piece, uint64_t limit) {
    size_t len;
    const char *data = enclave_value_string(piece, &len);
    if (data != NULL) {
        append_filled(text, data, len, limit, NULL);
        return;
    }
    data = enclave_value_string(enclave_value_item(piece, 0), &len);
    size_t times = (size_t)enclave_value_number(enclave_value_item(piece, 1));
    bool numbered = enclave_value_count(piece) > 2;
    for (size_t i = 0; i < times; i++) {
        append_filled(text, data, len, limit, numbered ? &i : NULL);
    }
}

/* The source of a case under a key: text, lines, or pieces that make a source too large for a file. */
static inline text_t source_of(const case_t *a_case, const char *key, uint64_t limit) {
    text_t text = {NULL, 0, 0};
    append(&text, "", 0);
    json_t source = enclave_value_get(a_case->spec, key, Z);
    json_t pieces = enclave_value_get(source, "pieces", Z);
    if (pieces != NULL) {
        for (size_t i = 0; i < enclave_value_count(pieces); i++) {
            append_piece(&text, enclave_value_item(pieces, i), limit);
        }
    } else if (enclave_value_kind(source) == ENCLAVE_VALUE_ARRAY) {
        for (size_t i = 0; i < enclave_value_count(source); i++) {
            append_piece(&text, enclave_value_item(source, i), limit);
            append(&text, "\n", 1);
        }
    } else {
        append_piece(&text, source, limit);
    }
    return text;
}

static inline enclave_setting_t setting_of(const char *name, size_t len) {
    enclave_setting_t setting = enclave_setting_from_name(name, len);
    if (setting == ENCLAVE_SETTING_NONE) {
        DIE("there is no setting %.*s", (int)len, name);
    }
    return setting;
}

/* Sets what a key of the family and then of the case says, in a config or in options. */
static inline void apply(const case_t *a_case, const char *key, enclave_config_t *config, enclave_options_t *options) {
    json_t tables[] = {enclave_value_get(a_case->family->file, key, Z), enclave_value_get(a_case->spec, key, Z)};
    for (size_t t = 0; t < COUNT(tables); t++) {
        for (size_t i = 0; i < enclave_value_count(tables[t]); i++) {
            size_t len;
            const char *name = enclave_value_object_key(tables[t], i, &len);
            uint64_t value = (uint64_t)enclave_value_number(enclave_value_item(tables[t], i));
            if (config != NULL) {
                enclave_config_set(config, setting_of(name, len), value);
            } else {
                enclave_options_set(options, setting_of(name, len), value);
            }
        }
    }
}

static inline enclave_preset_t preset_of(const case_t *a_case) {
    static const char *const names[] = {"default", "strict", "secure", "standard", "permissive"};
    json_t preset = field(a_case, "preset");
    size_t len;
    const char *name = enclave_value_string(preset, &len);
    for (size_t i = 0; i < COUNT(names); i++) {
        if (name != NULL && len == strlen(names[i]) && memcmp(name, names[i], len) == 0) {
            return (enclave_preset_t)i;
        }
    }
    return ENCLAVE_PRESET_DEFAULT;
}

/* One worker of 64 MiB, unless the case says otherwise; `limit_mib` overrides that, if it is not 0. */
/* Whether workers are processes: `hostile --process` says so to the process of every case. */
static inline bool in_process(void) {
    return getenv("ENCLAVE_HOSTILE_PROCESS") != NULL;
}

static inline enclave_config_t *config_of(const case_t *a_case, uint64_t limit_mib) {
    enclave_config_t *config = enclave_config_new(preset_of(a_case));
    enclave_config_set(config, ENCLAVE_SETTING_MIN_WORKERS, 1);
    enclave_config_set(config, ENCLAVE_SETTING_MAX_WORKERS, 1);
    enclave_config_set(config, ENCLAVE_SETTING_MEMORY_LIMIT_PER_WORKER, 64 * MIB);
    enclave_config_set(config, ENCLAVE_SETTING_GRACEFUL_SHUTDOWN_TIMEOUT_MS, 100);
    enclave_config_set(config, ENCLAVE_SETTING_QUEUE_TIMEOUT_MS, LONG_MS);
    enclave_config_set(config, ENCLAVE_SETTING_TIMEOUT_MS, LONG_MS);
    enclave_config_set(config, ENCLAVE_SETTING_CPU_TIME_LIMIT_MS, 0);
    enclave_config_set(config, ENCLAVE_SETTING_ISOLATION, in_process());
    apply(a_case, "pool", config, NULL);
    if (limit_mib != 0) {
        enclave_config_set(config, ENCLAVE_SETTING_MEMORY_LIMIT_PER_WORKER, limit_mib * MIB);
    }
    return config;
}

static inline bool is_text(json_t value, const char *text) {
    size_t len;
    const char *data = enclave_value_string(value, &len);
    return data != NULL && len == strlen(text) && memcmp(data, text, len) == 0;
}

/* Whether a case may have this outcome. */
static inline bool expects(const case_t *a_case, const char *status) {
    json_t expected = field(a_case, "expect");
    bool found = is_text(expected, status);
    for (size_t i = 0; i < enclave_value_count(expected); i++) {
        found = found || is_text(enclave_value_item(expected, i), status);
    }
    return found;
}

/* An attack has 500 ms, or what the case says, if its time may end it; else more than it needs on a busy machine. */
static inline enclave_options_t *options_of(const case_t *a_case, uint64_t timeout_ms) {
    static const char *const kinds[] = {"auto", "script", "function"};
    enclave_options_t *options = enclave_options_new();
    if (!expects(a_case, "TIMEOUT") && enclave_value_get(enclave_value_get(a_case->spec, "limits", Z), "timeout_ms", Z)) {
        DIE("%s has a timeout_ms, but expects no TIMEOUT", a_case->name);
    }
    enclave_options_set(options, ENCLAVE_SETTING_TIMEOUT_MS, expects(a_case, "TIMEOUT") ? 500 : LONG_MS);
    apply(a_case, "limits", NULL, options);
    if (timeout_ms != 0) {
        enclave_options_set(options, ENCLAVE_SETTING_TIMEOUT_MS, timeout_ms);
    }
    json_t kind = field(a_case, "kind");
    for (size_t i = 0; kind != NULL && i < COUNT(kinds); i++) {
        size_t len;
        const char *name = enclave_value_string(kind, &len);
        if (len == strlen(kinds[i]) && memcmp(name, kinds[i], len) == 0) {
            enclave_options_set_kind(options, (enclave_source_kind_t)i);
        }
    }
    json_t globals = enclave_value_get(a_case->spec, "globals", Z);
    for (size_t i = 0; i < enclave_value_count(globals); i++) {
        size_t len;
        const char *name = enclave_value_object_key(globals, i, &len);
        enclave_value_t *value = enclave_value_clone(enclave_value_item(globals, i));
        enclave_options_set_global(options, name, len, value, NULL);
    }
    return options;
}

#endif

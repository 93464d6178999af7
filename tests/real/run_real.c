/*
 * Runs scripts in the pool: `run_real PRESET FILE...` runs all files, and then all once more, on the one worker of a
 * pool with the limits of the preset, and prints a line of JSON for each run: how it ended, with what, and what it took.
 */
#include <enclave.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    enclave_preset_t preset;
} PRESETS[] = {
    {"strict", ENCLAVE_PRESET_STRICT},
    {"secure", ENCLAVE_PRESET_SECURE},
    {"standard", ENCLAVE_PRESET_STANDARD},
    {"permissive", ENCLAVE_PRESET_PERMISSIVE},
};

static void fail(const char *what, const char *why) {
    fprintf(stderr, "run_real: %s: %s\n", what, why);
    exit(1);
}

static enclave_pool_t *make_pool(const char *preset) {
    enclave_config_t *config = NULL;
    for (size_t i = 0; i < sizeof PRESETS / sizeof *PRESETS; i++) {
        if (strcmp(PRESETS[i].name, preset) == 0) {
            config = enclave_config_new(PRESETS[i].preset);
        }
    }
    if (config == NULL) {
        fail(preset, "is none of strict, secure, standard, permissive");
    }
    /* One worker, so that whatever a script leaves behind would meet the next. */
    enclave_config_set(config, ENCLAVE_SETTING_MIN_WORKERS, 1);
    enclave_config_set(config, ENCLAVE_SETTING_MAX_WORKERS, 1);

    enclave_pool_t *pool = NULL;
    enclave_error_t *error = NULL;
    if (enclave_pool_new(config, &pool, &error) != ENCLAVE_OK) {
        fail("no pool", enclave_error_message(error, NULL));
    }
    enclave_config_free(config);
    return pool;
}

/* The whole file, to be freed. */
static char *read_file(const char *path, size_t *len) {
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        fail(path, "cannot be read");
    }
    long size = ftell(file);
    char *text = size < 0 ? NULL : malloc((size_t)size + 1);
    rewind(file);
    if (text == NULL || fread(text, 1, (size_t)size, file) != (size_t)size) {
        fail(path, "cannot be read");
    }
    fclose(file);
    *len = (size_t)size;
    return text;
}

static void set(enclave_value_t *object, const char *key, enclave_value_t *value) {
    if (enclave_value_object_set(object, key, ENCLAVE_NUL_TERMINATED, value, NULL) != ENCLAVE_OK) {
        fail(key, "cannot be set");
    }
}

static void set_text(enclave_value_t *object, const char *key, const char *text) {
    set(object, key,
        text == NULL ? enclave_value_new_null() : enclave_value_new_string(text, ENCLAVE_NUL_TERMINATED, NULL));
}

static void set_number(enclave_value_t *object, const char *key, uint64_t number) {
    set(object, key, enclave_value_new_number((double)number));
}

/* The line of one run as an object. */
static enclave_value_t *describe(const char *preset, const char *path, const enclave_outcome_t *outcome) {
    const enclave_execution_stats_t *stats = enclave_outcome_stats(outcome);
    enclave_value_t *line = enclave_value_new_object();
    set_text(line, "file", path);
    set_text(line, "preset", preset);
    set_text(line, "status", enclave_status_name(enclave_outcome_status(outcome)));
    set_number(line, "worker_id", stats->worker_id);
    set_number(line, "run_time_ns", stats->run_time_ns);
    set_number(line, "cpu_time_ns", stats->cpu_time_ns);
    set_number(line, "peak_memory", stats->peak_memory);
    if (enclave_outcome_status(outcome) == ENCLAVE_OK) {
        set(line, "value", enclave_value_clone(enclave_outcome_value(outcome)));
    } else {
        const enclave_error_t *error = enclave_outcome_error(outcome);
        enclave_value_t *why = enclave_value_new_object();
        set_text(why, "name", enclave_error_name(error, NULL));
        set_text(why, "message", enclave_error_message(error, NULL));
        set_text(why, "stack", enclave_error_stack(error, NULL));
        set(line, "error", why);
    }
    return line;
}

static void run(const enclave_pool_t *pool, const char *preset, const char *path) {
    size_t len;
    char *source = read_file(path, &len);
    enclave_options_t *options = enclave_options_new();
    enclave_options_set_kind(options, ENCLAVE_SOURCE_SCRIPT);
    enclave_options_set_filename(options, path, ENCLAVE_NUL_TERMINATED, NULL);

    enclave_outcome_t *outcome = NULL;
    enclave_pool_run(pool, source, len, options, &outcome);
    enclave_value_t *line = describe(preset, path, outcome);
    enclave_buffer_t json = {NULL, 0};
    if (enclave_value_to_json(line, &json, NULL) != ENCLAVE_OK) {
        fail(path, "has a result that cannot be written as JSON");
    }
    fwrite(json.data, 1, json.len, stdout);
    putchar('\n');
    /* What is done is told even if the next script should end the process. */
    fflush(stdout);

    enclave_buffer_free(&json);
    enclave_value_free(line);
    enclave_outcome_free(outcome);
    enclave_options_free(options);
    free(source);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: run_real PRESET FILE...\n");
        return 2;
    }
    enclave_pool_t *pool = make_pool(argv[1]);
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 2; i < argc; i++) {
            run(pool, argv[1], argv[i]);
        }
    }
    enclave_pool_free(pool);
    return 0;
}

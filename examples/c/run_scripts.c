/* Runs JavaScript files in one pool, gives them tools over a folder of data, and says how each has ended.
 *
 *     cc *.c $(pkg-config --cflags --libs enclave) -lpthread -o run_scripts && ./run_scripts ../scripts
 *
 * All scripts are submitted at once and wait in the pool's queue; their outcomes are printed in the order of the
 * files. The program's exit code is 0 if every script ended as it says itself (see script.h), or in OK if it says
 * nothing; 1 if one did not; 2 if the command line or a file is wrong. */

#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "enclave.h"
#include "report.h"
#include "script.h"
#include "support.h"
#include "tools.h"

enum { EXIT_UNEXPECTED = 1, EXIT_USAGE = 2, MESSAGE_SIZE = 1024 };

static const char help[] =
    "usage: run_scripts [options] DIR|FILE...\n"
    "\n"
    "Runs JavaScript files in a pool of isolated workers and says how each has ended.\n"
    "\n"
    "  --preset NAME        default, strict, secure, standard or permissive (default: secure)\n"
    "  --set SETTING=VALUE  changes a setting of the preset, as in max_workers=4; may be repeated\n"
    "  --timeout MS         the same as --set timeout_ms=MS\n"
    "  --data DIR           CSV files for the tools (default: the folder `data` beside that of the scripts)\n"
    "  --console            show what the scripts write to the console\n"
    "  --json               print a JSON object for each script, then one for the pool\n"
    "  --help               print this\n"
    "  --version            print the version\n"
    "\n"
    "A script may say in its first lines how it must end, and set limits of its own:\n"
    "\n"
    "  // expect: TIMEOUT\n"
    "  // limit: timeout_ms=200\n"
    "\n"
    "The exit code is 0 if every script ended as it says, or in OK if it says nothing; 1 if one did not; 2 if the\n"
    "command line or a file is wrong.\n";

/* What the command line asks for. */
typedef struct {
    enclave_preset_t preset;
    /* Changes to it, as NAME=VALUE. */
    list_t settings;
    /* NULL unless given. */
    const char *data;
    bool console;
    bool json;
    list_t paths;
} options_t;

/* An error of the command line or of a file. Gives false, so that it ends a function that can fail. */
static bool fail(const char *message) {
    fprintf(stderr, "run_scripts: %s\n", message);
    return false;
}

/* The same for an error of the library, which is freed. */
static bool fail_with(enclave_error_t *error) {
    fail(enclave_error_message(error, NULL));
    enclave_error_free(error);
    return false;
}

static bool find_preset(const char *name, enclave_preset_t *preset) {
    static const struct {
        const char *name;
        enclave_preset_t preset;
    } all[] = {
        {"default", ENCLAVE_PRESET_DEFAULT},
        {"strict", ENCLAVE_PRESET_STRICT},
        {"secure", ENCLAVE_PRESET_SECURE},
        {"standard", ENCLAVE_PRESET_STANDARD},
        {"permissive", ENCLAVE_PRESET_PERMISSIVE},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (strcmp(all[i].name, name) == 0) {
            *preset = all[i].preset;
            return true;
        }
    }
    return fail("--preset is one of default, strict, secure, standard and permissive");
}

/* Adds a script, or those of a directory. */
static bool add_paths(list_t *paths, const char *path) {
    char message[MESSAGE_SIZE];
    struct stat info;
    if (stat(path, &info) != 0) {
        snprintf(message, sizeof message, "%s: %s", path, strerror(errno));
        return fail(message);
    }
    if (!S_ISDIR(info.st_mode)) {
        list_add(paths, path);
        return true;
    }
    size_t before = paths->count;
    if (!list_add_files(paths, path, ".js")) {
        snprintf(message, sizeof message, "%s: %s", path, strerror(errno));
        return fail(message);
    }
    if (paths->count == before) {
        snprintf(message, sizeof message, "%s: there is no .js file in this directory", path);
        return fail(message);
    }
    return true;
}

static bool read_option(options_t *options, int option, const char *argument) {
    char setting[64];
    switch (option) {
    case 'p':
        return find_preset(argument, &options->preset);
    case 's':
        list_add(&options->settings, argument);
        return true;
    case 't':
        snprintf(setting, sizeof setting, "timeout_ms=%s", argument);
        list_add(&options->settings, setting);
        return true;
    case 'd':
        options->data = argument;
        return true;
    case 'c':
        options->console = true;
        return true;
    case 'j':
        options->json = true;
        return true;
    case 'h':
        fputs(help, stdout);
        exit(0);
    case 'v':
        printf("run_scripts with libenclave %s\n", enclave_version());
        exit(0);
    default:
        /* getopt_long() has said what is wrong. */
        return false;
    }
}

static bool read_options(options_t *options, int argc, char **argv) {
    static const struct option known[] = {
        {"preset", required_argument, NULL, 'p'},
        {"set", required_argument, NULL, 's'},
        {"timeout", required_argument, NULL, 't'},
        {"data", required_argument, NULL, 'd'},
        {"console", no_argument, NULL, 'c'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (!read_option(options, option, optarg)) {
            return false;
        }
    }
    if (optind == argc) {
        return fail("name a directory or files with scripts, or see --help");
    }
    for (int i = optind; i < argc; i++) {
        if (!add_paths(&options->paths, argv[i])) {
            return false;
        }
    }
    return true;
}

/* The scripts, and how far they are. Those up to `submitted` have been given to the pool, those up to `reported` are
 * done and have been printed. */

typedef struct {
    enclave_execution_t *execution;
    /* Why the pool has not taken the script; then there is no execution. */
    enclave_error_t *refusal;
} run_t;

typedef struct {
    const enclave_pool_t *pool;
    script_t *scripts;
    run_t *runs;
    size_t count;
    size_t submitted;
    size_t reported;
    size_t unexpected;
    bool json;
} batch_t;

static void wait_ms(uint64_t ms) {
    struct timespec time = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}

/* Waits for the outcome of the oldest script that is not reported yet, and prints it. */
static void report_next(batch_t *batch) {
    const script_t *script = &batch->scripts[batch->reported];
    run_t *run = &batch->runs[batch->reported];
    batch->reported++;

    enclave_outcome_t *outcome = NULL;
    if (run->execution != NULL) {
        enclave_execution_wait(run->execution, ENCLAVE_NO_TIMEOUT, &outcome, NULL);
    }
    result_t result = {.script = script, .outcome = outcome};
    /* The error of an outcome is lent by it, that of a submission is ours. */
    result.error = outcome != NULL ? enclave_outcome_error(outcome) : run->refusal;
    result.status = outcome != NULL ? enclave_outcome_status(outcome) : enclave_error_status(run->refusal);
    result.expected = script_accepts(script, result.status, enclave_outcome_value(outcome), result.error);
    batch->unexpected += !result.expected;
    if (batch->json) {
        json_result(&result);
    } else {
        text_result(&result);
    }
    enclave_outcome_free(outcome);
    enclave_execution_free(run->execution);
    enclave_error_free(run->refusal);
}

static void report_all(batch_t *batch) {
    while (batch->reported < batch->submitted) {
        report_next(batch);
    }
}

/* Gives the next script to the pool. While the queue is full, there is time to report. */
static void submit_next(batch_t *batch) {
    const script_t *script = &batch->scripts[batch->submitted];
    run_t *run = &batch->runs[batch->submitted];
    while (enclave_pool_submit(batch->pool, script->source, script->source_len, script->options, NULL, NULL, NULL,
                               &run->execution, &run->refusal) == ENCLAVE_QUEUE_FULL) {
        uint64_t retry_after = enclave_error_retry_after_ms(run->refusal);
        enclave_error_free(run->refusal);
        run->refusal = NULL;
        if (batch->reported < batch->submitted) {
            report_next(batch);
        } else {
            wait_ms(retry_after);
        }
    }
    batch->submitted++;
}

static void run_batch(batch_t *batch) {
    while (batch->submitted < batch->count) {
        bool alone = batch->scripts[batch->submitted].alone;
        if (alone) {
            report_all(batch);
            /* The pool prefers the worker that has become idle last. Let all become idle, so that scripts that run
             * alone one after the other meet on the same worker. */
            wait_ms(20);
        }
        submit_next(batch);
        if (alone) {
            report_all(batch);
        }
    }
    report_all(batch);
}

/* Putting it together. */

static bool make_pool(const options_t *options, enclave_pool_t **pool) {
    enclave_config_t *config = enclave_config_new(options->preset);
    for (size_t i = 0; i < options->settings.count; i++) {
        enclave_setting_t setting;
        uint64_t value;
        char message[MESSAGE_SIZE];
        if (!parse_setting(options->settings.items[i], &setting, &value, message, sizeof message)) {
            enclave_config_free(config);
            return fail(message);
        }
        /* Whether the value is accepted is checked when the pool is made. */
        enclave_config_set(config, setting, value);
    }
    enclave_error_t *error;
    enclave_status_t status = enclave_pool_new(config, pool, &error);
    enclave_config_free(config);
    return status == ENCLAVE_OK || fail_with(error);
}

/* The scripts' data: `../data` seen from the first one, if there is such a directory. */
static char *default_data(const char *script) {
    size_t len = (size_t)(file_name(script) - script);
    char *directory = len > 0 ? copy_text(script, len) : copy_text("./", 2);
    char *data = join_path(directory, "../data");
    free(directory);
    struct stat info;
    if (stat(data, &info) == 0 && S_ISDIR(info.st_mode)) {
        return data;
    }
    free(data);
    return NULL;
}

static tools_t *make_tools(const options_t *options) {
    char message[MESSAGE_SIZE];
    char *beside = options->data == NULL ? default_data(options->paths.items[0]) : NULL;
    tools_t *tools = tools_new(options->data != NULL ? options->data : beside, message, sizeof message);
    free(beside);
    if (tools == NULL) {
        fail(message);
    }
    return tools;
}

static bool read_scripts(batch_t *batch, const options_t *options) {
    batch->scripts = allocate(options->paths.count, sizeof *batch->scripts);
    batch->runs = allocate(options->paths.count, sizeof *batch->runs);
    while (batch->count < options->paths.count) {
        char message[MESSAGE_SIZE];
        script_t *script = &batch->scripts[batch->count];
        if (!script_read(script, options->paths.items[batch->count], message, sizeof message)) {
            return fail(message);
        }
        enclave_options_set_collect_console(script->options, options->console);
        batch->count++;
    }
    return true;
}

static void report_end(const batch_t *batch, const tools_t *tools) {
    enclave_pool_stats_t *stats;
    if (enclave_pool_stats(batch->pool, &stats, NULL) != ENCLAVE_OK) {
        return;
    }
    if (batch->json) {
        json_end(tools, stats);
    } else {
        text_end(tools, stats);
        printf("\n%zu of %zu scripts ended as expected\n", batch->count - batch->unexpected, batch->count);
    }
    enclave_pool_stats_free(stats);
}

static int run(const options_t *options) {
    int code = EXIT_USAGE;
    batch_t batch = {.json = options->json};
    tools_t *tools = NULL;
    enclave_pool_t *pool = NULL;
    enclave_error_t *error;
    if (!read_scripts(&batch, options) || (tools = make_tools(options)) == NULL || !make_pool(options, &pool)) {
        goto end;
    }
    if (tools_register(tools, pool, &error) != ENCLAVE_OK) {
        fail_with(error);
        goto end;
    }
    batch.pool = pool;
    if (!batch.json) {
        text_begin(batch.scripts, batch.count);
    }
    run_batch(&batch);
    report_end(&batch, tools);
    code = batch.unexpected == 0 ? 0 : EXIT_UNEXPECTED;
end:
    /* The pool first: it calls the tools. */
    enclave_pool_free(pool);
    tools_free(tools);
    for (size_t i = 0; i < batch.count; i++) {
        script_free(&batch.scripts[i]);
    }
    free(batch.scripts);
    free(batch.runs);
    return code;
}

int main(int argc, char **argv) {
    options_t options = {.preset = ENCLAVE_PRESET_SECURE};
    int code = read_options(&options, argc, argv) ? run(&options) : EXIT_USAGE;
    list_free(&options.settings);
    list_free(&options.paths);
    return code;
}

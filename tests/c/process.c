/* The process around a pool: fork, exit at any time, signals, environment, streams, threads that end, dlclose.
 *
 * What ends a process or must be the first in it runs in a process of its own: this program again, told by
 * `--child NAME` what to do. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dirent.h>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <fenv.h>
#include <link.h>
#include <locale.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

extern char **environ;

/* How a process ended. */
static int end_of(pid_t child) {
    CHECK(child > 0);
    for (int i = 0; i < LONG_MS / 5; i++) {
        int status;
        if (waitpid(child, &status, WNOHANG) == child) {
            return status;
        }
        sleep_ms(5);
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    FAIL("a child process did not end");
}

static void exec_self(const char *what) {
    char *arguments[] = {"process", "--child", (char *)what, NULL};
    execv("/proc/self/exe", arguments);
    _exit(99);
}

/* Runs a function of CHILDREN in a new process; how it ended. */
static int end_of_child(const char *what) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        exec_self(what);
    }
    return end_of(child);
}

static void check_exits(int status, int code) {
    if (!WIFEXITED(status) || WEXITSTATUS(status) != code) {
        FAIL("the child ended with %s %d, not exit code %d", WIFEXITED(status) ? "exit code" : "signal",
             WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), code);
    }
}

static void keep_call(void *data, enclave_tool_call_t *call) {
    (void)data;
    (void)call;
}

static void answer(void *data, enclave_tool_call_t *call) {
    (void)data;
    enclave_tool_call_resolve(call, enclave_value_new_number(7), NULL);
    enclave_tool_call_free(call);
}

/* A pool with all that can go on in it: a loop, a wait for a tool, a timer, executions that wait. */
static enclave_pool_t *busy_pool(void) {
    enclave_config_t *config = config_of(3, 3);
    enclave_config_on_tool_call(config, keep_call, NULL, NULL);
    enclave_pool_t *pool = pool_of(config);
    static const char *const sources[] = {"for (;;);", "await callTool('never')",
                                          "await new Promise((r) => setTimeout(r, 60000))", "1", "2"};
    for (size_t i = 0; i < COUNT(sources); i++) {
        enclave_execution_free(submit(pool, sources[i]));
    }
    sleep_ms(30);
    return pool;
}

/* Fork. */

static atomic_int callbacks_in_child;

static void note_outcome(void *data, enclave_outcome_t *outcome) {
    (void)data;
    enclave_outcome_free(outcome);
    atomic_fetch_add(&callbacks_in_child, 1);
}

static int everything_gives_forked(enclave_pool_t *pool, enclave_execution_t *execution, enclave_outcome_t *outcome) {
    enclave_outcome_t *none = outcome;
    enclave_pool_stats_t *stats;
    enclave_error_t *error;
    enclave_status_t statuses[] = {
        enclave_pool_submit(pool, "1", Z, NULL, note_outcome, NULL, NULL, NULL, NULL),
        enclave_pool_run(pool, "1", Z, NULL, &none),
        enclave_pool_shutdown(pool, ENCLAVE_NO_TIMEOUT, NULL),
        enclave_pool_stats(pool, &stats, NULL),
        enclave_pool_register_tool(pool, "a", Z, answer, NULL, NULL, NULL),
        enclave_execution_wait(execution, ENCLAVE_NO_TIMEOUT, &none, NULL),
        enclave_execution_cancel(execution, &error),
    };
    for (size_t i = 0; i < COUNT(statuses); i++) {
        if (statuses[i] != ENCLAVE_FORKED) {
            return 10 + (int)i;
        }
    }
    if (strstr(enclave_error_message(error, NULL), "fork") == NULL) {
        return 30;
    }
    enclave_config_t *config = config_of(1, 1);
    if (enclave_pool_new(config, &pool, NULL) != ENCLAVE_FORKED || pool != NULL) {
        return 31;
    }
    enclave_config_free(config);
    enclave_error_free(error);
    return 0;
}

/* Values, outcomes and what else knows no pool work in the child as everywhere. */
static int all_else_works(const enclave_outcome_t *outcome) {
    enclave_buffer_t json;
    enclave_value_t *list = enclave_value_new_array();
    enclave_value_push(list, enclave_value_clone(enclave_outcome_value(outcome)), NULL);
    enclave_value_to_json(list, &json, NULL);
    int works = strcmp(json.data, "[\"before\"]") == 0;
    enclave_buffer_free(&json);
    enclave_value_free(list);
    return works ? 0 : 32;
}

static void a_forked_child_gets_forked_and_ends_and_the_parent_goes_on(void) {
    enclave_pool_t *pool = busy_pool();
    enclave_execution_t *execution = submit(pool, "'x'");
    enclave_pool_t *other = small_pool();
    for (int i = 0; i < 10; i++) {
        enclave_outcome_t *outcome = run(other, "'before'", NULL);
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            int code = everything_gives_forked(pool, execution, outcome);
            code = code ? code : all_else_works(outcome);
            enclave_outcome_free(outcome);
            enclave_execution_free(execution);
            enclave_pool_free(pool);
            enclave_pool_free(other);
            code = code ? code : atomic_load(&callbacks_in_child);
            /* Not _exit: what the library has registered for the end runs too. */
            exit(code);
        }
        check_exits(end_of(child), 0);
        enclave_outcome_free(outcome);
    }
    run_json(other, "'parent'", NULL, "\"parent\"");
    CHECK_STATUS(enclave_execution_cancel(execution, NULL), ENCLAVE_OK);
    expect(execution, ENCLAVE_CANCELLED);
    CHECK_STATUS(enclave_pool_shutdown(pool, 0, NULL), ENCLAVE_OK);
    enclave_pool_free(pool);
    enclave_pool_free(other);
}

static void a_forked_child_that_execs_can_use_the_library(void) {
    enclave_pool_t *pool = busy_pool();
    check_exits(end_of_child("runs a script"), 0);
    CHECK_STATUS(enclave_pool_shutdown(pool, 0, NULL), ENCLAVE_OK);
    enclave_pool_free(pool);
}

static int child_runs_a_script(void) {
    enclave_pool_t *pool = small_pool();
    run_json(pool, "1 + 1", NULL, "2");
    enclave_pool_free(pool);
    return 0;
}

/* A child forked before the first pool is a process like any other. */
static int child_forks_before_the_first_pool(void) {
    enclave_value_free(enclave_value_new_null());
    pid_t child = fork();
    if (child == 0) {
        exit(child_runs_a_script());
    }
    check_exits(end_of(child), 0);
    return child_runs_a_script();
}

static void a_child_forked_before_the_first_pool_can_make_one(void) {
    check_exits(end_of_child("forks before the first pool"), 0);
}

/* Exit. */

static int child_returns_from_main(void) {
    busy_pool();
    return 7;
}

static void *exits(void *code) {
    exit((int)(intptr_t)code);
}

static int child_exits_on_another_thread(void) {
    busy_pool();
    pthread_t thread;
    pthread_create(&thread, NULL, exits, (void *)8);
    pthread_join(thread, NULL);
    return 1;
}

static void exits_in_callback(void *data, enclave_outcome_t *outcome) {
    (void)data;
    enclave_outcome_free(outcome);
    exit(9);
}

static int child_exits_in_a_callback(void) {
    enclave_pool_t *pool = busy_pool();
    enclave_pool_t *other = small_pool();
    enclave_pool_submit(other, "1", Z, NULL, exits_in_callback, NULL, NULL, NULL, NULL);
    sleep_ms(LONG_MS);
    return pool == NULL;
}

static enclave_pool_t *pool_at_exit;

static void free_at_exit(void) {
    enclave_pool_shutdown(pool_at_exit, 0, NULL);
    enclave_pool_free(pool_at_exit);
}

static int child_frees_its_pool_at_exit(void) {
    pool_at_exit = busy_pool();
    atexit(free_at_exit);
    return 10;
}

static int child_quick_exits(void) {
    busy_pool();
    quick_exit(11);
}

static void a_process_may_exit_at_any_time(void) {
    check_exits(end_of_child("returns from main"), 7);
    check_exits(end_of_child("exits on another thread"), 8);
    check_exits(end_of_child("exits in a callback"), 9);
    check_exits(end_of_child("frees its pool at exit"), 10);
    check_exits(end_of_child("quick exits"), 11);
}

/* What the process had before. */

typedef struct {
    struct sigaction actions[65];
    sigset_t mask;
    char **environment;
    char environment_text[65536];
    char locale[256];
    char directory[4096];
    mode_t umask;
    int rounding;
    struct rlimit files, stack, core;
} surroundings_t;

static void look_around(surroundings_t *seen) {
    memset(seen, 0, sizeof *seen);
    for (int signal = 1; signal <= 64; signal++) {
        sigaction(signal, NULL, &seen->actions[signal]);
    }
    pthread_sigmask(SIG_SETMASK, NULL, &seen->mask);
    seen->environment = environ;
    size_t len = 0;
    for (char **entry = environ; *entry != NULL && len < sizeof seen->environment_text; entry++) {
        len += (size_t)snprintf(seen->environment_text + len, sizeof seen->environment_text - len, "%s\n", *entry);
    }
    snprintf(seen->locale, sizeof seen->locale, "%s", setlocale(LC_ALL, NULL));
    CHECK(getcwd(seen->directory, sizeof seen->directory) != NULL);
    seen->umask = umask(0);
    umask(seen->umask);
    seen->rounding = fegetround();
    getrlimit(RLIMIT_NOFILE, &seen->files);
    getrlimit(RLIMIT_STACK, &seen->stack);
    getrlimit(RLIMIT_CORE, &seen->core);
}

static bool same_set(const sigset_t *a, const sigset_t *b) {
    for (int signal = 1; signal <= 64; signal++) {
        if (sigismember(a, signal) != sigismember(b, signal)) {
            return false;
        }
    }
    return true;
}

static void check_actions(const surroundings_t *before, const surroundings_t *after) {
    /* The C library sets this one in whatever it installs; it says nothing of the handler. */
    const int restorer = 0x04000000;
    for (int signal = 1; signal <= 64; signal++) {
        const struct sigaction *a = &before->actions[signal], *b = &after->actions[signal];
        if (a->sa_handler != b->sa_handler || (a->sa_flags & ~restorer) != (b->sa_flags & ~restorer) ||
            !same_set(&a->sa_mask, &b->sa_mask)) {
            FAIL("the disposition of signal %d has changed", signal);
        }
    }
}

static int child_looks_around(void) {
    static surroundings_t before, after;
    setlocale(LC_ALL, "");
    signal(SIGPIPE, SIG_IGN);
    look_around(&before);
    enclave_pool_t *pool = pool_of(config_of(2, 2));
    enclave_options_t *options = enclave_options_new();
    enclave_options_set(options, ENCLAVE_SETTING_TIMEOUT_MS, 50);
    run_json(pool, "(1234.5).toLocaleString() + new Date(0).getTimezoneOffset()", NULL, "\"1,234.50\"");
    CHECK_STATUS(enclave_pool_run(pool, "for (;;);", Z, options, NULL), ENCLAVE_TIMEOUT);
    look_around(&after);
    check_actions(&before, &after);
    CHECK(same_set(&before.mask, &after.mask));
    CHECK(before.environment == after.environment);
    CHECK_TEXT(after.environment_text, before.environment_text);
    CHECK_TEXT(after.locale, before.locale);
    CHECK_TEXT(after.directory, before.directory);
    CHECK(before.umask == after.umask && before.rounding == after.rounding);
    CHECK(memcmp(&before.files, &after.files, sizeof before.files) == 0);
    CHECK(memcmp(&before.stack, &after.stack, sizeof before.stack) == 0);
    CHECK(memcmp(&before.core, &after.core, sizeof before.core) == 0);
    enclave_options_free(options);
    enclave_pool_free(pool);
    look_around(&after);
    check_actions(&before, &after);
    return 0;
}

static void signals_environment_locale_and_limits_stay_as_they_are(void) {
    check_exits(end_of_child("looks around"), 0);
}

/* What is sent to the process is handled on threads of the host. */
static void threads_of_the_library_take_no_signals(void) {
    static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGALRM, SIGCHLD, SIGUSR1, SIGUSR2, SIGPIPE};
    enclave_config_t *config = config_of(1, 2);
    enclave_config_set(config, ENCLAVE_SETTING_ISOLATION, ENCLAVE_ISOLATION_THREAD);
    enclave_pool_t *pool = pool_of(config);
    run_json(pool, "1", NULL, "1");
    DIR *threads = opendir("/proc/self/task");
    CHECK(threads != NULL);
    int ours = 0;
    for (struct dirent *entry; (entry = readdir(threads)) != NULL;) {
        char path[300], line[300];
        snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        FILE *status = fopen(path, "r");
        bool is_ours = false;
        while (status != NULL && fgets(line, sizeof line, status) != NULL) {
            unsigned long long blocked;
            is_ours = is_ours || strncmp(line, "Name:\tenclave-", 14) == 0;
            if (is_ours && sscanf(line, "SigBlk: %llx", &blocked) == 1) {
                ours++;
                for (size_t i = 0; i < COUNT(signals); i++) {
                    CHECK((blocked >> (signals[i] - 1) & 1) == 1);
                }
            }
        }
        if (status != NULL) {
            fclose(status);
        }
    }
    closedir(threads);
    /* The keeper, the supervisor, the notifier, and a worker at least. */
    CHECK(ours >= 4);
    enclave_pool_free(pool);
}

/* All that a script can print, and all that the library may have to say, with the streams in files. */
static int child_prints(void) {
    enclave_pool_t *pool = small_pool();
    static const char *const sources[] = {
        "console.log('a'); console.error('b'); console.trace('c'); console.table?.([[1]]); console.dir?.({})",
        "throw new Error('x')", "let x = = 1", "Promise.reject(new Error('unseen'))", "eval('1')",
        "function f() { f() } f()", "new Uint8Array(1e12)",
        "const a = []; for (;;) a.push(new Uint8Array(1e6).fill(1))"};
    for (size_t i = 0; i < COUNT(sources); i++) {
        enclave_pool_run(pool, sources[i], Z, NULL, NULL);
    }
    enclave_pool_free(pool);
    return 0;
}

static void standard_streams_are_untouched(void) {
    fflush(stdout);
    FILE *out = tmpfile();
    CHECK(out != NULL);
    pid_t child = fork();
    if (child == 0) {
        dup2(fileno(out), STDOUT_FILENO);
        dup2(fileno(out), STDERR_FILENO);
        exec_self("prints");
    }
    check_exits(end_of(child), 0);
    struct stat written;
    CHECK(fstat(fileno(out), &written) == 0);
    if (written.st_size != 0) {
        char text[200] = "";
        rewind(out);
        CHECK(fgets(text, sizeof text, out) != NULL);
        FAIL("%d bytes were written: %s", (int)written.st_size, text);
    }
    fclose(out);
}

/* What the engine would read: options of its compilers, which it complains about where it does not understand them;
   reports of collections, to a stream or a file; files of what was executed. */
static void variables_of_the_environment_change_nothing_in_the_engine(void) {
    char directory[] = "/tmp/enclave-XXXXXX", path[200];
    CHECK(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/collections", directory);
    const char *const variables[][2] = {{"JIT_OPTION_disableGvn", "perhaps"},  {"JS_GC_PROFILE", "0"},
                                        {"JS_GC_PROFILE_NURSERY", "0"},        {"JS_GC_REPORT_PRETENURE", "0"},
                                        {"JS_GC_REPORT_STATS", "1"},           {"JS_CODE_COVERAGE_OUTPUT_DIR", directory},
                                        {"MOZ_GCTIMER", path},                 {"ICU_DATA", directory}};
    for (size_t i = 0; i < COUNT(variables); i++) {
        setenv(variables[i][0], variables[i][1], 1);
    }
    standard_streams_are_untouched();
    for (size_t i = 0; i < COUNT(variables); i++) {
        unsetenv(variables[i][0]);
    }
    /* Nothing was written there. */
    CHECK(rmdir(directory) == 0);
}

/* A process without any standard stream: files that the library opens must not become one. */
static int child_has_no_streams(void) {
    close(0);
    close(1);
    close(2);
    return child_prints();
}

static void standard_streams_need_not_be_there(void) {
    check_exits(end_of_child("has no streams"), 0);
}

/* Faults of the host. */

static sigjmp_buf faulted;
static volatile sig_atomic_t handled;

static void on_fault(int signal, siginfo_t *info, void *context) {
    (void)signal;
    (void)info;
    (void)context;
    handled++;
    siglongjmp(faulted, 1);
}

static void fault(void) {
    char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *(volatile char *)page = 1;
}

static void faults_once(int expected) {
    if (sigsetjmp(faulted, 1) == 0) {
        fault();
    }
    CHECK(handled == expected);
}

static void install_fault_handler(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO;
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
    CHECK(sigaction(SIGBUS, &action, NULL) == 0);
}

/* On a thread of the host that knows of no pool. */
static void *faults_on_a_thread(void *expected) {
    faults_once((int)(intptr_t)expected);
    return NULL;
}

static int child_handles_its_faults(void) {
    install_fault_handler();
    enclave_config_t *config = config_of(1, 1);
    enclave_config_set(config, ENCLAVE_SETTING_MEMORY_LIMIT_PER_WORKER, 64 << 20);
    enclave_pool_t *pool = pool_of(config);
    run_json(pool, "1", NULL, "1");
    faults_once(1);
    /* A crash of the engine that is caught is caught without the host's handlers. */
    CHECK_STATUS(enclave_pool_run(pool, "const kept = new ArrayBuffer(73 * 2 ** 20); /\\p{RGI_Emoji}/v.test('x')", Z, NULL, NULL),
        ENCLAVE_MEMORY_LIMIT);
    pthread_t thread;
    pthread_create(&thread, NULL, faults_on_a_thread, (void *)2);
    pthread_join(thread, NULL);
    install_fault_handler();
    faults_once(3);
    /* The engine must not need the signals that the host has taken. */
    run_json(pool, "let n = 0; for (let i = 0; i < 1e6; i++) n += [i, {}].length; n", NULL, "2000000");
    enclave_pool_free(pool);
    faults_once(4);
    return 0;
}

static int child_faults_without_a_handler(void) {
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    busy_pool();
    fault();
    return 0;
}

static void a_fault_of_the_host_is_its_own(void) {
    check_exits(end_of_child("handles its faults"), 0);
    int status = end_of_child("faults without a handler");
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

/* Threads that end. */

static void *makes_a_pool(void *pool) {
    *(enclave_pool_t **)pool = small_pool();
    return NULL;
}

static void *frees_a_pool(void *pool) {
    enclave_pool_free(pool);
    return NULL;
}

static int child_makes_its_first_pool_in_a_thread(void) {
    for (int i = 0; i < 5; i++) {
        enclave_pool_t *pool;
        pthread_t thread;
        pthread_create(&thread, NULL, makes_a_pool, &pool);
        pthread_join(thread, NULL);
        run_json(pool, "'outlives its maker'", NULL, "\"outlives its maker\"");
        pthread_create(&thread, NULL, frees_a_pool, pool);
        pthread_join(thread, NULL);
    }
    return 0;
}

static void a_pool_outlives_the_thread_that_made_it(void) {
    check_exits(end_of_child("makes its first pool in a thread"), 0);
}

/* Loading. */

static void the_library_cannot_be_unloaded(void) {
    Dl_info info;
    CHECK(dladdr((void *)(uintptr_t)enclave_version, &info) != 0 && info.dli_fname != NULL);
    enclave_pool_t *pool = small_pool();
    for (int i = 0; i < 3; i++) {
        void *handle = dlopen(info.dli_fname, RTLD_NOW);
        CHECK(handle != NULL);
        struct link_map *map;
        CHECK(dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0);
        bool nodelete = false;
        for (const ElfW(Dyn) *entry = map->l_ld; entry->d_tag != DT_NULL; entry++) {
            nodelete = nodelete || (entry->d_tag == DT_FLAGS_1 && (entry->d_un.d_val & DF_1_NODELETE) != 0);
        }
        CHECK(nodelete);
        CHECK(dlsym(handle, "enclave_pool_new") != NULL);
        dlclose(handle);
        run_json(pool, "1", NULL, "1");
    }
    enclave_pool_free(pool);
}

static const struct {
    const char *name;
    int (*run)(void);
} CHILDREN[] = {{"runs a script", child_runs_a_script},
                {"forks before the first pool", child_forks_before_the_first_pool},
                {"returns from main", child_returns_from_main},
                {"exits on another thread", child_exits_on_another_thread},
                {"exits in a callback", child_exits_in_a_callback},
                {"frees its pool at exit", child_frees_its_pool_at_exit},
                {"quick exits", child_quick_exits},
                {"looks around", child_looks_around},
                {"prints", child_prints},
                {"has no streams", child_has_no_streams},
                {"handles its faults", child_handles_its_faults},
                {"faults without a handler", child_faults_without_a_handler},
                {"makes its first pool in a thread", child_makes_its_first_pool_in_a_thread}};

static int checked(int (*run)(void)) {
    return setjmp(test_failed) == 0 ? run() : 1;
}

static int run_child(const char *name) {
    for (size_t i = 0; i < COUNT(CHILDREN); i++) {
        if (strcmp(name, CHILDREN[i].name) == 0) {
            return checked(CHILDREN[i].run);
        }
    }
    return 98;
}

int main(int argc, char **argv) {
    static const test_t tests[] = {TEST(a_forked_child_gets_forked_and_ends_and_the_parent_goes_on),
                                   TEST(a_forked_child_that_execs_can_use_the_library),
                                   TEST(a_child_forked_before_the_first_pool_can_make_one),
                                   TEST(a_process_may_exit_at_any_time),
                                   TEST(signals_environment_locale_and_limits_stay_as_they_are),
                                   TEST(threads_of_the_library_take_no_signals),
                                   TEST(standard_streams_are_untouched),
                                   TEST(variables_of_the_environment_change_nothing_in_the_engine),
                                   TEST(standard_streams_need_not_be_there),
                                   TEST(a_fault_of_the_host_is_its_own),
                                   TEST(a_pool_outlives_the_thread_that_made_it),
                                   TEST(the_library_cannot_be_unloaded)};
    if (argc == 3 && strcmp(argv[1], "--child") == 0) {
        return run_child(argv[2]);
    }
    return run_tests(tests, COUNT(tests), argc, argv);
}

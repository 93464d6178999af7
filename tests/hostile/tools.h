/* What the attacks can reach of their host: tools and console lines, with what must hold for each. */

#ifndef HOSTILE_TOOLS_H
#define HOSTILE_TOOLS_H

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <time.h>

#include "case.h"

/* A line that begins with ! is a failure of the case; the parent collects them. */
static void fail(const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *c = text; *c != '\0'; c++) {
        *c = *c == '\n' ? ' ' : *c;
    }
    dprintf(STDOUT_FILENO, "!%s\n", text);
}

static void sleep_ms(uint64_t ms) {
    struct timespec time = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}

static uint64_t now_us(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

/* Whether bytes are UTF-8, without overlong forms and surrogates. */
static bool is_utf8(const char *text, size_t len) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *bytes = (const unsigned char *)text;
    for (size_t i = 0; i < len;) {
        unsigned char first = bytes[i];
        size_t size = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
        if (size == 0 || i + size > len) {
            return false;
        }
        uint32_t point = size == 1 ? first : first & (0xffU >> (size + 1));
        for (size_t k = 1; k < size; k++) {
            if (bytes[i + k] >> 6 != 2) {
                return false;
            }
            point = point << 6 | (bytes[i + k] & 0x3fU);
        }
        if (size > 1 && (point < least[size] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))) {
            return false;
        }
        i += size;
    }
    return true;
}

/* The running attack, as its callbacks see it. */
static struct {
    atomic_uint_fast64_t execution;
    /* Its outcome has come, and no worker is busy any more. */
    atomic_bool over;
    atomic_uint_fast64_t console_lines, console_bytes;
} seen;

/* An event of an execution of which nobody runs anything any more: its script still runs. */
static void check_not_late(uint64_t execution, const char *what) {
    if (atomic_load(&seen.over) && execution == atomic_load(&seen.execution)) {
        fail("%s came when the execution was over", what);
    }
}

static void on_console(void *data, const enclave_console_line_t *line) {
    (void)data;
    check_not_late(line->execution_id, "a console line");
    if (strncmp(line->text, "ESCAPED", 7) == 0) {
        fail("script ran that should not: console line \"%.200s\"", line->text);
    }
    if (line->text[line->text_len] != '\0' || !is_utf8(line->text, line->text_len)) {
        fail("a console line is no UTF-8 with a NUL behind it");
    }
    if (line->execution_id == atomic_load(&seen.execution)) {
        atomic_fetch_add(&seen.console_lines, 1);
        atomic_fetch_add(&seen.console_bytes, line->text_len);
    }
}

static uint64_t amount(json_t args) {
    int64_t number;
    return enclave_value_int64(args, &number) && number > 0 ? (uint64_t)number : 0;
}

static void answer(enclave_tool_call_t *call, enclave_value_t *value) {
    enclave_tool_call_resolve(call, value, NULL);
    enclave_tool_call_free(call);
}

static void echo(void *data, enclave_tool_call_t *call) {
    (void)data;
    answer(call, enclave_value_clone(enclave_tool_call_args(call)));
}

/* Answers with a string of so many bytes. */
static void bytes(void *data, enclave_tool_call_t *call) {
    (void)data;
    size_t len = (size_t)amount(enclave_tool_call_args(call));
    char *text = malloc(len + 1);
    if (text != NULL) {
        memset(text, 'b', len);
        answer(call, enclave_value_new_string(text, len, NULL));
    }
    free(text);
}

/* Answers with an array of so many levels. */
static void deep(void *data, enclave_tool_call_t *call) {
    (void)data;
    enclave_value_t *value = enclave_value_new_null();
    for (uint64_t level = amount(enclave_tool_call_args(call)); level > 0; level--) {
        enclave_value_t *outer = enclave_value_new_array();
        enclave_value_push(outer, value, NULL);
        value = outer;
    }
    answer(call, value);
}

/* Answers with what the text says as JSON. */
static void parse(void *data, enclave_tool_call_t *call) {
    (void)data;
    size_t len;
    const char *text = enclave_value_string(enclave_tool_call_args(call), &len);
    enclave_tool_call_resolve_json(call, text, len, NULL);
    enclave_tool_call_free(call);
}

/* Rejects with the name, message and code of its argument. */
static void reject(void *data, enclave_tool_call_t *call) {
    (void)data;
    json_t args = enclave_tool_call_args(call);
    size_t name_len, message_len, code_len;
    const char *name = enclave_value_string(enclave_value_get(args, "name", Z), &name_len);
    const char *message = enclave_value_string(enclave_value_get(args, "message", Z), &message_len);
    const char *code = enclave_value_string(enclave_value_get(args, "code", Z), &code_len);
    enclave_tool_call_reject(call, name, name_len, message ? message : "", message_len, code, code_len, NULL);
    enclave_tool_call_free(call);
}

static void drop(void *data, enclave_tool_call_t *call) {
    (void)data;
    enclave_tool_call_free(call);
}

/* Never answers: the process ends before. */
static void never(void *data, enclave_tool_call_t *call) {
    (void)data;
    (void)call;
}

/* What waits until this program lets it go on: the calls of `later`, and the threads in `block`. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t released;
    bool open;
    enclave_tool_call_t *calls[64];
    size_t count;
} held = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, {NULL}, 0};

/* Holds its thread until the next executions have run, and answers then. */
static void block(void *data, enclave_tool_call_t *call) {
    (void)data;
    pthread_mutex_lock(&held.lock);
    while (!held.open) {
        pthread_cond_wait(&held.released, &held.lock);
    }
    pthread_mutex_unlock(&held.lock);
    answer(call, enclave_value_new_null());
}

static void release_blocked(void) {
    pthread_mutex_lock(&held.lock);
    held.open = true;
    pthread_cond_broadcast(&held.released);
    pthread_mutex_unlock(&held.lock);
}

/* Answers when the attack is over, with a text of so many bytes. */
static void later(void *data, enclave_tool_call_t *call) {
    (void)data;
    pthread_mutex_lock(&held.lock);
    if (held.count < COUNT(held.calls)) {
        held.calls[held.count++] = call;
    } else {
        fail("too many calls are to be answered later");
    }
    pthread_mutex_unlock(&held.lock);
}

static void answer_held(void) {
    pthread_mutex_lock(&held.lock);
    for (size_t i = 0; i < held.count; i++) {
        size_t len = (size_t)amount(enclave_tool_call_args(held.calls[i])) + 1;
        char *text = malloc(len);
        memset(text, 'l', len);
        answer(held.calls[i], enclave_value_new_string(text, len, NULL));
        free(text);
    }
    held.count = 0;
    pthread_mutex_unlock(&held.lock);
}

/* Answers what is to be answered later, and then itself. */
static void settle(void *data, enclave_tool_call_t *call) {
    (void)data;
    answer_held();
    answer(call, enclave_value_new_null());
}

static void *answer_later(void *data) {
    enclave_tool_call_t *call = data;
    sleep_ms(amount(enclave_tool_call_args(call)));
    answer(call, enclave_value_new_string("late", Z, NULL));
    return NULL;
}

/* Answers after so many milliseconds, from a thread of its own. */
static void late(void *data, enclave_tool_call_t *call) {
    (void)data;
    pthread_t thread;
    if (pthread_create(&thread, NULL, answer_later, call) == 0) {
        pthread_detach(thread);
    }
}

/* Answers twice, which may work once only. */
static void twice(void *data, enclave_tool_call_t *call) {
    (void)data;
    enclave_tool_call_resolve(call, enclave_value_new_number(1), NULL);
    if (enclave_tool_call_resolve(call, enclave_value_new_number(2), NULL) != ENCLAVE_INVALID_STATE) {
        fail("a tool call took a second answer");
    }
    enclave_tool_call_free(call);
}

/* Called by script that should not run any more. */
static void escaped(void *data, enclave_tool_call_t *call) {
    (void)data;
    size_t len;
    const char *how = enclave_value_string(enclave_tool_call_args(call), &len);
    fail("script ran that should not: %.*s", (int)len, how ? how : "");
    enclave_tool_call_free(call);
}

typedef struct {
    const char *name;
    enclave_tool_fn tool;
} tool_t;

static void call_tool(void *data, enclave_tool_call_t *call) {
    check_not_late(enclave_tool_call_execution_id(call), "a tool call");
    ((const tool_t *)data)->tool(NULL, call);
}

static void register_tools(enclave_pool_t *pool) {
    static tool_t tools[] = {{"echo", echo}, {"bytes", bytes}, {"deep", deep}, {"parse", parse}, {"reject", reject},
                             {"drop", drop}, {"never", never}, {"block", block}, {"late", late}, {"later", later},
                             {"settle", settle}, {"twice", twice}, {"escaped", escaped}};
    for (size_t i = 0; i < COUNT(tools); i++) {
        if (enclave_pool_register_tool(pool, tools[i].name, Z, call_tool, &tools[i], NULL, NULL) != ENCLAVE_OK) {
            fail("the tool %s could not be registered", tools[i].name);
        }
    }
}

#endif

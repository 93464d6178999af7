/* The values of the conformance table: JSON in which an object with one key that begins with `$` stands for what JSON
 * does not have. tests/conformance/README.md has the forms. */

#ifndef ENCLAVE_TAGGED_H
#define ENCLAVE_TAGGED_H

#include "test.h"

/* Text of an object in JSON, with a NUL behind it, to be freed. NULL for another kind. */
static inline char *text_of(const enclave_value_t *json, size_t *len) {
    size_t length;
    const char *text = enclave_value_string(json, &length);
    if (len != NULL) {
        *len = length;
    }
    if (text == NULL) {
        return NULL;
    }
    char *copy = malloc(length + 1);
    memcpy(copy, text, length);
    copy[length] = 0;
    return copy;
}

static inline bool text_is(const enclave_value_t *json, const char *text) {
    size_t len;
    const char *string = enclave_value_string(json, &len);
    return string != NULL && len == strlen(text) && memcmp(string, text, len) == 0;
}

static inline bool same_text(const char *(*lend)(const enclave_value_t *, size_t *), const enclave_value_t *a,
                             const enclave_value_t *b) {
    size_t a_len, b_len;
    const char *a_text = lend(a, &a_len), *b_text = lend(b, &b_len);
    return (a_text == NULL) == (b_text == NULL) && a_len == b_len && (a_len == 0 || memcmp(a_text, b_text, a_len) == 0);
}

/* Whether two values are the same, `-0` and `NaN` told apart from others, the stacks of errors left aside. */
static inline bool same_value(const enclave_value_t *a, const enclave_value_t *b) {
    enclave_value_kind_t kind = enclave_value_kind(a);
    if (kind != enclave_value_kind(b)) {
        return false;
    }
    enclave_buffer_t a_digits, b_digits;
    double x, y;
    bool same;
    switch (kind) {
    case ENCLAVE_VALUE_BOOL:
        return enclave_value_bool(a) == enclave_value_bool(b);
    case ENCLAVE_VALUE_NUMBER:
    case ENCLAVE_VALUE_DATE:
        x = kind == ENCLAVE_VALUE_DATE ? enclave_value_date(a) : enclave_value_number(a);
        y = kind == ENCLAVE_VALUE_DATE ? enclave_value_date(b) : enclave_value_number(b);
        return isnan(x) ? isnan(y) : x == y && signbit(x) == signbit(y);
    case ENCLAVE_VALUE_BIGINT:
        enclave_value_bigint_text(a, &a_digits, NULL);
        enclave_value_bigint_text(b, &b_digits, NULL);
        same = strcmp(a_digits.data, b_digits.data) == 0;
        enclave_buffer_free(&a_digits);
        enclave_buffer_free(&b_digits);
        return same;
    case ENCLAVE_VALUE_STRING:
        return same_text(enclave_value_string, a, b);
    case ENCLAVE_VALUE_ERROR:
        return same_text(enclave_value_error_name, a, b) && same_text(enclave_value_error_message, a, b) &&
               same_text(enclave_value_error_code, a, b);
    case ENCLAVE_VALUE_BYTES: {
        size_t a_len, b_len;
        const uint8_t *a_bytes = enclave_value_bytes(a, &a_len), *b_bytes = enclave_value_bytes(b, &b_len);
        return a_len == b_len && (a_len == 0 || memcmp(a_bytes, b_bytes, a_len) == 0);
    }
    case ENCLAVE_VALUE_ARRAY:
    case ENCLAVE_VALUE_SET:
    case ENCLAVE_VALUE_MAP:
    case ENCLAVE_VALUE_OBJECT:
        if (enclave_value_count(a) != enclave_value_count(b)) {
            return false;
        }
        for (size_t i = 0; i < enclave_value_count(a); i++) {
            size_t a_len, b_len;
            const char *a_key = enclave_value_object_key(a, i, &a_len), *b_key = enclave_value_object_key(b, i, &b_len);
            if (a_len != b_len || (a_len > 0 && memcmp(a_key, b_key, a_len) != 0) ||
                !same_value(enclave_value_map_key(a, i), enclave_value_map_key(b, i)) ||
                !same_value(enclave_value_item(a, i), enclave_value_item(b, i))) {
                return false;
            }
        }
        return true;
    default:
        return true;
    }
}

static inline enclave_value_t *value_of(const enclave_value_t *json);

static inline enclave_value_t *special_number(const enclave_value_t *name) {
    return enclave_value_new_number(text_is(name, "NaN")         ? NAN
                                    : text_is(name, "Infinity")  ? INFINITY
                                    : text_is(name, "-Infinity") ? -INFINITY
                                    : text_is(name, "-0")        ? -0.0
                                                                 : (FAIL("$number is none of the four"), 0));
}

static inline enclave_value_t *bytes_of_hex(const enclave_value_t *json) {
    size_t len;
    char *hex = text_of(json, &len);
    CHECK(hex != NULL);
    uint8_t *bytes = malloc(len / 2 + 1);
    for (size_t i = 0; i < len / 2; i++) {
        unsigned byte;
        CHECK(sscanf(hex + 2 * i, "%2x", &byte) == 1);
        bytes[i] = (uint8_t)byte;
    }
    enclave_value_t *value = enclave_value_new_bytes(bytes, len / 2, NULL);
    free(bytes);
    free(hex);
    return value;
}

static inline enclave_value_t *repeated(const enclave_value_t *json) {
    size_t len, count = (size_t)enclave_value_number(enclave_value_item(json, 1));
    const char *part = enclave_value_string(enclave_value_item(json, 0), &len);
    char *text = malloc(len * count + 1);
    for (size_t i = 0; i < count; i++) {
        memcpy(text + i * len, part, len);
    }
    enclave_value_t *value = enclave_value_new_string(text, len * count, NULL);
    free(text);
    return value;
}

static inline enclave_value_t *error_of(const enclave_value_t *json) {
    size_t name_len, message_len, code_len;
    const char *name = enclave_value_string(enclave_value_get(json, "name", Z), &name_len);
    const char *message = enclave_value_string(enclave_value_get(json, "message", Z), &message_len);
    const char *code = enclave_value_string(enclave_value_get(json, "code", Z), &code_len);
    return enclave_value_new_error(name, name_len, message, message_len, code, code_len, NULL);
}

/* Pairs into a `Map` or, with keys of text, an object. */
static inline enclave_value_t *of_pairs(const enclave_value_t *pairs, enclave_value_t *container) {
    for (size_t i = 0; i < enclave_value_count(pairs); i++) {
        const enclave_value_t *key = enclave_value_item(enclave_value_item(pairs, i), 0);
        enclave_value_t *value = value_of(enclave_value_item(enclave_value_item(pairs, i), 1));
        if (enclave_value_kind(container) == ENCLAVE_VALUE_MAP) {
            CHECK_STATUS(enclave_value_map_set(container, value_of(key), value, NULL), ENCLAVE_OK);
        } else {
            size_t len;
            const char *text = enclave_value_string(key, &len);
            CHECK_STATUS(enclave_value_object_set(container, text, len, value, NULL), ENCLAVE_OK);
        }
    }
    return container;
}

static inline enclave_value_t *of_items(const enclave_value_t *items, enclave_value_t *container) {
    for (size_t i = 0; i < enclave_value_count(items); i++) {
        CHECK_STATUS(enclave_value_push(container, value_of(enclave_value_item(items, i)), NULL), ENCLAVE_OK);
    }
    return container;
}

static inline enclave_value_t *of_tag(const char *tag, size_t len, const enclave_value_t *json) {
#define IS(name) (len == sizeof(name) - 1 && memcmp(tag, name, len) == 0)
    if (IS("$undefined")) {
        return enclave_value_new_undefined();
    } else if (IS("$number")) {
        return special_number(json);
    } else if (IS("$bigint")) {
        const char *digits = enclave_value_string(json, &len);
        return enclave_value_new_bigint_text(digits, len, NULL);
    } else if (IS("$bytes")) {
        return bytes_of_hex(json);
    } else if (IS("$date")) {
        return enclave_value_new_date(text_is(json, "invalid") ? NAN : enclave_value_number(json));
    } else if (IS("$map")) {
        return of_pairs(json, enclave_value_new_map());
    } else if (IS("$set")) {
        return of_items(json, enclave_value_new_set());
    } else if (IS("$error")) {
        return error_of(json);
    } else if (IS("$object")) {
        return of_pairs(json, enclave_value_new_object());
    } else if (IS("$repeat")) {
        return repeated(json);
    }
#undef IS
    FAIL("%.*s is no form of a value", (int)len, tag);
}

/* Makes the value that JSON stands for. */
static inline enclave_value_t *value_of(const enclave_value_t *json) {
    if (enclave_value_kind(json) == ENCLAVE_VALUE_ARRAY) {
        return of_items(json, enclave_value_new_array());
    }
    if (enclave_value_kind(json) != ENCLAVE_VALUE_OBJECT) {
        return enclave_value_clone(json);
    }
    size_t len;
    const char *key = enclave_value_object_key(json, 0, &len);
    if (enclave_value_count(json) == 1 && len > 1 && key[0] == '$') {
        return of_tag(key, len, enclave_value_item(json, 0));
    }
    enclave_value_t *object = enclave_value_new_object();
    for (size_t i = 0; i < enclave_value_count(json); i++) {
        key = enclave_value_object_key(json, i, &len);
        enclave_value_object_set(object, key, len, value_of(enclave_value_item(json, i)), NULL);
    }
    return object;
}

#endif

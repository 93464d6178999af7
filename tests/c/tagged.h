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

/* An object with one key. */
static inline enclave_value_t *form(const char *tag, enclave_value_t *content) {
    enclave_value_t *object = enclave_value_new_object();
    enclave_value_object_set(object, tag, Z, content, NULL);
    return object;
}

static inline enclave_value_t *text_value(const char *text, size_t len) {
    return text == NULL ? enclave_value_new_null() : enclave_value_new_string(text, len, NULL);
}

static inline enclave_value_t *tagged(const enclave_value_t *value);

static inline enclave_value_t *tagged_list(const enclave_value_t *list) {
    enclave_value_t *items = enclave_value_new_array();
    for (size_t i = 0; i < enclave_value_count(list); i++) {
        enclave_value_push(items, tagged(enclave_value_item(list, i)), NULL);
    }
    return items;
}

/* The entries of a `Map` or an object as pairs. */
static inline enclave_value_t *tagged_pairs(const enclave_value_t *entries) {
    enclave_value_t *pairs = enclave_value_new_array();
    for (size_t i = 0; i < enclave_value_count(entries); i++) {
        size_t len;
        const char *key = enclave_value_object_key(entries, i, &len);
        enclave_value_t *pair = enclave_value_new_array();
        enclave_value_push(pair, key ? text_value(key, len) : tagged(enclave_value_map_key(entries, i)), NULL);
        enclave_value_push(pair, tagged(enclave_value_item(entries, i)), NULL);
        enclave_value_push(pairs, pair, NULL);
    }
    return pairs;
}

static inline enclave_value_t *tagged_number(double number) {
    const char *name = isnan(number)   ? "NaN"
                       : isinf(number) ? (number > 0 ? "Infinity" : "-Infinity")
                       : number == 0 && signbit(number) ? "-0"
                                                        : NULL;
    return name ? form("$number", text_value(name, strlen(name))) : enclave_value_new_number(number);
}

static inline enclave_value_t *tagged_bytes(const enclave_value_t *value) {
    size_t len;
    const uint8_t *bytes = enclave_value_bytes(value, &len);
    char *hex = malloc(2 * len + 1);
    for (size_t i = 0; i < len; i++) {
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    }
    enclave_value_t *text = text_value(hex, 2 * len);
    free(hex);
    return text;
}

static inline enclave_value_t *tagged_error(const enclave_value_t *value) {
    size_t len;
    enclave_value_t *fields = enclave_value_new_object();
    const char *text = enclave_value_error_name(value, &len);
    enclave_value_object_set(fields, "name", Z, text_value(text, len), NULL);
    text = enclave_value_error_message(value, &len);
    enclave_value_object_set(fields, "message", Z, text_value(text, len), NULL);
    text = enclave_value_error_code(value, &len);
    if (text != NULL) {
        enclave_value_object_set(fields, "code", Z, text_value(text, len), NULL);
    }
    return fields;
}

static inline enclave_value_t *tagged_bigint(const enclave_value_t *value) {
    enclave_buffer_t digits;
    CHECK_STATUS(enclave_value_bigint_text(value, &digits, NULL), ENCLAVE_OK);
    enclave_value_t *text = text_value(digits.data, digits.len);
    enclave_buffer_free(&digits);
    return text;
}

/* A value as the JSON that stands for it. */
static inline enclave_value_t *tagged(const enclave_value_t *value) {
    switch (enclave_value_kind(value)) {
        case ENCLAVE_VALUE_UNDEFINED: return form("$undefined", enclave_value_new_bool(true));
        case ENCLAVE_VALUE_NUMBER: return tagged_number(enclave_value_number(value));
        case ENCLAVE_VALUE_BIGINT: return form("$bigint", tagged_bigint(value));
        case ENCLAVE_VALUE_BYTES: return form("$bytes", tagged_bytes(value));
        case ENCLAVE_VALUE_DATE:
            return form("$date", isnan(enclave_value_date(value)) ? text_value("invalid", 7)
                                                                  : enclave_value_new_number(enclave_value_date(value)));
        case ENCLAVE_VALUE_ARRAY: return tagged_list(value);
        case ENCLAVE_VALUE_SET: return form("$set", tagged_list(value));
        case ENCLAVE_VALUE_MAP: return form("$map", tagged_pairs(value));
        case ENCLAVE_VALUE_OBJECT: return form("$object", tagged_pairs(value));
        case ENCLAVE_VALUE_ERROR: return form("$error", tagged_error(value));
        default: return enclave_value_clone(value);
    }
}

#endif

/* Values: made, read, nested, written and read as JSON and CBOR. No pool. */

#include "test.h"

static enclave_value_t *text(const char *string) {
    return enclave_value_new_string(string, Z, NULL);
}

static enclave_value_t *number(double value) {
    return enclave_value_new_number(value);
}

static void every_kind_says_what_it_is(void) {
    struct {
        enclave_value_t *value;
        enclave_value_kind_t kind;
        const char *json;
    } table[] = {
        {enclave_value_new_undefined(), ENCLAVE_VALUE_UNDEFINED, "null"},
        {enclave_value_new_null(), ENCLAVE_VALUE_NULL, "null"},
        {enclave_value_new_bool(true), ENCLAVE_VALUE_BOOL, "true"},
        {enclave_value_new_number(0.1), ENCLAVE_VALUE_NUMBER, "0.1"},
        {enclave_value_new_bigint(INT64_MIN), ENCLAVE_VALUE_BIGINT, "\"-9223372036854775808\""},
        {text("a\"b"), ENCLAVE_VALUE_STRING, "\"a\\\"b\""},
        {enclave_value_new_bytes("\x01\x00\xff", 3, NULL), ENCLAVE_VALUE_BYTES, "\"AQD/\""},
        {enclave_value_new_date(0), ENCLAVE_VALUE_DATE, "\"1970-01-01T00:00:00.000Z\""},
        {enclave_value_new_array(), ENCLAVE_VALUE_ARRAY, "[]"},
        {enclave_value_new_map(), ENCLAVE_VALUE_MAP, "{}"},
        {enclave_value_new_set(), ENCLAVE_VALUE_SET, "[]"},
        {enclave_value_new_object(), ENCLAVE_VALUE_OBJECT, "{}"},
        {enclave_value_new_error(NULL, 0, "no", Z, NULL, 0, NULL), ENCLAVE_VALUE_ERROR,
         "{\"name\":\"Error\",\"message\":\"no\"}"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        CHECK(enclave_value_kind(table[i].value) == table[i].kind);
        CHECK_JSON(table[i].value, table[i].json);
        enclave_value_free(table[i].value);
    }
}

static void a_value_comes_back_as_it_went_in(void) {
    enclave_value_t *value = enclave_value_new_bool(true);
    CHECK(enclave_value_bool(value));
    enclave_value_free(value);

    value = number(-0.0);
    CHECK(enclave_value_number(value) == 0 && signbit(enclave_value_number(value)));
    enclave_value_free(value);

    value = number(NAN);
    CHECK(isnan(enclave_value_number(value)));
    enclave_value_free(value);

    value = enclave_value_new_date(8.64e15);
    CHECK(enclave_value_date(value) == 8.64e15);
    enclave_value_free(value);

    size_t len;
    value = enclave_value_new_string("a\0b", 3, NULL);
    const char *string = enclave_value_string(value, &len);
    CHECK(len == 3 && memcmp(string, "a\0b", 3) == 0);
    enclave_value_free(value);

    value = enclave_value_new_bytes(NULL, 0, NULL);
    CHECK(enclave_value_bytes(value, &len) != NULL && len == 0);
    enclave_value_free(value);

    value = enclave_value_new_error("TypeError", Z, "no", Z, "E_NO", Z, NULL);
    check_lent(enclave_value_error_name, value, "TypeError");
    check_lent(enclave_value_error_message, value, "no");
    check_lent(enclave_value_error_code, value, "E_NO");
    CHECK(enclave_value_error_stack(value, &len) == NULL && len == 0);
    enclave_value_free(value);
}

static void the_accessor_of_another_kind_gives_nothing(void) {
    enclave_value_t *value = text("1");
    size_t len = 7;
    CHECK(!enclave_value_bool(value));
    CHECK(isnan(enclave_value_number(value)));
    CHECK(isnan(enclave_value_date(value)));
    CHECK(!enclave_value_int64(value, NULL));
    CHECK(enclave_value_bytes(value, &len) == NULL && len == 0);
    CHECK(enclave_value_count(value) == 0);
    CHECK(enclave_value_item(value, 0) == NULL);
    CHECK(enclave_value_map_key(value, 0) == NULL);
    CHECK(enclave_value_object_key(value, 0, NULL) == NULL);
    CHECK(enclave_value_get(value, "a", Z) == NULL);
    CHECK(enclave_value_error_message(value, NULL) == NULL);
    enclave_error_t *error;
    enclave_buffer_t digits;
    CHECK_STATUS(enclave_value_bigint_text(value, &digits, &error), ENCLAVE_INVALID_ARGUMENT);
    CHECK(digits.data == NULL && digits.len == 0);
    CHECK_ERROR(error, "value is of the kind string; accepted is bigint");
    enclave_value_free(value);
}

static void integers_are_exact_or_refused(void) {
    struct {
        enclave_value_t *value;
        bool exact;
        int64_t integer;
    } table[] = {
        {number(3), true, 3},
        {number(-0.0), true, 0},
        {number(0.5), false, 0},
        {number(NAN), false, 0},
        {number(INFINITY), false, 0},
        {number(9223372036854775808.0), false, 0},
        {number(-9223372036854775808.0), true, INT64_MIN},
        {enclave_value_new_bigint(INT64_MAX), true, INT64_MAX},
        {enclave_value_new_bigint_text("9223372036854775808", Z, NULL), false, 0},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        int64_t integer = 0;
        CHECK(enclave_value_int64(table[i].value, &integer) == table[i].exact);
        CHECK(integer == table[i].integer);
        enclave_value_free(table[i].value);
    }
}

static void a_bigint_is_its_digits(void) {
    const char *big = "-123456789012345678901234567890123456789012345678901234567890";
    enclave_value_t *value = enclave_value_new_bigint_text(big, Z, NULL);
    enclave_buffer_t digits;
    CHECK_STATUS(enclave_value_bigint_text(value, &digits, NULL), ENCLAVE_OK);
    CHECK_TEXT(digits.data, big);
    CHECK(digits.len == strlen(big));
    enclave_buffer_free(&digits);
    CHECK(digits.data == NULL);
    enclave_buffer_free(&digits);
    enclave_value_free(value);

    const char *wrong[] = {"", "-", "+1", "1_000", "1.5", "0x10", " 1", "1n"};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        enclave_error_t *error;
        CHECK(enclave_value_new_bigint_text(wrong[i], Z, &error) == NULL);
        CHECK_ERROR(error, "digits is not a whole number");
    }
}

/* A bigint of so many bits, all of them 1, as CBOR. */
static enclave_value_t *bigint_of(size_t bits, bool negative) {
    size_t len = bits / 8;
    uint8_t *cbor = malloc(len + 4);
    memcpy(cbor, (uint8_t[]){negative ? 0xc3 : 0xc2, 0x59, (uint8_t)(len >> 8), (uint8_t)len}, 4);
    memset(cbor + 4, 0xff, len);
    enclave_value_t *value = enclave_value_from_cbor(cbor, len + 4, NULL);
    free(cbor);
    CHECK(value != NULL);
    return value;
}

/* Decimal digits take more than linear time, so there is an end to them, wherever the bigint is. */
static void a_bigint_has_so_many_digits_or_none(void) {
    enclave_buffer_t text;
    enclave_error_t *error;
    enclave_value_t *value = bigint_of(16384, false);
    CHECK_STATUS(enclave_value_bigint_text(value, &text, NULL), ENCLAVE_OK);
    CHECK(text.len == 4933);
    enclave_value_t *back = enclave_value_new_bigint_text(text.data, text.len, NULL);
    CHECK_STATUS(enclave_value_bigint_text(back, NULL, NULL), ENCLAVE_INVALID_ARGUMENT);
    enclave_value_free(back);
    char digits[4935];
    memset(digits, '9', sizeof digits);
    CHECK(enclave_value_new_bigint_text(digits, 4934, &error) == NULL);
    CHECK_ERROR(error, "digits has 4934 digits; accepted are at most 4933");
    enclave_buffer_free(&text);
    CHECK_STATUS(enclave_value_to_json(value, &text, NULL), ENCLAVE_OK);
    enclave_buffer_free(&text);
    enclave_value_free(value);

    value = bigint_of(16392, true);
    CHECK_STATUS(enclave_value_bigint_text(value, &text, &error), ENCLAVE_INVALID_ARGUMENT);
    CHECK(text.data == NULL && text.len == 0);
    CHECK_ERROR(error, "value has a bigint of 16393 bits; written in decimal are at most 16384");
    enclave_value_t *map = enclave_value_new_map(), *list = enclave_value_new_array();
    enclave_value_map_set(map, value, enclave_value_new_null(), NULL);
    enclave_value_push(list, map, NULL);
    CHECK_STATUS(enclave_value_to_json(list, &text, &error), ENCLAVE_INVALID_ARGUMENT);
    CHECK(text.data == NULL && text.len == 0);
    CHECK_ERROR(error, "value has a bigint of 16393 bits");
    CHECK_STATUS(enclave_value_to_cbor(list, &text, NULL), ENCLAVE_OK);
    CHECK(text.len > 16392 / 8);
    enclave_buffer_free(&text);
    enclave_value_free(list);
}

static void containers_keep_their_order(void) {
    enclave_value_t *object = enclave_value_new_object();
    enclave_value_t *list = enclave_value_new_array();
    enclave_value_push(list, number(1), NULL);
    enclave_value_push(list, text("two"), NULL);
    CHECK_STATUS(enclave_value_object_set(object, "list", Z, list, NULL), ENCLAVE_OK);
    CHECK_STATUS(enclave_value_object_set(object, "a", Z, number(1), NULL), ENCLAVE_OK);
    CHECK_STATUS(enclave_value_object_set(object, "list", Z, enclave_value_new_null(), NULL), ENCLAVE_OK);
    CHECK_JSON(object, "{\"list\":null,\"a\":1}");
    CHECK(enclave_value_count(object) == 2);
    CHECK(enclave_value_number(enclave_value_get(object, "a", 1)) == 1);
    CHECK(enclave_value_get(object, "b", Z) == NULL);
    size_t len;
    const char *key = enclave_value_object_key(object, 0, &len);
    CHECK(len == 4 && memcmp(key, "list", len) == 0);
    CHECK(enclave_value_item(object, 2) == NULL);

    enclave_value_t *map = enclave_value_new_map();
    CHECK_STATUS(enclave_value_map_set(map, number(1), object, NULL), ENCLAVE_OK);
    CHECK(enclave_value_number(enclave_value_map_key(map, 0)) == 1);
    CHECK(enclave_value_kind(enclave_value_item(map, 0)) == ENCLAVE_VALUE_OBJECT);
    CHECK_JSON(map, "[[1,{\"list\":null,\"a\":1}]]");

    enclave_value_t *set = enclave_value_new_set();
    CHECK_STATUS(enclave_value_push(set, map, NULL), ENCLAVE_OK);
    enclave_value_t *copy = enclave_value_clone(set);
    enclave_value_free(set);
    CHECK_JSON(copy, "[[[1,{\"list\":null,\"a\":1}]]]");
    enclave_value_free(copy);
}

static void a_wrong_container_takes_the_value_and_says_why(void) {
    enclave_error_t *error;
    enclave_value_t *list = enclave_value_new_array();
    CHECK_STATUS(enclave_value_object_set(list, "a", Z, number(1), &error), ENCLAVE_INVALID_ARGUMENT);
    CHECK_ERROR(error, "container is of the kind array; accepted is object");
    CHECK_STATUS(enclave_value_map_set(list, number(1), number(2), &error), ENCLAVE_INVALID_ARGUMENT);
    CHECK_ERROR(error, "accepted is map");
    CHECK_STATUS(enclave_value_push(list, NULL, &error), ENCLAVE_INVALID_ARGUMENT);
    CHECK_ERROR(error, "value is NULL");
    CHECK_STATUS(enclave_value_push(NULL, number(1), &error), ENCLAVE_INVALID_ARGUMENT);
    CHECK_ERROR(error, "container is NULL");
    CHECK_STATUS(enclave_value_push(list, list, &error), ENCLAVE_INVALID_ARGUMENT);
    CHECK_ERROR(error, "value is the container itself");
    CHECK_JSON(list, "[]");
    enclave_value_t *object = enclave_value_new_object();
    CHECK_STATUS(enclave_value_object_set(object, "\xff", Z, number(1), &error), ENCLAVE_INVALID_ARGUMENT);
    CHECK_ERROR(error, "key is not valid UTF-8 at byte 0 (0xff)");
    CHECK_STATUS(enclave_value_object_set(NULL, "a", Z, number(1), &error), ENCLAVE_INVALID_ARGUMENT);
    CHECK_ERROR(error, "object is NULL");
    enclave_value_free(object);
    enclave_value_t *map = enclave_value_new_map();
    CHECK_STATUS(enclave_value_map_set(map, NULL, number(1), &error), ENCLAVE_INVALID_ARGUMENT);
    CHECK_ERROR(error, "key is NULL");
    CHECK_STATUS(enclave_value_map_set(map, number(1), NULL, &error), ENCLAVE_INVALID_ARGUMENT);
    CHECK_ERROR(error, "value is NULL");
    CHECK_STATUS(enclave_value_map_set(NULL, number(1), number(2), &error), ENCLAVE_INVALID_ARGUMENT);
    CHECK_ERROR(error, "map is NULL");
    enclave_value_t *both = number(1);
    CHECK_STATUS(enclave_value_map_set(map, both, both, &error), ENCLAVE_INVALID_ARGUMENT);
    CHECK_ERROR(error, "value is the key itself");
    enclave_value_free(both);
    enclave_value_free(map);
    enclave_value_free(list);
}

static void nesting_ends_at_512_levels(void) {
    enclave_value_t *value = enclave_value_new_array();
    for (int levels = 1; levels < 512; levels++) {
        enclave_value_t *outer = enclave_value_new_array();
        CHECK_STATUS(enclave_value_push(outer, value, NULL), ENCLAVE_OK);
        value = outer;
    }
    enclave_buffer_t cbor;
    CHECK_STATUS(enclave_value_to_cbor(value, &cbor, NULL), ENCLAVE_OK);
    enclave_buffer_free(&cbor);
    enclave_value_t *outer = enclave_value_new_array();
    enclave_error_t *error;
    CHECK_STATUS(enclave_value_push(outer, value, &error), ENCLAVE_INVALID_ARGUMENT);
    CHECK_ERROR(error, "512 levels");
    enclave_value_free(outer);

    char json[2001];
    memset(json, '[', 1000);
    memset(json + 1000, ']', 1000);
    json[2000] = 0;
    CHECK(enclave_value_from_json(json, Z, &error) == NULL);
    CHECK_ERROR(error, "json");
}

static void text_that_is_not_utf8_is_refused_by_name_and_place(void) {
    enclave_error_t *error;
    CHECK(enclave_value_new_string("ab\xc3", Z, &error) == NULL);
    CHECK_TEXT(enclave_error_field(error, NULL), "string");
    CHECK_ERROR(error, "string is not valid UTF-8 at byte 2 (0xc3)");
    CHECK(enclave_value_new_string("\xed\xa0\x80", 3, &error) == NULL);
    CHECK_ERROR(error, "at byte 0");
    CHECK(enclave_value_new_string("abc", SIZE_MAX - 1, &error) == NULL);
    CHECK_ERROR(error, "string has a length of");
    CHECK(enclave_value_new_bytes(NULL, 5, &error) == NULL);
    CHECK_ERROR(error, "bytes is NULL, but its length is 5");
    CHECK(enclave_value_new_error("N", Z, NULL, 0, NULL, 0, &error) == NULL);
    CHECK_ERROR(error, "message is NULL");
}

static void json_is_read_and_written(void) {
    const char *json = "{\"a\":[1,-0.5,1e+21,true,null,\"\\u00e4\"],\"b\":{}}";
    enclave_value_t *value = enclave_value_from_json(json, strlen(json), NULL);
    CHECK_JSON(value, "{\"a\":[1,-0.5,1e+21,true,null,\"\xc3\xa4\"],\"b\":{}}");
    enclave_value_free(value);

    enclave_error_t *error;
    CHECK(enclave_value_from_json("{\"a\":}", Z, &error) == NULL);
    CHECK_STATUS(enclave_error_status(error), ENCLAVE_INVALID_ARGUMENT);
    CHECK_ERROR(error, "column 6");
    CHECK(enclave_value_from_json("", 0, &error) == NULL);
    enclave_error_free(error);
    CHECK(enclave_value_from_json("1 2", Z, &error) == NULL);
    enclave_error_free(error);
}

static void cbor_keeps_what_json_cannot(void) {
    enclave_value_t *list = enclave_value_new_array();
    enclave_value_push(list, enclave_value_new_undefined(), NULL);
    enclave_value_push(list, number(-0.0), NULL);
    enclave_value_push(list, number(NAN), NULL);
    enclave_value_push(list, enclave_value_new_bigint(1), NULL);
    enclave_value_push(list, enclave_value_new_bytes("\0\1", 2, NULL), NULL);
    enclave_value_push(list, enclave_value_new_date(1.0), NULL);
    enclave_value_push(list, enclave_value_new_map(), NULL);
    enclave_value_push(list, enclave_value_new_set(), NULL);
    enclave_value_push(list, enclave_value_new_error("RangeError", Z, "no", Z, "E", Z, NULL), NULL);
    enclave_buffer_t cbor;
    CHECK_STATUS(enclave_value_to_cbor(list, &cbor, NULL), ENCLAVE_OK);
    enclave_value_t *back = enclave_value_from_cbor(cbor.data, cbor.len, NULL);
    CHECK(back != NULL);
    enclave_buffer_t again;
    CHECK_STATUS(enclave_value_to_cbor(back, &again, NULL), ENCLAVE_OK);
    CHECK(cbor.len == again.len && memcmp(cbor.data, again.data, cbor.len) == 0);
    for (size_t i = 0; i < enclave_value_count(list); i++) {
        CHECK(enclave_value_kind(enclave_value_item(list, i)) == enclave_value_kind(enclave_value_item(back, i)));
    }
    enclave_buffer_free(&cbor);
    enclave_buffer_free(&again);
    enclave_value_free(back);
    enclave_value_free(list);

    enclave_error_t *error;
    CHECK(enclave_value_from_cbor("\x9b\xff\xff\xff\xff\xff\xff\xff\xff", 9, &error) == NULL);
    CHECK_ERROR(error, "cbor");
}

static void names_are_what_the_tables_say(void) {
    CHECK_TEXT(enclave_status_name(ENCLAVE_OK), "OK");
    CHECK_TEXT(enclave_status_name(ENCLAVE_MEMORY_LIMIT), "MEMORY_LIMIT");
    CHECK(enclave_status_name(-1) == NULL && enclave_status_name(6) == NULL);
    CHECK_TEXT(enclave_recycle_reason_name(ENCLAVE_RECYCLE_SHUTDOWN), "shutdown");
    CHECK(enclave_recycle_reason_name(14) == NULL);
    CHECK_TEXT(enclave_console_level_name(ENCLAVE_CONSOLE_WARN), "warn");
    CHECK(enclave_console_level_name(5) == NULL);
}

static void header_and_library_have_the_same_version(void) {
    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", ENCLAVE_VERSION_MAJOR, ENCLAVE_VERSION_MINOR, ENCLAVE_VERSION_PATCH);
    CHECK_TEXT(enclave_version(), version);
    CHECK(enclave_version_number() == ENCLAVE_VERSION_NUMBER);
    CHECK(ENCLAVE_VERSION_NUMBER ==
          ENCLAVE_VERSION_MAJOR * 1000000 + ENCLAVE_VERSION_MINOR * 1000 + ENCLAVE_VERSION_PATCH);
}

MAIN(TEST(every_kind_says_what_it_is),
     TEST(a_value_comes_back_as_it_went_in),
     TEST(the_accessor_of_another_kind_gives_nothing),
     TEST(integers_are_exact_or_refused),
     TEST(a_bigint_is_its_digits),
     TEST(a_bigint_has_so_many_digits_or_none),
     TEST(containers_keep_their_order),
     TEST(a_wrong_container_takes_the_value_and_says_why),
     TEST(nesting_ends_at_512_levels),
     TEST(text_that_is_not_utf8_is_refused_by_name_and_place),
     TEST(json_is_read_and_written),
     TEST(cbor_keeps_what_json_cannot),
     TEST(names_are_what_the_tables_say),
     TEST(header_and_library_have_the_same_version))

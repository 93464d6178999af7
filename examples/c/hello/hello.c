/* Runs one script and prints its result.
 *
 *     cc hello.c $(pkg-config --cflags --libs enclave) -o hello && ./hello '[1, 2, 3].map(n => n * n)'
 */

#include <stdio.h>

#include "enclave.h"

int main(int argc, char **argv) {
    const char *source = argc > 1 ? argv[1] : "`1 + 1 is ${1 + 1}`";

    enclave_config_t *config = enclave_config_new(ENCLAVE_PRESET_SECURE);
    enclave_pool_t *pool;
    enclave_error_t *error;
    enclave_status_t status = enclave_pool_new(config, &pool, &error);
    enclave_config_free(config);
    if (status != ENCLAVE_OK) {
        fprintf(stderr, "%s\n", enclave_error_message(error, NULL));
        enclave_error_free(error);
        return 1;
    }

    enclave_outcome_t *outcome;
    status = enclave_pool_run(pool, source, ENCLAVE_NUL_TERMINATED, NULL, &outcome);
    if (status == ENCLAVE_OK) {
        enclave_buffer_t json;
        enclave_value_to_json(enclave_outcome_value(outcome), &json, NULL);
        printf("%s\n", json.data);
        enclave_buffer_free(&json);
    } else {
        /* The error is lent by the outcome. */
        fprintf(stderr, "%s: %s\n", enclave_status_name(status),
                enclave_error_message(enclave_outcome_error(outcome), NULL));
    }
    enclave_outcome_free(outcome);
    enclave_pool_free(pool);
    return status == ENCLAVE_OK ? 0 : 1;
}

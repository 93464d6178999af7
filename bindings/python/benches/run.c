/* What bench.py compares with: p50 of enclave_pool_run of "1+1" through the C ABI, in nanoseconds. */
#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "enclave.h"

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static int compare(const void *a, const void *b) {
    long long x = *(const long long *)a, y = *(const long long *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 5000;
    enclave_config_t *config = enclave_config_new(ENCLAVE_PRESET_STANDARD);
    enclave_config_set(config, ENCLAVE_SETTING_MIN_WORKERS, 1);
    enclave_config_set(config, ENCLAVE_SETTING_MAX_WORKERS, 1);
    enclave_config_set(config, ENCLAVE_SETTING_MAX_EXECUTIONS_PER_WORKER, 1000000000);
    enclave_pool_t *pool;
    if (enclave_pool_new(config, &pool, NULL) != ENCLAVE_OK) {
        return 1;
    }
    enclave_config_free(config);
    long long *times = malloc(sizeof *times * rounds);
    for (int i = -rounds / 10; i < rounds; i++) {
        enclave_outcome_t *outcome;
        long long start = now();
        enclave_status_t status = enclave_pool_run(pool, "1+1", ENCLAVE_NUL_TERMINATED, NULL, &outcome);
        long long end = now();
        enclave_outcome_free(outcome);
        if (status != ENCLAVE_OK) {
            return 1;
        }
        if (i >= 0) {
            times[i] = end - start;
        }
    }
    qsort(times, rounds, sizeof *times, compare);
    printf("%lld %lld\n", times[rounds / 2], times[rounds * 99LL / 100]);
    free(times);
    enclave_pool_free(pool);
    return 0;
}

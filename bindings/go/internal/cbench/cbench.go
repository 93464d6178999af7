// Package cbench times calls of C, for the benchmarks to compare with.
package cbench

// #cgo !enclave_no_pkg_config pkg-config: enclave
// #cgo enclave_no_pkg_config LDFLAGS: -lenclave
//
// #include <time.h>
// #include <enclave.h>
//
// static enclave_pool_t *new_pool(void) {
//     enclave_config_t *config = enclave_config_new(ENCLAVE_PRESET_DEFAULT);
//     enclave_config_set(config, ENCLAVE_SETTING_MIN_WORKERS, 1);
//     enclave_config_set(config, ENCLAVE_SETTING_MAX_WORKERS, 1);
//     enclave_config_set(config, ENCLAVE_SETTING_MAX_EXECUTIONS_PER_WORKER, 1000000000);
//     enclave_pool_t *pool = NULL;
//     enclave_pool_new(config, &pool, NULL);
//     enclave_config_free(config);
//     return pool;
// }
//
// static double time_run(const enclave_pool_t *pool, int64_t *ns) {
//     struct timespec start, end;
//     enclave_outcome_t *outcome;
//     clock_gettime(CLOCK_MONOTONIC, &start);
//     enclave_pool_run(pool, "1+1", ENCLAVE_NUL_TERMINATED, NULL, &outcome);
//     double result = enclave_value_number(enclave_outcome_value(outcome));
//     enclave_outcome_free(outcome);
//     clock_gettime(CLOCK_MONOTONIC, &end);
//     *ns = (int64_t)(end.tv_sec - start.tv_sec) * 1000000000 + (end.tv_nsec - start.tv_nsec);
//     return result;
// }
import "C"

import "time"

// Pool is a pool with one worker, made by C alone.
type Pool struct {
	pool *C.enclave_pool_t
}

// NewPool makes a pool; nil if that fails.
func NewPool() *Pool {
	if pool := C.new_pool(); pool != nil {
		return &Pool{pool}
	}
	return nil
}

// Run runs 1+1 and reads its result, and says how long C took for it; false if the result is another.
func (p *Pool) Run() (time.Duration, bool) {
	var ns C.int64_t
	result := C.time_run(p.pool, &ns)
	return time.Duration(ns), result == 2
}

// Close frees the pool.
func (p *Pool) Close() { C.enclave_pool_free(p.pool) }

package enclaveprometheus

import (
	"context"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	enclave "github.com/enclave/enclave/bindings/go"
)

func TestCollector(t *testing.T) {
	pool, err := enclave.New(enclave.Config{MaxWorkers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	for range 3 {
		if _, err := pool.Run(context.Background(), "console.log(1)"); err != nil {
			t.Fatal(err)
		}
	}
	registry := prometheus.NewPedanticRegistry()
	if err := prometheus.WrapRegistererWith(prometheus.Labels{"pool": "a"}, registry).Register(NewCollector(pool)); err != nil {
		t.Fatal(err)
	}
	want := `
		# HELP enclave_console_lines_total Console lines written.
		# TYPE enclave_console_lines_total counter
		enclave_console_lines_total{pool="a"} 3
		# HELP enclave_queue_depth Executions waiting for a worker.
		# TYPE enclave_queue_depth gauge
		enclave_queue_depth{pool="a"} 0
	`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "enclave_console_lines_total", "enclave_queue_depth"); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]int{
		"enclave_executions_total": len(pool.Stats().Executions), "enclave_worker_recycles_total": len(pool.Stats().Recycles),
		"enclave_sandbox_violations_total": 1, "enclave_sandbox_missing_parts": 1, "enclave_workers": 5, "enclave_run_time_seconds": 4, "enclave_queue_wait_seconds": 4,
	} {
		if count, err := testutil.GatherAndCount(registry, name); err != nil || count != want {
			t.Errorf("there are %d of %s, not %d (%v)", count, name, want, err)
		}
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}

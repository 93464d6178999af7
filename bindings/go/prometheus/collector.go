// Package enclaveprometheus gives the stats of a pool to Prometheus. It is a module of its own, so that only who uses
// it depends on the client library.
package enclaveprometheus

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	enclave "github.com/enclave/enclave/bindings/go"
)

type collector struct {
	pool *enclave.Pool
}

// NewCollector makes a collector that takes a snapshot of the pool whenever it is asked. To tell pools apart, register
// each with labels: prometheus.WrapRegistererWith(prometheus.Labels{"pool": "reports"}, registerer).
//
// The pool summarizes times since it was made, as p50, p90, p99 and max in the label "stat".
func NewCollector(pool *enclave.Pool) prometheus.Collector {
	return collector{pool}
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("enclave_"+name, help, labels, nil)
}

var (
	workers       = desc("workers", "Workers by state.", "state")
	queueDepth    = desc("queue_depth", "Executions waiting for a worker.")
	executions    = desc("executions_total", "Executions that have ended, by status.", "status")
	recycles      = desc("worker_recycles_total", "Workers that have left, by reason.", "reason")
	toolCalls     = desc("tool_calls_total", "Tool calls made.")
	consoleLines  = desc("console_lines_total", "Console lines written.")
	rateLimitHits = desc("rate_limit_hits_total", "Executions ended because they sent too many messages.")
	memory        = desc("memory_bytes", "Bytes that the workers hold, as last seen.")
	memoryPeak    = desc("memory_peak_bytes", "The most bytes that the workers have held together, as seen.")
	violations    = desc("sandbox_violations_total", "Executions whose worker was killed for a forbidden system call.")
	missing       = desc("sandbox_missing_parts", "Parts of the sandbox around worker processes that could not be had.")
	queueWait     = desc("queue_wait_seconds", "Time in the queue, over all executions.", "stat")
	runTime       = desc("run_time_seconds", "Wall-clock time on the worker, over all executions.", "stat")
)

// Describe sends all descriptors.
func (c collector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		workers, queueDepth, executions, recycles, toolCalls, consoleLines, rateLimitHits, memory, memoryPeak, violations,
		missing, queueWait, runTime,
	} {
		descs <- d
	}
}

// Collect takes a snapshot and sends it.
func (c collector) Collect(metrics chan<- prometheus.Metric) {
	stats := c.pool.Stats()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	counter := func(d *prometheus.Desc, value uint64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
	}
	gauge(workers, float64(stats.Workers.Starting), "starting")
	gauge(workers, float64(stats.Workers.Idle), "idle")
	gauge(workers, float64(stats.Workers.Executing), "executing")
	gauge(workers, float64(stats.Workers.Recycling), "recycling")
	gauge(workers, float64(stats.Workers.SetAside), "set_aside")
	gauge(queueDepth, float64(stats.QueueDepth))
	for status, count := range stats.Executions {
		counter(executions, count, status.String())
	}
	for reason, count := range stats.Recycles {
		counter(recycles, count, reason.String())
	}
	counter(toolCalls, stats.ToolCalls)
	counter(consoleLines, stats.ConsoleLines)
	counter(rateLimitHits, stats.RateLimitHits)
	gauge(memory, float64(stats.MemoryCurrent))
	gauge(memoryPeak, float64(stats.MemoryPeak))
	counter(violations, stats.SandboxViolations)
	gauge(missing, float64(len(stats.SandboxMissing)))
	for d, histogram := range map[*prometheus.Desc]enclave.Histogram{queueWait: stats.QueueWait, runTime: stats.RunTime} {
		for stat, took := range map[string]time.Duration{
			"p50": histogram.P50, "p90": histogram.P90, "p99": histogram.P99, "max": histogram.Max,
		} {
			gauge(d, took.Seconds(), stat)
		}
	}
}

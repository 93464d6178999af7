package enclave

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/enclave/enclave/bindings/go/internal/cbench"
)

func benchPool(b *testing.B, workers int) *Pool {
	cfg := Default()
	cfg.MinWorkers, cfg.MaxWorkers, cfg.MaxQueueSize = workers, workers, 20_000
	cfg.QueueTimeout, cfg.MaxExecutionsPerWorker = 10*time.Minute, 1_000_000_000
	pool, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { pool.Close() })
	for range 1000 {
		if _, err := pool.Run(context.Background(), "1+1"); err != nil {
			b.Fatal(err)
		}
	}
	return pool
}

// BenchmarkRunOverC says what pool.Run costs beyond enclave_pool_run, in turns, on two pools with one worker each.
func BenchmarkRunOverC(b *testing.B) {
	pool := benchPool(b, 1)
	c := cbench.NewPool()
	if c == nil {
		b.Fatal("there is no pool of C")
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	inGo, inC := make([]time.Duration, 0, b.N), make([]time.Duration, 0, b.N)
	for b.Loop() {
		start := time.Now()
		if _, err := pool.Run(ctx, "1+1"); err != nil {
			b.Fatal(err)
		}
		inGo = append(inGo, time.Since(start))
		took, ok := c.Run()
		if !ok {
			b.Fatal("the call of C failed")
		}
		inC = append(inC, took)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(percentile(inGo, 50), "go-p50-µs")
	b.ReportMetric(percentile(inC, 50), "c-p50-µs")
	b.ReportMetric(percentile(inGo, 50)-percentile(inC, 50), "over-p50-µs")
	b.ReportMetric(percentile(inGo, 99), "go-p99-µs")
	b.ReportMetric(percentile(inC, 99), "c-p99-µs")
}

func percentile(times []time.Duration, percent int) float64 {
	slices.Sort(times)
	return float64(times[len(times)*percent/100].Nanoseconds()) / 1000
}

// BenchmarkGoroutines says how many executions a second so many goroutines get out of a pool with a worker for each
// CPU.
func BenchmarkGoroutines(b *testing.B) {
	for _, goroutines := range []int{1, 2, 100, 10_000} {
		b.Run(fmt.Sprint(goroutines), func(b *testing.B) {
			pool := benchPool(b, runtime.NumCPU())
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			b.ResetTimer()
			for range goroutines {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						if _, err := pool.Run(context.Background(), "1+1"); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "executions/s")
		})
	}
}

// BenchmarkRun says what a call allocates.
func BenchmarkRun(b *testing.B) {
	pool := benchPool(b, 1)
	handle(b, pool, "t", Func(func(n int) int { return n }))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	plain := benchPool(b, 1)
	for _, bench := range []struct {
		name string
		run  func() error
	}{
		{"plain", func() error { _, err := plain.Run(ctx, "1+1"); return err }},
		{"global", func() error { _, err := plain.Run(ctx, "x+1", WithGlobal("x", 1)); return err }},
		{"into", func() error { _, err := Run[[]int](ctx, plain, "[1,2,3]"); return err }},
		{"tool", func() error { _, err := pool.Run(ctx, "await tools.t(1)"); return err }},
		{"exception", func() error { _, _ = plain.Run(ctx, "x.y"); return nil }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := bench.run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

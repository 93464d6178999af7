package enclave

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
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

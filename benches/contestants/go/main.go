// Command bench is a contestant of the benchmarks (benches/README.md): enclave through its Go package.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	enclave "github.com/enclave/enclave/bindings/go"
)

type request struct {
	Op        string
	Source    string
	Input     any
	Expect    any
	Mode      string
	Count     int
	InFlight  int `json:"in_flight"`
	Workers   int
	Isolation string
	ToolCalls int `json:"tool_calls"`
	Options   struct{ Compiled bool }
}

type kind struct {
	isolation string
	workers   int
	tools     bool
}

type contestant struct {
	pools map[kind]*enclave.Pool
}

func main() {
	out := json.NewEncoder(os.Stdout)
	say := func(answer any) {
		if err := out.Encode(answer); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	say(map[string]any{
		"contestant": "go",
		"version":    enclave.Version(),
		"engine":     "SpiderMonkey 153",
		"notes":      runtime.Version() + "; concurrent: a goroutine for each that is in flight",
	})
	c := contestant{pools: map[kind]*enclave.Pool{}}
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			break
		}
		var r request
		if err := json.Unmarshal(line, &r); err != nil {
			say(map[string]any{"error": err.Error()})
		} else if r.Op != "run" {
			say(map[string]any{"unsupported": "only run"})
		} else if r.Options.Compiled {
			say(map[string]any{"unsupported": "only the Rust program compiles scripts"})
		} else if answer, err := c.run(&r); err != nil {
			say(map[string]any{"error": err.Error()})
		} else {
			say(answer)
		}
	}
	for _, pool := range c.pools {
		pool.Close()
	}
}

// pool gives the pool of such requests: STANDARD, with the limits of the protocol.
func (c *contestant) pool(r *request) (*enclave.Pool, error) {
	k := kind{r.Isolation, r.Workers, r.ToolCalls > 0}
	if pool := c.pools[k]; pool != nil {
		return pool, nil
	}
	cfg := enclave.Standard()
	if r.Isolation != "process" {
		cfg.Isolation = enclave.IsolationThread
	}
	cfg.MinWorkers, cfg.MaxWorkers = r.Workers, r.Workers
	cfg.MemoryLimitPerWorker = 128 << 20
	cfg.MaxQueueSize, cfg.QueueTimeout = 100_000, 10*time.Minute
	cfg.MaxExecutionsPerWorker = 1_000_000_000
	cfg.MaxMessagesPerSecond = 1_000_000
	cfg.Timeout = 5 * time.Second
	pool, err := enclave.New(cfg)
	if err != nil {
		return nil, err
	}
	if k.tools {
		if err := pool.HandleTool("echo", enclave.Func(func(n int) int { return n })); err != nil {
			return nil, err
		}
	}
	c.pools[k] = pool
	return pool, nil
}

func (c *contestant) run(r *request) (map[string]any, error) {
	pool, err := c.pool(r)
	if err != nil {
		return nil, err
	}
	if r.Count < 1 {
		return nil, errors.New("count is no count")
	}
	// As a server has it: a context that may end.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	times := make([]time.Duration, r.Count)
	begun := time.Now()
	if r.Mode == "sequential" {
		for number := range times {
			if err := r.once(ctx, pool, number, times); err != nil {
				return nil, err
			}
		}
	} else if err := r.concurrent(ctx, pool, times); err != nil {
		return nil, err
	}
	seconds := time.Since(begun).Seconds()
	slices.Sort(times)
	micros := func(percent int) float64 {
		return float64(times[min(len(times)*percent/100, len(times)-1)].Nanoseconds()) / 1000
	}
	return map[string]any{
		"seconds": seconds, "count": r.Count,
		"p10_us": micros(10), "p50_us": micros(50), "p99_us": micros(99), "max_us": micros(100),
	}, nil
}

// once runs one, and says how long it took. The input is a Go value, and so is the result.
func (r *request) once(ctx context.Context, pool *enclave.Pool, number int, times []time.Duration) error {
	begun := time.Now()
	var result any
	var err error
	if r.Input == nil {
		result, err = pool.Run(ctx, r.Source)
	} else {
		err = pool.RunInto(ctx, r.Source, &result, enclave.WithGlobal("input", r.Input))
	}
	times[number] = time.Since(begun)
	if err != nil {
		return err
	}
	if number == 0 || number == len(times)-1 {
		return r.check(result)
	}
	return nil
}

func (r *request) check(value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	var result any
	if err := json.Unmarshal(text, &result); err != nil {
		return err
	}
	if !reflect.DeepEqual(result, r.Expect) {
		return fmt.Errorf("the result is %.200s", text)
	}
	return nil
}

func (r *request) concurrent(ctx context.Context, pool *enclave.Pool, times []time.Duration) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	var failure atomic.Pointer[error]
	for range min(max(r.InFlight, 1), len(times)) {
		wg.Go(func() {
			for {
				number := int(next.Add(1)) - 1
				if number >= len(times) {
					return
				}
				if err := r.once(ctx, pool, number, times); err != nil {
					failure.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	if err := failure.Load(); err != nil {
		return *err
	}
	return nil
}

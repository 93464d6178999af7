package enclave

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/enclave/enclave/bindings/go/internal/capi"
)

const forever = "for (;;);"

func TestRunGivesTheResult(t *testing.T) {
	pool := newPool(t, Config{MaxWorkers: 1})
	if got := run(t, pool, "1 + 1").Interface(); got != int64(2) {
		t.Errorf("it is %v", got)
	}
	var point struct {
		X, Y int
		Name string `json:"n"`
	}
	err := pool.RunInto(context.Background(), "({X: 1, Y: 2, n: `p${k}`})", &point, WithGlobal("k", 3))
	if err != nil || point.X != 1 || point.Y != 2 || point.Name != "p3" {
		t.Errorf("it is %+v, %v", point, err)
	}
	list, err := Run[[]string](context.Background(), pool, "['a', 'b']")
	if err != nil || fmt.Sprint(list) != "[a b]" {
		t.Errorf("it is %v, %v", list, err)
	}
}

func TestRunIntoSaysWhatDoesNotFit(t *testing.T) {
	pool := newPool(t, Config{MaxWorkers: 1})
	_, err := Run[int](context.Background(), pool, "'text'")
	if err == nil || !strings.Contains(err.Error(), "string does not fit *int") {
		t.Errorf("it is %v", err)
	}
}

func TestRunIntoOfUndefinedIsAnError(t *testing.T) {
	pool := newPool(t, Config{MaxWorkers: 1})
	ctx := context.Background()
	decision := struct{ Allow bool }{true}
	wantIs(t, pool.RunInto(ctx, "const allow = false;", &decision), ErrNoResult)
	_, err := Run[*int](ctx, pool, "undefined")
	wantIs(t, err, ErrNoResult)
	_, err = Run[[]any](ctx, pool, "undefined")
	wantIs(t, err, ErrNoResult)
	script, err := pool.Compile(ctx, "undefined")
	if err != nil {
		t.Fatal(err)
	}
	wantIs(t, script.RunInto(ctx, &decision), ErrNoResult)
	// These can say undefined.
	if value, err := Run[Value](ctx, pool, "undefined"); err != nil || value.Kind() != KindUndefined {
		t.Errorf("it is %v, %v", value, err)
	}
	if value, err := Run[any](ctx, pool, "undefined"); err != nil || value != nil {
		t.Errorf("it is %v, %v", value, err)
	}
	if _, err := Run[Undefined](ctx, pool, "undefined"); err != nil {
		t.Error(err)
	}
	if value, err := Run[*int](ctx, pool, "null"); err != nil || value != nil {
		t.Errorf("it is %v, %v", value, err)
	}
}

func TestCancelledContext(t *testing.T) {
	cause := errors.New("cause")
	for _, test := range []struct {
		name string
		ctx  func(cancelled <-chan struct{}) (context.Context, context.CancelFunc)
		want []error
	}{
		{"cancel", func(when <-chan struct{}) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(context.Background())
			go func() { <-when; cancel() }()
			return ctx, cancel
		}, []error{ErrCancelled, context.Canceled}},
		{"cause", func(when <-chan struct{}) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(context.Background())
			go func() { <-when; cancel(cause) }()
			return ctx, func() { cancel(nil) }
		}, []error{ErrCancelled, context.Canceled, cause}},
		{"deadline", func(<-chan struct{}) (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 50*time.Millisecond)
		}, []error{ErrCancelled, context.DeadlineExceeded}},
	} {
		t.Run(test.name+" while it runs", func(t *testing.T) {
			var reasons atomic.Pointer[RecycleReason]
			pool := newPool(t, Config{MaxWorkers: 1, OnWorkerRecycled: func(event WorkerRecycled) {
				if event.Reason != RecycleShutdown {
					reasons.Store(&event.Reason)
				}
			}})
			// On a busy machine the deadline may come before it runs.
			for ran := false; !ran; {
				when := make(chan struct{})
				ctx, cancel := test.ctx(when)
				execution := pool.Submit(ctx, forever)
				go func() {
					for pool.Stats().Workers.Executing == 0 && ctx.Err() == nil {
						time.Sleep(time.Millisecond)
					}
					close(when)
				}()
				_, err := execution.Result()
				wantIs(t, err, test.want...)
				ran = execution.Stats().WorkerID != 0
				cancel()
			}
			if got := run(t, pool, "1").Interface(); got != int64(1) {
				t.Errorf("the next is %v", got)
			}
			eventually(t, func() bool { return reasons.Load() != nil })
			if reason := *reasons.Load(); reason != RecycleCancelled && reason != RecycleUnresponsive {
				t.Errorf("the worker left for %v", reason)
			}
		})
		t.Run(test.name+" while it waits", func(t *testing.T) {
			pool := newPool(t, Config{MaxWorkers: 1})
			first := pool.Submit(context.Background(), forever)
			when := make(chan struct{})
			ctx, cancel := test.ctx(when)
			defer cancel()
			second := pool.Submit(ctx, "1")
			close(when)
			_, err := second.Result()
			wantIs(t, err, test.want...)
			if stats := second.Stats(); stats.WorkerID != 0 {
				t.Errorf("it ran on worker %d", stats.WorkerID)
			}
			first.Cancel()
			_, err = first.Result()
			wantIs(t, err, ErrCancelled)
			if errors.Is(err, context.Canceled) {
				t.Error("no context was cancelled")
			}
		})
		t.Run(test.name+" before", func(t *testing.T) {
			pool := newPool(t, Config{MaxWorkers: 1})
			when := make(chan struct{})
			close(when)
			ctx, cancel := test.ctx(when)
			defer cancel()
			<-ctx.Done()
			_, err := pool.Run(ctx, "1")
			wantIs(t, err, test.want...)
			if total := pool.Stats().ExecutionsTotal; total != 0 {
				t.Errorf("%d scripts ran", total)
			}
		})
	}
}

func TestLateCancelHitsNoOtherExecution(t *testing.T) {
	pool := newPool(t, Config{MaxWorkers: 2, MaxQueueSize: 100})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			var before *Execution
			for i := range 200 {
				ctx, cancel := context.WithCancel(context.Background())
				execution := pool.Submit(ctx, "1")
				if before != nil {
					before.Cancel()
				}
				if _, err := execution.Result(); err != nil {
					t.Errorf("execution %d: %v", i, err)
				}
				cancel()
				before = execution
			}
		})
	}
	wg.Wait()
	if recycled := pool.Stats().Recycles[RecycleCancelled]; recycled != 0 {
		t.Errorf("%d workers were hit", recycled)
	}
}

func TestNilContextIsRefused(t *testing.T) {
	pool := newPool(t, Config{MaxWorkers: 1})
	var none context.Context
	_, err := pool.Run(none, "1")
	wantIs(t, err, ErrInvalidArgument)
}

func TestSubmit(t *testing.T) {
	pool := newPool(t, Config{MaxWorkers: 1})
	execution := pool.Submit(context.Background(), "console.log('a'); console.warn('b'); 7", CollectConsole())
	<-execution.Done()
	for range 2 {
		if value, err := execution.Result(); err != nil || value.Interface() != int64(7) {
			t.Errorf("it is %v, %v", value, err)
		}
	}
	if execution.ID() == 0 || execution.Stats().ExecutionID != execution.ID() {
		t.Errorf("its id is %d, %+v", execution.ID(), execution.Stats())
	}
	if stats := execution.Stats(); stats.ConsoleCalls != 2 || stats.RunTime <= 0 || stats.PeakMemory <= 0 {
		t.Errorf("its stats are %+v", stats)
	}
	lines := execution.Console()
	if len(lines) != 2 || lines[1].Text != "b" || lines[1].Level != ConsoleWarn || time.Since(lines[1].Time) > time.Hour {
		t.Errorf("its console is %v", lines)
	}
	execution.Cancel()
	if _, err := execution.Result(); err != nil {
		t.Errorf("a late cancel changed it: %v", err)
	}
}

func TestQueueFull(t *testing.T) {
	cfg := Default()
	cfg.MinWorkers, cfg.MaxWorkers, cfg.MaxQueueSize = 1, 1, 0
	pool := newPool(t, cfg)
	first := pool.Submit(context.Background(), forever)
	refused := pool.Submit(context.Background(), "1")
	_, err := refused.Result()
	wantIs(t, err, ErrQueueFull)
	var e *Error
	if !errors.As(err, &e) || e.Details.RetryAfter <= 0 || refused.ID() != 0 {
		t.Errorf("it is %#v", e)
	}
	first.Cancel()
	<-first.Done()
}

func TestLimitsOfOneExecution(t *testing.T) {
	pool := newPool(t, Config{MaxWorkers: 1})
	_, err := pool.Run(context.Background(), forever, WithTimeout(20*time.Millisecond))
	wantIs(t, err, ErrTimeout)
	if errors.Is(err, context.DeadlineExceeded) {
		t.Error("no context has ended")
	}
	_, err = pool.Run(context.Background(), "callTool('x')", WithLimits(Limits{MaxConsoleCalls: 1}))
	if errors.Is(err, ErrConsoleLimit) {
		t.Error(err)
	}
	none := pool.Config().Limits
	none.MaxConsoleCalls = 0
	_, err = pool.Run(context.Background(), "console.log(1)", WithLimits(none))
	wantIs(t, err, ErrConsoleLimit)
	_, err = pool.Run(context.Background(), "1", WithTimeout(-1))
	wantIs(t, err, ErrInvalidArgument)
	_, err = pool.Run(context.Background(), "1", WithKind(7))
	wantIs(t, err, ErrInvalidArgument)
}

func TestBadInputIsRefused(t *testing.T) {
	pool := newPool(t, Config{MaxWorkers: 1})
	for name, opt := range map[string]Option{
		"a name with a space": WithGlobal("a b", 1),
		"an empty name":       WithGlobal("", 1),
		"a function":          WithGlobal("f", func() {}),
		"not UTF-8":           WithGlobal("s", "\xff"),
		"a name not UTF-8":    WithGlobal("\xff", 1),
		"keys not text":       WithGlobal("m", map[int]int{1: 1}),
		"filename":            WithFilename("\xff"),
		"nil tool":            WithTool("x", nil),
	} {
		_, err := pool.Run(context.Background(), "1", opt)
		if !errors.Is(err, ErrInvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, source := range []string{"\xff", "'\xed\xa0\x80'"} {
		_, err := pool.Run(context.Background(), source)
		wantIs(t, err, ErrInvalidArgument)
	}
	if got := run(t, pool, "", nil); got.Kind() != KindUndefined {
		t.Errorf("an empty source gives %v", got)
	}
	wantIs(t, pool.HandleTool("bad name", Func(strings.ToUpper)), ErrInvalidArgument)
	wantIs(t, pool.HandleTool("", Func(strings.ToUpper)), ErrInvalidArgument)
	wantIs(t, pool.HandleTool("x", nil), ErrInvalidArgument)
	_, err := pool.Run(context.Background(), "await callTool('x')")
	var script *ScriptError
	if !errors.As(err, &script) || script.Code != "TOOL_NOT_FOUND" {
		t.Errorf("it is %v", err)
	}
	_, err = pool.Run(context.Background(), strings.Repeat(" ", 17<<20))
	wantIs(t, err, ErrMessageTooLarge)
}

func TestShutdownLetsWhatRunsFinish(t *testing.T) {
	pool := newPool(t, Config{MaxWorkers: 1})
	started := make(chan struct{})
	answer := make(chan struct{})
	if err := pool.HandleTool("wait", func(context.Context, Args) (any, error) {
		close(started)
		<-answer
		return "done", nil
	}); err != nil {
		t.Fatal(err)
	}
	runs := pool.Submit(context.Background(), "await tools.wait()")
	waits := pool.Submit(context.Background(), "1")
	<-started
	shutdown := make(chan error)
	go func() { shutdown <- pool.Shutdown(context.Background()) }()
	_, err := waits.Result()
	wantIs(t, err, ErrPoolClosed)
	close(answer)
	if value, err := runs.Result(); err != nil || value.String() != "done" {
		t.Errorf("it is %v, %v", value, err)
	}
	if err := <-shutdown; err != nil {
		t.Error(err)
	}
	_, err = pool.Run(context.Background(), "1")
	wantIs(t, err, ErrPoolClosed)
	if stats := pool.Stats(); stats.Executions[StatusOK] != 1 {
		t.Errorf("the stats are %+v", stats)
	}
}

func TestShutdownIsCutShortByItsContext(t *testing.T) {
	cfg := Default()
	cfg.MaxWorkers = 1
	cfg.GracefulShutdownTimeout = time.Hour
	for name, ctx := range map[string]func() (context.Context, context.CancelFunc){
		"cancelled before": func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			return ctx, cancel
		},
		"deadline": func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 20*time.Millisecond)
		},
	} {
		t.Run(name, func(t *testing.T) {
			pool := newPool(t, cfg)
			runs := pool.Submit(context.Background(), forever, WithTimeout(time.Hour))
			ctx, cancel := ctx()
			defer cancel()
			wantIs(t, pool.Shutdown(ctx), ctx.Err())
			select {
			case <-runs.Done():
			default:
				t.Error("it runs after the shutdown")
			}
			_, err := runs.Result()
			wantIs(t, err, ErrPoolClosed)
		})
	}
}

func TestClosedPool(t *testing.T) {
	pool := newPool(t, Config{MaxWorkers: 1})
	run(t, pool, "1")
	for range 2 {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	}
	_, err := pool.Run(context.Background(), "1")
	wantIs(t, err, ErrPoolClosed)
	wantIs(t, pool.HandleTool("x", Func(strings.ToUpper)), ErrPoolClosed)
	if err := pool.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if stats := pool.Stats(); stats.ExecutionsTotal != 1 || stats.Recycles[RecycleShutdown] == 0 {
		t.Errorf("the stats are %+v", stats)
	}
	if pool.Config().MaxWorkers != 1 {
		t.Errorf("the config is %+v", pool.Config())
	}
}

func TestCloseWhileEverythingRuns(t *testing.T) {
	for range 10 {
		cfg := Default()
		cfg.MaxWorkers, cfg.GracefulShutdownTimeout = 2, 0
		pool := newPool(t, cfg)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for {
					var err error
					switch i % 4 {
					case 0:
						_, err = pool.Run(context.Background(), forever)
					case 1:
						_, err = pool.Run(context.Background(), "await tools.t()")
					case 2:
						err = pool.HandleTool("t", Func(strings.ToUpper))
						pool.Stats()
					case 3:
						execution := pool.Submit(context.Background(), "1")
						execution.Cancel()
						_, err = execution.Result()
					}
					if errors.Is(err, ErrPoolClosed) {
						return
					}
				}
			})
		}
		eventually(t, func() bool { return pool.Stats().ExecutionsTotal > 3 })
		for range 2 {
			wg.Go(func() {
				if err := pool.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
}

func TestCallbacksMayNotWait(t *testing.T) {
	var pool *Pool
	var mu sync.Mutex
	got := map[string]error{}
	cfg := Config{MaxWorkers: 2}
	var other *Pool
	var running *Execution
	cfg.OnConsole = func(line ConsoleLine) {
		_, runErr := pool.Run(context.Background(), "1")
		_, resultErr := running.Result()
		value, otherErr := other.Run(context.Background(), "2")
		if otherErr == nil && value.Interface() != int64(2) {
			otherErr = errors.New("another result")
		}
		submitted := pool.Submit(context.Background(), "1")
		mu.Lock()
		defer mu.Unlock()
		got["run"], got["result"], got["shutdown"], got["close"] = runErr, resultErr, pool.Shutdown(context.Background()), pool.Close()
		got["other"] = otherErr
		got["stats"] = nil
		if submitted.ID() == 0 || pool.Stats().Workers.Executing == 0 {
			got["stats"] = errors.New("they do not work")
		}
	}
	pool = newPool(t, cfg)
	other = newPool(t, Config{MaxWorkers: 1})
	running = pool.Submit(context.Background(), forever)
	run(t, pool, "console.log(1)")
	mu.Lock()
	defer mu.Unlock()
	for _, call := range []string{"run", "result", "shutdown", "close"} {
		if !errors.Is(got[call], ErrInvalidState) {
			t.Errorf("%s: %v", call, got[call])
		}
	}
	for _, call := range []string{"other", "stats"} {
		if got[call] != nil {
			t.Errorf("%s: %v", call, got[call])
		}
	}
	running.Cancel()
	<-running.Done()
}

func TestForgottenPoolIsFreed(t *testing.T) {
	checkLeaks(t)
	func() {
		pool, err := New(Config{MaxWorkers: 1, OnConsole: func(ConsoleLine) {}})
		if err != nil {
			t.Fatal(err)
		}
		run(t, pool, "1")
	}()
	eventually(t, func() bool {
		runtime.GC()
		return capi.Live() == 0
	})
}

func TestForgottenPoolIsKeptByItsExecutions(t *testing.T) {
	checkLeaks(t)
	release := make(chan struct{})
	execution := func() *Execution {
		pool, err := New(Config{MaxWorkers: 1})
		if err != nil {
			t.Fatal(err)
		}
		return pool.Submit(context.Background(), "await callTool('x')",
			WithTool("x", func(context.Context, Args) (any, error) {
				<-release
				return 5, nil
			}))
	}()
	for range 10 {
		runtime.GC()
		time.Sleep(2 * time.Millisecond)
	}
	close(release)
	if value, err := execution.Result(); err != nil || value.Interface() != int64(5) {
		t.Errorf("it is %v, %v", value, err)
	}
	eventually(t, func() bool {
		runtime.GC()
		return capi.Live() == 0
	})
}

func TestTenThousandGoroutinesNeedFewThreads(t *testing.T) {
	const goroutines = 10_000
	pool := newPool(t, Config{MaxWorkers: 2, MaxQueueSize: goroutines, QueueTimeout: 10 * time.Minute})
	run(t, pool, "1")
	gate := make(chan struct{})
	var wg, ready sync.WaitGroup
	var most atomic.Int64
	for i := range goroutines {
		ready.Add(1)
		wg.Go(func() {
			ready.Done()
			<-gate
			got, err := Run[int](context.Background(), pool, "n + 1", WithGlobal("n", i))
			if err != nil || got != i+1 {
				t.Errorf("%d: %d, %v", i, got, err)
			}
			if i%100 == 0 {
				most.Store(max(most.Load(), int64(countThreads(t))))
			}
		})
	}
	ready.Wait()
	close(gate)
	wg.Wait()
	// Those of the pool, GOMAXPROCS, and some for garbage collection, signals and calls of C that took their time.
	if limit := int64(runtime.GOMAXPROCS(0) + 40); most.Load() == 0 || most.Load() > limit {
		t.Errorf("there were %d threads, not at most %d", most.Load(), limit)
	}
}

func TestScript(t *testing.T) {
	pool := newPool(t, Config{MaxWorkers: 1})
	ctx := context.Background()
	script, err := pool.Compile(ctx, "[a, b]", WithGlobal("a", 1), WithFilename("x.js"))
	if err != nil {
		t.Fatal(err)
	}
	for b := range 3 {
		var got []int
		if err := script.RunInto(ctx, &got, WithGlobal("b", b)); err != nil || got[0] != 1 || got[1] != b {
			t.Errorf("it is %v, %v", got, err)
		}
	}
	if value, err := script.Submit(ctx, WithGlobals(map[string]any{"b": 2, "a": 3})).Result(); value.String() != "[3,2]" {
		t.Errorf("it is %v, %v", value, err)
	}
	_, err = script.Run(ctx)
	var exception *ScriptError
	if !errors.As(err, &exception) || exception.Filename != "x.js" {
		t.Errorf("it is %v", err)
	}
	_, err = pool.Compile(ctx, "1", WithGlobal("a", func() {}))
	wantIs(t, err, ErrInvalidArgument)
}

func TestCompile(t *testing.T) {
	pool := newPool(t, Config{MaxWorkers: 1})
	ctx := context.Background()
	_, err := pool.Compile(ctx, "let a;\nlet = = 1", WithFilename("wrong.js"))
	var syntax *ScriptError
	if !errors.Is(err, ErrSyntax) || !errors.As(err, &syntax) || syntax.Filename != "wrong.js" || syntax.Line != 2 {
		t.Errorf("it is %v", err)
	}
	// It is not run, and its kind stays.
	script, err := pool.Compile(ctx, "globalThis.n = (globalThis.n ?? 0) + 1; return n", WithKind(SourceFunction))
	if err != nil {
		t.Fatal(err)
	}
	if got := pool.Stats().ExecutionsTotal; got != 2 {
		t.Errorf("there were %d executions", got)
	}
	for range 3 {
		if value, err := script.Run(ctx, WithKind(SourceScript)); value.String() != "1" {
			t.Errorf("it is %v, %v", value, err)
		}
	}
	var none context.Context
	_, err = pool.Compile(none, "1")
	wantIs(t, err, ErrInvalidArgument)

	// What waits for a worker is cancelled with its context.
	blocker := pool.Submit(ctx, "for (;;);")
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	_, err = pool.Compile(short, "1")
	wantIs(t, err, ErrCancelled, context.DeadlineExceeded)
	blocker.Cancel()
	<-blocker.Done()

	if err := pool.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = pool.Compile(ctx, "1")
	wantIs(t, err, ErrPoolClosed)
	_, err = script.Run(ctx)
	wantIs(t, err, ErrPoolClosed)
}

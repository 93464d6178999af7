package enclave

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func handle(t testing.TB, pool *Pool, name string, tool ToolFunc) {
	t.Helper()
	if err := pool.HandleTool(name, tool); err != nil {
		t.Fatal(err)
	}
}

func TestToolsTakeGoValues(t *testing.T) {
	pool := newPool(t, Config{MaxWorkers: 1})
	type point struct{ X, Y float64 }
	handle(t, pool, "add", Tool(func(_ context.Context, p point) (float64, error) { return p.X + p.Y, nil }))
	handle(t, pool, "upper", Func(strings.ToUpper))
	handle(t, pool, "args", func(_ context.Context, args Args) (any, error) {
		return map[string]any{"tool": args.Tool, "kind": args.Kind().String(), "same": args.Value, "id": args.ExecutionID}, nil
	})
	for source, want := range map[string]string{
		"await tools.add({X: 1, Y: 2.5})":         "3.5",
		"await callTool('upper', 'abc')":          "ABC",
		"await tools.upper()":                     "",
		"(await tools.args()).kind":               "undefined",
		"(await tools.args()).same === undefined": "true",
		"(await tools.args([1n])).same[0] === 1n": "true",
		"(await tools.args()).tool":               "args",
		"(await tools.args()).id > 0":             "true",
		"try { await tools.add('x') } catch (e) { return [e instanceof TypeError, e.code, e.message] }": `[true,"INVALID_ARGUMENT","add: expected object, got string"]`,
	} {
		if got := run(t, pool, source).String(); got != want {
			t.Errorf("%s is %s, not %s", source, got, want)
		}
	}
}

func TestToolErrors(t *testing.T) {
	var logged bytes.Buffer
	var mu sync.Mutex
	logger := slog.New(slog.NewTextHandler(lockedWriter{&mu, &logged}, nil))
	pool := newPool(t, Config{MaxWorkers: 1, Logger: logger})
	errOwn := errors.New("own failure")
	handle(t, pool, "plain", func(context.Context, Args) (any, error) { return nil, fmt.Errorf("wrapped: %w", errOwn) })
	handle(t, pool, "exact", func(context.Context, Args) (any, error) {
		return nil, fmt.Errorf("hidden: %w", &ErrorValue{Name: "Ä", Message: "a\x00b😀 {0} %s", Code: "E"})
	})
	handle(t, pool, "panics", func(context.Context, Args) (any, error) { panic(errOwn) })
	handle(t, pool, "nil", func(_ context.Context, args Args) (any, error) {
		stats := map[bool]*Stats{true: {}}[args.Kind() == KindString] // there is none
		return stats.QueueDepth, nil
	})
	handle(t, pool, "unfit", func(context.Context, Args) (any, error) {
		rows := []map[string]any{{"price": 1}, {"price": make(chan int)}}
		return map[string]any{"rows": rows}, nil
	})
	handle(t, pool, "bytes", func(context.Context, Args) (any, error) { return "\xff", nil })
	handle(t, pool, "dirty", func(context.Context, Args) (any, error) { return nil, errors.New("\xff") })

	handle(t, pool, "typed", func(context.Context, Args) (any, error) { return nil, (*ErrorValue)(nil) })
	handle(t, pool, "method", func(context.Context, Args) (any, error) { return panicking{}, nil })
	handle(t, pool, "exits", func(context.Context, Args) (any, error) { runtime.Goexit(); return nil, nil })

	catch := "try { await tools.%s() } catch (e) { return [e instanceof Error, e.name, e.message, e.code] }"
	for tool, want := range map[string]string{
		"plain":  `[true,"Error","wrapped: own failure",null]`,
		"exact":  `[true,"Ä","a\u0000b😀 {0} %s","E"]`,
		"panics": `[true,"Error","the tool panics failed","TOOL_PANIC"]`,
		"nil":    `[true,"Error","the tool nil failed","TOOL_PANIC"]`,
		"typed":  `[true,"Error","the tool typed failed","TOOL_PANIC"]`,
		"method": `[true,"Error","the tool method failed","TOOL_PANIC"]`,
		"exits":  `[true,"Error","the tool exits failed","TOOL_PANIC"]`,
		"dirty":  `[true,"Error","` + "\ufffd" + `",null]`,
		"unfit":  `[true,"Error","the tool unfit failed","TOOL_RESULT"]`,
		"bytes":  `[true,"Error","the tool bytes failed","TOOL_RESULT"]`,
	} {
		if got := run(t, pool, fmt.Sprintf(catch, tool)).String(); got != want {
			t.Errorf("%s: %s, not %s", tool, got, want)
		}
	}
	_, err := pool.Run(context.Background(), "await tools.plain()")
	wantIs(t, err, ErrException, errOwn)
	_, err = pool.Run(context.Background(), "await tools.panics()")
	wantIs(t, err, ErrException, errOwn)
	var panicked *PanicError
	if !errors.As(err, &panicked) || panicked.Tool != "panics" || !bytes.Contains(panicked.Stack, []byte("tool_test.go")) {
		t.Errorf("it is %#v", panicked)
	}
	_, err = pool.Run(context.Background(), "await tools.unfit()")
	wantIs(t, err, ErrException, ErrInvalidArgument)
	if script := (*ScriptError)(nil); !errors.As(err, &script) || !strings.Contains(script.Unwrap().Error(), "rows[1].price: chan int") {
		t.Errorf("it is %v", err)
	}
	_, err = pool.Run(context.Background(), "try { await tools.plain() } catch { throw new Error('another') }")
	if errors.Is(err, errOwn) {
		t.Errorf("%v has a cause that the script has caught", err)
	}
	mu.Lock()
	defer mu.Unlock()
	text := logged.String()
	for line, times := range map[string]int{
		`level=ERROR msg="tool panicked" tool=`:                                5,
		`level=ERROR msg="tool result has no JavaScript value" tool=`:          3,
		`level=INFO msg="tool failed" tool=plain error="wrapped: own failure"`: 3,
		`path=rows[1].price`: 2,
	} {
		if got := strings.Count(text, line); got != times {
			t.Errorf("%s was logged %d times, not %d, in %s", line, got, times, text)
		}
	}
}

type panicking struct{}

func (panicking) MarshalCBOR() ([]byte, error) { panic("in a method") }

type lockedWriter struct {
	mu *sync.Mutex
	to *bytes.Buffer
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(p)
}

func TestToolContextEndsWithTheExecution(t *testing.T) {
	pool := newPool(t, Config{MaxWorkers: 1})
	type key struct{}
	ended := make(chan error, 1)
	handle(t, pool, "wait", func(ctx context.Context, _ Args) (any, error) {
		if ctx.Value(key{}) != "value" {
			t.Error("the context is not derived from the caller's")
		}
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	})
	ctx := context.WithValue(context.Background(), key{}, "value")
	for source, want := range map[string]error{
		"callTool('wait'); 'done'":    nil,
		"await tools.wait()":          ErrTimeout,
		"tools.wait(); throw new E()": ErrException,
	} {
		timeout := long
		if want == ErrTimeout {
			timeout = 100 * time.Millisecond
		}
		// On a busy machine the time may be over before it comes to the call.
		for called := false; !called; {
			execution := pool.Submit(ctx, source, WithTimeout(timeout))
			_, err := execution.Result()
			if want == nil && err != nil || want != nil && !errors.Is(err, want) {
				t.Errorf("%s: %v", source, err)
			}
			called = execution.Stats().ToolCalls > 0
		}
		if err := <-ended; err != context.Canceled {
			t.Errorf("%s: the tool's context ended with %v", source, err)
		}
	}
	for called := false; !called; {
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		execution := pool.Submit(short, "await tools.wait()")
		_, err := execution.Result()
		wantIs(t, err, ErrCancelled, context.DeadlineExceeded)
		called = execution.Stats().ToolCalls > 0
		cancel()
	}
	<-ended
}

func TestToolsMayBlockAndRunScripts(t *testing.T) {
	pool := newPool(t, Config{MaxWorkers: 2})
	handle(t, pool, "eval", func(ctx context.Context, args Args) (any, error) { return pool.Run(ctx, args.String()) })
	if got := run(t, pool, "1 + await tools.eval('2 + 3')").Interface(); got != int64(6) {
		t.Errorf("it is %v", got)
	}
	const calls = 50
	var gate sync.WaitGroup
	gate.Add(calls)
	handle(t, pool, "together", func(context.Context, Args) (any, error) {
		gate.Done()
		gate.Wait()
		return 1, nil
	})
	source := "(await Promise.all(Array.from({length: 50}, () => tools.together()))).length"
	if got := run(t, pool, source).Interface(); got != int64(calls) {
		t.Errorf("it is %v", got)
	}
}

func TestToolsOfOneExecution(t *testing.T) {
	pool := newPool(t, Config{
		MaxWorkers: 2,
		OnToolCall: func(_ context.Context, args Args) (any, error) { return "any " + args.Tool, nil },
	})
	handle(t, pool, "name", func(context.Context, Args) (any, error) { return "pool", nil })
	is := func(user string) ToolFunc {
		return func(context.Context, Args) (any, error) { return user, nil }
	}
	handle(t, pool, "shared", is("shared"))
	source := "[await tools.name(), await callTool('x').catch((e) => e.code)]"
	for _, test := range []struct {
		want string
		opts []Option
	}{
		{`["pool","any x"]`, nil},
		{`["ann","any x"]`, []Option{WithTool("name", is("ann"))}},
		{`["bob","any x"]`, []Option{WithTool("name", is("ann")), WithTool("name", is("bob"))}},
		{`["bob","bob"]`, []Option{WithToolHandler(is("bob"))}},
		{`["ann","bob"]`, []Option{WithToolHandler(is("bob")), WithTool("name", is("ann"))}},
	} {
		if got := run(t, pool, source, test.opts...).String(); got != test.want {
			t.Errorf("it is %s, not %s", got, test.want)
		}
	}
	// One is beside those of the pool, known by its name, and of this execution alone.
	source = "[await tools.mine(), await tools.shared(), Object.keys(tools).join()]"
	if got := run(t, pool, source, WithTool("mine", is("ann"))).String(); got != `["ann","shared","mine,name,shared"]` {
		t.Errorf("it is %s", got)
	}
	if got := run(t, pool, "typeof tools.mine").String(); got != "undefined" {
		t.Errorf("it is %s", got)
	}
	_, err := pool.Run(context.Background(), "1", WithTool("no name", is("ann")))
	wantIs(t, err, ErrInvalidArgument)
	// Without a handler for all, a name that nobody has is refused as ever.
	none := newPool(t, Config{MaxWorkers: 1})
	if got := run(t, none, "await callTool('x').catch((e) => e.code)", WithTool("y", is("y"))).String(); got != "TOOL_NOT_FOUND" {
		t.Errorf("it is %s", got)
	}
	// A tool is there for what is submitted from now on, and replaces one of its name.
	handle(t, pool, "name", is("new"))
	if got := run(t, pool, "await tools.name()").String(); got != "new" {
		t.Errorf("it is %s", got)
	}
}

func TestToolLimits(t *testing.T) {
	pool := newPool(t, Config{MaxWorkers: 1})
	handle(t, pool, "t", Func(func(n int) int { return n }))
	_, err := pool.Run(context.Background(), "for (;;) await tools.t(1)", WithLimits(Limits{MaxToolCalls: 3}))
	wantIs(t, err, ErrToolCallLimit)
	var e *Error
	if !errors.As(err, &e) || e.Details.Setting != "max_tool_calls" || e.Details.Limit != 3 {
		t.Errorf("it is %+v", e)
	}
}

func TestManyToolCallsAtOnce(t *testing.T) {
	cfg := Default()
	cfg.MaxWorkers, cfg.MaxQueueSize, cfg.MaxMessagesPerSecond = 2, 1000, 1_000_000
	pool := newPool(t, cfg)
	handle(t, pool, "double", Func(func(n int) int { return 2 * n }))
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			source := "let s = 0; for (let i = 0; i < 20; i++) s += await tools.double(n); return s"
			if got, err := Run[int](context.Background(), pool, source, WithGlobal("n", i)); got != 40*i {
				t.Errorf("%d: %d, %v", i, got, err)
			}
		})
	}
	wg.Wait()
}

// What scripts have sent waits in the library, and counts there: Go holds the calls that run, and no queue of its own.
func TestWhatWaitsIsBounded(t *testing.T) {
	for _, isolation := range []Isolation{IsolationThread, IsolationProcess} {
		t.Run(isolation.String(), func(t *testing.T) {
			const limit, each = 4 << 20, 1 << 20
			cfg := Default()
			cfg.Isolation, cfg.MinWorkers, cfg.MaxWorkers, cfg.MaxPendingBytes = isolation, 1, 1, limit
			var held, most atomic.Int64
			cfg.OnToolCall = func(ctx context.Context, args Args) (any, error) {
				most.Store(max(most.Load(), held.Add(int64(len(args.cbor)))))
				<-ctx.Done()
				held.Add(-int64(len(args.cbor)))
				return nil, ctx.Err()
			}
			pool := newPool(t, cfg)
			source := "await Promise.all(Array.from({length: 50}, () => callTool('t', 'x'.repeat(1 << 20))))"
			_, err := pool.Run(context.Background(), source)
			wantIs(t, err, ErrToolCallLimit)
			var e *Error
			if !errors.As(err, &e) || e.Details.Setting != "max_pending_bytes" || e.Details.Limit != limit {
				t.Errorf("it is %+v", e)
			}
			eventually(t, func() bool { return held.Load() == 0 })
			if most.Load() > limit+each {
				t.Errorf("Go held %d bytes of arguments", most.Load())
			}
		})
	}
}

// A script stands still while its line is looked at, so lines do not pile up.
func TestConsoleLinesDoNotPileUp(t *testing.T) {
	var lines atomic.Int64
	entered, leave := make(chan struct{}, 100), make(chan struct{})
	pool := newPool(t, Config{MaxWorkers: 1, OnConsole: func(ConsoleLine) {
		lines.Add(1)
		entered <- struct{}{}
		<-leave
	}})
	execution := pool.Submit(context.Background(), "for (let i = 0; i < 100; i++) console.log(i)")
	for i := range int64(100) {
		<-entered
		if got := lines.Load(); got != i+1 {
			t.Errorf("%d lines were there while line %d was looked at", got, i+1)
		}
		leave <- struct{}{}
	}
	if _, err := execution.Result(); err != nil {
		t.Error(err)
	}
}

package enclave

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Whatever code of the user throws, wherever it is called: nothing of ours ends, no event is lost, no call waits.

// badText is an error, and more, whose methods panic.
type badText struct{}

func (badText) Error() string                { panic("in Error") }
func (badText) String() string               { panic("in String") }
func (badText) LogValue() slog.Value         { panic("in LogValue") }
func (badText) Is(error) bool                { panic("in Is") }
func (badText) As(any) bool                  { panic("in As") }
func (badText) Unwrap() error                { panic("in Unwrap") }
func (badText) MarshalText() ([]byte, error) { panic("in MarshalText") }
func (badText) GoString() string             { panic("in GoString") }
func (badText) MarshalJSON() ([]byte, error) { panic("in MarshalJSON") }

type badStringer struct{}

func (badStringer) String() string { panic(badText{}) }

var ways = map[string]func(){
	"panic":                  func() { panic("thrown") },
	"panic(nil)":             func() { panic(nil) },
	"a runtime error":        func() { var none *Stats; work += none.QueueDepth },
	"an error that panics":   func() { panic(badText{}) },
	"a Stringer that panics": func() { panic(badStringer{}) },
	"a nil error of its own": func() { panic((*PanicError)(nil)) },
	"runtime.Goexit":         runtime.Goexit,
}

// throw is what the methods of the following types throw now.
var throw atomic.Pointer[func()]

func throwNow() { (*throw.Load())() }

type throwingCBOR struct{}

func (throwingCBOR) MarshalCBOR() ([]byte, error) { throwNow(); return undefined, nil }
func (*throwingCBOR) UnmarshalCBOR([]byte) error  { throwNow(); return nil }

type throwingJSON struct{}

func (throwingJSON) MarshalJSON() ([]byte, error) { throwNow(); return []byte("1"), nil }

type throwingText struct{}

func (throwingText) MarshalText() ([]byte, error) { throwNow(); return nil, nil }
func (*throwingText) UnmarshalText([]byte) error  { throwNow(); return nil }

type throwingError struct{}

func (throwingError) Error() string { throwNow(); return "" }

type throwingAs struct{}

func (throwingAs) Error() string { return "as" }
func (throwingAs) As(any) bool   { throwNow(); return false }

type throwingUnwrap struct{}

func (throwingUnwrap) Error() string { return "unwrap" }
func (throwingUnwrap) Unwrap() error { throwNow(); return nil }

type throwingHandler struct{ slog.Handler }

func (throwingHandler) Enabled(context.Context, slog.Level) bool  { return true }
func (throwingHandler) Handle(context.Context, slog.Record) error { throwNow(); return nil }

// throwingContext throws in one of its methods, once it is armed.
type throwingContext struct {
	context.Context
	method string
	armed  atomic.Bool
}

func (c *throwingContext) call(method string) {
	if c.armed.Load() && c.method == method {
		throwNow()
	}
}

func (c *throwingContext) Done() <-chan struct{} { c.call("Done"); return c.Context.Done() }
func (c *throwingContext) Err() error            { c.call("Err"); return c.Context.Err() }
func (c *throwingContext) Value(key any) any     { c.call("Value"); return c.Context.Value(key) }

// apart calls what may throw on a goroutine of its own, as the caller of a method that throws.
func apart(f func()) {
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		defer func() { _ = recover() }()
		f()
	}()
	wg.Wait()
}

// quiet is a logger that counts what is an error.
type quiet struct{ faults atomic.Int64 }

func (q *quiet) Enabled(context.Context, slog.Level) bool { return true }
func (q *quiet) Handle(_ context.Context, record slog.Record) error {
	if record.Level >= slog.LevelError {
		q.faults.Add(1)
	}
	return nil
}
func (q *quiet) WithAttrs([]slog.Attr) slog.Handler { return q }
func (q *quiet) WithGroup(string) slog.Handler      { return q }

const failsWith = "try { await callTool('tool'); return 'no failure' } catch (e) { return e.code }"

func TestWhateverIsThrownWherever(t *testing.T) {
	// A tool that throws, in whatever way it is given to the script.
	ofTool := func(tool ToolFunc, opt func(ToolFunc) (Config, []Option)) func(*testing.T, *quiet) {
		return func(t *testing.T, log *quiet) {
			cfg, opts := Config{}, []Option(nil)
			if opt != nil {
				cfg, opts = opt(tool)
			}
			cfg.MaxWorkers, cfg.Logger = 1, slog.New(log)
			pool := newPool(t, cfg)
			if opt == nil {
				handle(t, pool, "tool", tool)
			}
			for range 3 {
				if got := run(t, pool, failsWith, opts...).String(); got != "TOOL_PANIC" {
					t.Errorf("the script saw %s", got)
				}
			}
			_, err := pool.Run(context.Background(), "await callTool('tool')", opts...)
			var panicked *PanicError
			if !errors.As(err, &panicked) || panicked.Error() == "" {
				t.Errorf("it is %v", err)
			}
		}
	}
	thrower := func(context.Context, Args) (any, error) { throwNow(); return nil, nil }
	returns := func(value any, err error) ToolFunc {
		return func(context.Context, Args) (any, error) { return value, err }
	}
	// What throws on the goroutine of the caller is the caller's; the pool goes on.
	ofCaller := func(call func(*Pool)) func(*testing.T, *quiet) {
		return func(t *testing.T, log *quiet) {
			pool := newPool(t, Config{MaxWorkers: 1, Logger: slog.New(log)})
			apart(func() { call(pool) })
			if got := run(t, pool, "1 + 1").Interface(); got != int64(2) {
				t.Errorf("it is %v", got)
			}
		}
	}
	ofContext := func(method string) func(*testing.T, *quiet) {
		return func(t *testing.T, log *quiet) {
			pool := newPool(t, Config{MaxWorkers: 1, Logger: slog.New(log)})
			handle(t, pool, "tool", func(ctx context.Context, _ Args) (any, error) { <-ctx.Done(); return nil, ctx.Err() })
			inner, cancel := context.WithCancel(context.Background())
			ctx := &throwingContext{Context: inner, method: method}
			execution := pool.Submit(ctx, "await callTool('tool')")
			ctx.armed.Store(true)
			cancel()
			_, err := execution.Result()
			wantIs(t, err, ErrCancelled)
			apart(func() {
				_, _ = pool.Run(ctx, "1")
			})
			if got := run(t, pool, "1 + 1").Interface(); got != int64(2) {
				t.Errorf("it is %v", got)
			}
		}
	}

	for place, try := range map[string]func(*testing.T, *quiet){
		"a tool": ofTool(thrower, nil),
		"OnToolCall": ofTool(thrower, func(tool ToolFunc) (Config, []Option) {
			return Config{OnToolCall: tool}, nil
		}),
		"WithTool": ofTool(thrower, func(tool ToolFunc) (Config, []Option) {
			return Config{}, []Option{WithTool("tool", tool)}
		}),
		"WithToolHandler": ofTool(thrower, func(tool ToolFunc) (Config, []Option) {
			return Config{}, []Option{WithToolHandler(tool)}
		}),
		"MarshalCBOR of a result":      ofTool(returns(throwingCBOR{}, nil), nil),
		"MarshalJSON of a result":      ofTool(returns(throwingJSON{}, nil), nil),
		"MarshalText of a result":      ofTool(returns([]any{throwingText{}}, nil), nil),
		"Error of a tool's error":      ofTool(returns(nil, throwingError{}), nil),
		"As of a tool's error":         ofTool(returns(nil, throwingAs{}), nil),
		"Unwrap of a tool's error":     ofTool(returns(nil, throwingUnwrap{}), nil),
		"Error of a result":            ofTool(returns(throwingError{}, nil), nil),
		"UnmarshalCBOR of an argument": ofTool(Func(func(in []throwingCBOR) int { return 1 }), withArgument),
		"UnmarshalText of an argument": ofTool(Func(func(in []throwingText) int { return 1 }), withArgument),

		"MarshalCBOR of a global": ofCaller(func(p *Pool) {
			_, _ = p.Run(context.Background(), "1", WithGlobal("x", throwingCBOR{}))
		}),
		"MarshalJSON of a global": ofCaller(func(p *Pool) {
			p.Submit(context.Background(), "1", WithGlobal("x", throwingJSON{}))
		}),
		"MarshalText of a global": ofCaller(func(p *Pool) {
			_, _ = p.Compile(context.Background(), "1", WithGlobal("x", []any{throwingText{}}))
		}),
		"UnmarshalCBOR of a result": ofCaller(func(p *Pool) {
			_ = p.RunInto(context.Background(), "1", &throwingCBOR{})
		}),
		"UnmarshalText of a result": ofCaller(func(p *Pool) {
			_, _ = Run[[]throwingText](context.Background(), p, "['a']")
		}),

		"Done of a context":  ofContext("Done"),
		"Err of a context":   ofContext("Err"),
		"Value of a context": ofContext("Value"),
		"Error of a context's cause": func(t *testing.T, log *quiet) {
			pool := newPool(t, Config{MaxWorkers: 1, Logger: slog.New(log)})
			ctx, cancel := context.WithCancelCause(context.Background())
			execution := pool.Submit(ctx, forever)
			cancel(throwingError{})
			_, err := execution.Result()
			wantIs(t, err, ErrCancelled, context.Canceled)
		},

		"OnConsole": func(t *testing.T, log *quiet) {
			var lines atomic.Int64
			pool := newPool(t, Config{MaxWorkers: 1, Logger: slog.New(log), OnConsole: func(ConsoleLine) {
				lines.Add(1)
				throwNow()
			}})
			for range 3 {
				run(t, pool, "console.log(1); console.log(2)")
			}
			if lines.Load() != 6 || log.faults.Load() != 6 {
				t.Errorf("there were %d lines and %d faults", lines.Load(), log.faults.Load())
			}
		},
		"WithConsole": func(t *testing.T, log *quiet) {
			pool := newPool(t, Config{MaxWorkers: 1, Logger: slog.New(log)})
			var lines atomic.Int64
			run(t, pool, "console.log(1); console.log(2)", WithConsole(func(ConsoleLine) {
				lines.Add(1)
				throwNow()
			}))
			if lines.Load() != 2 || log.faults.Load() != 2 {
				t.Errorf("there were %d lines and %d faults", lines.Load(), log.faults.Load())
			}
		},
		"OnStatsUpdate": func(t *testing.T, log *quiet) {
			var updates atomic.Int64
			pool := newPool(t, Config{
				MaxWorkers: 1, Logger: slog.New(log), StatsInterval: time.Millisecond,
				OnStatsUpdate: func(Stats) {
					updates.Add(1)
					throwNow()
				},
			})
			eventually(t, func() bool { return updates.Load() > 3 && log.faults.Load() > 3 })
			run(t, pool, "1")
		},
		"OnWorkerRecycled": func(t *testing.T, log *quiet) {
			var events atomic.Int64
			pool := newPool(t, Config{
				MaxWorkers: 1, MaxExecutionsPerWorker: 1, Logger: slog.New(log),
				OnWorkerRecycled: func(WorkerRecycled) {
					events.Add(1)
					throwNow()
				},
			})
			for range 5 {
				run(t, pool, "1")
			}
			if err := pool.Close(); err != nil {
				t.Error(err)
			}
			want := int64(pool.Stats().RecyclesTotal)
			eventually(t, func() bool { return events.Load() == want && log.faults.Load() == want })
		},
		"a handler of slog": func(t *testing.T, _ *quiet) {
			var events, lines atomic.Int64
			pool := newPool(t, Config{
				MaxWorkers: 1, MaxExecutionsPerWorker: 1, Logger: slog.New(throwingHandler{}),
				OnWorkerRecycled: func(WorkerRecycled) { events.Add(1) },
				OnConsole:        func(ConsoleLine) { lines.Add(1); panic("logged") },
			})
			handle(t, pool, "panics", func(context.Context, Args) (any, error) { panic("logged") })
			handle(t, pool, "fails", func(context.Context, Args) (any, error) { return nil, errors.New("logged") })
			handle(t, pool, "unfit", func(context.Context, Args) (any, error) { return func() {}, nil })
			handle(t, pool, "bytes", func(context.Context, Args) (any, error) { return "\xff", nil })
			for _, tool := range []string{"panics", "fails", "unfit", "bytes"} {
				got := run(t, pool, "console.log(1); try { await callTool(tool) } catch (e) { return e.name }", WithGlobal("tool", tool))
				if got.String() != "Error" {
					t.Errorf("%s: %v", tool, got)
				}
			}
			if err := pool.Close(); err != nil {
				t.Error(err)
			}
			want := int64(pool.Stats().RecyclesTotal)
			eventually(t, func() bool { return events.Load() == want && lines.Load() == 4 })
		},
	} {
		t.Run(place, func(t *testing.T) {
			for way, f := range ways {
				t.Run(way, func(t *testing.T) {
					throw.Store(&f)
					try(t, &quiet{})
				})
			}
		})
	}
}

// withArgument has every call of a tool give it an argument that has to be decoded.
func withArgument(tool ToolFunc) (Config, []Option) {
	var argument Value
	if err := argument.UnmarshalJSON([]byte(`["x"]`)); err != nil {
		panic(err)
	}
	return Config{}, []Option{WithTool("tool", func(ctx context.Context, args Args) (any, error) {
		args.Value = argument
		return tool(ctx, args)
	})}
}

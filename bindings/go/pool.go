package enclave

import (
	"context"
	"fmt"
	"runtime"

	"github.com/enclave/enclave/bindings/go/internal/capi"
)

// Pool runs scripts in workers. Make one with [New] and keep it, because starting a pool costs time. All methods may be
// called from any goroutine, at any time, even after Close; then they give ErrPoolClosed.
type Pool struct {
	inner   *capi.Pool
	config  Config
	tools   toolbox
	anyTool ToolFunc
	logger  logger
}

// New makes a pool and, unless WarmOnInit is off, waits until its MinWorkers workers have started.
//
// It fails with ErrInvalidArgument if a setting is out of range, with ErrUnsupported if the library cannot provide it
// (such as process isolation if it does not find enclave-worker), and with ErrWorkerStartup.
func New(cfg Config) (*Pool, error) {
	settings, err := cfg.settings()
	if err != nil {
		return nil, err
	}
	inner, failure := capi.NewPool(cfg.preset, settings, cfg.WorkerPath, cfg.Cgroup, cfg.callbacks())
	if failure != nil {
		return nil, newError(failure)
	}
	pool := &Pool{inner: inner, config: cfg, anyTool: cfg.OnToolCall, logger: logger{cfg.Logger}}
	pool.config.fill(inner.Settings)
	// A backstop for pools that nobody closes. It waits, so it gets a goroutine.
	runtime.AddCleanup(pool, func(inner *capi.Pool) { go inner.Close() }, inner)
	return pool, nil
}

// Config gives the pool's config with every field filled in. You may make another pool from it, or from a changed copy.
func (p *Pool) Config() Config { return p.config }

// Run runs a script and waits for its result.
//
// When ctx ends, the execution is cancelled, and Run returns as soon as it has stopped, usually within two milliseconds:
// with an error that matches both [ErrCancelled] and the context's own ([context.Canceled] or
// [context.DeadlineExceeded]). The time in the queue counts for ctx, but not for the limit [Limits.Timeout].
//
// While it waits, Run holds a goroutine and no thread, except in the first millisecond. Then up to GOMAXPROCS - 1 calls
// hold their thread, because that is the quickest way to a result.
func (p *Pool) Run(ctx context.Context, source string, opts ...Option) (Value, error) {
	return p.run(ctx, capi.Submission{Source: source}, opts)
}

// RunInto runs a script and stores its result in what dst points to, as [Value.Decode] does. If the script gives
// undefined, for instance because it forgets to return something, the error matches [ErrNoResult], unless dst points to
// a [Value], an empty interface or an [Undefined].
func (p *Pool) RunInto(ctx context.Context, source string, dst any, opts ...Option) error {
	value, err := p.Run(ctx, source, opts...)
	return into(dst, value, err)
}

// into stores a result.
func into(dst any, value Value, err error) error {
	if err != nil {
		return err
	}
	if value.Kind() == KindUndefined {
		switch dst.(type) {
		case *Value, *any, *Undefined:
		default:
			return fmt.Errorf("%w for %T: it is undefined", ErrNoResult, dst)
		}
	}
	return value.Decode(dst)
}

// Run runs a script and gives its result as a T, as [Pool.RunInto] does.
func Run[T any](ctx context.Context, pool *Pool, source string, opts ...Option) (T, error) {
	var result T
	err := pool.RunInto(ctx, source, &result, opts...)
	return result, err
}

// Submit submits a script and returns immediately. When ctx ends, the execution is cancelled. A submission that is
// refused (ErrQueueFull, say) gives an execution that is done.
func (p *Pool) Submit(ctx context.Context, source string, opts ...Option) *Execution {
	execution := p.submit(ctx, capi.Submission{Source: source}, opts)
	execution.watch()
	return execution
}

// HandleTool registers a tool for executions that are submitted from now on, in place of one of the same name. A script
// calls it as tools.name(args) or callTool("name", args), which give promises. Names are letters, digits and _ : . -
// after a letter or _, up to 256 bytes.
//
// [Tool] and [Func] make a ToolFunc of functions with Go types.
func (p *Pool) HandleTool(name string, tool ToolFunc) error {
	if tool == nil {
		return invalid("tool", "%q is nil", name)
	}
	return p.tools.add(name, tool, func() error { return asError(p.inner.RegisterTool(name)) })
}

// Stats gives a snapshot of the pool's stats; after Close, the last one.
func (p *Pool) Stats() Stats { return newStats(p.inner.Stats()) }

// Shutdown refuses new scripts, ends waiting ones with ErrPoolClosed, and lets running ones go on until ctx ends, but
// no longer than the pool's GracefulShutdownTimeout. Then it ends those with ErrPoolClosed too. When Shutdown returns,
// every execution has ended and the workers are gone. It gives the context's error if that ended first.
//
// A second call waits for the first. Call Close too, to free what is left: a pool that is only shut down still has its
// stats.
func (p *Pool) Shutdown(ctx context.Context) error {
	if err := p.mayWait(); err != nil {
		return err
	}
	timeout := capi.PoolTimeout
	if ctx.Err() != nil {
		timeout = 0
	}
	// A second call with less time shortens the first.
	stop := context.AfterFunc(ctx, func() { p.inner.Shutdown(0) })
	err := p.inner.Shutdown(timeout)
	inTime := stop()
	if err != nil {
		return newError(err)
	}
	if !inTime {
		return fmt.Errorf("enclave: the shutdown was cut short: %w", context.Cause(ctx))
	}
	return nil
}

// Close shuts the pool down and frees it. Running executions may go on for its GracefulShutdownTimeout. A second call
// does nothing.
func (p *Pool) Close() error {
	if err := p.mayWait(); err != nil {
		return err
	}
	return asError(p.inner.Close())
}

// Version is the version of the loaded library, such as "0.1.0".
func Version() string { return capi.Version() }

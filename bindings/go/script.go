package enclave

import (
	"context"

	"github.com/enclave/enclave/bindings/go/internal/capi"
)

// Script is a source that [Pool.Compile] has compiled, to run any number of times. It never changes, needs no Close,
// and several goroutines may use it at the same time.
//
// Each worker that runs it compiles it once and keeps what it made, as far as there is place: a 32nd of its memory limit
// for all that it keeps.
type Script struct {
	pool   *Pool
	script *capi.Script
	opts   []Option
}

// Compile compiles a source without running it, and waits for that: it takes a place in the queue and the time that the
// limits allow, counts as an execution, and is cancelled when ctx ends, as in [Pool.Run]. [WithKind] and [WithFilename]
// stay with the script for good; other options are those of its runs too, unless these have their own.
//
// Workers also keep a source compiled when it comes twice through [Pool.Run]. A script is kept from the first time on,
// and its syntax errors are known before it runs: they match [ErrSyntax].
func (p *Pool) Compile(ctx context.Context, source string, opts ...Option) (*Script, error) {
	script := &Script{pool: p, opts: opts}
	execution, s := p.prepare(ctx, capi.Submission{Source: source}, opts)
	if s != nil {
		if err := p.mayWait(); err != nil {
			return nil, err
		}
		compiled, handle, err := p.inner.Compile(s, (*completer)(execution))
		script.script = compiled
		execution.admit(handle, err)
	}
	if _, err := execution.await(); err != nil {
		return nil, err
	}
	return script, nil
}

// Run runs the script, as [Pool.Run] does; opts come after those of Compile.
func (s *Script) Run(ctx context.Context, opts ...Option) (Value, error) {
	return s.pool.run(ctx, s.submission(), s.with(opts))
}

// RunInto runs the script, as [Pool.RunInto] does.
func (s *Script) RunInto(ctx context.Context, dst any, opts ...Option) error {
	value, err := s.Run(ctx, opts...)
	return into(dst, value, err)
}

// Submit submits the script, as [Pool.Submit] does.
func (s *Script) Submit(ctx context.Context, opts ...Option) *Execution {
	execution := s.pool.submit(ctx, s.submission(), s.with(opts))
	execution.watch()
	return execution
}

func (s *Script) submission() capi.Submission { return capi.Submission{Script: s.script} }

func (s *Script) with(opts []Option) []Option {
	if len(opts) == 0 {
		return s.opts
	}
	return append(s.opts[:len(s.opts):len(s.opts)], opts...)
}

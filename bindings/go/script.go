package enclave

import "context"

// Script is a source with its options, to be run many times.
//
// Each worker keeps compiled what it runs a second time, as far as there is place, whether it comes by a Script or by
// [Pool.Run]: a Script saves repeating the arguments, and is not faster.
type Script struct {
	pool   *Pool
	source string
	opts   []Option
}

// Compile makes a Script. It does not look at the source yet: a syntax error comes from its runs.
func (p *Pool) Compile(ctx context.Context, source string, opts ...Option) (*Script, error) {
	if ctx.Err() != nil {
		return nil, ended(ctx)
	}
	if err := applyTo(&submission{}, opts); err != nil {
		return nil, err
	}
	return &Script{p, source, opts}, nil
}

// Run runs the script, as [Pool.Run] does; opts come after those of Compile.
func (s *Script) Run(ctx context.Context, opts ...Option) (Value, error) {
	return s.pool.Run(ctx, s.source, s.with(opts)...)
}

// RunInto runs the script, as [Pool.RunInto] does.
func (s *Script) RunInto(ctx context.Context, dst any, opts ...Option) error {
	return s.pool.RunInto(ctx, s.source, dst, s.with(opts)...)
}

// Submit submits the script, as [Pool.Submit] does.
func (s *Script) Submit(ctx context.Context, opts ...Option) *Execution {
	return s.pool.Submit(ctx, s.source, s.with(opts)...)
}

func (s *Script) with(opts []Option) []Option {
	if len(opts) == 0 {
		return s.opts
	}
	return append(s.opts[:len(s.opts):len(s.opts)], opts...)
}

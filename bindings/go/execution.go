package enclave

import (
	"context"
	"sync"

	"github.com/enclave/enclave/bindings/go/internal/capi"
)

// Execution is a submitted script. All methods may be called from any goroutine, at any time. The execution goes on
// until it is done, whether or not anybody waits for it, and keeps its pool alive.
type Execution struct {
	ctx   context.Context
	inner *capi.Pool
	pool  *Pool      // keeps the pool from being cleaned up meanwhile
	calls *toolCalls // nil without tools
	id    uint64
	done  chan struct{}

	mu sync.Mutex
	// The library's handle, nil before the submission and after the end; freed when nobody uses it any more.
	handle *capi.Execution
	users  int
	ended  bool
	stop   func() bool // the watch over the context

	// What is below is written before done is closed.
	value   Value
	err     error
	stats   ExecutionStats
	console []ConsoleLine
}

// submit submits a source or a script. Always gives an execution; one that was refused is done.
func (p *Pool) submit(ctx context.Context, what capi.Submission, opts []Option) *Execution {
	e, s := p.prepare(ctx, what, opts)
	if s != nil {
		e.admit(p.inner.Submit(s, (*completer)(e)))
	}
	return e
}

// run runs a source or a script.
func (p *Pool) run(ctx context.Context, what capi.Submission, opts []Option) (Value, error) {
	e, s := p.prepare(ctx, what, opts)
	if s == nil {
		return e.value, e.err
	}
	if err := p.mayWait(); err != nil {
		return Value{}, err
	}
	outcome, handle, err := p.inner.Run(s, (*completer)(e))
	if outcome != nil {
		(*completer)(e).Complete(outcome)
		return e.value, e.err
	}
	e.admit(handle, err)
	return e.await()
}

// prepare makes an execution and what is to be submitted for it; nil if it was refused and is done.
func (p *Pool) prepare(ctx context.Context, what capi.Submission, opts []Option) (*Execution, *capi.Submission) {
	e := &Execution{ctx: ctx, inner: p.inner, pool: p, done: make(chan struct{})}
	switch {
	case ctx == nil:
		e.ctx = context.Background()
		return e.refuse(invalid("ctx", "it is nil; context.Background() is one that never ends")), nil
	case ctx.Err() != nil:
		return e.refuse(ended(ctx)), nil
	}
	s := submission{Submission: what}
	if err := applyTo(&s, opts); err != nil {
		return e.refuse(err), nil
	}
	s.Console = p.logger.console("WithConsole", s.console)
	tools, anyTool := s.tools, s.anyTool
	for name := range tools {
		s.ToolNames = append(s.ToolNames, name)
	}
	if anyTool == nil {
		tools, anyTool = p.tools.with(s.tools), p.anyTool
	}
	if tools != nil || anyTool != nil {
		e.calls = &toolCalls{tools: tools, anyTool: anyTool, logger: p.logger, parent: ctx}
		s.Tools = e.calls
	}
	return e, &s.Submission
}

// admit takes the library's handle, or its refusal.
func (e *Execution) admit(handle *capi.Execution, err *capi.Error) {
	if err != nil {
		e.refuse(newError(err))
		return
	}
	e.id = handle.ID()
	e.mu.Lock()
	e.handle = handle
	e.users++
	e.mu.Unlock()
	e.release()
}

// acquire gives the library's handle, which stays until release; nil if the execution has ended.
func (e *Execution) acquire() *capi.Execution {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended || e.handle == nil {
		return nil
	}
	e.users++
	return e.handle
}

// release frees the handle if the execution has ended and nobody uses it.
func (e *Execution) release() {
	e.mu.Lock()
	e.users--
	handle := e.handle
	if handle == nil || !e.ended || e.users > 0 {
		handle = nil
	} else {
		e.handle = nil
	}
	e.mu.Unlock()
	if handle != nil {
		handle.Free()
	}
}

// refuse ends an execution that the library does not have.
func (e *Execution) refuse(err error) *Execution {
	e.ended, e.err, e.pool = true, err, nil
	close(e.done)
	return e
}

// watch cancels the execution when its context ends.
func (e *Execution) watch() {
	if e.ctx.Done() == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.ended {
		e.stop = context.AfterFunc(e.ctx, e.Cancel)
	}
}

// completer is the end of an execution that the library holds.
type completer Execution

// Complete says how the execution has ended, on a thread of the worker.
func (c *completer) Complete(outcome *capi.Outcome) {
	e := (*Execution)(c)
	var ended contextEnd
	if outcome.Err != nil && Status(outcome.Err.Status) == StatusCancelled {
		ended = endOf(e.ctx)
	}
	if e.calls != nil {
		e.calls.end(ended.cause)
	}
	e.stats = newExecutionStats(outcome.Stats)
	for _, line := range outcome.Console {
		e.console = append(e.console, newConsoleLine(line))
	}
	if outcome.Err == nil {
		e.value = Value{outcome.Value}
	} else {
		e.err = e.explain(newError(outcome.Err), ended)
	}
	e.mu.Lock()
	e.ended = true
	e.users++
	stop := e.stop
	e.stop, e.pool = nil, nil
	e.mu.Unlock()
	if stop != nil {
		stop()
	}
	e.release()
	close(e.done)
}

// explain adds what the library does not know: the context that ended, the error of a tool.
func (e *Execution) explain(err *Error, ended contextEnd) *Error {
	err.blame(ended)
	if err.Status == StatusException && e.calls != nil {
		script := err.causes[0].(*ScriptError)
		script.cause = e.calls.cause(script)
	}
	return err
}

// ID is the execution's id, unique in its pool and growing with every submission; 0 if it was refused.
func (e *Execution) ID() uint64 { return e.id }

// Done is closed when the execution has ended.
func (e *Execution) Done() <-chan struct{} { return e.done }

// Result waits until the execution has ended, and gives its value or its error, the same to every caller.
func (e *Execution) Result() (Value, error) {
	if err := e.wait(); err != nil {
		return Value{}, err
	}
	return e.value, e.err
}

// Stats waits until the execution has ended, and says what it took; zero if it was refused.
func (e *Execution) Stats() ExecutionStats {
	if e.wait() != nil {
		return ExecutionStats{}
	}
	return e.stats
}

// Console waits until the execution has ended, and gives its console lines, if it was submitted with [CollectConsole].
func (e *Execution) Console() []ConsoleLine {
	if e.wait() != nil {
		return nil
	}
	return e.console
}

// wait fails in a callback of the pool.
func (e *Execution) wait() error {
	if err := e.mayWait(); err != nil {
		return err
	}
	<-e.done
	return nil
}

func (e *Execution) mayWait() error {
	select {
	case <-e.done:
		return nil
	default:
		return mayWait(e.inner)
	}
}

func (p *Pool) mayWait() error { return mayWait(p.inner) }

// mayWait fails in a callback of the pool.
func mayWait(pool *capi.Pool) error {
	if !pool.InCallback() {
		return nil
	}
	return &Error{
		Status:  StatusInvalidState,
		Message: "a callback of the pool may not wait for it; submit the script, or start a goroutine",
	}
}

// await waits until the execution has ended, and cancels it when its context ends. It waits even so, so that nothing
// of the execution is left when it returns.
func (e *Execution) await() (Value, error) {
	if err := e.mayWait(); err != nil {
		e.Cancel()
		return Value{}, err
	}
	select {
	case <-e.done:
	case <-e.ctx.Done():
		e.Cancel()
		<-e.done
	}
	return e.value, e.err
}

// Cancel cancels the execution and returns immediately. A waiting execution ends with ErrCancelled right away, a
// running one as soon as its worker can be stopped; one that is done stays as it is.
func (e *Execution) Cancel() {
	// The handle is this execution's alone, so a late call hits no other. No lock is held: what waits ends in here.
	if handle := e.acquire(); handle != nil {
		handle.Cancel()
		e.release()
	}
}

package enclave

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/enclave/enclave/bindings/go/internal/capi"
)

// Args are the arguments that a script gives to a tool. They are untrusted: check what you use.
type Args struct {
	// Value is the argument, undefined where the script gave none.
	Value
	// Tool is the name that was called, ExecutionID who calls.
	Tool        string
	ExecutionID uint64
}

// ToolFunc is a tool. Its result fulfils the script's promise ([ValueOf] says how); an error rejects it.
//
// It runs on a goroutine of its own and may block. Its context has the values of the execution's context, and ends with
// the execution, however that ends; an answer after that goes nowhere. It may run other scripts on the same pool, as
// long as the pool has workers to spare: a script that waits for its tool keeps its worker.
//
// The script catches an Error with the error's message; an [*ErrorValue] (anywhere in the chain) says name, message and
// code. If the script does not catch it, the caller's [*ScriptError] wraps the error that the tool returned. Errors are
// logged at info.
//
// A fault of the host is logged at error. The script learns nothing of it except the code of the Error that it catches:
// TOOL_PANIC for a panic, which is recovered (the caller's error wraps a [*PanicError]), and TOOL_RESULT for a result
// that has no JavaScript value.
type ToolFunc func(ctx context.Context, args Args) (any, error)

// Tool makes a tool from a function that takes its argument as a Go value. If an argument does not fit, the promise is
// rejected with a TypeError that says where and why, such as "items[1].qty: expected number, got string"; the caller's
// error wraps the [*DecodeError].
func Tool[In, Out any](f func(context.Context, In) (Out, error)) ToolFunc {
	return func(ctx context.Context, args Args) (any, error) {
		var in In
		if err := args.Decode(&in); err != nil {
			return nil, argumentError(args.Tool, err)
		}
		return f(ctx, in)
	}
}

// argumentError is what a script and its host see of an argument that does not fit.
func argumentError(tool string, err error) error {
	seen := &ErrorValue{Name: "TypeError", Message: tool + ": the argument is not accepted", Code: "INVALID_ARGUMENT"}
	if misfit := (*DecodeError)(nil); errors.As(err, &misfit) {
		seen.Message = tool + ": " + misfit.forScript()
	}
	return &shownAs{seen, err}
}

// shownAs is an error that the script sees as another.
type shownAs struct {
	seen  *ErrorValue
	cause error
}

func (e *shownAs) Error() string   { return e.cause.Error() }
func (e *shownAs) Unwrap() []error { return []error{e.seen, e.cause} }

// Func makes a tool from a function that neither blocks nor fails, such as strings.ToUpper.
func Func[In, Out any](f func(In) Out) ToolFunc {
	return Tool(func(_ context.Context, in In) (Out, error) { return f(in), nil })
}

// PanicError is a panic of a tool.
type PanicError struct {
	Tool  string
	Value any    // what was given to panic
	Stack []byte // of the goroutine that panicked
}

// Error gives the tool and the panic's value.
func (e *PanicError) Error() string { return "tool " + e.Tool + " panicked: " + textOf(e.Value) }

// Unwrap gives the panic's value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// textOf is the text of a value that was given to panic; its own methods may panic too, also inside fmt.
func textOf(value any) (text string) {
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf("a %T whose text cannot be had", value)
		}
	}()
	return fmt.Sprint(value)
}

// toolbox has the tools of a pool. An execution takes those that are there when it is submitted.
type toolbox struct {
	mu    sync.Mutex // held by writers
	tools atomic.Pointer[map[string]ToolFunc]
}

func (b *toolbox) current() map[string]ToolFunc {
	if tools := b.tools.Load(); tools != nil {
		return *tools
	}
	return nil
}

// with are these tools, and an execution's own.
func (b *toolbox) with(own map[string]ToolFunc) map[string]ToolFunc {
	tools := b.current()
	if len(own) == 0 {
		return tools
	}
	all := make(map[string]ToolFunc, len(tools)+len(own))
	maps.Copy(all, tools)
	maps.Copy(all, own)
	return all
}

// add adds a tool and has it registered; if that fails, all is as before.
func (b *toolbox) add(name string, tool ToolFunc, register func() error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.tools.Load()
	after := map[string]ToolFunc{}
	maps.Copy(after, b.current())
	after[name] = tool
	// First here, so that whoever sees it in `tools` finds it.
	b.tools.Store(&after)
	if err := register(); err != nil {
		b.tools.Store(before)
		return err
	}
	return nil
}

// toolCalls answers the tool calls of one execution.
type toolCalls struct {
	tools   map[string]ToolFunc
	anyTool ToolFunc
	logger  logger
	parent  context.Context

	mu     sync.Mutex
	ctx    context.Context // made for the first call
	cancel context.CancelCauseFunc
	ended  bool
	failed []toolFailure
}

// toolFailure is an error of a tool, and what the script has seen of it.
type toolFailure struct {
	seen  ErrorValue
	cause error
}

var errExecutionEnded = errors.New("enclave: the execution has ended")

// CallTool starts a goroutine that answers the call.
func (c *toolCalls) CallTool(name string, arg []byte, call *capi.ToolCall) {
	tool := c.tools[name]
	if tool == nil {
		tool = c.anyTool
	}
	if tool == nil {
		call.Reject("Error", "there is no tool named "+name, "TOOL_NOT_FOUND")
		return
	}
	args := Args{Value: Value{arg}, Tool: name, ExecutionID: call.ExecutionID()}
	ctx := c.context()
	go func() {
		// Whatever the tool does, also runtime.Goexit, the call is answered.
		answered := false
		defer func() {
			if !answered {
				c.reject(call, &toolFailure{panicSeen(name), &PanicError{Tool: name, Value: "its goroutine ended"}})
			}
		}()
		result, failure := c.run(ctx, tool, args)
		if failure == nil {
			if err := call.Resolve(result); err != nil {
				failure = c.unfit(ctx, args, newError(err))
			}
		}
		if failure != nil {
			c.reject(call, failure)
		}
		answered = true
	}()
}

func (c *toolCalls) context() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx == nil {
		// It does not end with its parent, but with the execution, which ends because its parent does: else a tool
		// could fail because of that, and the script of this failure, before the execution is cancelled.
		c.ctx, c.cancel = context.WithCancelCause(context.WithoutCancel(c.parent))
		if c.ended {
			c.cancel(errExecutionEnded)
		}
	}
	return c.ctx
}

// end ends the context of the tools that run.
func (c *toolCalls) end(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.cancel != nil {
		c.cancel(cmp.Or(cause, errExecutionEnded))
	}
}

// run calls the tool, and encodes what it returns or says what the script sees of its error. A panic is an error, also
// one of a method of what the tool returns.
func (c *toolCalls) run(ctx context.Context, tool ToolFunc, args Args) (result []byte, failure *toolFailure) {
	defer func() {
		value := recover()
		if value == nil {
			return
		}
		panicked := &PanicError{Tool: args.Tool, Value: value, Stack: debug.Stack()}
		result, failure = nil, &toolFailure{panicSeen(args.Tool), panicked}
		c.logger.fault(ctx, "tool panicked", slog.String("tool", args.Tool), slog.String("panic", textOf(value)),
			slog.String("stack", string(panicked.Stack)), slog.Uint64("execution", args.ExecutionID))
	}()
	value, err := tool(ctx, args)
	if err != nil {
		failure = newFailure(err)
		c.logger.log(ctx, slog.LevelInfo, "tool failed", slog.String("tool", args.Tool), slog.Any("error", err),
			slog.Uint64("execution", args.ExecutionID))
		return nil, failure
	}
	if result, err = encode(value); err != nil {
		return nil, c.unfit(ctx, args, err)
	}
	return result, nil
}

func newFailure(err error) *toolFailure {
	seen := ErrorValue{Message: err.Error()}
	if exact := (*ErrorValue)(nil); errors.As(err, &exact) {
		seen = *exact
	}
	seen.Name = cmp.Or(seen.Name, "Error")
	for _, text := range []*string{&seen.Name, &seen.Message, &seen.Code} {
		*text = strings.ToValidUTF8(*text, "\ufffd") // it has to arrive, whatever its text
	}
	return &toolFailure{seen, err}
}

// unfit is a result that cannot be given to the script, which is a fault of the host.
func (c *toolCalls) unfit(ctx context.Context, args Args, err error) *toolFailure {
	attrs := []slog.Attr{slog.String("tool", args.Tool), slog.String("error", err.Error())}
	if known := (*Error)(nil); errors.As(err, &known) && known.Details.Path != "" {
		attrs = append(attrs, slog.String("path", known.Details.Path))
	}
	c.logger.fault(ctx, "tool result has no JavaScript value", append(attrs, slog.Uint64("execution", args.ExecutionID))...)
	seen := ErrorValue{Name: "Error", Message: "the tool " + args.Tool + " failed", Code: "TOOL_RESULT"}
	return &toolFailure{seen, fmt.Errorf("what tool %s returned cannot be given to the script: %w", args.Tool, err)}
}

// panicSeen is what a script sees of a panic: nothing.
func panicSeen(tool string) ErrorValue {
	return ErrorValue{Name: "Error", Message: "the tool " + tool + " failed", Code: "TOOL_PANIC"}
}

func (c *toolCalls) reject(call *capi.ToolCall, failure *toolFailure) {
	c.mu.Lock()
	c.failed = append(c.failed, *failure)
	c.mu.Unlock()
	call.Reject(failure.seen.Name, failure.seen.Message, failure.seen.Code)
}

// cause is the tool's error that the script has not caught: the last one that looks like its exception.
func (c *toolCalls) cause(script *ScriptError) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := len(c.failed) - 1; i >= 0; i-- {
		seen := c.failed[i].seen
		if seen.Name == script.Name && seen.Message == script.Message && seen.Code == script.Code {
			return c.failed[i].cause
		}
	}
	return nil
}

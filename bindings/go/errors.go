package enclave

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/enclave/enclave/bindings/go/internal/capi"
)

// Status says how a call or an execution ended. The numbers are pinned and never reused, in bands: 1 to 99 misuse, 100
// to 199 the script, 200 to 299 limits, 300 to 399 admission, 400 to 499 workers, 500 the library.
type Status int32

// The statuses. Each but StatusOK has a sentinel for [errors.Is].
const (
	StatusOK                    Status = 0
	StatusInvalidArgument       Status = 1
	StatusInvalidState          Status = 2
	StatusPoolClosed            Status = 3
	StatusForked                Status = 4
	StatusUnsupported           Status = 5
	StatusSyntaxError           Status = 100
	StatusException             Status = 101
	StatusUnsettled             Status = 102
	StatusResultNotTransferable Status = 103
	StatusTimeout               Status = 200
	StatusCPULimit              Status = 201
	StatusMemoryLimit           Status = 202
	StatusConsoleLimit          Status = 203
	StatusToolCallLimit         Status = 204
	StatusMessageFlood          Status = 205
	StatusMessageTooLarge       Status = 206
	StatusCancelled             Status = 207
	StatusQueueFull             Status = 300
	StatusQueueTimeout          Status = 301
	StatusWorkerCrashed         Status = 400
	StatusWorkerStartup         Status = 401
	StatusInternal              Status = 500
)

// One error for each status, for [errors.Is]. The package returns an [*Error], which says more.
var (
	// An argument or a setting is wrong; the error names it and what it accepts.
	ErrInvalidArgument = errors.New("enclave: invalid argument")
	// The call is not possible now, such as waiting for a pool inside one of its callbacks.
	ErrInvalidState = errors.New("enclave: invalid state")
	// Submitted after Shutdown or Close, or ended by it.
	ErrPoolClosed = errors.New("enclave: pool closed")
	// Used in a process forked from the one that made the pool.
	ErrForked = errors.New("enclave: used in a forked child")
	// Not available here; the message says why.
	ErrUnsupported = errors.New("enclave: unsupported")
	// The source does not parse; there is a [*ScriptError].
	ErrSyntax = errors.New("enclave: syntax error")
	// The script threw and nothing caught it; there is a [*ScriptError].
	ErrException = errors.New("enclave: uncaught exception")
	// The script waits for a promise that nothing can settle any more.
	ErrUnsettled = errors.New("enclave: promise that nothing can settle")
	// The result cannot be copied out; Details.Path says which part.
	ErrResultNotTransferable = errors.New("enclave: result not transferable")
	// The wall-clock limit. It is not [context.DeadlineExceeded], which is the deadline of the caller's context.
	ErrTimeout = errors.New("enclave: wall-clock limit")
	// The limit of CPU time.
	ErrCPULimit = errors.New("enclave: CPU limit")
	// The worker's memory limit.
	ErrMemoryLimit = errors.New("enclave: memory limit")
	// Too many console calls, or too much output.
	ErrConsoleLimit = errors.New("enclave: console limit")
	// Too many tool calls, or too many that wait at the same time.
	ErrToolCallLimit = errors.New("enclave: tool call limit")
	// Too many tool calls and console lines in a second.
	ErrMessageFlood = errors.New("enclave: message flood")
	// A source, result, tool argument, tool reply or console line over MaxMessageSize.
	ErrMessageTooLarge = errors.New("enclave: message too large")
	// Cancelled: by [Execution.Cancel], or because a context ended, which the error then matches too.
	ErrCancelled = errors.New("enclave: cancelled")
	// No place in the queue; Details.RetryAfter says when to try again.
	ErrQueueFull = errors.New("enclave: queue full")
	// Waited too long in the queue.
	ErrQueueTimeout = errors.New("enclave: queue timeout")
	// The worker crashed or stopped responding.
	ErrWorkerCrashed = errors.New("enclave: worker crashed")
	// A worker could not be started; the message has the cause.
	ErrWorkerStartup = errors.New("enclave: worker startup")
	// A bug of the library.
	ErrInternal = errors.New("enclave: internal error")

	// The script gave undefined where a result was wanted ([Pool.RunInto]). It is not an [*Error], because the
	// execution itself went well.
	ErrNoResult = errors.New("enclave: the script gave no result")
)

var sentinels = map[Status]error{
	StatusInvalidArgument:       ErrInvalidArgument,
	StatusInvalidState:          ErrInvalidState,
	StatusPoolClosed:            ErrPoolClosed,
	StatusForked:                ErrForked,
	StatusUnsupported:           ErrUnsupported,
	StatusSyntaxError:           ErrSyntax,
	StatusException:             ErrException,
	StatusUnsettled:             ErrUnsettled,
	StatusResultNotTransferable: ErrResultNotTransferable,
	StatusTimeout:               ErrTimeout,
	StatusCPULimit:              ErrCPULimit,
	StatusMemoryLimit:           ErrMemoryLimit,
	StatusConsoleLimit:          ErrConsoleLimit,
	StatusToolCallLimit:         ErrToolCallLimit,
	StatusMessageFlood:          ErrMessageFlood,
	StatusMessageTooLarge:       ErrMessageTooLarge,
	StatusCancelled:             ErrCancelled,
	StatusQueueFull:             ErrQueueFull,
	StatusQueueTimeout:          ErrQueueTimeout,
	StatusWorkerCrashed:         ErrWorkerCrashed,
	StatusWorkerStartup:         ErrWorkerStartup,
	StatusInternal:              ErrInternal,
}

// String is the name of the status, such as "MEMORY_LIMIT".
func (s Status) String() string { return nameOr(capi.StatusName(int32(s)), "Status", int32(s)) }

// MarshalText gives the name, for keys and values of JSON.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// nameIn is the name of a number, "" if it has none.
func nameIn(number int, names ...string) string {
	if number < 0 || number >= len(names) {
		return ""
	}
	return names[number]
}

// nameOr is a name, or what stands for a number that has none.
func nameOr(name, kind string, number int32) string {
	if name != "" {
		return name
	}
	return fmt.Sprintf("%s(%d)", kind, number)
}

// Error says why a call or an execution failed. Every error of the library that this package returns is one.
//
// [errors.Is] matches it with the sentinel of its Status. If a context ended the execution, it also matches the
// context's error and its cause; if a tool's error ended the script, that error. [errors.As] finds the [*ScriptError]
// in it.
type Error struct {
	Status Status
	// One line that is complete without the status. It may quote the script, which is untrusted.
	Message string
	Details Details

	causes []error
}

// Details are the facts of an [Error] beyond its message. Each field names the statuses that fill it; for all others it
// is zero.
type Details struct {
	// INVALID_ARGUMENT, UNSUPPORTED: the argument, setting or feature.
	Field string
	// RESULT_NOT_TRANSFERABLE: where the value in the way is, such as "result.items[3]".
	Path string
	// 200 to 206: the setting whose limit was passed, such as "memory_limit_per_worker" or "timeout_ms", and the limit
	// in milliseconds (if the name ends in _ms), bytes, or a count.
	Setting string
	Limit   int64
	// MEMORY_LIMIT: bytes in use when the limit was seen to be passed.
	UsedBytes int64
	// QUEUE_FULL: how many executions wait, and when a place may be free, judged by the recent pace.
	QueueSize  int
	RetryAfter time.Duration
	// QUEUE_TIMEOUT: how long it waited.
	Waited time.Duration
	// WORKER_CRASHED: the signal that ended the worker; 0 if it was none.
	Signal int
}

// Error gives the message.
func (e *Error) Error() string { return "enclave: " + e.Message }

// Is matches the sentinel of the status.
func (e *Error) Is(target error) bool { return target != nil && sentinels[e.Status] == target }

// Unwrap gives the causes: the [*ScriptError], the errors of the context that ended.
func (e *Error) Unwrap() []error { return e.causes }

// LogValue gives status, message and details as a group.
func (e *Error) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("status", e.Status.String()), slog.String("message", e.Message)}
	text := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	number := func(key string, value int64) {
		if value != 0 {
			attrs = append(attrs, slog.Int64(key, value))
		}
	}
	text("field", e.Details.Field)
	text("path", e.Details.Path)
	text("setting", e.Details.Setting)
	number("limit", e.Details.Limit)
	number("used_bytes", e.Details.UsedBytes)
	number("queue_size", int64(e.Details.QueueSize))
	number("retry_after_ms", e.Details.RetryAfter.Milliseconds())
	number("waited_ms", e.Details.Waited.Milliseconds())
	number("signal", int64(e.Details.Signal))
	var script *ScriptError
	if errors.As(e, &script) {
		text("name", script.Name)
		text("code", script.Code)
		text("stack", script.Stack)
	}
	return slog.GroupValue(attrs...)
}

// ScriptError says what a script threw, or where it does not parse. It is inside an [*Error] with the status EXCEPTION
// or SYNTAX_ERROR. All of it comes from the script, and is as untrusted as the script.
//
// If it was thrown because a tool failed and the script did not catch that, it wraps the tool's error: errors.Is and
// errors.As find what the tool returned, or the [*PanicError].
type ScriptError struct {
	// The error's name, such as "TypeError"; for a thrown value that is no Error, its type.
	Name string
	// The error's message; for a thrown value that is no Error, its text.
	Message string
	// The error's code; "" if it has none.
	Code string
	// The stack, a frame a line, innermost first.
	Stack string
	// The place in the source, lines and columns from 1, columns in UTF-16 units; 0 where unknown.
	Filename     string
	Line, Column int
	// The text of the line, cut to about 120 characters around the column.
	SourceLine string

	cause error
}

// Error gives name, message and place.
func (e *ScriptError) Error() string {
	text := e.Name
	if text == "" {
		text = e.Message
	} else if e.Message != "" {
		text += ": " + e.Message
	}
	if e.Line == 0 {
		return text
	}
	return fmt.Sprintf("%s (%s:%d:%d)", text, e.Filename, e.Line, e.Column)
}

// Unwrap gives the tool's error that the script did not catch, nil if it was none.
func (e *ScriptError) Unwrap() error { return e.cause }

// newError takes an error of the library over.
func newError(from *capi.Error) *Error {
	err := &Error{
		Status:  Status(from.Status),
		Message: from.Message,
		Details: Details{
			Field:      from.Field,
			Path:       from.Path,
			Setting:    capi.SettingName(from.Setting),
			Limit:      int64(from.Limit),
			UsedBytes:  int64(from.UsedBytes),
			QueueSize:  int(from.QueueSize),
			RetryAfter: milliseconds(from.RetryAfterMS),
			Waited:     milliseconds(from.WaitedMS),
			Signal:     int(from.Signal),
		},
	}
	if err.Status == StatusException || err.Status == StatusSyntaxError {
		err.causes = []error{&ScriptError{
			Name:       from.Name,
			Message:    from.ScriptMessage,
			Code:       from.Code,
			Stack:      from.Stack,
			Filename:   from.Filename,
			Line:       int(from.Line),
			Column:     int(from.Column),
			SourceLine: from.SourceLine,
		}}
	}
	return err
}

// asError is nil for nil, which a nil *capi.Error in an error would not be.
func asError(from *capi.Error) error {
	if from == nil {
		return nil
	}
	return newError(from)
}

// invalid is an INVALID_ARGUMENT that this package finds itself.
func invalid(field, format string, args ...any) *Error {
	return &Error{
		Status:  StatusInvalidArgument,
		Message: fmt.Sprintf(field+": "+format, args...),
		Details: Details{Field: field},
	}
}

// ended is the error of an execution whose context ended before it began.
func ended(ctx context.Context) *Error {
	err := &Error{Status: StatusCancelled, Message: "the context ended before the script was submitted"}
	var end contextEnd
	end.read(ctx)
	err.blame(end)
	return err
}

// contextEnd is why a context has ended; zero of one that has not.
type contextEnd struct {
	err, cause error
	text       string
}

func (end *contextEnd) read(ctx context.Context) {
	if end.err = ctx.Err(); end.err != nil {
		end.cause = end.err
		end.cause = context.Cause(ctx)
		end.text = end.cause.Error()
	}
}

// endOf is why a context has ended, on a thread of the library. Methods of a context and of its cause may be the user's,
// so they are called on a goroutine of its own; if one panics or ends that, what the others have said is used.
func endOf(ctx context.Context) (end contextEnd) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = recover() }()
		end.read(ctx)
	}()
	<-done
	return end
}

// blame adds the errors of a context that has ended.
func (e *Error) blame(end contextEnd) {
	if end.err == nil {
		return
	}
	e.causes = append(e.causes, end.err)
	if end.cause != end.err {
		e.causes = append(e.causes, end.cause)
	}
	e.Message += ": " + cmp.Or(end.text, "its context ended")
}

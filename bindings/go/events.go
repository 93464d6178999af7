package enclave

import (
	"context"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/enclave/enclave/bindings/go/internal/capi"
)

// RecycleReason is why a worker has left its pool.
type RecycleReason int32

// Why workers leave.
const (
	RecycleMaxExecutions RecycleReason = 0  // it has served MaxExecutionsPerWorker
	RecycleIdle          RecycleReason = 1  // it was idle for IdleTimeout, and there were more than MinWorkers
	RecycleTimeout       RecycleReason = 2  // an execution passed its wall-clock limit
	RecycleCPULimit      RecycleReason = 3  // an execution passed its CPU limit
	RecycleMemoryLimit   RecycleReason = 4  // an execution passed the memory limit
	RecycleConsoleLimit  RecycleReason = 5  // an execution passed its console limit
	RecycleToolCallLimit RecycleReason = 6  // an execution passed its tool call limit
	RecycleMessageFlood  RecycleReason = 7  // an execution sent too many messages
	RecycleCancelled     RecycleReason = 8  // a running execution was cancelled
	RecycleUnresponsive  RecycleReason = 9  // it did not stop when told to, and was set aside
	RecycleCrash         RecycleReason = 10 // it crashed
	RecycleProtocol      RecycleReason = 11 // it broke the protocol between worker and pool
	RecycleInternal      RecycleReason = 12 // a bug of the library was caught in it
	RecycleShutdown      RecycleReason = 13 // the pool shut down
)

// String is the name of the reason, such as "memory_limit".
func (r RecycleReason) String() string {
	return nameOr(capi.RecycleReasonName(int32(r)), "RecycleReason", int32(r))
}

// MarshalText gives the name, for keys and values of JSON.
func (r RecycleReason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// level is at which level it is logged that a worker has left for this reason.
func (r RecycleReason) level() slog.Level {
	switch r {
	case RecycleMaxExecutions, RecycleIdle, RecycleShutdown: // as planned
		return slog.LevelDebug
	case RecycleUnresponsive, RecycleCrash, RecycleProtocol, RecycleInternal: // something is wrong
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// WorkerRecycled is a worker that has left the pool.
type WorkerRecycled struct {
	WorkerID   uint64 // unique in its pool
	Executions int    // that it has served
	Age        time.Duration
	Reason     RecycleReason
}

// ConsoleLevel is the level of a console line.
type ConsoleLevel int32

// The levels, in ascending order.
const (
	ConsoleDebug ConsoleLevel = 0 // console.debug, console.trace
	ConsoleLog   ConsoleLevel = 1 // console.log and the methods that print like it
	ConsoleInfo  ConsoleLevel = 2 // console.info
	ConsoleWarn  ConsoleLevel = 3 // console.warn
	ConsoleError ConsoleLevel = 4 // console.error, console.assert
)

// String is the name of the level, such as "warn".
func (l ConsoleLevel) String() string {
	return nameOr(capi.ConsoleLevelName(int32(l)), "ConsoleLevel", int32(l))
}

// MarshalText gives the name, for keys and values of JSON.
func (l ConsoleLevel) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// ConsoleLine is one console call of a script, formatted. Its text is as untrusted as the script: it may hold line
// breaks and control characters.
type ConsoleLine struct {
	ExecutionID uint64
	Time        time.Time
	Level       ConsoleLevel
	Text        string // UTF-8, without a line break at its end
}

func newConsoleLine(from capi.ConsoleLine) ConsoleLine {
	return ConsoleLine{
		ExecutionID: from.ExecutionID,
		Time:        time.UnixMicro(from.TimeUS),
		Level:       ConsoleLevel(from.Level),
		Text:        from.Text,
	}
}

// LogConsole gives a callback for [Config.OnConsole] and [WithConsole] that logs every line at its level (log and info
// at info), with the execution's id.
func LogConsole(logger *slog.Logger) func(ConsoleLine) {
	return func(line ConsoleLine) {
		level := slog.LevelInfo
		switch line.Level {
		case ConsoleDebug:
			level = slog.LevelDebug
		case ConsoleWarn:
			level = slog.LevelWarn
		case ConsoleError:
			level = slog.LevelError
		}
		logger.LogAttrs(context.Background(), level, line.Text, slog.Uint64("execution", line.ExecutionID))
	}
}

// callbacks are those of a config, as the library calls them.
func (c *Config) callbacks() capi.Callbacks {
	var callbacks capi.Callbacks
	logger := logger{c.Logger}
	if recycled := c.OnWorkerRecycled; recycled != nil || c.Logger != nil {
		callbacks.WorkerRecycled = func(from capi.WorkerRecycled) {
			event := WorkerRecycled{
				WorkerID:   from.WorkerID,
				Executions: int(from.Executions),
				Age:        nanoseconds(from.AgeNS),
				Reason:     RecycleReason(from.Reason),
			}
			// Whatever the logger does, the callback is called.
			defer func() {
				if recycled != nil {
					logger.guard("OnWorkerRecycled", func() { recycled(event) })
				}
			}()
			logger.log(context.Background(), event.Reason.level(), "worker recycled", slog.Uint64("worker", event.WorkerID),
				slog.String("reason", event.Reason.String()), slog.Int("executions", event.Executions),
				slog.Duration("age", event.Age))
		}
	}
	if update := c.OnStatsUpdate; update != nil {
		callbacks.StatsUpdate = func(from capi.PoolStats) {
			stats := newStats(from)
			logger.guard("OnStatsUpdate", func() { update(stats) })
		}
	}
	callbacks.Console = logger.console("OnConsole", c.OnConsole)
	return callbacks
}

// console is a callback for console lines as the library calls it; nil for nil.
func (l logger) console(name string, callback func(ConsoleLine)) func(capi.ConsoleLine) {
	if callback == nil {
		return nil
	}
	return func(from capi.ConsoleLine) {
		line := newConsoleLine(from)
		l.guard(name, func() { callback(line) })
	}
}

// logger is the logger of a pool, which may be none. A handler that panics is left alone.
type logger struct{ to *slog.Logger }

// log logs what somebody may want to know.
func (l logger) log(ctx context.Context, level slog.Level, message string, attrs ...slog.Attr) {
	if l.to == nil {
		return
	}
	defer func() { _ = recover() }()
	l.to.LogAttrs(ctx, level, message, attrs...)
}

// fault logs a fault of the program: without a logger, to the default one.
func (l logger) fault(ctx context.Context, message string, attrs ...slog.Attr) {
	if l.to == nil {
		l.to = slog.Default()
	}
	l.log(ctx, slog.LevelError, message, attrs...)
}

// guard calls a callback of the program. A panic is logged, and so is a goroutine that ends; neither goes further.
func (l logger) guard(name string, callback func()) {
	returned := false
	defer func() {
		if returned {
			return
		}
		attrs := []slog.Attr{slog.String("callback", name)}
		if value := recover(); value != nil {
			attrs = append(attrs, slog.String("panic", textOf(value)), slog.String("stack", string(debug.Stack())))
		} else {
			attrs = append(attrs, slog.String("panic", "it called runtime.Goexit"))
		}
		l.fault(context.Background(), "callback panicked", attrs...)
	}()
	callback()
	returned = true
}

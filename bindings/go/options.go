package enclave

import (
	"fmt"
	"time"

	"github.com/enclave/enclave/bindings/go/internal/capi"
)

// SourceKind says how a source is read.
type SourceKind int

// How a source is read.
const (
	// SourceAuto reads a source by its looks, and is the default. A source that parses as a script and does not use
	// await at its top level is a script (1 + 1 gives 2). Otherwise it is the body of an async function, where return
	// gives the result, or a lone expression with await, whose value is the result.
	SourceAuto SourceKind = 0
	// SourceScript is a script: the result is its completion value.
	SourceScript SourceKind = 1
	// SourceFunction is the body of an async function: the result is what it returns.
	SourceFunction SourceKind = 2
)

// String is "auto", "script" or "function".
func (k SourceKind) String() string {
	return nameOr(nameIn(int(k), "auto", "script", "function"), "SourceKind", int32(k))
}

// Option is an option of one execution.
type Option interface {
	apply(*submission) error
}

type option func(*submission) error

func (o option) apply(s *submission) error { return o(s) }

// applyTo applies options in their order. A nil one says nothing.
func applyTo(s *submission, opts []Option) error {
	for _, opt := range opts {
		if opt == nil {
			continue
		}
		if err := opt.apply(s); err != nil {
			return err
		}
	}
	return nil
}

// submission is a script with its options.
type submission struct {
	capi.Submission
	// Tools of this execution alone.
	tools   map[string]ToolFunc
	anyTool ToolFunc
	console func(ConsoleLine)
}

// WithGlobal sets a global variable of the script to what [ValueOf] makes of value. Pass data to scripts like this,
// never by writing it into their source.
func WithGlobal(name string, value any) Option {
	return option(func(s *submission) error {
		cbor, err := encode(value)
		if err != nil {
			return fmt.Errorf("global %q: %w", name, err)
		}
		s.Globals = append(s.Globals, capi.Global{Name: name, CBOR: cbor})
		return nil
	})
}

// WithGlobals sets global variables of the script, as [WithGlobal] does.
func WithGlobals(globals map[string]any) Option {
	return option(func(s *submission) error {
		for name, value := range globals {
			if err := WithGlobal(name, value).apply(s); err != nil {
				return err
			}
		}
		return nil
	})
}

// WithFilename sets the name of the source in stacks. Default: main.js.
func WithFilename(name string) Option {
	return option(func(s *submission) error {
		s.Filename = name
		return nil
	})
}

// WithKind sets how the source is read. Default: [SourceAuto].
func WithKind(kind SourceKind) Option {
	return option(func(s *submission) error {
		if kind < SourceAuto || kind > SourceFunction {
			return invalid("kind", "%d is no SourceKind; accepted are SourceAuto, SourceScript and SourceFunction", kind)
		}
		s.Kind = int32(kind)
		return nil
	})
}

// WithLimits sets the limits of the execution. Zero fields are the pool's, unless the Limits come from a preset or from
// [Pool.Config].
func WithLimits(limits Limits) Option {
	return option(func(s *submission) error {
		settings, err := limits.settings()
		s.Settings = append(s.Settings, settings...)
		return err
	})
}

// WithTimeout sets the wall-clock limit of the execution: the time on the worker, at least 1 ms. (The deadline of a
// context counts from now on, also while the execution waits in the queue.)
func WithTimeout(timeout time.Duration) Option {
	return option(func(s *submission) error {
		value, err := settingValue(capi.SettingTimeout, &timeout)
		s.Settings = append(s.Settings, capi.Setting{ID: capi.SettingTimeout, Value: value})
		return err
	})
}

// WithConsole sends the console lines of the execution to this callback, in place of [Config.OnConsole].
func WithConsole(console func(ConsoleLine)) Option {
	return option(func(s *submission) error {
		s.console = console
		return nil
	})
}

// CollectConsole keeps the console lines of the execution for [Execution.Console].
func CollectConsole() Option {
	return option(func(s *submission) error {
		s.CollectConsole = true
		return nil
	})
}

// WithTool gives the execution a tool of its own, beside those of the pool and in place of one of the same name. A
// script calls it as tools.name(args) or callTool("name", args). Use it to give each user tools of their own: the
// closure says for whom the tool acts, so it never has to trust what the script says about itself.
func WithTool(name string, tool ToolFunc) Option {
	return option(func(s *submission) error {
		if tool == nil {
			return invalid("tool", "%q is nil", name)
		}
		if s.tools == nil {
			s.tools = map[string]ToolFunc{}
		}
		s.tools[name] = tool
		return nil
	})
}

// WithToolHandler gives the execution a handler for all tool calls that have no [WithTool], in place of all tools of
// the pool.
func WithToolHandler(tool ToolFunc) Option {
	return option(func(s *submission) error {
		s.anyTool = tool
		return nil
	})
}

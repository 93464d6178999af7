package enclave

import (
	"log/slog"
	"math"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/enclave/enclave/bindings/go/internal/capi"
)

// Isolation says where workers run. Its numbers are not those of the C interface, where thread is 0.
type Isolation int

// Where workers run.
const (
	// IsolationDefault is what the preset has: processes, in all presets.
	IsolationDefault Isolation = iota
	// IsolationThread is a thread of this process.
	IsolationThread
	// IsolationProcess is a sandboxed child process.
	IsolationProcess
)

// isolationOf is the Isolation of a number of the library.
func isolationOf(number int64) Isolation { return IsolationThread + Isolation(number) }

// number is the library's number. IsolationDefault has none, and gives 0.
func (i Isolation) number() int64 { return max(int64(i-IsolationThread), 0) }

// String is "default", "thread" or "process".
func (i Isolation) String() string {
	return nameOr(nameIn(int(i), "default", "thread", "process"), "Isolation", int32(i))
}

// MarshalText gives the name, for values of JSON.
func (i Isolation) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// Config holds the settings of a [Pool]. The zero Config is valid: it gives the defaults.
//
// # Zero values
//
// In a Config (or [Limits]) that is written as a literal, a zero field means its default, as usual in Go:
//
//	enclave.New(enclave.Config{MaxWorkers: 8, Limits: enclave.Limits{Timeout: time.Second}})
//
// In a Config that comes from [Default], [Strict], [Secure], [Standard] or [Permissive], every field is filled in, and
// means what it says, zero and false included:
//
//	cfg := enclave.Strict()
//	cfg.MaxQueueSize = 0             // refuse what cannot start at once
//	cfg.SanitizeStackTraces = false  // though STRICT says true
//
// So to set something to zero or false, start from a preset, or from Default() to keep the other defaults. Copies keep
// this property, as long as the whole struct is copied.
//
// Durations are passed on in milliseconds, rounded up; sizes are bytes. [New] refuses a value that is out of range,
// with an error that names the setting, the value and what is accepted. The defaults below are those of Default; the
// presets have others.
type Config struct {
	// Isolation is where workers run. Default, and in all presets: processes. Unlike other fields, it means the default
	// if it is zero even in a Config that comes from a preset.
	Isolation Isolation
	// MinWorkers is how many workers are kept warm, 0 to MaxWorkers. Default: 2, or MaxWorkers if that is smaller.
	MinWorkers int
	// MaxWorkers is the most workers at a time, 1 to 1024. Default: the number of CPUs.
	MaxWorkers int
	// MemoryLimitPerWorker is how many bytes one worker may hold, 16 MiB to 1 TiB. Default: 128 MiB.
	MemoryLimitPerWorker int64
	// MaxExecutionsPerWorker is the number of executions after which a worker is replaced, at least 1. Default: 1000.
	MaxExecutionsPerWorker int
	// MaxQueueSize is how many executions may wait for a worker, 0 to 10 000 000. Default: 100.
	MaxQueueSize int
	// QueueTimeout is the longest wait in the queue. Default: 30 s.
	QueueTimeout time.Duration
	// MaxMessagesPerSecond is how many tool calls and console lines an execution may send in a second. Default: 1000.
	MaxMessagesPerSecond int
	// IdleTimeout is the time after which an idle worker beyond MinWorkers is stopped. Default: 30 s.
	IdleTimeout time.Duration
	// GracefulShutdownTimeout is how long shutdown waits for running executions; 0 ends them immediately. Default: 5 s.
	GracefulShutdownTimeout time.Duration
	// MaxMessageSize is the most bytes in one source, result, tool argument, tool reply or console line, 1 KiB to
	// 1 GiB - 2. Default: 16 MiB.
	MaxMessageSize int64
	// MaxPendingToolCalls is how many tool calls of one execution may wait for their answers at a time. Default: 100.
	MaxPendingToolCalls int
	// WarmOnInit starts MinWorkers workers in New, which fails if one cannot start. Otherwise they start when they are
	// needed. Default: true.
	WarmOnInit bool
	// StatsInterval is the time between two calls of OnStatsUpdate. Default: 1 s.
	StatsInterval time.Duration
	// JIT lets worker processes compile scripts to machine code. Otherwise scripts are interpreted, which is slower and
	// exposes less of the engine. Workers that are threads always compile. Default: true; STRICT: false.
	JIT bool
	// RequireSandbox refuses to make a pool, with ErrUnsupported, if any part of the sandbox around worker processes is
	// missing. Otherwise the pool does without that part, and [Stats] says so. Default: false.
	RequireSandbox bool
	// RequireSeccomp refuses to make a pool, with ErrUnsupported, if worker processes cannot have the filter of system
	// calls, the most important part of their sandbox. It does not concern threads. Default: false; STRICT and SECURE:
	// true.
	RequireSeccomp bool
	// WorkerPath is the executable enclave-worker, for process isolation. Default: the library looks for it in this
	// order: the environment variable ENCLAVE_WORKER, beside the library, in ../libexec/enclave from there, and in
	// PATH.
	WorkerPath string
	// Cgroup is a directory of cgroup v2 that is delegated to this process, with the controllers memory and pids
	// enabled for its children. Every worker process gets a group of its own in it. Default: none.
	Cgroup string

	// Limits of every execution; [WithLimits] and [WithTimeout] change them for one.
	Limits

	// The callbacks run on goroutines of their own, several at the same time, and should return soon, because a thread
	// of the library waits for them. They may call anything of the pool except what would wait there for it: Run,
	// RunInto, Result, Shutdown and Close then give ErrInvalidState. A panic in one is recovered and logged, with its
	// stack.

	// OnWorkerRecycled is called for every worker that has left the pool, with the reason.
	OnWorkerRecycled func(WorkerRecycled)
	// OnStatsUpdate gets the pool's stats every StatsInterval.
	OnStatsUpdate func(Stats)
	// OnConsole gets the console lines of all executions that have no [WithConsole], in order, as they come. While it
	// runs, the script stands still, but no longer than its timeout.
	OnConsole func(ConsoleLine)

	// OnToolCall answers calls of tools that have no handler of their own ([Pool.HandleTool]). Scripts make these calls
	// with callTool, because tools has only names that have a handler. Like all tools it runs on a goroutine of its
	// own, and may block.
	OnToolCall ToolFunc

	// Logger, if not nil, gets what the pool itself logs: workers that leave (debug for idle, max_executions and
	// shutdown; warn for unresponsive, crash, protocol and internal; otherwise info), errors of tools (info), and
	// faults of the program (error): panics of tools and callbacks, and results of tools that have no JavaScript value.
	// If it is nil, these faults go to [slog.Default]. For the console see [LogConsole].
	Logger *slog.Logger

	// exact says that every field means what it says, over the preset that it came from.
	exact  bool
	preset int32
}

// Limits of one execution. What [Config] says about zero values holds here too. The default of a field is that of the
// preset that the Config comes from; for a single execution ([WithLimits]) it is the pool's, and [Pool.Config] gives
// Limits of which every field counts.
type Limits struct {
	// Timeout is the wall-clock time from the start on a worker; waiting in the queue does not count. Default: 30 s.
	Timeout time.Duration
	// CPUTimeLimit is the CPU time of the worker; each wait for a tool or a timer costs about 50 µs of it. 0 is no
	// limit. Default: 0.
	CPUTimeLimit time.Duration
	// MaxToolCalls is how many tool calls it may make. Default: 100.
	MaxToolCalls int
	// MaxPendingBytes is how many bytes of memory two things may hold together: the arguments of unanswered tool calls,
	// and the answers that the script has not taken yet. If nothing is held, the next one always has a place. Default:
	// 64 MiB.
	MaxPendingBytes int64
	// MaxConsoleCalls is how many console calls it may make. Default: 1000.
	MaxConsoleCalls int
	// MaxConsoleOutput is how many bytes of console output, in UTF-8, it may make. Default: 1 MiB.
	MaxConsoleOutput int64
	// MaxValueDepth is how deep a value that crosses the boundary may be nested, 1 to 512. Default: 128.
	MaxValueDepth int
	// SanitizeStackTraces removes file names and native frames from stacks. Default: false.
	SanitizeStackTraces bool
	// BlockTimingAPIs makes every clock that the script can read stand still. Default: false.
	BlockTimingAPIs bool
	// AllowCodeGeneration allows eval and the Function constructors. Default: false.
	AllowCodeGeneration bool
	// AllowWasm allows WebAssembly. It must be false: the library does not support it yet.
	AllowWasm bool

	exact bool
}

// Default is the zero Config with its defaults filled in.
func Default() Config { return preset(capi.PresetDefault) }

// Strict is for code from strangers: 4 workers of 64 MiB, 5 s wall clock, 2 s CPU, no code generation, no clocks.
func Strict() Config { return preset(capi.PresetStrict) }

// Secure is for untrusted code with a purpose: 8 workers of 128 MiB, 15 s wall clock, 10 s CPU.
func Secure() Config { return preset(capi.PresetSecure) }

// Standard is for code of known origin: 16 workers of 256 MiB, 30 s wall clock.
func Standard() Config { return preset(capi.PresetStandard) }

// Permissive is for trusted code: 32 workers of 512 MiB, 60 s wall clock, eval allowed.
func Permissive() Config { return preset(capi.PresetPermissive) }

// A setting is a field of a struct and the library's number for it. These two tables are all that knows the fields.
type setting[T any] struct {
	id    int64
	field func(*T) any // a pointer to the field
}

var poolSettings = []setting[Config]{
	{capi.SettingIsolation, func(c *Config) any { return &c.Isolation }},
	{capi.SettingMinWorkers, func(c *Config) any { return &c.MinWorkers }},
	{capi.SettingMaxWorkers, func(c *Config) any { return &c.MaxWorkers }},
	{capi.SettingMemoryLimitPerWorker, func(c *Config) any { return &c.MemoryLimitPerWorker }},
	{capi.SettingMaxExecutionsPerWorker, func(c *Config) any { return &c.MaxExecutionsPerWorker }},
	{capi.SettingMaxQueueSize, func(c *Config) any { return &c.MaxQueueSize }},
	{capi.SettingQueueTimeout, func(c *Config) any { return &c.QueueTimeout }},
	{capi.SettingMaxMessagesPerSecond, func(c *Config) any { return &c.MaxMessagesPerSecond }},
	{capi.SettingIdleTimeout, func(c *Config) any { return &c.IdleTimeout }},
	{capi.SettingGracefulShutdownTimeout, func(c *Config) any { return &c.GracefulShutdownTimeout }},
	{capi.SettingMaxMessageSize, func(c *Config) any { return &c.MaxMessageSize }},
	{capi.SettingMaxPendingToolCalls, func(c *Config) any { return &c.MaxPendingToolCalls }},
	{capi.SettingWarmOnInit, func(c *Config) any { return &c.WarmOnInit }},
	{capi.SettingStatsInterval, func(c *Config) any { return &c.StatsInterval }},
	{capi.SettingJIT, func(c *Config) any { return &c.JIT }},
	{capi.SettingRequireSandbox, func(c *Config) any { return &c.RequireSandbox }},
	{capi.SettingRequireSeccomp, func(c *Config) any { return &c.RequireSeccomp }},
}

var limitSettings = []setting[Limits]{
	{capi.SettingTimeout, func(l *Limits) any { return &l.Timeout }},
	{capi.SettingCPUTimeLimit, func(l *Limits) any { return &l.CPUTimeLimit }},
	{capi.SettingMaxToolCalls, func(l *Limits) any { return &l.MaxToolCalls }},
	{capi.SettingMaxConsoleCalls, func(l *Limits) any { return &l.MaxConsoleCalls }},
	{capi.SettingMaxConsoleOutput, func(l *Limits) any { return &l.MaxConsoleOutput }},
	{capi.SettingMaxValueDepth, func(l *Limits) any { return &l.MaxValueDepth }},
	{capi.SettingSanitizeStackTraces, func(l *Limits) any { return &l.SanitizeStackTraces }},
	{capi.SettingBlockTimingAPIs, func(l *Limits) any { return &l.BlockTimingAPIs }},
	{capi.SettingAllowCodeGeneration, func(l *Limits) any { return &l.AllowCodeGeneration }},
	{capi.SettingAllowWasm, func(l *Limits) any { return &l.AllowWasm }},
	{capi.SettingMaxPendingBytes, func(l *Limits) any { return &l.MaxPendingBytes }},
}

// preset asks the library what a preset has.
func preset(number int32) Config {
	cfg := Config{preset: number}
	cfg.fill(func(settings []capi.Setting) { capi.Preset(number, settings) })
	return cfg
}

// fill sets every field to what get says of its setting.
func (c *Config) fill(get func([]capi.Setting)) {
	fill(c, poolSettings, get)
	fill(&c.Limits, limitSettings, get)
	c.exact, c.Limits.exact = true, true
}

func fill[T any](target *T, table []setting[T], get func([]capi.Setting)) {
	settings := make([]capi.Setting, len(table))
	for i, entry := range table {
		settings[i].ID = entry.id
	}
	get(settings)
	for i, entry := range table {
		value := settings[i].Value
		switch field := entry.field(target).(type) {
		case *Isolation:
			*field = isolationOf(int64(value))
		case *int:
			*field = int(min(value, math.MaxInt))
		case *int64:
			*field = int64(min(value, math.MaxInt64))
		case *time.Duration:
			*field = milliseconds(value)
		case *bool:
			*field = value != 0
		}
	}
}

// settings are the changes to the config's preset.
func (c *Config) settings() ([]capi.Setting, error) {
	for name, path := range map[string]string{"worker_path": c.WorkerPath, "cgroup": c.Cgroup} {
		if !utf8.ValidString(path) {
			return nil, invalid(name, "%q is not UTF-8", path)
		}
	}
	pool, err := settingsOf(c, poolSettings, c.exact)
	if err != nil {
		return nil, err
	}
	limits, err := c.Limits.settings()
	if err != nil {
		return nil, err
	}
	settings := append(pool, limits...)
	if !c.exact {
		return settings, nil
	}
	// What is as the preset has it is left out: the library fits min_workers to max_workers, unless it is set.
	base := slices.Clone(settings)
	capi.Preset(c.preset, base)
	var changes []capi.Setting
	for i := range settings {
		if settings[i] != base[i] {
			changes = append(changes, settings[i])
		}
	}
	return changes, nil
}

// settings are those that are not zero, or all if every field counts. An Isolation counts unless it is the default.
func (l *Limits) settings() ([]capi.Setting, error) { return settingsOf(l, limitSettings, l.exact) }

func settingsOf[T any](source *T, table []setting[T], all bool) ([]capi.Setting, error) {
	var settings []capi.Setting
	for _, entry := range table {
		field := entry.field(source)
		value, err := settingValue(entry.id, field)
		if err != nil {
			return nil, err
		}
		counts := value != 0 || all
		if isolation, ok := field.(*Isolation); ok {
			counts = *isolation != IsolationDefault
		}
		if counts {
			settings = append(settings, capi.Setting{ID: entry.id, Value: value})
		}
	}
	return settings, nil
}

// settingValue is a field in the library's unit. The library has no negative numbers, so they are refused here.
func settingValue(id int64, field any) (uint64, error) {
	var value int64
	switch field := field.(type) {
	case *Isolation:
		if *field < IsolationDefault || *field > IsolationProcess {
			return 0, invalid("isolation", "%d is no Isolation; accepted are IsolationThread and IsolationProcess", *field)
		}
		value = field.number()
	case *int:
		value = int64(*field)
	case *int64:
		value = *field
	case *time.Duration:
		if *field < 0 {
			return 0, invalid(capi.SettingName(int32(id)), "%v is negative", *field)
		}
		value = int64(*field / time.Millisecond)
		if *field%time.Millisecond != 0 {
			value++
		}
	case *bool:
		if *field {
			value = 1
		}
	}
	if value < 0 {
		return 0, invalid(capi.SettingName(int32(id)), "%d is negative", value)
	}
	return uint64(value), nil
}

// milliseconds is a time of the library, or the longest that Go has.
func milliseconds(ms uint64) time.Duration {
	return time.Duration(min(ms, math.MaxInt64/uint64(time.Millisecond))) * time.Millisecond
}

// nanoseconds is a time of the library, or the longest that Go has.
func nanoseconds(ns uint64) time.Duration { return time.Duration(min(ns, math.MaxInt64)) }

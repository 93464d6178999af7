package enclave

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestZeroConfigGivesTheDefaults(t *testing.T) {
	pool := newPool(t, Config{})
	got, want := pool.Config(), Default()
	if !reflect.DeepEqual(got, want) || got.MaxWorkers != runtime.NumCPU() {
		t.Errorf("it is %+v, not %+v", got, want)
	}
}

func TestZeroFieldsOfALiteralHaveTheirDefaults(t *testing.T) {
	pool := newPool(t, Config{MaxWorkers: 3, QueueTimeout: 1500 * time.Microsecond, Limits: Limits{MaxToolCalls: 7}})
	got, want := pool.Config(), Default()
	want.MaxWorkers, want.MaxToolCalls = 3, 7
	want.QueueTimeout = 2 * time.Millisecond // rounded up
	if !reflect.DeepEqual(got, want) {
		t.Errorf("it is %+v, not %+v", got, want)
	}
}

func TestZeroFieldsOfAPresetAreZero(t *testing.T) {
	cfg := Strict()
	if !cfg.SanitizeStackTraces || !cfg.WarmOnInit || cfg.CPUTimeLimit != 2*time.Second {
		t.Errorf("STRICT is %+v", cfg)
	}
	cfg.MinWorkers, cfg.MaxQueueSize, cfg.GracefulShutdownTimeout, cfg.CPUTimeLimit = 0, 0, 0, 0
	cfg.SanitizeStackTraces, cfg.WarmOnInit = false, false
	pool := newPool(t, cfg)
	got := pool.Config()
	got.preset = cfg.preset
	if !reflect.DeepEqual(got, cfg) {
		t.Errorf("it is %+v, not %+v", got, cfg)
	}
	if workers := pool.Stats().Workers; workers != (WorkerCounts{}) {
		t.Errorf("there are workers: %+v", workers)
	}
	again := newPool(t, pool.Config()).Config()
	if again.preset = cfg.preset; !reflect.DeepEqual(again, cfg) {
		t.Errorf("a pool of the same config has %+v", again)
	}
}

func TestIsolationMeansWhatItSays(t *testing.T) {
	preset := func(isolation Isolation) Config {
		cfg := Strict()
		cfg.Isolation, cfg.MinWorkers, cfg.MaxWorkers = isolation, 1, 1
		return cfg
	}
	for _, test := range []struct {
		cfg  Config
		want Isolation
	}{
		{Config{MaxWorkers: 1}, IsolationProcess},
		{Config{MaxWorkers: 1, Isolation: IsolationThread}, IsolationThread},
		{Config{MaxWorkers: 1, Isolation: IsolationProcess}, IsolationProcess},
		{preset(IsolationDefault), IsolationProcess},
		{preset(IsolationThread), IsolationThread},
		{preset(IsolationProcess), IsolationProcess},
	} {
		pool := newPool(t, test.cfg)
		if config, stats := pool.Config().Isolation, pool.Stats().Isolation; config != test.want || stats != test.want {
			t.Errorf("%v became %v, and the workers %v", test.cfg.Isolation, config, stats)
		}
	}
}

func TestLimitsOfALiteralInAPreset(t *testing.T) {
	cfg := Strict()
	cfg.Limits = Limits{MaxToolCalls: 7}
	got, want := newPool(t, cfg).Config(), Strict()
	want.MaxToolCalls = 7
	if got.preset = want.preset; !reflect.DeepEqual(got, want) {
		t.Errorf("it is %+v, not %+v", got, want)
	}
	other := Config{MaxWorkers: 1, Limits: Strict().Limits}
	other.MaxConsoleCalls = 0
	if got := newPool(t, other).Config(); got.Limits != other.Limits || got.MaxQueueSize != Default().MaxQueueSize {
		t.Errorf("it is %+v", got)
	}
}

func TestSettingsOutOfRangeAreRefused(t *testing.T) {
	checkLeaks(t)
	for field, cfg := range map[string]Config{
		"max_workers":             {MaxWorkers: 5000, OnConsole: func(ConsoleLine) {}},
		"min_workers":             {MinWorkers: -1},
		"queue_timeout_ms":        {QueueTimeout: -time.Nanosecond},
		"memory_limit_per_worker": {MemoryLimitPerWorker: 5},
		"max_value_depth":         {Limits: Limits{MaxValueDepth: 513}},
	} {
		pool, err := New(cfg)
		var e *Error
		if pool != nil || !errors.As(err, &e) || !errors.Is(err, ErrInvalidArgument) || e.Details.Field != field ||
			!strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, test := range []struct {
		cfg  Config
		want error
		text string
	}{
		{Config{Limits: Limits{AllowWasm: true}}, ErrUnsupported, "wasm"},
		{Config{Isolation: IsolationProcess, WorkerPath: "/does/not/exist"}, ErrUnsupported, "/does/not/exist"},
		{Config{Isolation: 7}, ErrInvalidArgument, "isolation: 7 is no Isolation"},
		{Config{Isolation: -1}, ErrInvalidArgument, "isolation: -1 is no Isolation"},
		{Config{WorkerPath: "\xff"}, ErrInvalidArgument, "worker_path"},
		{Config{Cgroup: "\xff"}, ErrInvalidArgument, "cgroup"},
	} {
		_, err := New(test.cfg)
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%+v: %v", test.cfg, err)
		}
	}
}

func TestEveryFieldIsASetting(t *testing.T) {
	var cfg Config
	settings := map[any]bool{}
	for _, entry := range poolSettings {
		settings[entry.field(&cfg)] = true
	}
	for _, entry := range limitSettings {
		settings[entry.field(&cfg.Limits)] = true
	}
	count := 0
	for _, structure := range []reflect.Value{reflect.ValueOf(&cfg).Elem(), reflect.ValueOf(&cfg.Limits).Elem()} {
		for i := range structure.NumField() {
			field := structure.Type().Field(i)
			switch field.Type.Kind() {
			case reflect.Func, reflect.Pointer, reflect.Struct:
				continue
			}
			if !field.IsExported() || field.Type.Kind() == reflect.String {
				continue
			}
			count++
			if !settings[structure.Field(i).Addr().Interface()] {
				t.Errorf("%s is no setting", field.Name)
			}
		}
	}
	if count != len(settings) {
		t.Errorf("there are %d fields and %d settings", count, len(settings))
	}
}

func TestCallbacks(t *testing.T) {
	var mu sync.Mutex
	var lines []string
	var recycled []WorkerRecycled
	var updates atomic.Int64
	pool := newPool(t, Config{
		MaxWorkers:    1,
		StatsInterval: 5 * time.Millisecond,
		OnConsole: func(line ConsoleLine) {
			mu.Lock()
			defer mu.Unlock()
			lines = append(lines, line.Level.String()+" "+line.Text)
		},
		OnWorkerRecycled: func(event WorkerRecycled) {
			mu.Lock()
			defer mu.Unlock()
			recycled = append(recycled, event)
		},
		OnStatsUpdate: func(stats Stats) {
			if stats.ExecutionsTotal > 0 {
				updates.Add(1)
			}
		},
	})
	run(t, pool, "for (let i = 0; i < 3; i++) console.log(i); console.error('e')")
	var own []string
	run(t, pool, "console.debug('own')", WithConsole(func(line ConsoleLine) { own = append(own, line.Text) }))
	_, err := pool.Run(context.Background(), forever, WithTimeout(5*time.Millisecond))
	wantIs(t, err, ErrTimeout)
	eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(recycled) == 1 && updates.Load() > 2
	})
	if got := strings.Join(lines, ","); got != "log 0,log 1,log 2,error e" || strings.Join(own, ",") != "own" {
		t.Errorf("the console is %v, %v", lines, own)
	}
	if event := recycled[0]; event.Reason != RecycleTimeout && event.Reason != RecycleUnresponsive ||
		event.Executions == 0 || event.Age <= 0 || event.WorkerID == 0 {
		t.Errorf("the event is %+v", recycled)
	}
	stats := pool.Stats()
	if stats.Executions[StatusOK] != 2 || stats.Executions[StatusTimeout] != 1 || stats.RunTime.Count != 3 ||
		stats.ConsoleLines != 5 || stats.MemoryPeak <= 0 || stats.Uptime <= 0 {
		t.Errorf("the stats are %+v", stats)
	}
	encoded, err := json.Marshal(stats)
	if err != nil || !strings.Contains(string(encoded), `"TIMEOUT":1`) || !strings.Contains(string(encoded), `"max_executions":0`) {
		t.Errorf("as JSON: %s, %v", encoded, err)
	}
}

func TestLogging(t *testing.T) {
	var mu sync.Mutex
	var logged bytes.Buffer
	logger := slog.New(slog.NewTextHandler(lockedWriter{&mu, &logged}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	pool := newPool(t, Config{MaxWorkers: 1, Logger: logger, OnConsole: LogConsole(logger)})
	run(t, pool, "console.debug('d'); console.info('i'); console.warn('w'); console.error('a\\nb')")
	_, err := pool.Run(context.Background(), forever, WithTimeout(5*time.Millisecond))
	logger.Info("failed", "err", err)
	_, err = pool.Run(context.Background(), "x.y")
	logger.Info("failed", "err", err)
	pool.Close()
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{
		"level=DEBUG msg=d execution=", "level=INFO msg=i", "level=WARN msg=w", `level=ERROR msg="a\nb"`,
		`msg="worker recycled" worker=`, `level=DEBUG msg="worker recycled"`, "reason=shutdown",
		"err.status=TIMEOUT", "err.setting=timeout_ms err.limit=5", "err.status=EXCEPTION", "err.name=ReferenceError",
	} {
		if !strings.Contains(logged.String(), want) {
			t.Errorf("there is no %q in %s", want, logged.String())
		}
	}
}

func TestAWorkerThatLeavesIsLoggedByItsReason(t *testing.T) {
	want := map[slog.Level]string{
		slog.LevelDebug: "max_executions idle shutdown",
		slog.LevelInfo:  "timeout cpu_limit memory_limit console_limit tool_call_limit message_flood cancelled",
		slog.LevelWarn:  "unresponsive crash protocol internal",
	}
	for name, number := range constantsOf("recycle_reason") {
		if level := RecycleReason(number).level(); !slices.Contains(strings.Fields(want[level]), name) {
			t.Errorf("%s is logged at %v", name, level)
		}
	}
}

func TestErrors(t *testing.T) {
	pool := newPool(t, Config{MaxWorkers: 1})
	_, err := pool.Run(context.Background(), "let a = 1;\n  a.b.c()", WithFilename("f.js"))
	var script *ScriptError
	if !errors.As(err, &script) || script.Name != "TypeError" || script.Line != 2 || script.Column == 0 ||
		script.Filename != "f.js" || !strings.Contains(script.Stack, "f.js:2") || !strings.Contains(script.SourceLine, "a.b.c()") {
		t.Errorf("it is %#v", script)
	}
	if text := script.Error(); !strings.HasPrefix(text, "TypeError: ") || !strings.Contains(text, "(f.js:2:") {
		t.Errorf("its text is %q", text)
	}
	if !strings.HasPrefix(err.Error(), "enclave: ") {
		t.Errorf("its text is %q", err)
	}
	wantIs(t, err, ErrException)
	_, err = pool.Run(context.Background(), "let = ;")
	wantIs(t, err, ErrSyntax)
	if !errors.As(err, &script) || script.Name != "SyntaxError" || script.Line != 1 {
		t.Errorf("it is %#v", script)
	}
	_, err = pool.Run(context.Background(), "throw 'text'")
	if !errors.As(err, &script) || script.Name != "string" || script.Message != "text" {
		t.Errorf("it is %#v", script)
	}
	_, err = pool.Run(context.Background(), "({a: [Promise.resolve()]})")
	var e *Error
	if !errors.As(err, &e) || e.Status != StatusResultNotTransferable || e.Details.Path != "result.a[0]" {
		t.Errorf("it is %#v", e)
	}
	_, err = pool.Run(context.Background(), "const a = []; for (;;) a.push(new Array(1000).fill(1))")
	if !errors.As(err, &e) || !errors.Is(err, ErrMemoryLimit) || e.Details.UsedBytes == 0 || e.Details.Limit != 128<<20 {
		t.Errorf("it is %#v", e)
	}
	if errors.Is(err, ErrTimeout) || errors.Is(err, nil) {
		t.Error("it matches everything")
	}
	if StatusMemoryLimit.String() != "MEMORY_LIMIT" || Status(77).String() != "Status(77)" {
		t.Errorf("names: %v, %v", StatusMemoryLimit, Status(77))
	}
	if !strings.HasPrefix(Version(), "0.") {
		t.Errorf("the version is %s", Version())
	}
}

package enclave

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/enclave/enclave/bindings/go/internal/capi"
)

// The conformance table of tests/conformance; its README.md says what the fields mean.

// Cases that say something that Go does not have.
var notInGo = map[string]string{
	"a run inside a callback is refused":      "tools run on goroutines, where it is allowed; TestCallbacksMayNotWait",
	"a shutdown inside a callback is refused": "tools run on goroutines, where it is allowed; TestCallbacksMayNotWait",
	"a wait inside a callback is refused":     "tools run on goroutines, where it is allowed; TestCallbacksMayNotWait",
	"a rejection may hold any text":           "an empty code is none; TestToolErrors has the other texts",
}

// Statuses that no case can bring about here.
var unreachable = []Status{
	StatusWorkerCrashed, StatusWorkerStartup, StatusInternal, // see the README of the table
	StatusForked,       // Go programs do not fork
	StatusInvalidState, // TestCallbacksMayNotWait
}

type tableStep struct {
	Do, As, For, Call string
	Count             int
	MS                int64
	Times             int
	TimeoutMS         *int64 `json:"timeout_ms"`

	Source         Value
	Kind, Filename string
	Globals        Value
	Limits         map[string]json.Number
	OwnTool        *tableTool `json:"own_tool"`

	Status  string
	Value   *Value
	Error   *tableError
	Console *[][2]string
	Calls   *[]Value
	Stats   *struct {
		ToolCalls        *int   `json:"tool_calls"`
		ConsoleCalls     *int   `json:"console_calls"`
		RunTimeMSAtLeast *int64 `json:"run_time_ms_at_least"`
		RunTimeMSAtMost  *int64 `json:"run_time_ms_at_most"`
		CPUTimeMSAtMost  *int64 `json:"cpu_time_ms_at_most"`
	}
}

type tableCase struct {
	Name, Preset string
	Pool         map[string]json.Number
	Tools        map[string]*tableTool
	AnyTool      *tableTool `json:"any_tool"`
	Needs        []string
	Steps        []tableStep
	Recycled     []string
	PoolError    *tableError `json:"pool_error"`
	Settings     map[string]json.Number
	Constants    map[string]int32
	Table        string
	tableStep
}

type tableTool struct {
	Resolves  *Value
	Echoes    bool
	Rejects   *struct{ Name, Message, Code string }
	Drops     bool
	Keeps     bool
	HostCalls string `json:"host_calls"`
	AfterMS   int64  `json:"after_ms"`
}

// A text that an error has: null says that it does not have it.
type tableError struct {
	Status           string
	Name             *Value
	ScriptMessage    *Value `json:"script_message"`
	Code             *Value
	Filename         *Value
	SourceLine       *Value `json:"source_line"`
	Field            *Value
	Path             *Value
	Setting          *Value
	Line, Column     *int
	Limit            *int64
	QueueSize        *int `json:"queue_size"`
	Signal           *int
	MessageHas       texts `json:"message_has"`
	ScriptMessageHas texts `json:"script_message_has"`
	StackHas         texts `json:"stack_has"`
	StackLacks       texts `json:"stack_lacks"`
	SourceLineAtMost *int  `json:"source_line_at_most"`
	UsedBytesAtLeast int64 `json:"used_bytes_at_least"`
	WaitedAtLeast    int64 `json:"waited_ms_at_least"`
	RetryAtLeast     int64 `json:"retry_after_ms_at_least"`
}

// One text or a list of them.
type texts []string

func (t *texts) UnmarshalJSON(from []byte) error {
	if from[0] == '[' {
		return json.Unmarshal(from, (*[]string)(t))
	}
	*t = texts{""}
	return json.Unmarshal(from, &(*t)[0])
}

func TestConformance(t *testing.T) {
	for _, isolation := range []Isolation{IsolationThread, IsolationProcess} {
		t.Run(isolation.String(), func(t *testing.T) { conform(t, isolation) })
	}
}

func conform(t *testing.T, isolation Isolation) {
	files, err := filepath.Glob("../../tests/conformance/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no conformance table: %v", err)
	}
	var mu sync.Mutex
	expected := map[Status]bool{}
	names := map[string]bool{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var table struct {
			About string
			Cases []tableCase
		}
		decoder := json.NewDecoder(bytes.NewReader(content))
		decoder.DisallowUnknownFields()
		decoder.UseNumber()
		if err := decoder.Decode(&table); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, c := range table.Cases {
			if names[c.Name] {
				t.Errorf("two cases are named %q", c.Name)
			}
			names[c.Name] = true
			t.Run(strings.TrimSuffix(filepath.Base(file), ".json")+"/"+c.Name, func(t *testing.T) {
				if reason, ok := notInGo[c.Name]; ok {
					t.Skip(reason)
				}
				if slices.Contains(c.Needs, "fork") {
					t.Skip("Go programs do not fork")
				}
				checkLeaks(t)
				r := &caseRun{t: t, c: &c, isolation: isolation, named: map[string]*Execution{}, gone: make(chan struct{})}
				r.expect = func(status Status) {
					mu.Lock()
					expected[status] = true
					mu.Unlock()
				}
				r.run()
			})
		}
	}
	for name := range notInGo {
		if !names[name] {
			t.Errorf("there is no case %q", name)
		}
	}
	if t.Failed() || !selectedAll() {
		return
	}
	for status := range sentinels {
		if !expected[status] && !slices.Contains(unreachable, status) {
			t.Errorf("no case expects %v", status)
		}
	}
}

// caseRun is a case that runs.
type caseRun struct {
	t         *testing.T
	c         *tableCase
	isolation Isolation
	pool      *Pool
	named     map[string]*Execution
	expect    func(Status)
	gone      chan struct{} // closed when the pool is gone

	mu       sync.Mutex
	calls    []Args
	checked  int
	recycled []RecycleReason
}

func (r *caseRun) run() {
	c := r.c
	switch {
	case c.Constants != nil:
		r.checkConstants()
		return
	case c.Settings != nil:
		cfg := r.config()
		if cfg.MinWorkers > cfg.MaxWorkers {
			// Where it is not set it follows MaxWorkers, when the pool is made.
			pool, err := New(cfg)
			if err != nil {
				r.t.Fatal(err)
			}
			cfg = pool.Config()
			pool.Close()
		}
		for name, want := range c.Settings {
			id, field := settingOf(r.t, name, &cfg)
			value, err := settingValue(id, field)
			if err != nil || fmt.Sprint(value) != want.String() {
				r.t.Errorf("%s is %d, not %s (%v)", name, value, want, err)
			}
		}
		return
	case c.PoolError != nil:
		cfg := r.config()
		pool, err := New(cfg)
		if err == nil {
			pool.Close()
			r.t.Fatal("the pool was made")
		}
		r.checkStatus(err, c.PoolError.Status)
		r.checkError(err, c.PoolError)
		return
	}
	cfg := r.config()
	cfg.OnWorkerRecycled = func(event WorkerRecycled) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if event.Reason != RecycleShutdown {
			r.recycled = append(r.recycled, event.Reason)
		}
	}
	if c.AnyTool != nil {
		cfg.OnToolCall = r.tool(c.AnyTool)
	}
	pool, err := New(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.pool = pool
	for name, tool := range c.Tools {
		if err := pool.HandleTool(name, r.tool(tool)); err != nil {
			r.t.Fatal(err)
		}
	}
	steps := c.Steps
	if steps == nil {
		steps = []tableStep{c.tableStep}
	}
	for i := range steps {
		r.step(&steps[i])
	}
	if err := pool.Close(); err != nil {
		r.t.Error(err)
	}
	close(r.gone)
	r.checkRecycled()
}

func (r *caseRun) config() Config {
	presets := map[string]func() Config{
		"": Default, "default": Default, "strict": Strict, "secure": Secure, "standard": Standard, "permissive": Permissive,
	}
	cfg := presets[r.c.Preset]()
	if r.c.Settings == nil {
		cfg.Isolation, cfg.MinWorkers, cfg.MaxWorkers = r.isolation, 1, 1
	}
	for name, value := range r.c.Pool {
		setSetting(r.t, name, value, &cfg)
	}
	return cfg
}

func settingOf(t *testing.T, name string, cfg *Config) (int64, any) {
	for _, entry := range poolSettings {
		if capi.SettingName(int32(entry.id)) == name {
			return entry.id, entry.field(cfg)
		}
	}
	for _, entry := range limitSettings {
		if capi.SettingName(int32(entry.id)) == name {
			return entry.id, entry.field(&cfg.Limits)
		}
	}
	t.Fatalf("%s is no setting", name)
	return 0, nil
}

func setSetting(t *testing.T, name string, to json.Number, cfg *Config) {
	number, err := to.Int64()
	if err != nil {
		t.Skipf("%s: no int64 of Go can be %s", name, to)
	}
	_, field := settingOf(t, name, cfg)
	switch field := field.(type) {
	case *Isolation:
		*field = Isolation(number)
	case *int:
		*field = int(number)
	case *int64:
		*field = number
	case *time.Duration:
		if number > math.MaxInt64/int64(time.Millisecond) {
			t.Skipf("%s: no Duration of Go can be %d ms", name, number)
		}
		*field = time.Duration(number) * time.Millisecond
	case *bool:
		if number > 1 {
			t.Skipf("%s: no bool of Go can be %d", name, number)
		}
		*field = number == 1
	default:
		t.Fatalf("%s: there is no way to set a %T", name, field)
	}
}

func (r *caseRun) tool(tool *tableTool) ToolFunc {
	return func(ctx context.Context, args Args) (any, error) {
		r.mu.Lock()
		r.calls = append(r.calls, args)
		r.mu.Unlock()
		time.Sleep(time.Duration(tool.AfterMS) * time.Millisecond)
		switch {
		case tool.Resolves != nil:
			return untag(*tool.Resolves), nil
		case tool.Echoes:
			return args.Value, nil
		case tool.Rejects != nil:
			return nil, &ErrorValue{Name: tool.Rejects.Name, Message: tool.Rejects.Message, Code: tool.Rejects.Code}
		case tool.Keeps:
			<-r.gone
		}
		return nil, errors.New("no answer")
	}
}

func (r *caseRun) step(s *tableStep) {
	switch s.Do {
	case "", "run":
		for range max(s.Times, 1) {
			execution := r.pool.Submit(context.Background(), r.source(s), r.options(s)...)
			r.checkOutcome(execution, s)
		}
	case "submit":
		execution := r.pool.Submit(context.Background(), r.source(s), r.options(s)...)
		if execution.ID() == 0 {
			_, err := execution.Result()
			r.checkStatus(err, s.Status)
			r.checkError(err, s.Error)
		} else {
			r.checkStatus(nil, s.Status)
		}
		r.named[s.As] = execution
	case "wait":
		execution := r.named[s.For]
		select {
		case <-execution.Done():
		case <-time.After(long):
			r.t.Fatal("the execution does not end")
		}
		r.checkOutcome(execution, s)
	case "cancel":
		r.named[s.For].Cancel()
		r.checkStatus(nil, s.Status)
	case "await_executing":
		eventually(r.t, func() bool { return r.pool.Stats().Workers.Executing >= s.Count })
	case "await_calls":
		r.awaitCalls(s.Count)
	case "sleep":
		time.Sleep(time.Duration(s.MS) * time.Millisecond)
	case "shutdown":
		ctx := context.Background()
		if s.TimeoutMS != nil {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, time.Duration(*s.TimeoutMS)*time.Millisecond)
			defer cancel()
		}
		err := r.pool.Shutdown(ctx)
		if ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded) {
			err = nil
		}
		r.checkStatus(err, s.Status)
	default:
		r.t.Fatalf("there is no step %q", s.Do)
	}
}

func (r *caseRun) awaitCalls(count int) {
	eventually(r.t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.calls) >= count
	})
}

func (r *caseRun) source(s *tableStep) string {
	if s.Source.Kind() != KindArray {
		return untag(s.Source).(string)
	}
	var lines []string
	for line := range s.Source.Items() {
		lines = append(lines, line.String())
	}
	return strings.Join(lines, "\n")
}

func (r *caseRun) options(s *tableStep) []Option {
	kinds := map[string]SourceKind{"": SourceAuto, "auto": SourceAuto, "script": SourceScript, "function": SourceFunction}
	opts := []Option{WithKind(kinds[s.Kind])}
	if s.Filename != "" {
		opts = append(opts, WithFilename(s.Filename))
	}
	for name, value := range s.Globals.Entries() {
		opts = append(opts, WithGlobal(name.String(), untag(value)))
	}
	if s.Limits != nil {
		// Only the named limits are given, zero included.
		for name, value := range s.Limits {
			cfg := r.pool.Config()
			setSetting(r.t, name, value, &cfg)
			id, field := settingOf(r.t, name, &cfg)
			number, err := settingValue(id, field)
			if err != nil {
				r.t.Fatal(err)
			}
			opts = append(opts, option(func(s *submission) error {
				s.Settings = append(s.Settings, capi.Setting{ID: id, Value: number})
				return nil
			}))
		}
	}
	if s.OwnTool != nil {
		opts = append(opts, WithToolHandler(r.tool(s.OwnTool)))
	}
	if s.Console != nil {
		opts = append(opts, CollectConsole())
	}
	return opts
}

func (r *caseRun) checkOutcome(execution *Execution, s *tableStep) {
	r.t.Helper()
	value, err := execution.Result()
	r.checkStatus(err, s.Status)
	if s.Value != nil {
		want, encodeErr := ValueOf(untag(*s.Value))
		if encodeErr != nil {
			r.t.Fatal(encodeErr)
		}
		if !same(value, want) {
			r.t.Errorf("the value is %v %.300v, not %v %.300v", value.Kind(), value, want.Kind(), want)
		}
	}
	if s.Error != nil {
		r.checkError(err, s.Error)
	}
	if s.Console != nil {
		var lines [][2]string
		for _, line := range execution.Console() {
			lines = append(lines, [2]string{line.Level.String(), line.Text})
		}
		if !slices.Equal(lines, *s.Console) {
			r.t.Errorf("the console is %q, not %q", lines, *s.Console)
		}
	}
	if s.Calls != nil {
		r.checkCalls(*s.Calls)
	}
	if s.Stats != nil {
		stats := execution.Stats()
		check(r.t, "tool_calls", stats.ToolCalls, s.Stats.ToolCalls)
		check(r.t, "console_calls", stats.ConsoleCalls, s.Stats.ConsoleCalls)
		if least := s.Stats.RunTimeMSAtLeast; least != nil && stats.RunTime.Milliseconds() < *least {
			r.t.Errorf("it ran only %v", stats.RunTime)
		}
		if most := s.Stats.RunTimeMSAtMost; most != nil && stats.RunTime.Milliseconds() > *most {
			r.t.Errorf("it ran %v", stats.RunTime)
		}
		if most := s.Stats.CPUTimeMSAtMost; most != nil && stats.CPUTime.Milliseconds() > *most {
			r.t.Errorf("it used %v of CPU time", stats.CPUTime)
		}
	}
}

// Calls that are pending together reach their goroutines in any order.
func (r *caseRun) checkCalls(calls []Value) {
	r.t.Helper()
	r.awaitCalls(r.checked + len(calls))
	r.mu.Lock()
	defer r.mu.Unlock()
	got := slices.Clone(r.calls[r.checked:])
	r.checked = len(r.calls)
	if len(got) != len(calls) {
		r.t.Errorf("%d tool calls reached the host, not %d", len(got), len(calls))
	}
	for _, call := range calls {
		var parts []any
		for item := range call.Items() {
			parts = append(parts, untag(item))
		}
		want, err := ValueOf(parts[1])
		if err != nil {
			r.t.Fatal(err)
		}
		i := slices.IndexFunc(got, func(args Args) bool { return args.Tool == parts[0] && same(args.Value, want) })
		if i < 0 {
			r.t.Errorf("no tool call of %v with %v", parts[0], want)
			continue
		}
		got = slices.Delete(got, i, i+1)
	}
}

func (r *caseRun) checkStatus(err error, name string) {
	r.t.Helper()
	status := statusOf(err)
	if name == "" {
		name = "OK"
	}
	if status.String() != name {
		r.t.Fatalf("the status is %v, not %s: %v", status, name, err)
	}
	r.expect(status)
	if err != nil && !errors.Is(err, sentinels[status]) {
		r.t.Errorf("%v does not match its sentinel", err)
	}
}

func (r *caseRun) checkError(err error, want *tableError) {
	r.t.Helper()
	if want == nil {
		return
	}
	var e *Error
	if !errors.As(err, &e) {
		r.t.Fatalf("%v is no *Error", err)
	}
	script := &ScriptError{}
	errors.As(err, &script)
	for _, text := range []struct {
		what, got string
		want      *Value
	}{
		{"name", script.Name, want.Name},
		{"script_message", script.Message, want.ScriptMessage},
		{"code", script.Code, want.Code},
		{"filename", script.Filename, want.Filename},
		{"source_line", script.SourceLine, want.SourceLine},
		{"field", e.Details.Field, want.Field},
		{"path", e.Details.Path, want.Path},
		{"setting", e.Details.Setting, want.Setting},
	} {
		if text.want == nil {
			continue
		}
		wanted := ""
		if text.want.Kind() != KindNull {
			wanted = untag(*text.want).(string)
		}
		if text.got != wanted {
			r.t.Errorf("%s is %q, not %q", text.what, text.got, wanted)
		}
	}
	check(r.t, "line", script.Line, want.Line)
	check(r.t, "column", script.Column, want.Column)
	check(r.t, "limit", e.Details.Limit, want.Limit)
	check(r.t, "queue_size", e.Details.QueueSize, want.QueueSize)
	check(r.t, "signal", e.Details.Signal, want.Signal)
	for _, part := range []struct {
		what, in string
		parts    texts
		has      bool
	}{
		{"message", e.Message, want.MessageHas, true},
		{"script_message", script.Message, want.ScriptMessageHas, true},
		{"stack", script.Stack, want.StackHas, true},
		{"stack", script.Stack, want.StackLacks, false},
	} {
		for _, text := range part.parts {
			if strings.Contains(part.in, text) != part.has {
				r.t.Errorf("%s is %q; that it has %q is not %v", part.what, part.in, text, part.has)
			}
		}
	}
	if most := want.SourceLineAtMost; most != nil && len(script.SourceLine) > *most {
		r.t.Errorf("source_line has %d bytes", len(script.SourceLine))
	}
	if e.Details.UsedBytes < want.UsedBytesAtLeast {
		r.t.Errorf("used_bytes is %d", e.Details.UsedBytes)
	}
	if e.Details.Waited.Milliseconds() < want.WaitedAtLeast {
		r.t.Errorf("waited is %v", e.Details.Waited)
	}
	if e.Details.RetryAfter.Milliseconds() < want.RetryAtLeast {
		r.t.Errorf("retry_after is %v", e.Details.RetryAfter)
	}
}

// A worker that a busy machine has kept from answering in time is unresponsive.
func (r *caseRun) checkRecycled() {
	left := slices.Clone(r.c.Recycled)
	for _, reason := range r.recycled {
		i := slices.IndexFunc(left, func(want string) bool {
			late := want == "timeout" || want == "cpu_limit" || want == "cancelled"
			return reason.String() == want || reason == RecycleUnresponsive && late
		})
		if i < 0 {
			r.t.Errorf("a worker left for %v", reason)
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	if len(left) > 0 {
		r.t.Errorf("no worker left for %v", left)
	}
}

func (r *caseRun) checkConstants() {
	names := map[string]func(int32) string{
		"status":         func(n int32) string { return Status(n).String() },
		"recycle_reason": func(n int32) string { return RecycleReason(n).String() },
		"console_level":  func(n int32) string { return ConsoleLevel(n).String() },
		"value_kind":     func(n int32) string { return Kind(n).String() },
		"source_kind":    func(n int32) string { return SourceKind(n).String() },
		"isolation":      func(n int32) string { return Isolation(n).String() },
		"setting":        capi.SettingName,
		"preset": func(n int32) string {
			return map[int32]string{
				capi.PresetDefault: "default", capi.PresetStrict: "strict", capi.PresetSecure: "secure",
				capi.PresetStandard: "standard", capi.PresetPermissive: "permissive",
			}[n]
		},
	}
	name := names[r.c.Table]
	if name == nil {
		r.t.Fatalf("there is no table %q", r.c.Table)
	}
	known := map[string]int32{}
	for number := int32(-100); number < 1000; number++ {
		if text := name(number); text != "" && !strings.Contains(text, "(") {
			known[text] = number
		}
	}
	if !reflect.DeepEqual(known, r.c.Constants) {
		r.t.Errorf("the constants are %v, not %v", known, r.c.Constants)
	}
	switch r.c.Table {
	case "status":
		if len(sentinels) != len(known)-1 {
			r.t.Errorf("there are %d sentinels for %d statuses", len(sentinels), len(known)-1)
		}
		for status := range sentinels {
			if _, ok := known[status.String()]; !ok {
				r.t.Errorf("there is a sentinel for %v", status)
			}
		}
	case "setting":
		var ids []int32
		for _, entry := range poolSettings {
			ids = append(ids, int32(entry.id))
		}
		for _, entry := range limitSettings {
			ids = append(ids, int32(entry.id))
		}
		for text, id := range known {
			if id != 0 && !slices.Contains(ids, id) {
				r.t.Errorf("no field has the setting %s", text)
			}
		}
	}
}

func statusOf(err error) Status {
	var e *Error
	switch {
	case err == nil:
		return StatusOK
	case errors.As(err, &e):
		return e.Status
	}
	return -1
}

func check[T comparable](t *testing.T, what string, got T, want *T) {
	t.Helper()
	if want != nil && got != *want {
		t.Errorf("%s is %v, not %v", what, got, *want)
	}
}

// untag makes what a value of the table stands for.
func untag(v Value) any {
	switch v.Kind() {
	case KindArray:
		list := []any{}
		for item := range v.Items() {
			list = append(list, untag(item))
		}
		return list
	case KindObject:
		object := Object{}
		for key, item := range v.Entries() {
			object = append(object, Property{key.String(), item})
		}
		if len(object) == 1 && strings.HasPrefix(object[0].Key, "$") {
			return untagForm(object[0].Key, object[0].Value.(Value))
		}
		for i := range object {
			object[i].Value = untag(object[i].Value.(Value))
		}
		return object
	}
	return v.Interface()
}

func untagForm(form string, v Value) any {
	pairs := func(add func(key, value any)) {
		for pair := range v.Items() {
			parts := slices.Collect(pair.Items())
			add(untag(parts[0]), untag(parts[1]))
		}
	}
	switch form {
	case "$undefined":
		return Undefined{}
	case "$number":
		return map[string]float64{
			"NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1), "-0": math.Copysign(0, -1),
		}[v.String()]
	case "$bigint":
		digits, ok := new(big.Int).SetString(v.String(), 10)
		if !ok {
			panic("no bigint: " + v.String())
		}
		return digits
	case "$bytes":
		content, err := hex.DecodeString(v.String())
		must(err)
		return content
	case "$date":
		if v.Kind() == KindString {
			return Value{[]byte{0xc1, 0xf9, 0x7e, 0x00}}
		}
		var ms float64
		must(v.Decode(&ms))
		return time.UnixMilli(int64(ms))
	case "$map":
		entries := Map{}
		pairs(func(key, value any) { entries = append(entries, Entry{key, value}) })
		return entries
	case "$set":
		set := Set{}
		for item := range v.Items() {
			set = append(set, untag(item))
		}
		return set
	case "$error":
		var fields struct{ Name, Message, Code string }
		must(v.Decode(&fields))
		return ErrorValue{Name: fields.Name, Message: fields.Message, Code: fields.Code}
	case "$object":
		object := Object{}
		pairs(func(key, value any) { object = append(object, Property{key.(string), value}) })
		return object
	case "$repeat":
		var text string
		var count int
		for item := range v.Items() {
			if item.Kind() == KindString {
				text = item.String()
			} else {
				must(item.Decode(&count))
			}
		}
		return strings.Repeat(text, count)
	}
	panic("there is no form " + form)
}

// same says whether two values are the same, -0 and NaN told apart from others, the stacks of errors left aside.
func same(a, b Value) bool {
	if a.Kind() != b.Kind() {
		return false
	}
	switch a.Kind() {
	case KindNumber:
		var x, y float64
		must(a.Decode(&x))
		must(b.Decode(&y))
		return math.Float64bits(x) == math.Float64bits(y) || math.IsNaN(x) && math.IsNaN(y)
	case KindError:
		var x, y ErrorValue
		must(a.Decode(&x))
		must(b.Decode(&y))
		x.Stack, y.Stack = "", ""
		return x == y
	case KindArray, KindSet, KindMap, KindObject:
		return slices.EqualFunc(slices.Collect(parts(a)), slices.Collect(parts(b)), same)
	case KindDate:
		x, y := a.Interface().(time.Time), b.Interface().(time.Time)
		return x.Equal(y)
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

// parts are all that is inside a value, keys too.
func parts(v Value) func(func(Value) bool) {
	return func(yield func(Value) bool) {
		for item := range items(v.cbor) {
			if !yield(Value{item}) {
				return
			}
		}
	}
}

package enclave

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/enclave/enclave/bindings/go/internal/capi"
)

// The conformance table of tests/conformance. Its driver judges what the runner below has seen; its README says what
// they say to each other. The runner is this program once more, in a process of its own.

func init() { children["conformance"] = runConformance }

func TestConformance(t *testing.T) {
	for _, isolation := range []Isolation{IsolationThread, IsolationProcess} {
		t.Run(isolation.String(), func(t *testing.T) {
			arguments := []string{"../../tests/conformance/driver.py"}
			if isolation == IsolationProcess {
				arguments = append(arguments, "--process")
			}
			driver := exec.Command("python3", append(arguments, "--", os.Args[0])...)
			driver.Env = append(os.Environ(), "ENCLAVE_TEST_CHILD=conformance")
			out, err := driver.CombinedOutput()
			t.Logf("%s", out)
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// hello says what Go does not tell apart: no text from an empty one, and in which order calls reach their goroutines.
const hello = `{"runner": "Go", "merges": ["null_text", "call_order"]}`

type question struct {
	Do, Preset, Table string
	Pool              map[string]json.Number
	Names             []string
	Tools             map[string]*tableTool
	AnyTool           *tableTool `json:"any_tool"`
	Steps             []tableStep
}

type tableStep struct {
	Do, As, For, Call string
	Count             int
	MS                int64
	TimeoutMS         *int64 `json:"timeout_ms"`
	Source            string
	Kind, Filename    string
	Globals           Value
	Limits            map[string]json.Number
	OwnTool           *tableTool            `json:"own_tool"`
	OwnTools          map[string]*tableTool `json:"own_tools"`
	Value, Console    bool
	Calls             *int
}

type tableTool struct {
	Resolves *Value
	Echoes   bool
	Rejects  *struct {
		Name, Message string
		Code          *string
	}
	Drops     bool
	Keeps     bool
	HostCalls string `json:"host_calls"`
	AfterMS   int64  `json:"after_ms"`
}

type object = map[string]any

// skipped is why a question is not for Go.
type skipped string

// runConformance answers questions until there are no more.
func runConformance() {
	answers := json.NewEncoder(os.Stdout)
	answers.SetEscapeHTML(false)
	fmt.Println(hello)
	questions := bufio.NewReader(os.Stdin)
	for {
		line, err := questions.ReadBytes('\n')
		if err != nil {
			return
		}
		must(answers.Encode(answerTo(line)))
	}
}

func answerTo(line []byte) (answer object) {
	defer func() {
		switch problem := recover().(type) {
		case nil:
		case skipped:
			answer = object{"skip": string(problem)}
		default:
			answer = object{"problems": []string{fmt.Sprint(problem)}}
		}
	}()
	var q question
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	decoder.UseNumber()
	must(decoder.Decode(&q))
	switch q.Do {
	case "constants":
		return object{"constants": constantsOf(q.Table)}
	case "settings":
		return object{"settings": settingsAsked(&q)}
	}
	before, _ := goroutines()
	live := capi.Live()
	r := &caseRun{q: &q, named: map[string]*Execution{}, gone: make(chan struct{})}
	answer = r.run()
	if !soon(func() bool { now, _ := goroutines(); return now <= before && capi.Live() <= live }) {
		_, stacks := goroutines()
		r.problem("left behind: %d objects, goroutines:\n%s", capi.Live()-live, stacks)
	}
	if r.problems != nil {
		answer["problems"] = r.problems
	}
	return answer
}

// soon waits until something is so.
func soon(is func() bool) bool {
	for deadline := time.Now().Add(long); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// caseRun is a case that runs.
type caseRun struct {
	q     *question
	pool  *Pool
	named map[string]*Execution
	gone  chan struct{} // closed when the pool is gone

	mu       sync.Mutex
	calls    []Args
	said     int // calls
	recycled []string
	problems []string
}

func (r *caseRun) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

func (r *caseRun) run() object {
	for _, step := range r.q.Steps {
		if step.Do == "forked" {
			panic(skipped("Go programs do not fork"))
		}
	}
	for _, tool := range r.q.tools() {
		switch {
		case tool.HostCalls != "":
			panic(skipped("tools run on goroutines, where waiting is allowed; TestCallbacksMayNotWait"))
		case tool.Rejects != nil && tool.Rejects.Code != nil && *tool.Rejects.Code == "":
			panic(skipped("an empty code is none; TestToolErrors has the other texts"))
		}
	}
	cfg := configOf(r.q)
	cfg.OnWorkerRecycled = func(event WorkerRecycled) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.recycled = append(r.recycled, event.Reason.String())
	}
	if r.q.AnyTool != nil {
		cfg.OnToolCall = r.tool(r.q.AnyTool)
	}
	pool, err := New(cfg)
	if err != nil {
		return object{"pool_error": r.error(err)}
	}
	r.pool = pool
	for name, tool := range r.q.Tools {
		must(pool.HandleTool(name, r.tool(tool)))
	}
	seen := []object{}
	for i := range r.q.Steps {
		seen = append(seen, r.step(&r.q.Steps[i]))
	}
	must(pool.Close())
	close(r.gone)
	r.mu.Lock()
	defer r.mu.Unlock()
	return object{"steps": seen, "recycled": append([]string{}, r.recycled...)}
}

// tools are all tools of a case.
func (q *question) tools() (tools []*tableTool) {
	add := func(named map[string]*tableTool, others ...*tableTool) {
		for _, tool := range named {
			others = append(others, tool)
		}
		for _, tool := range others {
			if tool != nil {
				tools = append(tools, tool)
			}
		}
	}
	add(q.Tools, q.AnyTool)
	for _, step := range q.Steps {
		add(step.OwnTools, step.OwnTool)
	}
	return tools
}

func configOf(q *question) Config {
	presets := map[string]func() Config{
		"default": Default, "strict": Strict, "secure": Secure, "standard": Standard, "permissive": Permissive,
	}
	cfg := presets[q.Preset]()
	for name, value := range q.Pool {
		setSetting(name, value, &cfg)
	}
	return cfg
}

func settingsAsked(q *question) object {
	cfg := configOf(q)
	if cfg.MinWorkers > cfg.MaxWorkers {
		// Where it is not set it follows MaxWorkers, when the pool is made.
		pool, err := New(cfg)
		must(err)
		cfg = pool.Config()
		pool.Close()
	}
	settings := object{}
	for _, name := range q.Names {
		id, field := settingOf(name, &cfg)
		value, err := settingValue(id, field)
		must(err)
		settings[name] = value
	}
	return settings
}

func settingOf(name string, cfg *Config) (int64, any) {
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
	panic(name + " is no setting")
}

func setSetting(name string, to json.Number, cfg *Config) {
	number, err := to.Int64()
	if err != nil {
		panic(skipped(fmt.Sprintf("%s: no int64 of Go can be %s", name, to)))
	}
	_, field := settingOf(name, cfg)
	switch field := field.(type) {
	case *Isolation:
		*field = isolationOf(number)
	case *int:
		*field = int(number)
	case *int64:
		*field = number
	case *time.Duration:
		if number > math.MaxInt64/int64(time.Millisecond) {
			panic(skipped(fmt.Sprintf("%s: no Duration of Go can be %d ms", name, number)))
		}
		*field = time.Duration(number) * time.Millisecond
	case *bool:
		if number > 1 {
			panic(skipped(fmt.Sprintf("%s: no bool of Go can be %d", name, number)))
		}
		*field = number == 1
	default:
		panic(fmt.Sprintf("%s: there is no way to set a %T", name, field))
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
			rejects := &ErrorValue{Name: tool.Rejects.Name, Message: tool.Rejects.Message}
			if tool.Rejects.Code != nil {
				rejects.Code = *tool.Rejects.Code
			}
			return nil, rejects
		case tool.Keeps:
			<-r.gone
		}
		return nil, errors.New("no answer")
	}
}

func (r *caseRun) step(s *tableStep) object {
	switch s.Do {
	case "run":
		return r.outcome(r.pool.Submit(context.Background(), s.Source, r.options(s)...), s)
	case "submit":
		execution := r.pool.Submit(context.Background(), s.Source, r.options(s)...)
		if execution.ID() == 0 {
			_, err := execution.Result()
			return object{"status": statusOf(err).String(), "error": r.error(err)}
		}
		r.named[s.As] = execution
		return object{"status": "OK"}
	case "wait":
		execution := r.named[s.For]
		select {
		case <-execution.Done():
			return r.outcome(execution, s)
		case <-time.After(long):
			return object{"problem": "the execution does not end"}
		}
	case "cancel":
		r.named[s.For].Cancel()
		return object{"status": "OK"}
	case "await_executing":
		return waitFor(func() bool { return r.pool.Stats().Workers.Executing >= s.Count })
	case "await_calls":
		return waitFor(func() bool { return r.callCount() >= s.Count })
	case "sleep":
		time.Sleep(time.Duration(s.MS) * time.Millisecond)
		return object{}
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
		return object{"status": statusOf(err).String()}
	}
	return object{"problem": "there is no step " + s.Do}
}

func waitFor(is func() bool) object {
	if soon(is) {
		return object{}
	}
	return object{"problem": "it does not come about"}
}

func (r *caseRun) callCount() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.calls)
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
			setSetting(name, value, &cfg)
			id, field := settingOf(name, &cfg)
			number, err := settingValue(id, field)
			must(err)
			opts = append(opts, option(func(s *submission) error {
				s.Settings = append(s.Settings, capi.Setting{ID: id, Value: number})
				return nil
			}))
		}
	}
	for name, tool := range s.OwnTools {
		opts = append(opts, WithTool(name, r.tool(tool)))
	}
	if s.OwnTool != nil {
		opts = append(opts, WithToolHandler(r.tool(s.OwnTool)))
	}
	if s.Console {
		opts = append(opts, CollectConsole())
	}
	return opts
}

func (r *caseRun) outcome(execution *Execution, s *tableStep) object {
	value, err := execution.Result()
	stats := execution.Stats()
	seen := object{"status": statusOf(err).String(), "stats": object{
		"tool_calls": stats.ToolCalls, "console_calls": stats.ConsoleCalls,
		"run_time_ms": stats.RunTime.Seconds() * 1000, "cpu_time_ms": stats.CPUTime.Seconds() * 1000,
	}}
	if err != nil {
		seen["error"] = r.error(err)
	}
	if s.Value {
		seen["value"] = tag(value)
	}
	if s.Console {
		lines := [][2]string{}
		for _, line := range execution.Console() {
			lines = append(lines, [2]string{line.Level.String(), line.Text})
		}
		seen["console"] = lines
	}
	if s.Calls != nil {
		// Calls that are pending together reach their goroutines in any order, and maybe after the end.
		soon(func() bool { return r.callCount() >= r.said+*s.Calls })
		r.mu.Lock()
		defer r.mu.Unlock()
		calls := [][2]any{}
		for _, args := range r.calls[r.said:] {
			calls = append(calls, [2]any{args.Tool, tag(args.Value)})
		}
		r.said = len(r.calls)
		seen["calls"] = calls
	}
	return seen
}

func (r *caseRun) error(err error) object {
	var e *Error
	if !errors.As(err, &e) {
		panic(fmt.Sprintf("%v is no *Error", err))
	}
	if !errors.Is(err, sentinels[e.Status]) {
		r.problem("%v does not match its sentinel", err)
	}
	script := &ScriptError{}
	errors.As(err, &script)
	return object{
		"status": e.Status.String(), "message": e.Message,
		"name": script.Name, "script_message": script.Message, "code": script.Code, "stack": script.Stack,
		"filename": script.Filename, "source_line": script.SourceLine, "line": script.Line, "column": script.Column,
		"field": e.Details.Field, "path": e.Details.Path, "setting": e.Details.Setting, "limit": e.Details.Limit,
		"queue_size": e.Details.QueueSize, "signal": e.Details.Signal, "used_bytes": e.Details.UsedBytes,
		"waited_ms": e.Details.Waited.Milliseconds(), "retry_after_ms": e.Details.RetryAfter.Milliseconds(),
	}
}

func constantsOf(table string) map[string]int32 {
	names := map[string]func(int32) string{
		"status":         func(n int32) string { return Status(n).String() },
		"recycle_reason": func(n int32) string { return RecycleReason(n).String() },
		"console_level":  func(n int32) string { return ConsoleLevel(n).String() },
		"value_kind":     func(n int32) string { return Kind(n).String() },
		"source_kind":    func(n int32) string { return SourceKind(n).String() },
		"setting":        capi.SettingName,
		"isolation": func(n int32) string {
			if n < 0 {
				return "" // what Go has beside the library's numbers
			}
			return isolationOf(int64(n)).String()
		},
		"preset": func(n int32) string {
			return map[int32]string{
				capi.PresetDefault: "default", capi.PresetStrict: "strict", capi.PresetSecure: "secure",
				capi.PresetStandard: "standard", capi.PresetPermissive: "permissive",
			}[n]
		},
	}
	name := names[table]
	if name == nil {
		panic("there is no table " + table)
	}
	known := map[string]int32{}
	for number := int32(-100); number < 1000; number++ {
		if text := name(number); text != "" && !strings.Contains(text, "(") {
			known[text] = number
		}
	}
	return known
}

func TestEveryConstantOfTheLibraryIsKnown(t *testing.T) {
	statuses := constantsOf("status")
	if len(sentinels) != len(statuses)-1 {
		t.Errorf("there are %d sentinels for %d statuses", len(sentinels), len(statuses)-1)
	}
	for status := range sentinels {
		if _, ok := statuses[status.String()]; !ok {
			t.Errorf("there is a sentinel for %v", status)
		}
	}
	var ids []int32
	for _, entry := range poolSettings {
		ids = append(ids, int32(entry.id))
	}
	for _, entry := range limitSettings {
		ids = append(ids, int32(entry.id))
	}
	for text, id := range constantsOf("setting") {
		if id != 0 && !slices.Contains(ids, id) {
			t.Errorf("no field has the setting %s", text)
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
	}
	panic("there is no form " + form)
}

// tag is what stands for a value in the table.
func tag(v Value) any {
	list := func() []any {
		items := []any{}
		for item := range v.Items() {
			items = append(items, tag(item))
		}
		return items
	}
	pairs := func() [][2]any {
		pairs := [][2]any{}
		for key, item := range v.Entries() {
			pairs = append(pairs, [2]any{tag(key), tag(item)})
		}
		return pairs
	}
	switch v.Kind() {
	case KindUndefined:
		return object{"$undefined": true}
	case KindNumber:
		var number float64
		must(v.Decode(&number))
		switch {
		case math.IsNaN(number):
			return object{"$number": "NaN"}
		case math.IsInf(number, 0):
			return object{"$number": strings.TrimPrefix(fmt.Sprintf("%vinity", number), "+")}
		case number == 0 && math.Signbit(number):
			return object{"$number": "-0"}
		}
		return number
	case KindBigInt:
		var number big.Int
		must(v.Decode(&number))
		return object{"$bigint": number.String()}
	case KindBytes:
		var content []byte
		must(v.Decode(&content))
		return object{"$bytes": hex.EncodeToString(content)}
	case KindDate:
		if date := v.Interface().(time.Time); !date.IsZero() {
			return object{"$date": date.UnixMilli()}
		}
		return object{"$date": "invalid"}
	case KindArray:
		return list()
	case KindSet:
		return object{"$set": list()}
	case KindMap:
		return object{"$map": pairs()}
	case KindObject:
		return object{"$object": pairs()}
	case KindError:
		var e ErrorValue
		must(v.Decode(&e))
		return object{"$error": object{"name": e.Name, "message": e.Message, "code": e.Code}}
	}
	return v.Interface()
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

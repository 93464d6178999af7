// Package capi is libenclave as Go sees it, and the only package that imports "C".
//
// It is one long file, because every file that imports "C" has its own preamble and its own names for C's types.
//
// Everything crosses by copy: what comes in is read during the call, what goes out is copied before the call or the
// callback ends. So nothing of Go's is kept by C, and nothing of C's but the objects that are named here is kept by Go:
//
//   - [Pool], freed by its Close under a lock, so that no call uses it meanwhile or afterwards;
//   - [Execution], freed by whoever submitted it, once, after its completion;
//   - [Script], freed by the garbage collector;
//   - [ToolCall], freed by its answer.
//
// Callbacks reach Go through a [cgo.Handle]. The handle of a completion is deleted with the completion; the others are
// deleted by the library's finalizers.
package capi

// #include "shim.h"
import "C"

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"runtime/cgo"
	"sync"
	"sync/atomic"
	"unsafe"
)

// Presets.
const (
	PresetDefault    = C.ENCLAVE_PRESET_DEFAULT
	PresetStrict     = C.ENCLAVE_PRESET_STRICT
	PresetSecure     = C.ENCLAVE_PRESET_SECURE
	PresetStandard   = C.ENCLAVE_PRESET_STANDARD
	PresetPermissive = C.ENCLAVE_PRESET_PERMISSIVE
)

// Settings: of a pool, and from SettingTimeout on of an execution.
const (
	SettingIsolation               = C.ENCLAVE_SETTING_ISOLATION
	SettingMinWorkers              = C.ENCLAVE_SETTING_MIN_WORKERS
	SettingMaxWorkers              = C.ENCLAVE_SETTING_MAX_WORKERS
	SettingMemoryLimitPerWorker    = C.ENCLAVE_SETTING_MEMORY_LIMIT_PER_WORKER
	SettingMaxExecutionsPerWorker  = C.ENCLAVE_SETTING_MAX_EXECUTIONS_PER_WORKER
	SettingMaxQueueSize            = C.ENCLAVE_SETTING_MAX_QUEUE_SIZE
	SettingQueueTimeout            = C.ENCLAVE_SETTING_QUEUE_TIMEOUT_MS
	SettingMaxMessagesPerSecond    = C.ENCLAVE_SETTING_MAX_MESSAGES_PER_SECOND
	SettingIdleTimeout             = C.ENCLAVE_SETTING_IDLE_TIMEOUT_MS
	SettingGracefulShutdownTimeout = C.ENCLAVE_SETTING_GRACEFUL_SHUTDOWN_TIMEOUT_MS
	SettingMaxMessageSize          = C.ENCLAVE_SETTING_MAX_MESSAGE_SIZE
	SettingMaxPendingToolCalls     = C.ENCLAVE_SETTING_MAX_PENDING_TOOL_CALLS
	SettingWarmOnInit              = C.ENCLAVE_SETTING_WARM_ON_INIT
	SettingStatsInterval           = C.ENCLAVE_SETTING_STATS_INTERVAL_MS
	SettingJIT                     = C.ENCLAVE_SETTING_JIT
	SettingRequireSandbox          = C.ENCLAVE_SETTING_REQUIRE_SANDBOX
	SettingRequireSeccomp          = C.ENCLAVE_SETTING_REQUIRE_SECCOMP
	SettingTimeout                 = C.ENCLAVE_SETTING_TIMEOUT_MS
	SettingCPUTimeLimit            = C.ENCLAVE_SETTING_CPU_TIME_LIMIT_MS
	SettingMaxToolCalls            = C.ENCLAVE_SETTING_MAX_TOOL_CALLS
	SettingMaxConsoleCalls         = C.ENCLAVE_SETTING_MAX_CONSOLE_CALLS
	SettingMaxConsoleOutput        = C.ENCLAVE_SETTING_MAX_CONSOLE_OUTPUT
	SettingMaxValueDepth           = C.ENCLAVE_SETTING_MAX_VALUE_DEPTH
	SettingSanitizeStackTraces     = C.ENCLAVE_SETTING_SANITIZE_STACK_TRACES
	SettingBlockTimingAPIs         = C.ENCLAVE_SETTING_BLOCK_TIMING_APIS
	SettingAllowCodeGeneration     = C.ENCLAVE_SETTING_ALLOW_CODE_GENERATION
	SettingAllowWasm               = C.ENCLAVE_SETTING_ALLOW_WASM
	SettingMaxPendingBytes         = C.ENCLAVE_SETTING_MAX_PENDING_BYTES
)

// PoolTimeout as the time of [Pool.Shutdown] is the pool's graceful_shutdown_timeout.
const PoolTimeout = uint64(C.ENCLAVE_POOL_TIMEOUT)

// Statuses that this package itself gives.
const (
	statusPoolClosed  = C.ENCLAVE_POOL_CLOSED
	statusUnsupported = C.ENCLAVE_UNSUPPORTED
)

// Setting is a setting and its value, in the library's units.
type Setting struct {
	ID    int64
	Value uint64
}

// Error is an error of the library. Texts that it does not have are empty, numbers 0.
type Error struct {
	Status  int32
	Message string

	Name, ScriptMessage, Code, Stack, Filename, SourceLine string
	Line, Column                                           uint32

	Field, Path                                         string
	Setting                                             int32
	Signal                                              int32
	Limit, UsedBytes, QueueSize, RetryAfterMS, WaitedMS uint64
}

// Outcome is how an execution ended.
type Outcome struct {
	Value   []byte // CBOR; nil unless Err is nil
	Err     *Error
	Stats   ExecutionStats
	Console []ConsoleLine
}

// ExecutionStats is what an execution took.
type ExecutionStats struct {
	ExecutionID, WorkerID                         uint64
	QueueWaitNS, RunTimeNS, CPUTimeNS, PeakMemory uint64
	ToolCalls, ConsoleCalls                       uint32
}

// ConsoleLine is a line of the console.
type ConsoleLine struct {
	ExecutionID uint64
	TimeUS      int64
	Text        string
	Level       int32
}

// WorkerRecycled is a worker that has left.
type WorkerRecycled struct {
	WorkerID, Executions, AgeNS uint64
	Reason                      int32
}

// Histogram is how long something took.
type Histogram struct {
	Count, MeanNS, P50NS, P90NS, P99NS, MaxNS uint64
}

// PoolStats is a snapshot of a pool.
type PoolStats struct {
	UptimeNS                                                                          uint64
	WorkersStarting, WorkersIdle, WorkersExecuting, WorkersRecycling, WorkersSetAside uint64
	QueueDepth, ToolCalls, ConsoleLines, RateLimitHits, MemoryCurrent, MemoryPeak     uint64
	ExecutionsTotal, RecyclesTotal                                                    uint64
	QueueWait, RunTime                                                                Histogram
	SandboxViolations                                                                 uint64
	Isolation                                                                         int32
	SandboxMissing                                                                    uint32
	Executions, Recycles                                                              map[int32]uint64
}

// Callbacks of a pool; each may be nil. They run on goroutines of their own, for which a thread of the library waits.
type Callbacks struct {
	WorkerRecycled func(WorkerRecycled)
	StatsUpdate    func(PoolStats)
	Console        func(ConsoleLine)
}

// live counts what Go holds of the library, and the library of Go: pools, executions, tool calls and handles.
var live atomic.Int64

// Live is how many objects have not been freed, for tests of leaks.
func Live() int64 { return live.Load() }

func newHandle(value any) cgo.Handle {
	live.Add(1)
	return cgo.NewHandle(value)
}

func deleteHandle(handle cgo.Handle) {
	handle.Delete()
	live.Add(-1)
}

// Version is the version of the loaded library.
func Version() string { return C.GoString(C.enclave_version()) }

// StatusName is the name of a status, "" for a number that is none.
func StatusName(status int32) string {
	return goString(C.enclave_status_name(C.enclave_status_t(status)))
}

// RecycleReasonName is the name of a reason, "" for a number that is none.
func RecycleReasonName(reason int32) string {
	return goString(C.enclave_recycle_reason_name(C.enclave_recycle_reason_t(reason)))
}

// ConsoleLevelName is the name of a level, "" for a number that is none.
func ConsoleLevelName(level int32) string {
	return goString(C.enclave_console_level_name(C.enclave_console_level_t(level)))
}

// SandboxPartName is the name of a part, "" for a number that is not one.
func SandboxPartName(part uint32) string {
	return goString(C.enclave_sandbox_part_name(C.enclave_sandbox_part_t(part)))
}

// SettingName is the name of a setting, "" for a number that is none.
func SettingName(setting int32) string {
	return goString(C.enclave_setting_name(C.enclave_setting_t(setting)))
}

// checkVersion compares the header that this package was compiled with, and the library that was loaded.
var checkVersion = sync.OnceValue(func() *Error {
	loaded, compiled := uint32(C.enclave_version_number()), uint32(C.ENCLAVE_VERSION_NUMBER)
	breaking := uint32(1_000_000)
	if C.ENCLAVE_VERSION_MAJOR == 0 {
		breaking = 1000
	}
	if loaded >= compiled && loaded/breaking == compiled/breaking {
		return nil
	}
	return &Error{
		Status: statusUnsupported,
		Message: fmt.Sprintf("the program was compiled for libenclave %d.%d.%d, and %s was loaded",
			C.ENCLAVE_VERSION_MAJOR, C.ENCLAVE_VERSION_MINOR, C.ENCLAVE_VERSION_PATCH, Version()),
	}
})

// Preset fills in the values that a preset has for these settings.
func Preset(preset int32, settings []Setting) {
	C.enclave_go_preset(C.enclave_preset_t(preset), settingsPointer(settings), C.size_t(len(settings)))
}

// Pool is a pool of the library. All methods may be called at any time, also after Close.
type Pool struct {
	id uint64 // unique in the program
	// Held for reading while pool is used, and for writing while it is freed.
	mu   sync.RWMutex
	pool *C.enclave_pool_t
	last PoolStats // when it was freed
}

// pools counts the pools that were made.
var pools atomic.Uint64

// NewPool makes a pool of a preset and changes to it. An empty path is none.
func NewPool(preset int32, settings []Setting, workerPath, cgroup string, callbacks Callbacks) (*Pool, *Error) {
	if err := checkVersion(); err != nil {
		return nil, err
	}
	id := pools.Add(1)
	recycled := newCallback(id, callbacks.WorkerRecycled)
	stats := newCallback(id, callbacks.StatsUpdate)
	console := newCallback(id, callbacks.Console)
	var pool *C.enclave_pool_t
	var failure *C.enclave_error_t
	status := C.enclave_go_pool_new(C.enclave_preset_t(preset), settingsPointer(settings), C.size_t(len(settings)),
		stringPointer(workerPath), C.size_t(len(workerPath)), stringPointer(cgroup), C.size_t(len(cgroup)),
		C.uintptr_t(recycled), C.uintptr_t(stats), C.uintptr_t(console), &pool, &failure)
	if status != C.ENCLAVE_OK {
		return nil, takeError(status, failure)
	}
	live.Add(1)
	return &Pool{id: id, pool: pool}, nil
}

// use calls f with the pool, which is not freed meanwhile.
func (p *Pool) use(f func(*C.enclave_pool_t) *Error) *Error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.pool == nil {
		return closed()
	}
	return f(p.pool)
}

// closed is what the library says of a pool that was shut down.
func closed() *Error {
	return &Error{Status: statusPoolClosed, Message: "the pool is shut down"}
}

// Settings fills in the values that the pool has for these settings.
func (p *Pool) Settings(settings []Setting) {
	_ = p.use(func(pool *C.enclave_pool_t) *Error {
		for i := range settings {
			setting := C.enclave_setting_t(settings[i].ID)
			settings[i].Value = uint64(C.enclave_pool_setting(pool, setting))
		}
		return nil
	})
}

// RegisterTool makes a name known to scripts. The calls go to the ToolHandler of their execution.
func (p *Pool) RegisterTool(name string) *Error {
	return p.use(func(pool *C.enclave_pool_t) *Error {
		var failure *C.enclave_error_t
		status := C.enclave_go_register_tool(pool, stringPointer(name), C.size_t(len(name)), &failure)
		runtime.KeepAlive(name)
		return takeError(status, failure)
	})
}

// Stats gives a snapshot; after Close, the last one.
func (p *Pool) Stats() PoolStats {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.stats()
}

func (p *Pool) stats() PoolStats {
	if p.pool == nil {
		return p.last
	}
	var read *C.enclave_pool_stats_t
	if C.enclave_pool_stats(p.pool, &read, nil) != C.ENCLAVE_OK {
		return PoolStats{} // in a forked child only, which Go programs cannot be
	}
	stats := copyStats(read)
	C.enclave_pool_stats_free(read)
	return stats
}

// Shutdown shuts the pool down and waits until it is.
func (p *Pool) Shutdown(timeoutMS uint64) *Error {
	err := p.use(func(pool *C.enclave_pool_t) *Error {
		var failure *C.enclave_error_t
		return takeError(C.enclave_pool_shutdown(pool, C.uint64_t(timeoutMS), &failure), failure)
	})
	if err != nil && err.Status == statusPoolClosed {
		return nil
	}
	return err
}

// Close shuts the pool down with its own timeout, and frees it. A second call does nothing.
func (p *Pool) Close() *Error {
	if err := p.Shutdown(PoolTimeout); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pool != nil {
		p.last = p.stats()
		C.enclave_pool_free(p.pool)
		p.pool = nil
		live.Add(-1)
	}
	return nil
}

// Completer is told how an execution ended, once, on a thread of the library.
type Completer interface {
	Complete(*Outcome)
}

// ToolHandler takes the tool calls of an execution, on a thread of the library. It owns the call.
type ToolHandler interface {
	CallTool(name string, args []byte, call *ToolCall)
}

// Global is a global variable of a script, as CBOR.
type Global struct {
	Name string
	CBOR []byte
}

// Submission is a script and how it is to run.
type Submission struct {
	Source         string
	Script         *Script // in place of the source, if not nil
	Filename       string  // "": the library's default
	Kind           int32
	Settings       []Setting
	Globals        []Global
	CollectConsole bool
	Tools          ToolHandler       // may be nil
	ToolNames      []string          // those that the script knows beside the pool's
	Console        func(ConsoleLine) // may be nil
}

// Script is a compiled source.
type Script struct{ script *C.enclave_script_t }

func newScript(from *C.enclave_script_t) *Script {
	script := &Script{from}
	runtime.AddCleanup(script, func(from *C.enclave_script_t) { C.enclave_script_free(from) }, from)
	return script
}

// Submit submits a script. If it fails, the completer is not called.
func (p *Pool) Submit(s *Submission, completer Completer) (*Execution, *Error) {
	return p.submit(s, nil, completer)
}

// Run submits a script and waits for up to a millisecond, on this thread, which saves that a thread of the library wakes a
// goroutine. It gives the outcome if that has come; else the execution, as Submit does.
func (p *Pool) Run(s *Submission, completer Completer) (*Outcome, *Execution, *Error) {
	// A P is left to other goroutines, and another one to those of tools, which are started by a thread that holds one:
	// else they would have to wait until a P is taken from a thread in C.
	left := int64(1)
	if s.Tools != nil {
		left = 2
	}
	if waiting.Add(1)+left > int64(runtime.GOMAXPROCS(0)) {
		waiting.Add(-1)
		execution, err := p.submit(s, nil, completer)
		return nil, execution, err
	}
	defer waiting.Add(-1)
	p.mu.RLock()
	defer p.mu.RUnlock()
	var wait *C.enclave_go_wait_t
	var read C.enclave_go_outcome_t
	execution, err := p.call(s, nil, 0, &wait, &read)
	if err != nil {
		return nil, nil, err
	}
	if wait == nil {
		return takeOutcome(&read), nil, nil
	}
	live.Add(1)
	complete := newHandle(completer)
	if C.enclave_go_stop_waiting(wait, C.uintptr_t(complete), execution, &read) {
		return nil, (*Execution)(execution), nil
	}
	deleteHandle(complete)
	(*Execution)(execution).Free()
	return takeOutcome(&read), nil, nil
}

// waiting counts the calls of Run that wait.
var waiting atomic.Int64

// Compile submits a source to be compiled, and gives the script at once. The execution says whether it compiles.
func (p *Pool) Compile(s *Submission, completer Completer) (*Script, *Execution, *Error) {
	var compiled *C.enclave_script_t
	execution, err := p.submit(s, &compiled, completer)
	if err != nil {
		return nil, nil, err
	}
	return newScript(compiled), execution, nil
}

func (p *Pool) submit(s *Submission, compiled **C.enclave_script_t, completer Completer) (*Execution, *Error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	complete := newHandle(completer)
	execution, err := p.call(s, compiled, complete, nil, nil)
	if err != nil {
		deleteHandle(complete)
		return nil, err
	}
	live.Add(1)
	return (*Execution)(execution), nil
}

// call calls the library with a submission; p.mu is held.
func (p *Pool) call(
	s *Submission, compiled **C.enclave_script_t, complete cgo.Handle, wait **C.enclave_go_wait_t,
	outcome *C.enclave_go_outcome_t,
) (*C.enclave_execution_t, *Error) {
	if p.pool == nil {
		return nil, closed()
	}
	var tools cgo.Handle
	if s.Tools != nil {
		tools = newHandle(s.Tools)
	}
	console := newCallback(p.id, s.Console)
	globals, names := packGlobals(s.Globals), packNames(s.ToolNames)
	submission := C.enclave_go_submission_t{
		source:          stringPointer(s.Source),
		source_len:      C.size_t(len(s.Source)),
		settings:        settingsPointer(s.Settings),
		settings_len:    C.size_t(len(s.Settings)),
		globals:         (*C.char)(bytesPointer(globals)),
		globals_len:     C.size_t(len(globals)),
		tool_names:      (*C.char)(bytesPointer(names)),
		tool_names_len:  C.size_t(len(names)),
		kind:            C.enclave_source_kind_t(s.Kind),
		collect_console: C.bool(s.CollectConsole),
		on_tool_call:    C.uintptr_t(tools),
		on_console:      C.uintptr_t(console),
		on_complete:     C.uintptr_t(complete),
	}
	if s.Filename != "" {
		submission.filename, submission.filename_len = stringPointer(s.Filename), C.size_t(len(s.Filename))
	}
	if s.Script != nil {
		submission.script = s.Script.script
	}
	var execution *C.enclave_execution_t
	var failure *C.enclave_error_t
	status := C.enclave_go_submit(p.pool, submission, compiled, wait, outcome, &execution, &failure)
	runtime.KeepAlive(s)
	return execution, takeError(status, failure)
}

// Execution is a submitted execution.
type Execution C.enclave_execution_t

func (e *Execution) pointer() *C.enclave_execution_t { return (*C.enclave_execution_t)(e) }

// ID is the id of the execution, unique in its pool.
func (e *Execution) ID() uint64 { return uint64(C.enclave_execution_id(e.pointer())) }

// Cancel cancels the execution, and returns at once.
func (e *Execution) Cancel() { C.enclave_execution_cancel(e.pointer(), nil) }

// Free frees the handle.
func (e *Execution) Free() {
	C.enclave_execution_free(e.pointer())
	live.Add(-1)
}

// ToolCall is a tool call that waits for its answer: Resolve, if that fails Reject.
type ToolCall C.enclave_tool_call_t

func (c *ToolCall) pointer() *C.enclave_tool_call_t { return (*C.enclave_tool_call_t)(c) }

// ExecutionID is the id of the execution that calls.
func (c *ToolCall) ExecutionID() uint64 { return uint64(C.enclave_tool_call_execution_id(c.pointer())) }

// Resolve answers with CBOR and frees the call. If the answer is refused, the call still wants one.
func (c *ToolCall) Resolve(cbor []byte) *Error {
	var failure *C.enclave_error_t
	status := C.enclave_go_resolve(c.pointer(), bytesPointer(cbor), C.size_t(len(cbor)), &failure)
	if status == C.ENCLAVE_OK {
		live.Add(-1)
	}
	return takeError(status, failure)
}

// Reject answers with an error and frees the call. An empty code is none.
func (c *ToolCall) Reject(name, message, code string) {
	var codePointer *C.char
	if code != "" {
		codePointer = stringPointer(code)
	}
	C.enclave_go_reject(c.pointer(), stringPointer(name), C.size_t(len(name)), stringPointer(message),
		C.size_t(len(message)), codePointer, C.size_t(len(code)))
	live.Add(-1)
}

// ToJSON writes a value as the library does.
func ToJSON(cbor []byte) ([]byte, *Error) {
	var json C.enclave_buffer_t
	var failure *C.enclave_error_t
	status := C.enclave_go_cbor_to_json(bytesPointer(cbor), C.size_t(len(cbor)), &json, &failure)
	return takeBuffer(status, &json, failure)
}

// FromJSON reads JSON into CBOR.
func FromJSON(json []byte) ([]byte, *Error) {
	var cbor C.enclave_buffer_t
	var failure *C.enclave_error_t
	status := C.enclave_go_json_to_cbor((*C.char)(bytesPointer(json)), C.size_t(len(json)), &cbor, &failure)
	return takeBuffer(status, &cbor, failure)
}

func takeBuffer(status C.enclave_status_t, buffer *C.enclave_buffer_t, failure *C.enclave_error_t) ([]byte, *Error) {
	if status != C.ENCLAVE_OK {
		return nil, takeError(status, failure)
	}
	bytes := copyBytes(buffer.data, buffer.len)
	C.enclave_buffer_free(buffer)
	return bytes, nil
}

// takeOutcome copies an owned outcome and frees it.
func takeOutcome(read *C.enclave_go_outcome_t) *Outcome {
	outcome := copyOutcome(read)
	C.enclave_go_free_outcome(read)
	return outcome
}

func copyOutcome(read *C.enclave_go_outcome_t) *Outcome {
	outcome := &Outcome{
		Stats: ExecutionStats{
			ExecutionID:  uint64(read.stats.execution_id),
			WorkerID:     uint64(read.stats.worker_id),
			QueueWaitNS:  uint64(read.stats.queue_wait_ns),
			RunTimeNS:    uint64(read.stats.run_time_ns),
			CPUTimeNS:    uint64(read.stats.cpu_time_ns),
			PeakMemory:   uint64(read.stats.peak_memory),
			ToolCalls:    uint32(read.stats.tool_calls),
			ConsoleCalls: uint32(read.stats.console_calls),
		},
	}
	if read.status == C.ENCLAVE_OK {
		outcome.Value = copyBytes(read.value.data, read.value.len)
	} else {
		outcome.Err = copyError(read.error)
	}
	if count := int(C.enclave_outcome_console_count(read.outcome)); count > 0 {
		outcome.Console = make([]ConsoleLine, count)
		for i := range outcome.Console {
			outcome.Console[i] = copyLine(C.enclave_outcome_console_line(read.outcome, C.size_t(i)))
		}
	}
	return outcome
}

// packGlobals writes globals as the shim reads them.
func packGlobals(globals []Global) []byte {
	size := 0
	for _, global := range globals {
		size += 16 + len(global.Name) + len(global.CBOR)
	}
	packed := make([]byte, 0, size)
	for _, global := range globals {
		packed = pack(pack(packed, global.Name), global.CBOR)
	}
	return packed
}

// packNames writes names as the shim reads them.
func packNames(names []string) []byte {
	var packed []byte
	for _, name := range names {
		packed = pack(packed, name)
	}
	return packed
}

func pack[T string | []byte](to []byte, part T) []byte {
	return append(binary.NativeEndian.AppendUint64(to, uint64(len(part))), part...)
}

// takeError copies an owned error and frees it.
func takeError(status C.enclave_status_t, failure *C.enclave_error_t) *Error {
	if status == C.ENCLAVE_OK {
		return nil
	}
	if failure == nil {
		return &Error{Status: int32(status), Message: StatusName(int32(status))}
	}
	err := copyError(failure)
	C.enclave_error_free(failure)
	return err
}

func copyError(failure *C.enclave_error_t) *Error {
	var read C.enclave_go_error_t
	C.enclave_go_read_error(failure, &read)
	return &Error{
		Status:        int32(read.status),
		Message:       copyString(read.message.data, read.message.len),
		Name:          copyString(read.name.data, read.name.len),
		ScriptMessage: copyString(read.script_message.data, read.script_message.len),
		Code:          copyString(read.code.data, read.code.len),
		Stack:         copyString(read.stack.data, read.stack.len),
		Filename:      copyString(read.filename.data, read.filename.len),
		SourceLine:    copyString(read.source_line.data, read.source_line.len),
		Line:          uint32(read.line),
		Column:        uint32(read.column),
		Field:         copyString(read.field.data, read.field.len),
		Path:          copyString(read.path.data, read.path.len),
		Setting:       int32(read.setting),
		Signal:        int32(read.signal),
		Limit:         uint64(read.limit),
		UsedBytes:     uint64(read.used_bytes),
		QueueSize:     uint64(read.queue_size),
		RetryAfterMS:  uint64(read.retry_after_ms),
		WaitedMS:      uint64(read.waited_ms),
	}
}

func copyStats(read *C.enclave_pool_stats_t) PoolStats {
	stats := PoolStats{
		UptimeNS:          uint64(read.uptime_ns),
		WorkersStarting:   uint64(read.workers_starting),
		WorkersIdle:       uint64(read.workers_idle),
		WorkersExecuting:  uint64(read.workers_executing),
		WorkersRecycling:  uint64(read.workers_recycling),
		WorkersSetAside:   uint64(read.workers_set_aside),
		QueueDepth:        uint64(read.queue_depth),
		ExecutionsTotal:   uint64(read.executions_total),
		RecyclesTotal:     uint64(read.recycles_total),
		ToolCalls:         uint64(read.tool_calls),
		ConsoleLines:      uint64(read.console_lines),
		RateLimitHits:     uint64(read.rate_limit_hits),
		MemoryCurrent:     uint64(read.memory_current),
		MemoryPeak:        uint64(read.memory_peak),
		QueueWait:         copyHistogram(&read.queue_wait, read.queue_wait_mean_ns),
		RunTime:           copyHistogram(&read.run_time, read.run_time_mean_ns),
		SandboxViolations: uint64(read.sandbox_violations),
		Isolation:         int32(read.isolation),
		SandboxMissing:    uint32(read.sandbox_missing),
		Executions:        make(map[int32]uint64, int(read.executions_len)),
		Recycles:          make(map[int32]uint64, int(read.recycles_len)),
	}
	for _, entry := range unsafe.Slice(read.executions, int(read.executions_len)) {
		stats.Executions[int32(entry.status)] = uint64(entry.count)
	}
	for _, entry := range unsafe.Slice(read.recycles, int(read.recycles_len)) {
		stats.Recycles[int32(entry.reason)] = uint64(entry.count)
	}
	return stats
}

func copyHistogram(read *C.enclave_histogram_t, mean C.uint64_t) Histogram {
	return Histogram{
		Count:  uint64(read.count),
		MeanNS: uint64(mean),
		P50NS:  uint64(read.p50_ns),
		P90NS:  uint64(read.p90_ns),
		P99NS:  uint64(read.p99_ns),
		MaxNS:  uint64(read.max_ns),
	}
}

func copyLine(read *C.enclave_console_line_t) ConsoleLine {
	return ConsoleLine{
		ExecutionID: uint64(read.execution_id),
		TimeUS:      int64(read.time_us),
		Text:        copyString(read.text, read.text_len),
		Level:       int32(read.level),
	}
}

// Memory of Go's that C reads during a call, never nil: NULL means something else to the library than nothing.

var nothing byte

func stringPointer(s string) *C.char {
	if s == "" {
		return (*C.char)(unsafe.Pointer(&nothing))
	}
	return (*C.char)(unsafe.Pointer(unsafe.StringData(s)))
}

func bytesPointer(b []byte) unsafe.Pointer {
	if len(b) == 0 {
		return unsafe.Pointer(&nothing)
	}
	return unsafe.Pointer(unsafe.SliceData(b))
}

func settingsPointer(settings []Setting) *C.enclave_go_setting_t {
	return (*C.enclave_go_setting_t)(unsafe.Pointer(unsafe.SliceData(settings)))
}

// Memory of C's, copied.

func goString(s *C.char) string {
	if s == nil {
		return ""
	}
	return C.GoString(s)
}

func copyString(data *C.char, length C.size_t) string {
	return string(unsafe.Slice((*byte)(unsafe.Pointer(data)), int(length)))
}

func copyBytes(data *C.char, length C.size_t) []byte {
	return append([]byte{}, unsafe.Slice((*byte)(unsafe.Pointer(data)), int(length))...)
}

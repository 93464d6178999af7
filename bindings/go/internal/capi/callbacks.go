package capi

// What C calls. These run on threads of the library, which wait for them; what may take its time is handed over.

// #include "shim.h"
import "C"

import (
	"runtime/cgo"
)

//export enclaveGoRelease
func enclaveGoRelease(handle C.uintptr_t) {
	deleteHandle(cgo.Handle(handle))
}

//export enclaveGoComplete
func enclaveGoComplete(handle C.uintptr_t, read *C.enclave_go_outcome_t) {
	h := cgo.Handle(handle)
	completer := h.Value().(Completer)
	deleteHandle(h)
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
	completer.Complete(outcome)
}

//export enclaveGoToolCall
func enclaveGoToolCall(handle C.uintptr_t, call *C.enclave_tool_call_t, name *C.char, nameLen C.size_t, args *C.char,
	argsLen C.size_t) {
	live.Add(1)
	handler := cgo.Handle(handle).Value().(ToolHandler)
	handler.CallTool(copyString(name, nameLen), copyBytes(args, argsLen), (*ToolCall)(call))
}

//export enclaveGoConsole
func enclaveGoConsole(handle C.uintptr_t, line *C.enclave_console_line_t) {
	cgo.Handle(handle).Value().(func(ConsoleLine))(copyLine(line))
}

//export enclaveGoWorkerRecycled
func enclaveGoWorkerRecycled(handle C.uintptr_t, event *C.enclave_worker_recycled_t) {
	cgo.Handle(handle).Value().(func(WorkerRecycled))(WorkerRecycled{
		WorkerID:   uint64(event.worker_id),
		Executions: uint64(event.executions),
		AgeNS:      uint64(event.age_ns),
		Reason:     int32(event.reason),
	})
}

//export enclaveGoStatsUpdate
func enclaveGoStatsUpdate(handle C.uintptr_t, stats *C.enclave_pool_stats_t) {
	cgo.Handle(handle).Value().(func(PoolStats))(copyStats(stats))
}

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
	completer.Complete(copyOutcome(read))
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

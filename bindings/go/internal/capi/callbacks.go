package capi

// What C calls. These run on threads of the library, which wait for them; what may take its time is handed over, and no
// code of the user runs here.

// #include "shim.h"
import "C"

import (
	"runtime"
	"runtime/cgo"
	"sync/atomic"
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
	call(handle, copyLine(line))
}

//export enclaveGoWorkerRecycled
func enclaveGoWorkerRecycled(handle C.uintptr_t, event *C.enclave_worker_recycled_t) {
	call(handle, WorkerRecycled{
		WorkerID:   uint64(event.worker_id),
		Executions: uint64(event.executions),
		AgeNS:      uint64(event.age_ns),
		Reason:     int32(event.reason),
	})
}

//export enclaveGoStatsUpdate
func enclaveGoStatsUpdate(handle C.uintptr_t, stats *C.enclave_pool_stats_t) {
	call(handle, copyStats(stats))
}

// callback is a callback of a pool that runs code of the user.
type callback[T any] struct {
	pool uint64
	f    func(T)
}

// newCallback gives a handle for a callback, 0 for none.
func newCallback[T any](pool uint64, f func(T)) cgo.Handle {
	if f == nil {
		return 0
	}
	return newHandle(callback[T]{pool, f})
}

// call calls a callback on a goroutine of its own and waits for it: runtime.Goexit then ends that goroutine, while on a
// thread that Go has not made it would end the program. The goroutine keeps its thread, which knows whose callback runs.
func call[T any](handle C.uintptr_t, event T) {
	to := cgo.Handle(handle).Value().(callback[T])
	done := make(chan struct{})
	running.Add(1)
	go func() {
		runtime.LockOSThread()
		C.enclave_go_set_callback_of(C.uint64_t(to.pool))
		defer func() {
			C.enclave_go_set_callback_of(0)
			runtime.UnlockOSThread()
			running.Add(-1)
			close(done)
		}()
		to.f(event)
	}()
	<-done
}

// running counts the callbacks that run.
var running atomic.Int64

// InCallback says whether this is a callback of the pool, which may not wait for it.
func (p *Pool) InCallback() bool {
	return running.Load() > 0 && uint64(C.enclave_go_callback_of()) == p.id
}

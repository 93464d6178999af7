package enclave

import (
	"time"

	"github.com/enclave/enclave/bindings/go/internal/capi"
)

// Stats are a snapshot of a pool. Taking one costs little, because it does not involve the workers. Durations are
// nanoseconds in JSON.
type Stats struct {
	// Since the pool was made.
	Uptime time.Duration `json:"uptime"`
	// Workers by state.
	Workers WorkerCounts `json:"workers"`
	// Executions waiting for a worker.
	QueueDepth int `json:"queue_depth"`
	// Executions that have ended, and how.
	ExecutionsTotal uint64            `json:"executions_total"`
	Executions      map[Status]uint64 `json:"executions"` // every status is there
	// Workers that have left, and why.
	RecyclesTotal uint64                   `json:"recycles_total"`
	Recycles      map[RecycleReason]uint64 `json:"recycles"` // every reason is there
	// Tool calls made, console lines written, executions ended because they sent too many messages.
	ToolCalls     uint64 `json:"tool_calls"`
	ConsoleLines  uint64 `json:"console_lines"`
	RateLimitHits uint64 `json:"rate_limit_hits"`
	// Bytes that the workers hold together, as last seen, and at most.
	MemoryCurrent int64 `json:"memory_current"`
	MemoryPeak    int64 `json:"memory_peak"`
	// Where the workers run. For processes: executions whose worker the kernel has killed for a system call that the
	// sandbox forbids, and the parts of the sandbox that could not be had.
	Isolation         Isolation     `json:"isolation"`
	SandboxViolations uint64        `json:"sandbox_violations"`
	SandboxMissing    []SandboxPart `json:"sandbox_missing"`
	// Time in the queue, and wall-clock time on the worker, over all executions.
	QueueWait Histogram `json:"queue_wait"`
	RunTime   Histogram `json:"run_time"`
}

// SandboxPart is a part of the sandbox around a worker process.
type SandboxPart uint32

// The parts.
const (
	SandboxSeccomp         SandboxPart = 1  // the filter of system calls
	SandboxLandlockFiles   SandboxPart = 2  // no file can be opened; seccomp refuses that too
	SandboxLandlockNetwork SandboxPart = 4  // no TCP port can be used; RequireSandbox does without it
	SandboxResourceLimits  SandboxPart = 8  // limits of memory, files, processes and core dumps
	SandboxCgroup          SandboxPart = 16 // the group of Config.Cgroup, where one is configured
)

// String is the name of the part, such as "landlock_files".
func (p SandboxPart) String() string {
	return nameOr(capi.SandboxPartName(uint32(p)), "SandboxPart", int32(p))
}

// MarshalText gives the name, for values of JSON.
func (p SandboxPart) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// WorkerCounts are workers by their state.
type WorkerCounts struct {
	Starting  int `json:"starting"`
	Idle      int `json:"idle"`
	Executing int `json:"executing"`
	Recycling int `json:"recycling"` // being replaced or stopped
	SetAside  int `json:"set_aside"` // did not stop when told to; others have their places
}

// Histogram is how long something took. All are 0 where nothing was counted.
type Histogram struct {
	Count uint64        `json:"count"`
	Mean  time.Duration `json:"mean"` // times Count, it is their sum
	P50   time.Duration `json:"p50"`  // half of them took at most this long
	P90   time.Duration `json:"p90"`
	P99   time.Duration `json:"p99"`
	Max   time.Duration `json:"max"`
}

// ExecutionStats are what one execution took.
type ExecutionStats struct {
	ExecutionID  uint64        `json:"execution_id"` // unique in its pool; 0 if it was refused
	WorkerID     uint64        `json:"worker_id"`    // 0 if it never started
	QueueWait    time.Duration `json:"queue_wait"`
	RunTime      time.Duration `json:"run_time"` // wall clock, on the worker
	CPUTime      time.Duration `json:"cpu_time"`
	PeakMemory   int64         `json:"peak_memory"` // bytes that the worker held at most
	ToolCalls    int           `json:"tool_calls"`
	ConsoleCalls int           `json:"console_calls"`
}

func newStats(from capi.PoolStats) Stats {
	stats := Stats{
		Uptime: nanoseconds(from.UptimeNS),
		Workers: WorkerCounts{
			Starting:  int(from.WorkersStarting),
			Idle:      int(from.WorkersIdle),
			Executing: int(from.WorkersExecuting),
			Recycling: int(from.WorkersRecycling),
			SetAside:  int(from.WorkersSetAside),
		},
		QueueDepth:        int(from.QueueDepth),
		ExecutionsTotal:   from.ExecutionsTotal,
		Executions:        make(map[Status]uint64, len(from.Executions)),
		RecyclesTotal:     from.RecyclesTotal,
		Recycles:          make(map[RecycleReason]uint64, len(from.Recycles)),
		ToolCalls:         from.ToolCalls,
		ConsoleLines:      from.ConsoleLines,
		RateLimitHits:     from.RateLimitHits,
		MemoryCurrent:     int64(from.MemoryCurrent),
		MemoryPeak:        int64(from.MemoryPeak),
		Isolation:         isolationOf(int64(from.Isolation)),
		SandboxViolations: from.SandboxViolations,
		SandboxMissing:    []SandboxPart{},
		QueueWait:         newHistogram(from.QueueWait),
		RunTime:           newHistogram(from.RunTime),
	}
	for status, count := range from.Executions {
		stats.Executions[Status(status)] = count
	}
	for reason, count := range from.Recycles {
		stats.Recycles[RecycleReason(reason)] = count
	}
	for part := SandboxPart(1); part != 0; part <<= 1 {
		if from.SandboxMissing&uint32(part) != 0 {
			stats.SandboxMissing = append(stats.SandboxMissing, part)
		}
	}
	return stats
}

func newHistogram(from capi.Histogram) Histogram {
	return Histogram{
		Count: from.Count,
		Mean:  nanoseconds(from.MeanNS),
		P50:   nanoseconds(from.P50NS),
		P90:   nanoseconds(from.P90NS),
		P99:   nanoseconds(from.P99NS),
		Max:   nanoseconds(from.MaxNS),
	}
}

func newExecutionStats(from capi.ExecutionStats) ExecutionStats {
	return ExecutionStats{
		ExecutionID:  from.ExecutionID,
		WorkerID:     from.WorkerID,
		QueueWait:    nanoseconds(from.QueueWaitNS),
		RunTime:      nanoseconds(from.RunTimeNS),
		CPUTime:      nanoseconds(from.CPUTimeNS),
		PeakMemory:   int64(from.PeakMemory),
		ToolCalls:    int(from.ToolCalls),
		ConsoleCalls: int(from.ConsoleCalls),
	}
}

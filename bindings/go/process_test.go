package enclave

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// workerProcesses are the children of this process that are workers.
func workerProcesses(t testing.TB) (pids []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		content, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state parent
		fields := strings.Fields(string(content[strings.LastIndexByte(string(content), ')')+1:]))
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if fields[1] == strconv.Itoa(os.Getpid()) && fields[0] != "Z" && strings.Contains(string(content), "(enclave-worker") {
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestProcessIsolation(t *testing.T) {
	cfg := Secure()
	cfg.MinWorkers, cfg.MaxWorkers = 1, 1
	pool := newPool(t, cfg)
	handle(t, pool, "double", Func(func(n int) int { return 2 * n }))
	got := run(t, pool, "console.log('x'); return {n: await tools.double(k), when: new Date(1700000000123)}", WithGlobal("k", 21))
	if got.String() != `{"n":42,"when":"2023-11-14T22:13:20.123Z"}` {
		t.Errorf("it is %v", got)
	}
	stats := pool.Stats()
	if stats.Isolation != IsolationProcess || stats.SandboxViolations != 0 {
		t.Errorf("the stats are %+v", stats)
	}
	for _, part := range stats.SandboxMissing {
		if strings.Contains(part.String(), "(") {
			t.Errorf("a part without a name is missing: %v", part)
		}
	}
	if pids := workerProcesses(t); len(pids) != 1 {
		t.Errorf("the workers are %v", pids)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := pool.Run(ctx, forever)
	wantIs(t, err, ErrCancelled, context.DeadlineExceeded)
	if err := pool.Close(); err != nil {
		t.Error(err)
	}
	eventually(t, func() bool { return len(workerProcesses(t)) == 0 })
}

func TestKilledWorkerProcess(t *testing.T) {
	cfg := Secure()
	cfg.MinWorkers, cfg.MaxWorkers = 1, 1
	pool := newPool(t, cfg)
	execution := pool.Submit(context.Background(), forever)
	eventually(t, func() bool { return pool.Stats().Workers.Executing == 1 })
	for _, pid := range workerProcesses(t) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	_, err := execution.Result()
	wantIs(t, err, ErrWorkerCrashed)
	var e *Error
	if !errors.As(err, &e) || e.Details.Signal != int(syscall.SIGKILL) {
		t.Errorf("it is %#v", e)
	}
	if got := run(t, pool, "1").Interface(); got != int64(1) {
		t.Errorf("the next is %v", got)
	}
	eventually(t, func() bool { return pool.Stats().Recycles[RecycleCrash] == 1 })
}

func TestRequireSandbox(t *testing.T) {
	checkLeaks(t)
	cfg := Secure()
	cfg.MinWorkers, cfg.MaxWorkers = 1, 1
	pool, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	missing := false
	for _, part := range pool.Stats().SandboxMissing {
		missing = missing || part != SandboxLandlockNetwork
	}
	pool.Close()
	cfg.RequireSandbox = true
	pool, err = New(cfg)
	if missing {
		wantIs(t, err, ErrUnsupported)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	pool.Close()
}

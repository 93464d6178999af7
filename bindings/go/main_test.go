package enclave

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/enclave/enclave/bindings/go/internal/capi"
)

// children are what TestMain runs instead of the tests, in a process of its own, if ENCLAVE_TEST_CHILD names it.
var children = map[string]func(){}

func TestMain(m *testing.M) {
	if child := children[os.Getenv("ENCLAVE_TEST_CHILD")]; child != nil {
		child()
		return
	}
	flag.Parse()
	// The poller of the runtime opens its files for the first pipe, and keeps them.
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
	// The engine opens what says how much memory this process has, for the first pool of threads, and keeps it.
	if pool, err := New(threads(1)); err == nil {
		pool.Close()
	}
	os.Exit(m.Run())
}

// long is longer than anything takes on a busy machine.
const long = 5 * time.Minute

// eventually waits until something is so.
func eventually(t testing.TB, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(long); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not come about")
		}
	}
}

// checkLeaks fails a test that leaves goroutines, objects of the library, or file descriptors behind.
func checkLeaks(t testing.TB) {
	t.Helper()
	before, _ := goroutines()
	live, fds := capi.Live(), countFDs(t)
	t.Cleanup(func() {
		for deadline := time.Now().Add(long); ; time.Sleep(time.Millisecond) {
			now, stacks := goroutines()
			nowLive, nowFDs := capi.Live(), countFDs(t)
			if now <= before && nowLive <= live && nowFDs <= fds {
				return
			}
			if time.Now().After(deadline) {
				t.Errorf("left behind: %d goroutines, %d objects, %d fds of %v\n%s", now-before, nowLive-live, nowFDs-fds, openFiles(), stacks)
				return
			}
		}
	})
}

// goroutines counts them and gives their stacks. The runtime has one more for each thread of the library that has been
// in a callback, until that thread ends.
func goroutines() (int, []byte) {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	count := bytes.Count(stacks, []byte("\n\ngoroutine ")) + 1
	return count - bytes.Count(stacks, []byte("[syscall, locked to thread]:\nruntime.goexit(")), stacks
}

func countFDs(t testing.TB) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// openFiles are what the descriptors of this process lead to.
func openFiles() (files []string) {
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, link := range links {
		if file, err := os.Readlink(link); err == nil {
			files = append(files, file)
		}
	}
	return files
}

func countThreads(t testing.TB) int {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(tasks)
}

// newPool makes a pool that is closed after the test, which may leave nothing behind.
func newPool(t testing.TB, cfg Config) *Pool {
	t.Helper()
	checkLeaks(t)
	pool, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	})
	return pool
}

// threads is the config of a pool whose workers are threads of this process.
func threads(maxWorkers int) Config {
	cfg := Default()
	cfg.Isolation, cfg.MinWorkers, cfg.MaxWorkers = IsolationThread, 1, maxWorkers
	return cfg
}

// run runs a script that has to succeed.
func run(t testing.TB, pool *Pool, source string, opts ...Option) Value {
	t.Helper()
	value, err := pool.Run(context.Background(), source, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func wantIs(t testing.TB, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Errorf("%v (%T) is not %v", err, err, target)
		}
	}
}

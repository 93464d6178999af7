package enclave

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Signals do what they do without the library. Each case is a process of its own, in which workers run all the time.

func init() {
	for name, child := range map[string]func(){
		"notify": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
			defer stop()
			pool := busyPool()
			fmt.Println("ready")
			_, err := pool.Run(ctx, forever)
			fmt.Println(errors.Is(err, context.Canceled), errors.Is(err, ErrCancelled), pool.Close())
		},
		"wait": func() {
			busyPool()
			fmt.Println("ready")
			select {}
		},
		"profile": func() {
			busyPool()
			var profile bytes.Buffer
			if err := pprof.StartCPUProfile(&profile); err != nil {
				panic(err)
			}
			for end := time.Now().Add(time.Second); time.Now().Before(end); {
				work++
			}
			pprof.StopCPUProfile()
			fmt.Println(profile.Len() > 0, work > 0)
		},
		"recovered nil": func() {
			busyPool()
			recovered := 0
			for range 1000 {
				func() {
					defer func() {
						if err, ok := recover().(runtime.Error); ok && strings.Contains(err.Error(), "nil pointer") {
							recovered++
						}
					}()
					var nothing *Stats
					work += nothing.QueueDepth
				}()
			}
			fmt.Println(recovered)
		},
		"recovered fault": func() {
			busyPool()
			defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
			defer func() { fmt.Println(recover()) }()
			fault()
		},
		"recovered nil after a lost worker": func() {
			cfg := threads(1)
			cfg.MemoryLimitPerWorker = 64 << 20
			pool, err := New(cfg)
			if err != nil {
				panic(err)
			}
			// The engine finds no memory where it cannot fail: its thread is kept from ending the process. How much is to
			// be taken before differs between engines.
			for i := 0; i < 80 && pool.Stats().Workers.SetAside == 0; i++ {
				source := "const kept = new ArrayBuffer(mib * 2 ** 20); /\\p{RGI_Emoji}/v.test('x')"
				_, err = pool.Run(context.Background(), source, WithGlobal("mib", 71+i%8))
			}
			fmt.Println(errors.Is(err, ErrMemoryLimit), pool.Stats().Workers.SetAside)
			defer func() {
				value, err := pool.Run(context.Background(), "1 + 1")
				fmt.Println(recover(), value, err)
			}()
			var nothing *Stats
			work += nothing.QueueDepth
		},
		"nil":   func() { busyPool(); var nothing *Stats; work += nothing.QueueDepth },
		"fault": func() { busyPool(); fault() },
		"callback": func() {
			pool, err := New(Config{MaxWorkers: 1, OnConsole: func(ConsoleLine) { panic("in a callback") }})
			if err == nil {
				_, err = pool.Run(context.Background(), "console.log(1)")
			}
			fmt.Println(err)
		},
	} {
		children[name] = child
	}
}

var work int

// busyPool is a pool whose workers, threads of this process, execute, call tools and are replaced until it ends.
func busyPool() *Pool {
	cfg := threads(3)
	cfg.Timeout = 20 * time.Millisecond
	pool, err := New(cfg)
	if err != nil {
		panic(err)
	}
	var runs atomic.Int64
	for i := range 3 {
		go func() {
			source := []string{forever, "await callTool('t')", "const a = []; for (;;) a.push({})"}[i]
			tool := WithTool("t", func(context.Context, Args) (any, error) { return nil, nil })
			for ; ; runs.Add(1) {
				if _, err := pool.Run(context.Background(), source, tool); errors.Is(err, ErrPoolClosed) {
					return
				}
			}
		}()
	}
	for runs.Load() < 10 {
		time.Sleep(time.Millisecond)
	}
	return pool
}

// fault reads memory that may not be read.
func fault() {
	memory, err := syscall.Mmap(-1, 0, 4096, syscall.PROT_NONE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		panic(err)
	}
	work += int(memory[0])
}

func TestSignals(t *testing.T) {
	// What runs in the background may ignore SIGINT, and then its children do. They do not inherit that it is handled.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt)
	defer signal.Stop(signals)
	for _, test := range []struct {
		child  string
		signal os.Signal      // sent when the child is ready
		killed syscall.Signal // by which it ends, else by itself
		code   int            // with which it ends
		stdout string
		stderr []string
	}{
		{child: "notify", signal: os.Interrupt, stdout: "ready\ntrue true <nil>\n"},
		{child: "wait", signal: os.Interrupt, killed: syscall.SIGINT, stdout: "ready\n"},
		{child: "wait", signal: syscall.SIGTERM, killed: syscall.SIGTERM, stdout: "ready\n"},
		{child: "wait", signal: syscall.SIGQUIT, code: 2, stdout: "ready\n", stderr: []string{"SIGQUIT: quit", "goroutine "}},
		{child: "profile", stdout: "true true\n"},
		{child: "recovered nil", stdout: "1000\n"},
		{child: "recovered nil after a lost worker",
			stdout: "true 1\nruntime error: invalid memory address or nil pointer dereference 2 <nil>\n"},
		{child: "recovered fault", stdout: "runtime error: invalid memory address or nil pointer dereference\n"},
		{child: "nil", code: 2, stderr: []string{
			"panic: runtime error: invalid memory address or nil pointer dereference", "SIGSEGV: segmentation violation",
			"signal_test.go"}},
		{child: "fault", code: 2, stderr: []string{"unexpected fault address", "SIGSEGV", "signal_test.go"}},
		{child: "callback", stdout: "<nil>\n", stderr: []string{"ERROR callback panicked", "in a callback", "signal_test.go"}},
	} {
		name := test.child
		if test.signal != nil {
			name += " " + test.signal.String()
		}
		t.Run(name, func(t *testing.T) {
			checkLeaks(t)
			ctx, cancel := context.WithTimeout(context.Background(), long)
			defer cancel()
			child := exec.CommandContext(ctx, os.Args[0])
			child.Env = append(os.Environ(), "ENCLAVE_TEST_CHILD="+test.child, "GOTRACEBACK=single")
			var stdout, stderr strings.Builder
			child.Stderr = &stderr
			out, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewReader(out)
			if test.signal != nil {
				line, _ := lines.ReadString('\n')
				stdout.WriteString(line)
				if err := child.Process.Signal(test.signal); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := io.Copy(&stdout, lines); err != nil {
				t.Fatal(err)
			}
			_ = child.Wait()
			status := child.ProcessState.Sys().(syscall.WaitStatus)
			switch {
			case test.killed != 0 && (!status.Signaled() || status.Signal() != test.killed),
				test.killed == 0 && (!status.Exited() || status.ExitStatus() != test.code):
				t.Errorf("it ended with %v", child.ProcessState)
			}
			if stdout.String() != test.stdout {
				t.Errorf("its output is %q, not %q", stdout.String(), test.stdout)
			}
			for _, want := range test.stderr {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("there is no %q in its errors", want)
				}
			}
			if t.Failed() {
				t.Logf("its errors are %s", stderr.String())
			}
		})
	}
}

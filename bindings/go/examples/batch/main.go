// Batch runs a file of scripts, one a line, several at a time, and prints a line of JSON for each, in their order:
//
//	batch -workers 4 scripts.txt >results.jsonl
//
// The progress goes to standard error. SIGINT ends what runs and leaves out what has not begun.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"time"

	enclave "github.com/enclave/enclave/bindings/go"
)

func main() {
	workers := flag.Int("workers", runtime.NumCPU(), "scripts that run at once")
	timeout := flag.Duration("timeout", 10*time.Second, "time of a script")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: batch [-workers N] [-timeout D] FILE")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	file, err := os.Open(flag.Arg(0))
	if err == nil {
		err = batch(ctx, file, os.Stdout, os.Stderr, *workers, *timeout)
		file.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "batch:", err)
		os.Exit(1)
	}
}

type result struct {
	Line   int            `json:"line"`
	Value  *enclave.Value `json:"value,omitempty"`
	Status enclave.Status `json:"status"`
	Error  string         `json:"error,omitempty"`
}

// batch runs the scripts of a file. Memory is bounded, however long it is: at most 2 * workers scripts are read ahead.
func batch(ctx context.Context, scripts io.Reader, results, progress io.Writer, workers int,
	timeout time.Duration) error {
	cfg := enclave.Secure()
	cfg.MinWorkers, cfg.MaxWorkers, cfg.MaxQueueSize = workers, workers, 2*workers
	cfg.Timeout = timeout
	pool, err := enclave.New(cfg)
	if err != nil {
		return err
	}
	defer pool.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	// The channel holds the executions in their order, and is what bounds them.
	running := make(chan *enclave.Execution, 2*workers-1)
	var readError error
	go func() {
		defer close(running)
		lines := bufio.NewScanner(scripts)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			select {
			case running <- pool.Submit(ctx, lines.Text()):
			case <-ctx.Done():
				return
			}
		}
		readError = lines.Err()
	}()

	output := json.NewEncoder(results)
	done, failed := 0, 0
	for execution := range running {
		value, err := execution.Result()
		done++
		line := result{Line: done}
		if err == nil {
			line.Value = &value
		} else {
			failed++
			line.Error = err.Error()
			var known *enclave.Error
			if errors.As(err, &known) {
				line.Status = known.Status
			}
		}
		if err := output.Encode(line); err != nil {
			return err
		}
		fmt.Fprintf(progress, "\r%d done, %d failed, %d waiting", done, failed, pool.Stats().QueueDepth)
	}
	fmt.Fprintln(progress)
	return errors.Join(readError, context.Cause(ctx))
}

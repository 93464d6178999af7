package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestBatch(t *testing.T) {
	const count = 300
	var scripts strings.Builder
	for i := range count {
		switch i % 100 {
		case 50:
			fmt.Fprintf(&scripts, "throw new Error('script %d')\n", i)
		case 99:
			fmt.Fprintln(&scripts, "for (;;);")
		default:
			fmt.Fprintf(&scripts, "%d * 2\n", i)
		}
	}
	// On a busy machine a short script may take longer than the first of these.
	var wrong []string
	for _, timeout := range []time.Duration{50 * time.Millisecond, time.Second, 20 * time.Second} {
		if wrong = runBatch(t, scripts.String(), count, timeout); wrong == nil {
			return
		}
	}
	t.Error(strings.Join(wrong, "\n"))
}

// runBatch says which lines are wrong.
func runBatch(t *testing.T, scripts string, count int, timeout time.Duration) (wrong []string) {
	var results, progress bytes.Buffer
	err := batch(context.Background(), strings.NewReader(scripts), &results, &progress, 2, timeout)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(results.String()), "\n")
	if len(lines) != count {
		t.Fatalf("there are %d results", len(lines))
	}
	for i, text := range lines {
		var line struct {
			Line   int
			Value  int
			Status string
			Error  string
		}
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		ok := line.Status == "OK" && line.Value == 2*i
		switch i % 100 {
		case 50:
			ok = line.Status == "EXCEPTION" && strings.Contains(line.Error, fmt.Sprintf("script %d", i))
		case 99:
			ok = line.Status == "TIMEOUT"
		}
		if !ok || line.Line != i+1 {
			wrong = append(wrong, fmt.Sprintf("line %d is %s", i+1, text))
		}
	}
	if wrong != nil {
		return wrong
	}
	if !strings.Contains(progress.String(), "\r300 done, 6 failed, 0 waiting\n") {
		t.Errorf("the progress ended in %q", progress.String()[max(0, progress.Len()-80):])
	}
	return nil
}

func TestBatchIsInterrupted(t *testing.T) {
	// On a busy machine it may be interrupted before it has begun.
	for timeout, lines := 50*time.Millisecond, 0; lines == 0; timeout *= 2 {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		var results, progress bytes.Buffer
		err := batch(ctx, strings.NewReader(strings.Repeat("for (;;);\n", 1000)), &results, &progress, 2, time.Hour)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("it is %v", err)
		}
		if lines = strings.Count(results.String(), "\n"); lines > 10 {
			t.Errorf("there are %d results", lines)
		}
	}
}

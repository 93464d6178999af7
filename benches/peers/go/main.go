// Contestants in Go: goja, and modernc.org/quickjs. See benches/README.md for the protocol.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	timeout     = 5 * time.Second
	memoryLimit = 128 << 20
)

type request struct {
	Op         string           `json:"op"`
	Workload   string           `json:"workload"`
	Source     string           `json:"source"`
	PeerSource string           `json:"peer_source"`
	Input      *json.RawMessage `json:"input"`
	Expect     any              `json:"expect"`
	Mode       string           `json:"mode"`
	Count      int              `json:"count"`
	InFlight   int              `json:"in_flight"`
	Workers    int              `json:"workers"`
}

func (r *request) usesTools() bool { return strings.HasPrefix(r.Workload, "tools") }

// source gives what is run here: host functions are synchronous.
func (r *request) source() string {
	if r.usesTools() {
		return r.PeerSource
	}
	return r.Source
}

type greeting struct {
	Contestant string   `json:"contestant"`
	Version    string   `json:"version"`
	Engine     string   `json:"engine"`
	Fresh      string   `json:"fresh"`
	Limits     string   `json:"limits"`
	Lacks      []string `json:"lacks"`
}

// An execute runs a request's script in a new runtime and gives its result as a value of Go.
type execute func(*request) (any, error)

func main() {
	contestants := map[string]struct {
		greeting greeting
		execute  execute
	}{
		"goja":       {gojaGreeting, runGoja},
		"quickjs-go": {quickjsGreeting, runQuickjs},
	}
	contestant, ok := contestants[os.Args[1]]
	if !ok {
		fmt.Fprintln(os.Stderr, "goja or quickjs-go, not", os.Args[1])
		os.Exit(2)
	}
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	_ = out.Encode(contestant.greeting)
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var r request
		if err := json.Unmarshal(line, &r); err != nil {
			_ = out.Encode(map[string]string{"error": err.Error()})
			continue
		}
		if r.Op != "run" {
			_ = out.Encode(map[string]string{"unsupported": "no " + r.Op + " here"})
			continue
		}
		answer, err := measure(&r, contestant.execute)
		if err != nil {
			_ = out.Encode(map[string]string{"error": err.Error()})
			continue
		}
		_ = out.Encode(answer)
	}
}

type answer struct {
	Seconds float64 `json:"seconds"`
	Count   int     `json:"count"`
	P10     float64 `json:"p10_us"`
	P50     float64 `json:"p50_us"`
	P99     float64 `json:"p99_us"`
	Max     float64 `json:"max_us"`
}

// measure runs one round: as a queue that as many goroutines serve as there are workers, or one that submits itself.
func measure(r *request, run execute) (*answer, error) {
	workers, inFlight := 1, 1
	if r.Mode == "concurrent" {
		workers, inFlight = r.Workers, min(r.InFlight, r.Count)
	}
	times := make([]time.Duration, r.Count)
	queue := make(chan time.Time, inFlight)
	failures := make(chan error, workers)
	var lock sync.Mutex
	taken := 0
	start := time.Now()
	for range inFlight {
		queue <- start
	}
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for {
				lock.Lock()
				number := taken
				taken++
				lock.Unlock()
				if number >= r.Count {
					return
				}
				submitted := <-queue
				result, err := run(r)
				end := time.Now()
				times[number] = end.Sub(submitted)
				queue <- end
				if err == nil && (number == 0 || number == r.Count-1) {
					err = check(result, r.Expect)
				}
				if err != nil {
					failures <- err
					return
				}
			}
		})
	}
	all.Wait()
	seconds := time.Since(start).Seconds()
	select {
	case err := <-failures:
		return nil, err
	default:
	}
	slices.Sort(times)
	at := func(part float64) float64 {
		return float64(times[min(r.Count-1, int(float64(r.Count)*part))].Nanoseconds()) / 1e3
	}
	return &answer{seconds, r.Count, at(0.1), at(0.5), at(0.99), at(1)}, nil
}

func check(result, expect any) error {
	text, err := json.Marshal(result)
	if err != nil {
		return err
	}
	var plain any
	if err := json.Unmarshal(text, &plain); err != nil {
		return err
	}
	if !reflect.DeepEqual(plain, expect) {
		return errors.New("the result is " + string(text[:min(len(text), 200)]))
	}
	return nil
}

// versionOf gives the version of a module that this program is built from.
func versionOf(module string) string {
	info, _ := debug.ReadBuildInfo()
	for _, each := range info.Deps {
		if each.Path == module {
			return each.Version
		}
	}
	return "unknown"
}

// Service runs users' scripts over HTTP, each with the deadline of its request.
//
//	curl -d '[1, 2, 3].map(n => n * n)' 'localhost:8080/run?timeout=500ms'
//
// GET /stats shows the pool. SIGINT and SIGTERM let running requests finish.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	enclave "github.com/enclave/enclave/bindings/go"
	"github.com/enclave/enclave/bindings/go/enclavehttp"
)

const (
	defaultTimeout = 2 * time.Second
	maxTimeout     = 10 * time.Second
	maxSource      = 1 << 20
)

func main() {
	address := flag.String("address", "localhost:8080", "where to listen")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *address, func(at net.Addr) { slog.Info("listening", "address", at.String()) }); err != nil {
		slog.Error("it failed", "err", err)
		os.Exit(1)
	}
}

// serve answers requests until ctx ends, and then lets those that run finish.
func serve(ctx context.Context, address string, ready func(net.Addr)) error {
	cfg := enclave.Strict()
	cfg.Timeout = maxTimeout
	cfg.Logger = slog.Default()
	pool, err := enclave.New(cfg)
	if err != nil {
		return err
	}
	defer pool.Close()

	mux := http.NewServeMux()
	mux.Handle("POST /run", &runner{pool})
	mux.Handle("GET /stats", enclavehttp.StatsHandler(pool))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	ready(listener.Addr())
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxTimeout)
	defer cancel()
	return server.Shutdown(last)
}

type runner struct {
	pool *enclave.Pool
}

type answer struct {
	Result  *enclave.Value `json:"result,omitempty"`
	Error   *failure       `json:"error,omitempty"`
	Console []string       `json:"console,omitempty"`
	Took    string         `json:"took"`
}

type failure struct {
	Status  enclave.Status `json:"status"`
	Message string         `json:"message"`
	Line    int            `json:"line,omitempty"`
	Column  int            `json:"column,omitempty"`
}

func (s *runner) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	timeout := defaultTimeout
	if text := r.URL.Query().Get("timeout"); text != "" {
		var err error
		if timeout, err = time.ParseDuration(text); err != nil || timeout <= 0 || timeout > maxTimeout {
			http.Error(w, "timeout is a duration such as 500ms, at most "+maxTimeout.String(), http.StatusBadRequest)
			return
		}
	}
	source, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxSource))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	// The request's context ends when the client goes away; so does the script.
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	execution := s.pool.Submit(ctx, string(source), enclave.CollectConsole())
	result, err := execution.Result()

	reply := answer{Took: execution.Stats().RunTime.String()}
	for _, line := range execution.Console() {
		reply.Console = append(reply.Console, line.Level.String()+": "+line.Text)
	}
	if err == nil {
		reply.Result = &result
		respond(w, http.StatusOK, reply)
		return
	}
	var failed *enclave.Error
	if !errors.As(err, &failed) {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	reply.Error = &failure{Status: failed.Status, Message: failed.Message}
	var script *enclave.ScriptError
	if errors.As(err, &script) {
		reply.Error.Line, reply.Error.Column = script.Line, script.Column
	}
	if errors.Is(err, enclave.ErrQueueFull) {
		seconds := math.Ceil(failed.Details.RetryAfter.Seconds())
		w.Header().Set("Retry-After", strconv.Itoa(int(seconds)))
	}
	respond(w, httpStatus(err), reply)
}

func httpStatus(err error) int {
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, enclave.ErrTimeout),
		errors.Is(err, enclave.ErrQueueTimeout):
		return http.StatusGatewayTimeout
	case errors.Is(err, enclave.ErrQueueFull), errors.Is(err, enclave.ErrPoolClosed):
		return http.StatusServiceUnavailable
	case errors.Is(err, enclave.ErrInternal), errors.Is(err, enclave.ErrWorkerCrashed),
		errors.Is(err, enclave.ErrWorkerStartup):
		return http.StatusInternalServerError
	}
	return http.StatusUnprocessableEntity // the script's own fault
}

func respond(w http.ResponseWriter, status int, reply answer) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(reply); err != nil {
		slog.Debug("the client has gone", "err", err)
	}
}

package enclavehttp

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	enclave "github.com/enclave/enclave/bindings/go"
)

func TestStatsHandler(t *testing.T) {
	pool, err := enclave.New(enclave.Config{MaxWorkers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.Run(context.Background(), "1"); err != nil {
		t.Fatal(err)
	}
	handler := StatsHandler(pool)
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/", nil))
	var stats struct {
		Executions map[string]int
		Recycles   map[string]int
		RunTime    map[string]int64 `json:"run_time"`
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &stats); err != nil {
		t.Fatal(err)
	}
	if answer.Code != http.StatusOK || answer.Header().Get("Content-Type") != "application/json" ||
		stats.Executions["OK"] != 1 || len(stats.Recycles) == 0 || stats.RunTime["max"] <= 0 {
		t.Errorf("it is %v %s", answer.Code, answer.Body)
	}
	answer = httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/", strings.NewReader("x")))
	if answer.Code != http.StatusMethodNotAllowed || answer.Header().Get("Allow") == "" {
		t.Errorf("POST gives %v", answer.Code)
	}
}

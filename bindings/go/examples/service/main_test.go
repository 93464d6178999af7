package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestService(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	address := make(chan string, 1)
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, "localhost:0", func(at net.Addr) { address <- "http://" + at.String() }) }()
	var base string
	select {
	case base = <-address:
	case err := <-ended:
		t.Fatal(err)
	}
	for _, test := range []struct {
		query, source string
		status        int
		has           string
	}{
		{"", "[1, 2, 3].map(n => n * n)", http.StatusOK, `"result":[1,4,9]`},
		{"", "console.warn('hi'); undefined", http.StatusOK, `"console":["warn: hi"]`},
		{"", "let x = ;", http.StatusUnprocessableEntity, `"status":"SYNTAX_ERROR"`},
		{"", "null.x", http.StatusUnprocessableEntity, `"line":1`},
		{"?timeout=50ms", "for (;;);", http.StatusGatewayTimeout, `"status":"CANCELLED"`},
		{"?timeout=1h", "1", http.StatusBadRequest, "at most 10s"},
		{"", strings.Repeat(" ", maxSource+1), http.StatusRequestEntityTooLarge, "too large"},
	} {
		response, err := http.Post(base+"/run"+test.query, "text/javascript", strings.NewReader(test.source))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != test.status || !strings.Contains(string(body), test.has) {
			t.Errorf("%.40s: %d %s", test.source, response.StatusCode, body)
		}
	}

	// A client that goes away takes its script along.
	gone, leave := context.WithCancel(ctx)
	request, err := http.NewRequestWithContext(gone, http.MethodPost, base+"/run?timeout=10s", strings.NewReader("for (;;);"))
	if err != nil {
		t.Fatal(err)
	}
	left := make(chan struct{})
	go func() {
		if response, err := http.DefaultClient.Do(request); err == nil {
			response.Body.Close()
		}
		close(left)
	}()
	executing := func() (count int) {
		response, err := http.Get(base + "/stats")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var stats struct{ Workers struct{ Executing int } }
		if err := json.NewDecoder(response.Body).Decode(&stats); err != nil {
			t.Fatal(err)
		}
		return stats.Workers.Executing
	}
	for executing() == 0 {
		time.Sleep(time.Millisecond)
	}
	start := time.Now()
	leave()
	<-left
	for executing() > 0 {
		time.Sleep(time.Millisecond)
	}
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("the script ran on for %v", took)
	}

	cancel()
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
}

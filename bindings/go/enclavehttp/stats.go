// Package enclavehttp shows a pool over HTTP.
package enclavehttp

import (
	"encoding/json"
	"net/http"

	enclave "github.com/enclave/enclave/bindings/go"
)

// StatsHandler answers GET and HEAD with the pool's stats as JSON: an [enclave.Stats], with durations in nanoseconds
// and sizes in bytes. Statuses and reasons are named, so that they can be counted over time. Put it where only
// operators reach it.
func StatsHandler(pool *enclave.Pool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
			return
		}
		body, err := json.MarshalIndent(pool.Stats(), "", "  ")
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(append(body, '\n')) // the client may have gone
	})
}

package enclave_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"strings"
	"time"

	enclave "github.com/enclave/enclave/bindings/go"
)

func Example() {
	pool, err := enclave.New(enclave.Secure())
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()

	result, err := pool.Run(context.Background(), "[1, 2, 3].map(n => n * n)")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result)
	// Output: [1,4,9]
}

// newPool keeps the examples short.
func newPool() *enclave.Pool {
	pool, err := enclave.New(enclave.Config{MaxWorkers: 2})
	if err != nil {
		log.Fatal(err)
	}
	return pool
}

func ExampleNew() {
	cfg := enclave.Strict()
	cfg.MaxWorkers = 16
	cfg.Timeout = 10 * time.Second
	cfg.MaxQueueSize = 0 // refuse what cannot start at once
	cfg.OnConsole = func(line enclave.ConsoleLine) { fmt.Println(line.Level, line.Text) }
	pool, err := enclave.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()

	_, err = pool.Run(context.Background(), "console.log('%s is %d', 'six times seven', 6 * 7)")
	fmt.Println(err)
	// Output:
	// log six times seven is 42
	// <nil>
}

func ExampleRun() {
	pool := newPool()
	defer pool.Close()

	lengths, err := enclave.Run[map[string]int](context.Background(), pool,
		"Object.fromEntries(words.map((word) => [word, word.length]))",
		enclave.WithGlobal("words", []string{"a", "few", "words"}))
	fmt.Println(lengths, err)
	// Output: map[a:1 few:3 words:5] <nil>
}

func ExamplePool_RunInto() {
	pool := newPool()
	defer pool.Close()

	var report struct {
		Title string    `json:"title"`
		Since time.Time `json:"since"`
		Rows  [][]int   `json:"rows"`
	}
	err := pool.RunInto(context.Background(), "({title: 'T', since: new Date(0), rows: [[1, 2], [3]]})", &report)
	fmt.Println(report, err)
	// Output: {T 1970-01-01 00:00:00 +0000 UTC [[1 2] [3]]} <nil>
}

func ExamplePool_Run_deadline() {
	pool := newPool()
	defer pool.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := pool.Run(ctx, "for (;;);")
	fmt.Println(errors.Is(err, context.DeadlineExceeded), errors.Is(err, enclave.ErrCancelled))
	// Output: true true
}

func ExamplePool_Submit() {
	pool := newPool()
	defer pool.Close()

	execution := pool.Submit(context.Background(), "console.log('working'); 7 * 6", enclave.CollectConsole())
	// ... something else ...
	result, err := execution.Result()
	fmt.Println(result, err)
	fmt.Println(execution.Console()[0].Text, execution.Stats().ConsoleCalls)
	// Output:
	// 42 <nil>
	// working 1
}

func ExamplePool_HandleTool() {
	pool := newPool()
	defer pool.Close()

	type query struct {
		Text string `json:"text"`
		Max  int    `json:"max"`
	}
	search := func(ctx context.Context, q query) ([]string, error) {
		if q.Max > 10 {
			return nil, &enclave.ErrorValue{Name: "RangeError", Message: "max is at most 10", Code: "TOO_MANY"}
		}
		return []string{q.Text + " 1", q.Text + " 2"}[:q.Max], nil
	}
	if err := pool.HandleTool("search", enclave.Tool(search)); err != nil {
		log.Fatal(err)
	}
	if err := pool.HandleTool("upper", enclave.Func(strings.ToUpper)); err != nil {
		log.Fatal(err)
	}

	fmt.Println(pool.Run(context.Background(), "const [hit] = await tools.search({text: 'cat', max: 1}); return tools.upper(hit)"))
	fmt.Println(pool.Run(context.Background(), "await tools.search({text: 'cat', max: 100})"))
	// Output:
	// CAT 1 <nil>
	// undefined enclave: RangeError: max is at most 10
}

func ExampleTool() {
	pool := newPool()
	defer pool.Close()

	type User struct {
		Name string `json:"name"`
	}
	users := map[int]*User{7: {"Ann"}, 8: {"Bob"}}
	lookup := func(_ context.Context, id int) (*User, error) {
		if user := users[id]; user != nil {
			return user, nil
		}
		return nil, fmt.Errorf("there is no user %d", id)
	}
	if err := pool.HandleTool("lookup", enclave.Tool(lookup)); err != nil {
		log.Fatal(err)
	}

	var names []string
	err := pool.RunInto(context.Background(), "(await Promise.all(ids.map(tools.lookup))).map(u => u.name)", &names,
		enclave.WithGlobal("ids", []int{7, 8}))
	fmt.Println(names, err)
	_, err = pool.Run(context.Background(), "await tools.lookup(9)")
	fmt.Println(err)
	// Output:
	// [Ann Bob] <nil>
	// enclave: Error: there is no user 9
}

func ExampleScriptError() {
	pool := newPool()
	defer pool.Close()

	_, err := pool.Run(context.Background(), "const user = undefined;\nuser.name", enclave.WithFilename("user.js"))
	var thrown *enclave.ScriptError
	if errors.As(err, &thrown) {
		fmt.Println(thrown.Name, thrown.Filename, thrown.Line, thrown.Column)
		fmt.Println(thrown.SourceLine)
	}
	// Output:
	// TypeError user.js 2 1
	// user.name
}

func ExampleError() {
	pool := newPool()
	defer pool.Close()

	_, err := pool.Run(context.Background(), "for (;;) console.log('x')",
		enclave.WithLimits(enclave.Limits{MaxConsoleCalls: 10}))
	switch failed := (*enclave.Error)(nil); {
	case errors.Is(err, enclave.ErrQueueFull):
		fmt.Println("too much at once")
	case errors.As(err, &failed):
		fmt.Println(failed.Status, failed.Details.Setting, failed.Details.Limit)
	}
	// Output: CONSOLE_LIMIT max_console_calls 10
}

func ExampleValue() {
	pool := newPool()
	defer pool.Close()

	value, err := pool.Run(context.Background(), "({z: 1n, a: [undefined, new Date(0)]})")
	if err != nil {
		log.Fatal(err)
	}
	for key, item := range value.Entries() {
		fmt.Println(key, item.Kind(), item)
	}
	encoded, _ := json.Marshal(value)
	fmt.Println(string(encoded))
	// Output:
	// z bigint "1"
	// a array [null,"1970-01-01T00:00:00.000Z"]
	// {"z":"1","a":[null,"1970-01-01T00:00:00.000Z"]}
}

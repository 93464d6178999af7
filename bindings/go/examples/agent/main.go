// Agent lets a model solve a task by writing scripts. A script sees the task's data and the tools that it is given, and
// nothing else; what it prints, returns, or dies of goes back to the model, until the model is content.
//
// The model here has its answers written down, one of them wrong, so that the example runs without a network. Put a
// client of a real one in its place.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	enclave "github.com/enclave/enclave/bindings/go"
)

// Model writes the next script, or gives the final answer, from what has been said so far.
type Model interface {
	Next(ctx context.Context, said []string) (script, answer string, err error)
}

func main() {
	const task = "Which order of ann is the largest, in euros?"
	if err := solve(context.Background(), canned{}, task, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

const maxTurns = 8

func solve(ctx context.Context, model Model, task string, log io.Writer) error {
	pool, err := enclave.New(enclave.Secure())
	if err != nil {
		return err
	}
	defer pool.Close()
	said := []string{"task: " + task}
	for range maxTurns {
		script, answer, err := model.Next(ctx, said)
		if err != nil {
			return err
		}
		if answer != "" {
			fmt.Fprintln(log, "answer:", answer)
			return nil
		}
		outcome := execute(ctx, pool, script)
		fmt.Fprintf(log, "script: %s\n%s\n", script, outcome)
		said = append(said, "script: "+script, outcome)
	}
	return errors.New("the model did not come to an end")
}

// execute runs a script of the model for ann, and says what came of it in words for the model.
func execute(ctx context.Context, pool *enclave.Pool, script string) string {
	execution := pool.Submit(ctx, script,
		enclave.CollectConsole(),
		enclave.WithGlobal("user", "ann"),
		// Tools of this execution. For whom they act, they know from here, and not from what the script says.
		enclave.WithTool("orders", ordersOf("ann")),
		enclave.WithTool("rate", enclave.Tool(exchangeRate)))
	value, err := execution.Result()
	var outcome strings.Builder
	for _, line := range execution.Console() {
		fmt.Fprintf(&outcome, "%s: %s\n", line.Level, line.Text)
	}
	var thrown *enclave.ScriptError
	switch {
	case errors.As(err, &thrown):
		fmt.Fprintf(&outcome, "error: %v", thrown)
	case err != nil:
		fmt.Fprintf(&outcome, "error: %v", err)
	default:
		fmt.Fprintf(&outcome, "result: %v", value)
	}
	return outcome.String()
}

type order struct {
	ID       int     `json:"id"`
	Amount   float64 `json:"amount"`
	Currency string  `json:"currency"`
}

func ordersOf(user string) enclave.ToolFunc {
	data := map[string][]order{"ann": {{1, 120, "EUR"}, {2, 150, "USD"}, {3, 900, "SEK"}}, "bob": {{4, 5000, "EUR"}}}
	return func(context.Context, enclave.Args) (any, error) { return data[user], nil }
}

func exchangeRate(_ context.Context, currency string) (float64, error) {
	rates := map[string]float64{"EUR": 1, "USD": 0.9, "SEK": 0.09}
	rate, ok := rates[currency]
	if !ok {
		return 0, &enclave.ErrorValue{
			Name: "RangeError", Message: "no rate of " + currency + "; known are EUR, USD and SEK", Code: "UNKNOWN_CURRENCY",
		}
	}
	return rate, nil
}

// canned is a model that looks no further than whether its last script failed.
type canned struct{}

func (canned) Next(_ context.Context, said []string) (script, answer string, err error) {
	switch last := said[len(said)-1]; {
	case len(said) == 1:
		return "const all = await tools.orders(); console.log(`${user} has ${all.length} orders`);\n" +
			"return await tools.rate(all[1].curency)", "", nil
	case strings.Contains(last, "error: "):
		return "const all = await tools.orders();\n" +
			"const euros = await Promise.all(all.map(async (o) => o.amount * await tools.rate(o.currency)));\n" +
			"const most = Math.max(...euros); return {order: all[euros.indexOf(most)].id, euros: most}", "", nil
	default:
		return "", last[strings.Index(last, "result: ")+len("result: "):], nil
	}
}

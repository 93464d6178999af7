package main

import (
	"errors"
	"time"

	"github.com/dop251/goja"
)

var gojaGreeting = greeting{
	Contestant: "goja",
	Version:    versionOf("github.com/dop251/goja"),
	Engine:     "goja",
	Fresh:      "runtime",
	Limits:     "wall clock by Interrupt; depth of calls",
	Lacks: []string{
		"no JIT",
		"no memory limit",
		"no CPU limit, no limit on calls or on the size of a result",
		"not interrupted inside native functions",
		"no event loop of its own: host functions are synchronous",
	},
}

func runGoja(r *request) (any, error) {
	vm := goja.New()
	vm.SetMaxCallStackSize(2048)
	timer := time.AfterFunc(timeout, func() { vm.Interrupt("timeout") })
	defer timer.Stop()
	if r.Input != nil {
		// A map of Go could be given as it is, but script would then change the host's.
		parse, ok := goja.AssertFunction(vm.Get("JSON").ToObject(vm).Get("parse"))
		if !ok {
			return nil, errors.New("no JSON.parse")
		}
		input, err := parse(goja.Undefined(), vm.ToValue(string(*r.Input)))
		if err != nil {
			return nil, err
		}
		if err := vm.Set("input", input); err != nil {
			return nil, err
		}
	}
	if r.usesTools() {
		err := vm.Set("echo", func(call goja.FunctionCall) goja.Value { return call.Argument(0) })
		if err != nil {
			return nil, err
		}
	}
	value, err := vm.RunString(r.source())
	if err != nil {
		return nil, err
	}
	return value.Export(), nil
}

package main

import (
	"encoding/json"

	"modernc.org/quickjs"
)

var quickjsGreeting = greeting{
	Contestant: "quickjs-go",
	Version:    versionOf("modernc.org/quickjs"),
	Engine:     "QuickJS translated to Go",
	Fresh:      "runtime",
	Limits:     "wall clock; memory",
	Lacks: []string{
		"no JIT",
		"no CPU limit, no limit on calls or on the size of a result",
		"not interrupted inside native functions",
		"memory is outside of what Go's collector knows, and unsafe as that of C",
	},
}

func runQuickjs(r *request) (any, error) {
	vm, err := quickjs.NewVM()
	if err != nil {
		return nil, err
	}
	defer vm.Close()
	vm.SetMemoryLimit(memoryLimit)
	if err := vm.SetEvalTimeout(timeout); err != nil {
		return nil, err
	}
	if r.Input != nil {
		name, err := vm.NewAtom("input")
		if err != nil {
			return nil, err
		}
		global := vm.GlobalObject()
		defer global.Free()
		// What is no primitive is taken as the JSON that it gives.
		if err := vm.SetProperty(global, name, r.Input); err != nil {
			return nil, err
		}
	}
	if r.usesTools() {
		err := vm.RegisterHostFunc("echo", func(arguments []any) (any, error) { return arguments[0], nil })
		if err != nil {
			return nil, err
		}
	}
	value, err := vm.Eval(r.source(), quickjs.EvalGlobal)
	if err != nil {
		return nil, err
	}
	if object, ok := value.(*quickjs.Object); ok {
		text, err := object.MarshalJSON()
		if err != nil {
			return nil, err
		}
		var plain any
		err = json.Unmarshal(text, &plain)
		return plain, err
	}
	return value, nil
}

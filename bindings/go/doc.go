// Package enclave runs untrusted JavaScript in a pool of isolated SpiderMonkey workers.
//
//	pool, err := enclave.New(enclave.Secure())
//	if err != nil { ... }
//	defer pool.Close()
//	result, err := pool.Run(ctx, "[1, 2, 3].map(n => n * n)")
//	fmt.Println(result) // [1,4,9]
//
// It is made for code that nobody reads before it runs: a language model wrote it, a user pasted it, or a tenant's
// plugin brought it. Every execution gets a fresh realm. Time, CPU, memory, output and calls are limited, and no script
// can catch the end of a limit. A script reaches the outside only through the tools that you give it. The project's
// docs/SECURITY.md says what workers in threads and in processes defend against.
//
// # The library
//
// This package is a thin layer over the shared library libenclave, which has to be installed. pkg-config finds it under
// the name enclave. Without pkg-config, build with the tag enclave_no_pkg_config and say where header and library are:
//
//	CGO_CFLAGS=-I/opt/enclave/include CGO_LDFLAGS="-L/opt/enclave/lib -Wl,-rpath,/opt/enclave/lib" \
//		go build -tags enclave_no_pkg_config
//
// When the first pool is made, the package compares the loaded library with the header that the program was compiled
// with.
//
// # Running scripts
//
// [Pool.Run] runs a script and gives a [Value]; [Pool.RunInto] and [Run] store the result in a Go variable. A source is
// read by its looks: 1 + 1 gives 2, and await and return work at the top level ([SourceAuto]). Data goes in by
// [WithGlobal]. [ValueOf] and [Value.Decode] say how values are converted.
//
// [Pool.Submit] does not wait. Either way a call waits for a channel and holds no thread, except that [Pool.Run] may
// hold one for its first millisecond. Any number of goroutines may use one pool. Executions that find no worker wait in
// its queue, in order, up to [Config.MaxQueueSize].
//
// # Contexts
//
// When the context of a call ends, the execution is cancelled, wherever it is, and the call returns as soon as that has
// happened. The error matches both [ErrCancelled] and the error of the context. The execution has ended when its call
// returns. A cancel is for one execution alone; a late one hits nothing.
//
// The deadline of a context and the limit [Limits.Timeout] are different things. The first is the caller's patience: it
// counts from the call on, and ends in ErrCancelled. The second is the script's time on its worker, and ends in
// [ErrTimeout].
//
// # Tools
//
// A tool is a Go function that scripts may call: [Pool.HandleTool] for all, [WithTool] for one execution. It runs on
// its own goroutine, may block, and has a context that ends with the execution. See [ToolFunc] for its errors and
// panics.
//
// # Errors
//
// Every outcome except success is an [*Error] with a [Status], and matches the sentinel of that status by [errors.Is].
// If the script is at fault, the error contains a [*ScriptError], which wraps the error of the tool that caused it, if
// any.
//
//	var thrown *enclave.ScriptError
//	switch {
//	case errors.As(err, &thrown):                   // tell the script's author
//	case errors.Is(err, enclave.ErrQueueFull):      // too much at once
//	case errors.Is(err, context.DeadlineExceeded):  // the caller's time is over
//	}
//
// Texts that come from a script (messages, stacks, console lines) are as untrusted as the script.
//
// # The end
//
// [Pool.Close] ends a pool and frees it. [Pool.Shutdown] lets running executions finish, for as long as its context
// allows. A forgotten pool is closed when the garbage collector finds it: sooner or later, and never if its own
// callbacks refer to it. The process may exit at any time. Signals, profiles and faults in Go code work as without the
// library.
package enclave

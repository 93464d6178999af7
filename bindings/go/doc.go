// Package enclave runs untrusted JavaScript in a pool of isolated SpiderMonkey workers.
//
//	pool, err := enclave.New(enclave.Secure())
//	if err != nil { ... }
//	defer pool.Close()
//	result, err := pool.Run(ctx, "[1, 2, 3].map(n => n * n)")
//	fmt.Println(result) // [1,4,9]
//
// It is made for code that nobody has read before it runs: what a language model has written, what a user has pasted,
// the plugin of a tenant. Every execution gets a fresh realm; time, CPU, memory, output and calls are limited, and
// script cannot catch the end of a limit; it reaches the outside only through tools that you give it. What workers in
// threads and in processes defend against is written in docs/SECURITY.md of the project.
//
// # The library
//
// This package is a thin layer over the shared library libenclave, which has to be installed. It is found by
// pkg-config, under the name enclave. Without pkg-config, build with the tag enclave_no_pkg_config and say where header
// and library are:
//
//	CGO_CFLAGS=-I/opt/enclave/include CGO_LDFLAGS="-L/opt/enclave/lib -Wl,-rpath,/opt/enclave/lib" \
//		go build -tags enclave_no_pkg_config
//
// When the first pool is made, the loaded library is compared with the header that the program was compiled with.
//
// # Running scripts
//
// [Pool.Run] runs a script and gives a [Value]; [Pool.RunInto] and [Run] store the result in a Go variable. A script is
// what it looks like: 1 + 1 gives 2, await and return work at the top ([SourceAuto]). Data goes in by [WithGlobal];
// what becomes what is said at [ValueOf] and [Value.Decode].
//
// [Pool.Submit] does not wait. Either way a call waits for a channel and holds no thread: any number of goroutines may
// use one pool, and those that find no worker wait in its queue, in their order, up to [Config.MaxQueueSize].
//
// # Contexts
//
// When the context of a call ends, the execution is cancelled, wherever it is, and the call returns as soon as that has
// happened. The error matches both [ErrCancelled] and the error of the context. The execution has ended when its call
// returns, and a cancel is for one execution alone: one that comes late hits nothing.
//
// The deadline of a context and the limit [Limits.Timeout] are two things. The first is the caller's patience, counts
// from the call on, and ends in ErrCancelled; the second is the script's time on its worker, and ends in [ErrTimeout].
//
// # Tools
//
// A tool is a Go function that scripts may call: [Pool.HandleTool] for all, [WithTool] for one execution. It runs on
// its own goroutine, may block, and has a context that ends with the execution. See [ToolFunc] for its errors and
// panics.
//
// # Errors
//
// Every outcome but success is an [*Error] with a [Status], and matches the sentinel of that status by [errors.Is]. If
// the script is at fault, there is a [*ScriptError] in it, which wraps the error of the tool that it came from.
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
// [Pool.Close] ends a pool and frees it; [Pool.Shutdown] lets what runs finish, for as long as its context says. A pool
// that is forgotten is closed when the garbage collector finds it: sooner or later, and never if its own callbacks
// refer to it. The process may exit at any time. Signals, profiles and faults in Go code are as without the library.
package enclave

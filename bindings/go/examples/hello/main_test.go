package main

import "os"

func Example() {
	os.Args = []string{"hello", "[1, 2, 3].map(n => n * n)"}
	main()
	// Output: [1,4,9]
}

package main

import (
	"os"
	"strings"
	"testing"
)

func Example() {
	os.Args = []string{"hello", "[1, 2, 3].map(n => n * n)"}
	main()
	// Output: [1,4,9]
}

func TestReadmeShowsThisProgram(t *testing.T) {
	source, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	program := string(source[strings.Index(string(source), "package main"):])
	if !strings.Contains(string(readme), "```go\n"+program+"```\n") {
		t.Error("README.md shows another program")
	}
}

// Hello runs a script and prints its result: hello '[1, 2, 3].map(n => n * n)'
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	enclave "github.com/enclave/enclave/bindings/go"
)

func main() {
	source := "`1 + 1 is ${1 + 1}`"
	if len(os.Args) > 1 {
		source = os.Args[1]
	}
	pool, err := enclave.New(enclave.Secure())
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	result, err := pool.Run(context.Background(), source)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result)
}

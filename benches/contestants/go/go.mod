module github.com/enclave/enclave/benches/contestants/go

go 1.25.0

require github.com/enclave/enclave/bindings/go v0.0.0

require (
	github.com/fxamacker/cbor/v2 v2.10.0 // indirect
	github.com/x448/float16 v0.8.4 // indirect
)

replace github.com/enclave/enclave/bindings/go => ../../../bindings/go

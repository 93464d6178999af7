//go:build enclave_no_pkg_config

package capi

// CGO_CFLAGS and CGO_LDFLAGS say where the header and the library are.

// #cgo LDFLAGS: -lenclave
import "C"

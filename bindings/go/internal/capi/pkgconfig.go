//go:build !enclave_no_pkg_config

package capi

// #cgo pkg-config: enclave
import "C"

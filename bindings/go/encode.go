package enclave

import (
	"errors"
	"reflect"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// unencodable says which part of a Go value has no JavaScript value.
func unencodable(x any, err error) *Error {
	path, culprit := blame(reflect.ValueOf(x), "")
	path = strings.TrimPrefix(path, ".")
	name := "it is nil"
	if culprit.IsValid() {
		name = culprit.Type().String()
	}
	if path != "" {
		name = path + ": " + name
	}
	problem := invalid("value", "%s has no JavaScript value", name)
	problem.Details.Path = path
	var own *Error
	var unsupported *cbor.UnsupportedTypeError
	switch {
	case errors.As(err, &own): // of JSON that a method has written
		problem.Message += ": " + own.Message
		problem.causes = []error{own}
	case !errors.As(err, &unsupported): // of a method of the type
		problem.Message += ": " + strings.TrimPrefix(err.Error(), "cbor: ")
		problem.causes = []error{err}
	}
	return problem
}

// blame finds the innermost part of a value that cannot be encoded.
func blame(v reflect.Value, path string) (string, reflect.Value) {
	for (v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer) && !v.IsNil() && !encodesItself(v.Type()) {
		v = v.Elem()
	}
	if !v.IsValid() || encodesItself(v.Type()) {
		return path, v
	}
	failing := func(part reflect.Value) bool {
		if !part.CanInterface() {
			return false
		}
		_, err := encMode.Marshal(part.Interface())
		return err != nil
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			part, at := v.Index(i), path+"["+strconv.Itoa(i)+"]"
			switch entry := part.Interface().(type) {
			case Property:
				part, at = reflect.ValueOf(entry.Value), joinKey(path, entry.Key)
			case Entry:
				if key := reflect.ValueOf(entry.Key); key.IsValid() && failing(key) {
					return blame(key, at+".key")
				}
				part, at = reflect.ValueOf(entry.Value), at+".value"
			}
			if part.IsValid() && failing(part) {
				return blame(part, at)
			}
		}
	case reflect.Map:
		for entries := v.MapRange(); entries.Next(); {
			if failing(entries.Value()) {
				key := "…"
				if entries.Key().Kind() == reflect.String {
					key = entries.Key().String()
				}
				return blame(entries.Value(), joinKey(path, key))
			}
		}
	case reflect.Struct:
		for _, field := range reflect.VisibleFields(v.Type()) {
			name := fieldName(field)
			part, err := v.FieldByIndexErr(field.Index)
			if name != "" && err == nil && failing(part) {
				return blame(part, joinKey(path, name))
			}
		}
	}
	return path, v
}

// encodesItself says whether a type has a method that writes it, other than the lists of this package.
func encodesItself(t reflect.Type) bool {
	return t != reflect.TypeFor[Map]() && t != reflect.TypeFor[Object]() && marshalsItself(t)
}

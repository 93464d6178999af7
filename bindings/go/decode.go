package enclave

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// DecodeError says where a JavaScript value does not fit a Go variable.
type DecodeError struct {
	// Where in the value it is, such as "items[1].qty"; "" is the value itself.
	Path string
	// What is there.
	Kind Kind
	// What it does not fit.
	Type reflect.Type
	// The error of the type's own method, UnmarshalText for instance, if it was that.
	Err error

	whole Kind         // of the value that was decoded
	dst   reflect.Type // of the variable
	want  string       // in JavaScript's words
	got   string
}

// Error gives the path, the kind of the value and the Go type.
func (e *DecodeError) Error() string {
	text := fmt.Sprintf("enclave: %s does not fit %v", e.whole, e.dst)
	switch {
	case e.Path != "":
		text += fmt.Sprintf(": %s: %s does not fit %v", e.Path, e.got, e.Type)
	case e.Kind == KindNumber && e.got != KindNumber.String():
		text = fmt.Sprintf("enclave: %s %s does not fit %v", e.Kind, e.got, e.dst)
	}
	if e.Err != nil {
		text += ": " + strings.TrimPrefix(e.Err.Error(), "cbor: ")
	}
	return text
}

// Unwrap gives the error of the type's own method, if it was that.
func (e *DecodeError) Unwrap() error { return e.Err }

// forScript is the error in JavaScript's words, without anything of Go's.
func (e *DecodeError) forScript() string {
	text := "expected " + e.want + ", got " + e.got
	if e.want == "" {
		text = "this " + jsKind(e.Kind) + " is not accepted"
	}
	if e.Path != "" {
		return e.Path + ": " + text
	}
	return text
}

// findMisfit finds the first part of a value that does not fit the variable; nil if it finds none. What the decoder
// itself says of it has neither indices nor keys, and speaks of Go and CBOR.
func findMisfit(from []byte, dst any) *DecodeError {
	to := reflect.TypeOf(dst)
	misfit := misfitOf(from, to.Elem(), "")
	if misfit != nil {
		misfit.dst, misfit.whole = to, kindOf(from)
	}
	return misfit
}

func misfitOf(from []byte, to reflect.Type, path string) *DecodeError {
	kind := kindOf(from)
	switch {
	case kind == KindUndefined || kind == KindNull:
		return nil // fits everything but types with methods of their own, of which the decoder knows
	case to.Kind() == reflect.Pointer:
		return misfitOf(from, to.Elem(), path)
	case unmarshalsItself(to):
		return misfitOfLeaf(from, to, path)
	}
	switch to.Kind() {
	case reflect.Struct:
		if kind != KindObject {
			break
		}
		fields := fieldsOf(to)
		for key, item := range (Value{from}).Entries() {
			name := key.text()
			if field, ok := fields.find(name); ok {
				if misfit := misfitOf(item.cbor, field, joinKey(path, name)); misfit != nil {
					return misfit
				}
			}
		}
		return nil
	case reflect.Slice, reflect.Array:
		if kind != KindArray && kind != KindSet || to.Elem().Kind() == reflect.Uint8 {
			break
		}
		i := 0
		for item := range (Value{from}).Items() {
			if misfit := misfitOf(item.cbor, to.Elem(), path+"["+strconv.Itoa(i)+"]"); misfit != nil {
				return misfit
			}
			i++
		}
		return nil
	case reflect.Map:
		if kind != KindObject && kind != KindMap {
			break
		}
		i := 0
		for key, item := range (Value{from}).Entries() {
			at := joinKey(path, key.text())
			if kind == KindMap {
				at = path + ".key(" + strconv.Itoa(i) + ")"
				if misfit := misfitOf(key.cbor, to.Key(), at); misfit != nil {
					return misfit
				}
				at = path + ".value(" + strconv.Itoa(i) + ")"
			}
			if misfit := misfitOf(item.cbor, to.Elem(), at); misfit != nil {
				return misfit
			}
			i++
		}
		return nil
	}
	return misfitOfLeaf(from, to, path)
}

// misfitOfLeaf tries to decode a value that is not looked into.
func misfitOfLeaf(from []byte, to reflect.Type, path string) *DecodeError {
	misfit := &DecodeError{Path: strings.TrimPrefix(path, "."), Kind: kindOf(from), Type: to}
	misfit.want, misfit.got = wanted(to), jsKind(misfit.Kind)
	isBigInt := misfit.Kind == KindBigInt
	isWhole := to.Kind() >= reflect.Int && to.Kind() <= reflect.Uintptr
	if isWhole && (isBigInt || misfit.Kind == KindNumber) {
		misfit.want = wholeNumbers(to)
	}
	if isBigInt && len(from) > largeBigInt && !takesBigInts(to) {
		return misfit
	}
	err := decMode.Unmarshal(from, reflect.New(to).Interface())
	if err == nil {
		return nil
	}
	if misfit.Kind == KindNumber && isWhole {
		misfit.got = Value{from}.String()
	}
	if mismatch := (*cbor.UnmarshalTypeError)(nil); !errors.As(err, &mismatch) {
		misfit.Err = err
		if misfit.got == misfit.want {
			misfit.want = ""
		}
	}
	return misfit
}

// takesBigInts says whether a type may be decoded from a bigint of any size.
func takesBigInts(t reflect.Type) bool {
	return t.Kind() == reflect.Interface || t == reflect.TypeFor[big.Int]() ||
		reflect.PointerTo(t).Implements(reflect.TypeFor[cbor.Unmarshaler]())
}

// wanted is what fits a type, in JavaScript's words; "" if only the type knows.
func wanted(to reflect.Type) string {
	switch to {
	case reflect.TypeFor[time.Time]():
		return "Date"
	case reflect.TypeFor[big.Int]():
		return "bigint"
	case reflect.TypeFor[Map]():
		return "Map"
	case reflect.TypeFor[Set]():
		return "Set"
	case reflect.TypeFor[ErrorValue]():
		return "Error"
	}
	pointer := reflect.PointerTo(to)
	switch {
	case pointer.Implements(reflect.TypeFor[cbor.Unmarshaler]()):
		return ""
	case pointer.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return "string"
	}
	switch to.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "string"
	case reflect.Slice, reflect.Array:
		if to.Elem().Kind() == reflect.Uint8 {
			return "Uint8Array"
		}
		return "array"
	case reflect.Map, reflect.Struct:
		return "object"
	case reflect.Float32, reflect.Float64:
		return "number"
	}
	if to.Kind() >= reflect.Int && to.Kind() <= reflect.Uintptr {
		return "number"
	}
	return ""
}

// wholeNumbers are the numbers that fit an integer.
func wholeNumbers(to reflect.Type) string {
	low, high := "0", strconv.FormatUint(math.MaxUint64>>(64-to.Bits()), 10)
	if to.Kind() <= reflect.Int64 {
		low = strconv.FormatInt(math.MinInt64>>(64-to.Bits()), 10)
		high = strconv.FormatInt(math.MaxInt64>>(64-to.Bits()), 10)
	}
	return "whole number from " + low + " to " + high
}

// jsKind is a kind in JavaScript's words.
func jsKind(kind Kind) string {
	switch kind {
	case KindBool:
		return "boolean"
	case KindBytes:
		return "Uint8Array"
	case KindDate:
		return "Date"
	case KindMap:
		return "Map"
	case KindSet:
		return "Set"
	case KindError:
		return "Error"
	}
	return kind.String()
}

func unmarshalsItself(to reflect.Type) bool {
	switch to {
	case reflect.TypeFor[time.Time](), reflect.TypeFor[big.Int](), reflect.TypeFor[Set]():
		return true
	}
	pointer := reflect.PointerTo(to)
	return to.Kind() == reflect.Interface || pointer.Implements(reflect.TypeFor[cbor.Unmarshaler]()) ||
		pointer.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// structFields are the types of a struct's fields by their names in JavaScript.
type structFields map[string]reflect.Type

func fieldsOf(t reflect.Type) structFields {
	fields := structFields{}
	for _, field := range reflect.VisibleFields(t) {
		if name := fieldName(field); name != "" {
			if _, taken := fields[name]; !taken {
				fields[name] = field.Type
			}
		}
	}
	return fields
}

// find is a field as the decoder finds it: by its name, else by its name in any case.
func (f structFields) find(name string) (reflect.Type, bool) {
	if field, ok := f[name]; ok {
		return field, true
	}
	for known, field := range f {
		if strings.EqualFold(known, name) {
			return field, true
		}
	}
	return nil, false
}

// fieldName is the name of a field in JavaScript; "" if it has none.
func fieldName(field reflect.StructField) string {
	if !field.IsExported() {
		return ""
	}
	for _, tag := range []string{"cbor", "json"} {
		if value, ok := field.Tag.Lookup(tag); ok {
			name, _, _ := strings.Cut(value, ",")
			switch {
			case value == "-":
				return ""
			case name != "":
				return name
			}
			break
		}
	}
	if field.Anonymous && field.Type.Kind() == reflect.Struct {
		return ""
	}
	return field.Name
}

// joinKey is the path of a property, as JavaScript writes it.
func joinKey(path, key string) string {
	if isIdentifier(key) {
		return path + "." + key
	}
	const longest = 64
	if len(key) > longest {
		key = strings.ToValidUTF8(key[:longest], "") + "…"
	}
	quoted, err := json.Marshal(key)
	if err != nil {
		return path + "[…]"
	}
	return path + "[" + string(quoted) + "]"
}

func isIdentifier(key string) bool {
	if key == "" || len(key) > 64 {
		return false
	}
	for i, c := range []byte(key) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c == '$'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// text is the text of a string, without the decoder.
func (v Value) text() string {
	major, length, rest := readHead(v.cbor)
	if major != majorText {
		return ""
	}
	return string(rest[:min(length, uint64(len(rest)))])
}

// largeBigInt is how many bytes a bigint may have to be printed.
const largeBigInt = 64

// hasLargeBigInt says whether there is a bigint that is not to be printed.
func hasLargeBigInt(from []byte) bool {
	if bytes.IndexByte(from, majorTag<<5|tagBigInt) < 0 && bytes.IndexByte(from, majorTag<<5|tagNegBigInt) < 0 {
		return false
	}
	for len(from) > 0 {
		major, argument, rest := readHead(from)
		if major == majorTag && (argument == tagBigInt || argument == tagNegBigInt) {
			if inner, length, _ := readHead(rest); inner == majorBytes && length > largeBigInt {
				return true
			}
		}
		if major == majorBytes || major == majorText {
			rest = rest[min(argument, uint64(len(rest))):]
		}
		from = rest
	}
	return false
}

// decodeAny reads an item as [Value.Interface] gives it, and what is behind it. It reads each byte once: the decoder
// gives a Map to its method UnmarshalCBOR, and so would read what is in a Map in a Map once for each of them.
func decodeAny(from []byte, depth int) (x any, rest []byte, err error) {
	if depth > maxCBORDepth {
		return nil, nil, fmt.Errorf("more than %d levels of nesting", maxCBORDepth)
	}
	if len(from) == 0 {
		return nil, nil, errors.New("the value is cut off")
	}
	kind := kindOf(from)
	switch kind {
	case KindArray, KindSet, KindMap, KindObject:
	default:
		size := itemSize(from)
		x, err = decodeLeaf(kind, from[:size:size])
		return x, from[size:], err
	}
	major, count, rest := readHead(from)
	if major == majorTag {
		major, count, rest = readHead(rest)
	}
	list := kind == KindArray || kind == KindSet
	if list != (major == majorArray) || count > uint64(len(rest)) {
		return nil, nil, fmt.Errorf("this is no %s", kind)
	}
	next := func() (item any) {
		if err == nil {
			item, rest, err = decodeAny(rest, depth+1)
		}
		return item
	}
	switch kind {
	case KindArray:
		items := make([]any, 0, count)
		for ; err == nil && count > 0; count-- {
			items = append(items, next())
		}
		x = items
	case KindSet:
		items := make(Set, 0, count)
		for ; err == nil && count > 0; count-- {
			items = append(items, next())
		}
		x = items
	case KindMap:
		entries := make(Map, 0, count)
		for ; err == nil && count > 0; count-- {
			entries = append(entries, Entry{Key: next(), Value: next()})
		}
		x = entries
	case KindObject:
		object := make(map[string]any, count)
		for ; err == nil && count > 0; count-- {
			key := next()
			name, ok := key.(string)
			if !ok && err == nil {
				err = fmt.Errorf("a key of an object is %T", key)
			}
			object[name] = next()
		}
		x = object
	}
	return x, rest, err
}

// decodeLeaf reads an item that holds no others; of an Error, which does, there is no more than one.
func decodeLeaf(kind Kind, from []byte) (any, error) {
	major, argument, rest := readHead(from)
	switch {
	case kind == KindNull || kind == KindUndefined:
		return nil, nil
	case kind == KindBool:
		return argument == simpleTrue, nil
	case kind == KindNumber && major == 0 && argument <= math.MaxInt64:
		return int64(argument), nil
	case kind == KindNumber && major == 1 && argument <= math.MaxInt64:
		return -1 - int64(argument), nil
	case kind == KindNumber && len(from) == 9 && major == majorSimple:
		return math.Float64frombits(argument), nil
	case kind == KindString && uint64(len(rest)) == argument:
		return string(rest), nil
	case kind == KindError:
		var value ErrorValue
		err := value.UnmarshalCBOR(from)
		return value, err
	case kind == KindDate && major == majorTag && argument == tagDate:
		var seconds float64
		if err := decMode.Unmarshal(rest, &seconds); err != nil || math.IsNaN(seconds) || math.Abs(seconds) > 8.64e12 {
			return time.Time{}, err
		}
		whole, fraction := math.Modf(seconds)
		return time.UnixMilli(int64(whole)*1000 + int64(math.Round(fraction*1000))).UTC(), nil
	}
	var x any
	err := decMode.Unmarshal(from, &x)
	return x, err
}

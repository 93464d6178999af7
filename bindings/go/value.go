package enclave

import (
	"fmt"
	"iter"

	"github.com/enclave/enclave/bindings/go/internal/capi"
)

// Kind is the kind of a JavaScript value.
type Kind int

// The kinds.
const (
	KindUndefined Kind = 0
	KindNull      Kind = 1
	KindBool      Kind = 2
	KindNumber    Kind = 3
	KindBigInt    Kind = 4
	KindString    Kind = 5
	KindBytes     Kind = 6 // an ArrayBuffer, typed array or DataView; into a script, a Uint8Array
	KindDate      Kind = 7
	KindArray     Kind = 8
	KindMap       Kind = 9
	KindSet       Kind = 10
	KindObject    Kind = 11 // any other object: its own enumerable string keys, in order
	KindError     Kind = 12
)

// String is the name of the kind, such as "bigint".
func (k Kind) String() string {
	return nameOr(nameIn(int(k), "undefined", "null", "bool", "number", "bigint", "string", "bytes", "date", "array", "map",
		"set", "object", "error"), "Kind", int32(k))
}

// Value is a JavaScript value outside its script: an immutable copy, which any goroutine may use. The zero Value is
// undefined.
//
// [Value.Decode] stores it in a Go variable, [Value.Interface] gives it in Go's own types. A Value itself keeps
// everything that JavaScript has, including what these lose: undefined as distinct from null, and the order of an
// object's keys. It may be a part of what is encoded and decoded, such as a field of a struct or an element of a map.
type Value struct {
	cbor []byte // one item as the library writes it: definite lengths, shortest form
}

// ValueOf converts a Go value, as is done for globals and the results of tools:
//
//	nil, nil pointers, slices and maps       null
//	bool, string                             boolean, string
//	integers                                 number; bigint beyond ±(2^53 - 1)
//	floats                                   number
//	big.Int, *big.Int                        bigint
//	[]byte, [N]byte                          Uint8Array
//	time.Time                                Date, rounded to milliseconds; the zero time is null
//	slices and arrays                        array
//	maps with string keys                    object
//	structs                                  object: exported fields, by their tags `cbor:"…"` or `json:"…"`
//	Undefined, Set, Map, Object, *ErrorValue undefined, Set, Map, object with keys in order, Error
//	Value                                    itself
//	json.Marshaler, json.RawMessage          what its JSON says
//	encoding.TextMarshaler                   string
//	error, if it is the value itself         Error with its message
//
// It refuses functions, channels, complex numbers, strings that are not UTF-8, maps with other keys, and more than 512
// levels of nesting (so also cycles).
func ValueOf(x any) (Value, error) {
	if value, ok := x.(Value); ok {
		return value, nil
	}
	cbor, err := encode(x)
	if err != nil {
		return Value{}, err
	}
	return Value{cbor}, nil
}

// Kind is the kind of the value.
func (v Value) Kind() Kind { return kindOf(v.cbor) }

// Decode stores the value in what dst points to, as [encoding/json] does with JSON:
//
//	undefined, null  zero for pointers, slices, maps and interfaces; else no change
//	boolean, string  bool, string
//	number           integers, if it is one that fits (-0 and 2^53 do not); floats
//	bigint           integers, if it fits; big.Int
//	bytes            []byte, [N]byte
//	Date             time.Time in UTC, to the millisecond; an invalid date is the zero time
//	array, Set       slices, arrays; Set
//	object           structs, by their tags `cbor:"…"` or `json:"…"`; maps with string keys
//	Map              Map; maps, if the keys fit
//	Error            ErrorValue
//	any              Value; an empty interface, as [Value.Interface] says
//	string           also encoding.TextUnmarshaler
//
// Numbers and strings are never converted into each other. The error is a [*DecodeError] and says what did not fit, and
// where. Dates beyond the years 0 to 9999 are in the local time zone and only near to the millisecond.
func (v Value) Decode(dst any) error { return decode(v.wire(), dst) }

// Interface gives the value in Go's own types:
//
//	undefined, null  nil
//	boolean, string  bool, string
//	number           int64 for whole numbers within ±(2^53 - 1) but -0, float64 for all others
//	bigint           *big.Int
//	bytes            []byte
//	Date             time.Time in UTC; an invalid date is the zero time
//	array            []any
//	Map, Set         Map, Set
//	object           map[string]any
//	Error            ErrorValue
func (v Value) Interface() any {
	x, _, err := decodeAny(v.wire(), 0)
	if err != nil {
		// Whatever the library writes can be decoded; that is fuzzed.
		panic(fmt.Sprintf("enclave: a value cannot be decoded: %v", err))
	}
	return x
}

// Items yields the elements of an array or a Set, in order; nothing for any other kind. It reads them with everything
// inside them. To go through a value of many levels, use [Value.Interface], which reads each level once.
func (v Value) Items() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		switch v.Kind() {
		case KindArray, KindSet:
			for item := range items(v.cbor) {
				if !yield(Value{item}) {
					return
				}
			}
		}
	}
}

// Entries yields the keys and values of an object or a Map, in order; nothing for any other kind. It reads like
// [Value.Items].
func (v Value) Entries() iter.Seq2[Value, Value] {
	return func(yield func(Value, Value) bool) {
		switch v.Kind() {
		case KindObject, KindMap:
			var key Value
			isKey := true
			for item := range items(v.cbor) {
				if isKey {
					key = Value{item}
				} else if !yield(key, Value{item}) {
					return
				}
				isKey = !isKey
			}
		}
	}
}

// String gives the text of a string, "undefined" for undefined, and the JSON of every other value. If the value has no
// JSON ([Value.MarshalJSON]), it says what is wrong.
func (v Value) String() string {
	switch v.Kind() {
	case KindUndefined:
		return "undefined"
	case KindString:
		var text string
		_ = v.Decode(&text)
		return text
	}
	json, err := v.MarshalJSON()
	if err != nil {
		return err.Error()
	}
	return string(json)
}

// MarshalJSON writes the value as JSON. If JSON has no such value, it writes the nearest: a bigint as its digits in a
// string, bytes as base64, a Date as ISO 8601, a Map as an object (or as pairs, if a key is no string), a Set as an
// array, an Error as its name and message; undefined, NaN and the infinities as null. It refuses a bigint of more than
// 16384 bits with ErrInvalidArgument, because so many digits would take time out of proportion.
func (v Value) MarshalJSON() ([]byte, error) {
	json, err := capi.ToJSON(v.wire())
	return json, asError(err)
}

// UnmarshalJSON reads a value from JSON.
func (v *Value) UnmarshalJSON(json []byte) error {
	cbor, err := capi.FromJSON(json)
	if err != nil {
		return newError(err)
	}
	v.cbor = cbor
	return nil
}

// MarshalCBOR writes the value as CBOR (RFC 8949), which keeps all of it.
func (v Value) MarshalCBOR() ([]byte, error) { return v.wire(), nil }

// UnmarshalCBOR reads a value that MarshalCBOR has written.
func (v *Value) UnmarshalCBOR(cbor []byte) error {
	v.cbor = append([]byte(nil), datesFromText(cbor)...)
	return nil
}

func (v Value) wire() []byte {
	if len(v.cbor) == 0 {
		return undefined
	}
	return v.cbor
}

// Undefined as a Go value is undefined in a script: Undefined{}.
type Undefined struct{}

// MarshalCBOR writes undefined.
func (Undefined) MarshalCBOR() ([]byte, error) { return undefined, nil }

// Set is a JavaScript Set, in order.
type Set []any

// Entry is an entry of a Map.
type Entry struct {
	Key, Value any
}

// Map is a JavaScript Map, in order: keys may be of any kind.
type Map []Entry

// MarshalCBOR writes the map.
func (m Map) MarshalCBOR() ([]byte, error) {
	cbor := appendHead(appendHead(nil, majorTag, tagMap), majorMap, uint64(len(m)))
	for _, entry := range m {
		var err error
		if cbor, err = appendItem(cbor, entry.Key); err != nil {
			return nil, err
		}
		if cbor, err = appendItem(cbor, entry.Value); err != nil {
			return nil, err
		}
	}
	return cbor, nil
}

// UnmarshalCBOR reads a map.
func (m *Map) UnmarshalCBOR(cbor []byte) error {
	value := Value{cbor}
	if value.Kind() != KindMap {
		return fmt.Errorf("cannot decode %s into a Map", value.Kind())
	}
	entries, _, err := decodeAny(cbor, 0)
	if err != nil {
		return err
	}
	*m = entries.(Map)
	return nil
}

// Property is a property of an Object.
type Property struct {
	Key   string
	Value any
}

// Object is an object with its keys in this order, for a script. A key that occurs twice is refused.
type Object []Property

// MarshalCBOR writes the object.
func (o Object) MarshalCBOR() ([]byte, error) {
	cbor := appendHead(nil, majorMap, uint64(len(o)))
	for _, property := range o {
		cbor = append(appendHead(cbor, majorText, uint64(len(property.Key))), property.Key...)
		var err error
		if cbor, err = appendItem(cbor, property.Value); err != nil {
			return nil, err
		}
	}
	return cbor, nil
}

// ErrorValue is a JavaScript Error as a value. As an error that a tool returns, it says exactly what the script
// catches.
type ErrorValue struct {
	Name    string // "" is "Error"
	Message string
	Code    string // "" is none
	Stack   string // out of a script only
}

// Error gives name and message.
func (e *ErrorValue) Error() string {
	if e.Name == "" {
		return "Error: " + e.Message
	}
	return e.Name + ": " + e.Message
}

type errorFields struct {
	Name    string `cbor:"name"`
	Message string `cbor:"message"`
	Code    string `cbor:"code,omitempty"`
	Stack   string `cbor:"stack,omitempty"`
}

// MarshalCBOR writes the error.
func (e ErrorValue) MarshalCBOR() ([]byte, error) {
	fields := errorFields(e)
	if fields.Name == "" {
		fields.Name = "Error"
	}
	return appendItem(appendHead(nil, majorTag, tagObject), []any{"Error", fields})
}

// UnmarshalCBOR reads an error.
func (e *ErrorValue) UnmarshalCBOR(cbor []byte) error {
	if kind := kindOf(cbor); kind != KindError {
		return fmt.Errorf("cannot decode %s into an ErrorValue", kind)
	}
	_, _, content := readHead(cbor)
	var parts []Value
	if err := decode(content, &parts); err != nil {
		return err
	}
	if len(parts) != 2 {
		return fmt.Errorf("an Error of %d parts", len(parts))
	}
	return parts[1].Decode((*errorFields)(e))
}

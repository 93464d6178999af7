package enclave

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

type item struct {
	Qty  int `json:"qty"`
	Name string
	Addr netip.Addr
}

type base struct {
	Shared bool `json:"shared"`
}

type order struct {
	base
	Base  *base
	Items []item `json:"items"`
	Big   []int64
	Float float64
	Bytes []byte
	Four  [4]byte
	When  time.Time
	Named map[string]*item
	Keyed map[int8]string
	Set   Set
	Map   Map
	Err   ErrorValue
	Own   throwingCBOR
	Any   any
	Value Value
}

func TestAnErrorSaysWhereAValueDoesNotFit(t *testing.T) {
	pool := newPool(t, Config{MaxWorkers: 1})
	handle(t, pool, "take", Func(func(order) string { return "taken" }))
	for source, want := range map[string]string{
		"'x'":                                        "expected object, got string",
		"[]":                                         "expected object, got array",
		"({items: {}})":                              "items: expected array, got object",
		"({items: [{qty: 1}, {qty: '2'}]})":          "items[1].qty: expected number, got string",
		"({items: [{Name: 2}]})":                     "items[0].Name: expected string, got number",
		"({items: [{NAME: true}]})":                  "items[0].NAME: expected string, got boolean",
		"({items: [{qty: 1.5}]})":                    "items[0].qty: expected whole number from -9223372036854775808 to 9223372036854775807, got 1.5",
		"({items: [{Addr: 'nowhere'}]})":             "items[0].Addr: this string is not accepted",
		"({items: [{Addr: 1}]})":                     "items[0].Addr: expected string, got number",
		"({Big: [1n, 2n ** 70n]})":                   "Big[1]: expected whole number from -9223372036854775808 to 9223372036854775807, got bigint",
		"({Big: [2n ** 1048575n]})":                  "Big[0]: expected whole number from -9223372036854775808 to 9223372036854775807, got bigint",
		"({Float: 'NaN'})":                           "Float: expected number, got string",
		"({Float: 2n ** 1048575n})":                  "Float: expected number, got bigint",
		"({Bytes: 'AA=='})":                          "Bytes: expected Uint8Array, got string",
		"({Four: {}})":                               "Four: expected Uint8Array, got object",
		"({When: 'today'})":                          "When: expected Date, got string",
		"({Named: {'a b': {qty: []}}})":              `Named["a b"].qty: expected number, got array`,
		"({Named: []})":                              "Named: expected object, got array",
		"({Keyed: new Map([[1, 'a'], [300, 'b']])})": "Keyed.key(1): expected whole number from -128 to 127, got 300",
		"({Keyed: new Map([[1, 1]])})":               "Keyed.value(0): expected string, got number",
		"({Set: []})":                                "Set: expected Set, got array",
		"({Map: {}})":                                "Map: expected Map, got object",
		"({Err: {}})":                                "Err: expected Error, got object",
		"({Base: {shared: 0}})":                      "Base.shared: expected boolean, got number",
	} {
		throws := fmt.Sprintf("try { return await tools.take(%s) } catch (e) { return [e.name, e.code, e.message] }", source)
		got, err := Run[[]string](context.Background(), pool, throws)
		if err != nil || got[0] != "TypeError" || got[1] != "INVALID_ARGUMENT" || got[2] != "take: "+want {
			t.Errorf("%s: %q, %v", source, got, err)
		}
		path, _, found := strings.Cut(want, ": ")
		if !found {
			path = ""
		}
		// Who calls sees the type of Go too, and so does whoever decodes.
		_, err = pool.Run(context.Background(), fmt.Sprintf("await tools.take(%s)", source))
		var misfit *DecodeError
		if !errors.As(err, &misfit) || misfit.Path != path || misfit.Type == nil {
			t.Errorf("%s: %#v", source, misfit)
		}
		var to order
		err = pool.RunInto(context.Background(), source, &to)
		if !errors.As(err, &misfit) || misfit.Path != path || !strings.Contains(err.Error(), "does not fit *enclave.order") ||
			!strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "cbor:") {
			t.Errorf("%s: %v", source, err)
		}
	}
	nothing := func() {}
	throw.Store(&nothing)
	for _, source := range []string{
		"({})", "({items: [], Big: null, unknown: {qty: 'x'}, shared: true, Base: {shared: true}, Named: {a: null}})",
		"({Any: 2n ** 1048575n, Value: 2n ** 1048575n, Own: 2n ** 1048575n, Keyed: {}})",
	} {
		if err := pool.RunInto(context.Background(), source, &order{}); err != nil {
			t.Errorf("%s: %v", source, err)
		}
	}
}

func TestInterfaceAndDecodeAgree(t *testing.T) {
	pool := newPool(t, Config{MaxWorkers: 1})
	for _, source := range []string{
		"undefined", "null", "true", "false", "''", "'ä😀'", "0", "-0", "1", "-1", "23", "24", "255", "256", "65536", "2 ** 53 - 1",
		"1 - 2 ** 53", "2 ** 53", "1.5", "0.1", "65504", "2 ** -24", "1e300", "-Infinity", "5n", "-5n", "2n ** 64n", "-(2n ** 64n)",
		"2n ** 3000n", "new Uint8Array(300)", "new Date(0)", "new Date(-1)", "new Date(1700000000123)", "new Date(NaN)",
		"[]", "[[], [[]], undefined]", "({})", "({a: {b: {}}, '': 1})", "new Set([new Set])",
		"new Map([[new Map([[{}, []]]), new Set([new Date(5)])], ['a', new Map]])",
		"new RangeError('r')", "[new Error('a'), 1]",
	} {
		value := run(t, pool, source)
		var decoded any
		if err := value.Decode(&decoded); err != nil {
			t.Errorf("%s: %v", source, err)
		}
		if got := value.Interface(); !reflect.DeepEqual(got, decoded) {
			t.Errorf("%s is %#v, and decoded %#v", source, got, decoded)
		}
	}
	if got := run(t, pool, "NaN").Interface().(float64); !math.IsNaN(got) {
		t.Errorf("it is %v", got)
	}
}

// largest makes the values that cost a host most, as CBOR of about so many bytes.
var largest = map[string]func(size int) []byte{
	"nulls": func(size int) []byte {
		return append(appendHead(nil, majorArray, uint64(size)), bytes.Repeat([]byte{0xf6}, size)...)
	},
	"keys": func(size int) []byte {
		n := size / 10
		to := appendHead(nil, majorMap, uint64(n))
		for i := range n {
			to = append(to, fmt.Sprintf("\x68%08x\x00", i)...)
		}
		return to
	},
	"dates": func(size int) []byte {
		date := []byte{0xc1, 0xfb, 0x41, 0xd9, 0x54, 0xfc, 0x40, 0x07, 0xce, 0xd9}
		return append(appendHead(nil, majorArray, uint64(size/10)), bytes.Repeat(date, size/10)...)
	},
	"bigints of Map keys": func(size int) []byte {
		n := size / 20
		to := appendHead(appendHead(nil, majorTag, tagMap), majorMap, uint64(n))
		for i := range n {
			// All are multiples of 2^61 - 1.
			x := new(big.Int).Mul(big.NewInt(int64(i)), big.NewInt(1<<61-1)).Bytes()
			to = append(appendHead(append(to, 0xc2), majorBytes, uint64(len(x))), x...)
			to = append(to, 0xf6)
		}
		return to
	},
	"NaN as Map keys": func(size int) []byte {
		to := appendHead(appendHead(nil, majorTag, tagMap), majorMap, uint64(size/4))
		return append(to, bytes.Repeat([]byte{0xf9, 0x7e, 0x00, 0xf6}, size/4)...)
	},
	"large bigints": func(size int) []byte {
		const each = 128 << 10
		to := appendHead(nil, majorArray, uint64(size/each))
		for range size / each {
			to = append(appendHead(append(to, 0xc2), majorBytes, each), bytes.Repeat([]byte{0xa7}, each)...)
		}
		return to
	},
	"Maps in Maps": func(size int) []byte {
		const levels = 500
		var to []byte
		for range levels {
			to = append(to, 0xd9, 0x01, 0x03, 0xa1, 0x01)
		}
		rest := size - len(to)
		return append(appendHead(to, majorArray, uint64(rest)), bytes.Repeat([]byte{0xf6}, rest)...)
	},
	"lists in lists": func(size int) []byte {
		return append(bytes.Repeat([]byte{0x82}, 500), append(bytes.Repeat([]byte{0xf6}, 500),
			append(appendHead(nil, majorArray, uint64(size)), bytes.Repeat([]byte{0xf6}, size)...)...)...)
	},
}

// ways to read a value.
var readers = map[string]func(Value){
	"Interface": func(v Value) { _ = v.Interface() },
	"any":       func(v Value) { var to any; _ = v.Decode(&to) },
	"[]int64":   func(v Value) { var to []int64; _ = v.Decode(&to) },
	"[]string":  func(v Value) { var to []string; _ = v.Decode(&to) },
	"Map":       func(v Value) { var to Map; _ = v.Decode(&to) },
	"map":       func(v Value) { var to map[string]any; _ = v.Decode(&to) },
	"map[any]":  func(v Value) { var to map[any]any; _ = v.Decode(&to) },
	"order":     func(v Value) { var to order; _ = v.Decode(&to) },
	"Value":     func(v Value) { var to Value; _ = v.Decode(&to) },
	"String":    func(v Value) { _ = v.String() },
	"Items": func(v Value) {
		for range v.Items() {
		}
	},
	"Entries": func(v Value) {
		for range v.Entries() {
		}
	},
	"tool": func(v Value) {
		_, _ = Func(func([]int64) int { return 0 })(context.Background(), Args{Value: v, Tool: "t"})
	},
}

// largestChild reads one of the largest values in all ways, and is killed if that takes more CPU time than what is linear
// ever does: what is not takes minutes and hours.
func largestChild() {
	const seconds = 40
	if err := syscall.Setrlimit(0 /* RLIMIT_CPU */, &syscall.Rlimit{Cur: seconds, Max: seconds}); err != nil {
		panic(err)
	}
	value := Value{largest[os.Getenv("ENCLAVE_TEST_VALUE")](2 << 20)}
	for _, read := range readers {
		read(value)
	}
	fmt.Println("read")
}

func init() { children["largest"] = largestChild }

func TestTheLargestValuesTakeLinearTime(t *testing.T) {
	for name := range largest {
		t.Run(name, func(t *testing.T) {
			child := exec.Command("/proc/self/exe")
			child.Env = append(os.Environ(), "ENCLAVE_TEST_CHILD=largest", "ENCLAVE_TEST_VALUE="+name)
			out, err := child.CombinedOutput()
			if err != nil || string(out) != "read\n" {
				t.Errorf("%v: %s", err, out)
			}
			t.Logf("%v of CPU", child.ProcessState.UserTime())
		})
	}
}

func TestABigIntOfManyDigitsHasNoJSON(t *testing.T) {
	pool := newPool(t, Config{MaxWorkers: 1})
	value := run(t, pool, "({a: [2n ** 16384n - 1n]})")
	if text, err := value.MarshalJSON(); err != nil || len(text) != 4943 {
		t.Errorf("it has %d bytes, %v", len(text), err)
	}
	value = run(t, pool, "({a: [2n ** 16384n]})")
	if _, err := value.MarshalJSON(); !errors.Is(err, ErrInvalidArgument) || !strings.Contains(err.Error(), "16385 bits") {
		t.Errorf("it is %v", err)
	}
	if !strings.Contains(value.String(), "16385 bits") {
		t.Errorf("it is %v", value)
	}
	// All else is possible with it.
	big := value.Interface().(map[string]any)["a"].([]any)[0].(*big.Int)
	if got := run(t, pool, "x === 2n ** 16384n", WithGlobal("x", big)).Interface(); got != true {
		t.Errorf("it came back as another")
	}
}

func TestOfForeignCBORNothingIsReadTwice(t *testing.T) {
	// A tag in a tag in a tag, and lengths that nothing has.
	deep := bytes.Repeat([]byte{0xc0}, 1<<20)
	endless := []byte{0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	for _, from := range [][]byte{deep, bytes.Repeat([]byte{0xc1}, 1<<20), endless} {
		var value Value
		_ = value.UnmarshalCBOR(from)
		for range value.Items() {
		}
		var entries Map
		_ = entries.UnmarshalCBOR(append([]byte{0xd9, 0x01, 0x03, 0xa1}, from...))
	}
}

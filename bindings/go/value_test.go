package enclave

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// big64 is beyond what a number can say.
var big64, _ = new(big.Int).SetString("18446744073709551617", 10)

func TestGoValuesInAScript(t *testing.T) {
	pool := newPool(t, Config{MaxWorkers: 1})
	type inner struct {
		A int `json:"a"`
	}
	type tagged struct {
		Name    string `json:"name"`
		Left    string `json:"-"`
		Empty   string `json:"empty,omitempty"`
		Inner   *inner `cbor:"in"`
		None    *inner
		private int
	}
	var value Value
	if err := value.UnmarshalJSON([]byte(`{"b": 1, "a": [true]}`)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		in   any
		want string // a script that says whether x is right
	}{
		{nil, "x === null"},
		{Undefined{}, "x === undefined"},
		{Value{}, "x === undefined"},
		{true, "x === true"},
		{"ß😀\x00", `x === 'ß😀\0'`},
		{int8(-5), "x === -5"},
		{uint(7), "x === 7"},
		{1<<53 - 1, "x === Number.MAX_SAFE_INTEGER"},
		{1 << 53, "x === 2n ** 53n"},
		{int64(math.MinInt64), "x === -(2n ** 63n)"},
		{uint64(math.MaxUint64), "x === 2n ** 64n - 1n"},
		{1.5, "x === 1.5"},
		{float32(0.5), "x === 0.5"},
		{math.Copysign(0, -1), "Object.is(x, -0)"},
		{math.NaN(), "Number.isNaN(x)"},
		{math.Inf(-1), "x === -Infinity"},
		{big.NewInt(5), "x === 5n"},
		{*big64, "x === 2n ** 64n + 1n"},
		{[]byte{0, 255}, "x instanceof Uint8Array && x.join() === '0,255'"},
		{[2]byte{1, 2}, "x instanceof Uint8Array && x.length === 2"},
		{[]byte{}, "x instanceof Uint8Array && x.length === 0"},
		{time.UnixMilli(1700000000123), "x instanceof Date && x.getTime() === 1700000000123"},
		{time.Unix(1700000000, 999_600_000), "x.getTime() === 1700000001000"},
		{time.Date(1900, 1, 1, 0, 0, 0, 5e6, time.FixedZone("", 3600)), "x.toISOString() === '1899-12-31T23:00:00.005Z'"},
		{time.Time{}, "x === null"},
		{[]int{1, 2}, "Array.isArray(x) && x.join() === '1,2'"},
		{[]int(nil), "x === null"},
		{[]any{1, nil, []string{"a"}}, "x[2][0] === 'a' && x[1] === null"},
		{map[string]any{"a": map[string]int{"b": 1}}, "x.a.b === 1"},
		{map[string]any{"__proto__": 1}, "Object.keys(x).join() === '__proto__'"},
		{tagged{Name: "n", Inner: &inner{3}, private: 1}, "JSON.stringify(x) === '{\"name\":\"n\",\"in\":{\"a\":3},\"None\":null}'"},
		{Set{1, "a"}, "x instanceof Set && [...x].join() === '1,a'"},
		{Map{{[]int{1}, "v"}, {nil, 2}}, "x instanceof Map && [...x][0][0][0] === 1 && x.get(null) === 2"},
		{Object{{"z", 1}, {"a", Object{}}}, "Object.keys(x).join() === 'z,a'"},
		{&ErrorValue{Name: "TypeError", Message: "m", Code: "C"}, "x instanceof TypeError && x.message === 'm' && x.code === 'C'"},
		{ErrorValue{Message: "m"}, "x.name === 'Error' && !('code' in x)"},
		{errors.New("plain"), "x instanceof Error && x.message === 'plain'"},
		{json.RawMessage(`{"a": [1.5, null]}`), "x.a[0] === 1.5 && x.a[1] === null"},
		{map[string]any{"raw": json.RawMessage("[7]")}, "x.raw[0] === 7"},
		{netip.MustParseAddr("127.0.0.1"), "x === '127.0.0.1'"},
		{map[string]Value{"v": value}, "Object.keys(x.v).join() === 'b,a' && x.v.a[0]"},
		{json.Number("12"), "x === '12'"},
	} {
		got, err := pool.Run(context.Background(), test.want, WithGlobal("x", test.in))
		if err != nil || got.Interface() != true {
			t.Errorf("%T %v: %s is %v, %v", test.in, test.in, test.want, got, err)
		}
	}
}

type node struct {
	Next   *node
	Parent *node `json:"-"`
}

func TestValuesThatAreNoneAreRefused(t *testing.T) {
	checkLeaks(t)
	cycle := &node{}
	cycle.Next = cycle
	list := []any{nil}
	list[0] = list
	loop := map[string]any{}
	loop["loop"] = Map{{1, loop}}
	for _, x := range []any{
		func() {}, make(chan int), complex(1, 2), cycle, list, loop, []any{func() {}}, Map{{1, make(chan int)}},
		json.RawMessage("{"), Object{{"a", func() {}}},
	} {
		value, err := ValueOf(x)
		if !errors.Is(err, ErrInvalidArgument) || value.cbor != nil {
			t.Errorf("%T: %v, %v", x, value.Kind(), err)
		}
	}
	parent := &node{}
	parent.Next = &node{Parent: parent}
	if _, err := ValueOf(parent); err != nil {
		t.Errorf("a field that is left out is no cycle: %v", err)
	}
}

func TestResultsInGo(t *testing.T) {
	pool := newPool(t, Config{MaxWorkers: 1})
	for source, want := range map[string]any{
		"undefined":                 nil,
		"null":                      nil,
		"true":                      true,
		"'ß\\0'":                    "ß\x00",
		"1":                         int64(1),
		"-1":                        int64(-1),
		"2 ** 53 - 1":               int64(1<<53 - 1),
		"2 ** 53":                   float64(1 << 53),
		"1.5":                       1.5,
		"Infinity":                  math.Inf(1),
		"5n":                        big.NewInt(5),
		"2n ** 64n + 1n":            big64,
		"new Uint8Array([1, 255])":  []byte{1, 255},
		"new Date(1700000000123)":   time.UnixMilli(1700000000123).UTC(),
		"new Date(1700000000000)":   time.UnixMilli(1700000000000).UTC(),
		"new Date(-62167219200000)": time.UnixMilli(-62167219200000).UTC(),
		"new Date(NaN)":             time.Time{},
		"[1, [undefined]]":          []any{int64(1), []any{nil}},
		"new Set([1, 'a'])":         Set{int64(1), "a"},
		"new Map([[[1], new Map]])": Map{{[]any{int64(1)}, Map{}}},
		"({b: 1, a: {}})":           map[string]any{"b": int64(1), "a": map[string]any{}},
		"[new Date(1), new Map([[new Date(1700000000123), 1]])]": []any{
			time.UnixMilli(1).UTC(), Map{{time.UnixMilli(1700000000123).UTC(), int64(1)}}},
	} {
		if got := run(t, pool, source).Interface(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %#v, not %#v", source, got, want)
		}
	}
	got := run(t, pool, "Object.assign(new RangeError('m'), {code: 'C'})").Interface().(ErrorValue)
	if got.Name != "RangeError" || got.Message != "m" || got.Code != "C" || !strings.Contains(got.Stack, "main.js") {
		t.Errorf("the error is %#v", got)
	}
	if far := run(t, pool, "new Date(8.64e15)").Interface().(time.Time); far.UnixMilli() != 8.64e15 {
		t.Errorf("the last date is %v", far)
	}
	if got := run(t, pool, "-0").Interface().(float64); got != 0 || !math.Signbit(got) {
		t.Errorf("-0 is %v", got)
	}
	if got := run(t, pool, "NaN").Interface().(float64); !math.IsNaN(got) {
		t.Errorf("NaN is %v", got)
	}
}

func TestDecode(t *testing.T) {
	pool := newPool(t, Config{MaxWorkers: 1})
	var all struct {
		I8    int8
		U     uint64
		F     float64
		Big   big.Int
		Small int `json:"small"`
		When  time.Time
		Dates map[string]*time.Time
		Bytes []byte
		List  [2]string
		Addr  netip.Addr
		Left  Value
		None  *int
		Any   any
		Set   []int
		Map   Map
		Err   ErrorValue
	}
	none := 5
	all.None = &none
	source := `({I8: -128, U: 2n ** 64n - 1n, F: 3, Big: 2n ** 70n, small: 7n, When: new Date(1700000000123),
		Dates: {a: new Date(1700000000001)}, Bytes: new Uint8Array([1]), List: ['a', 'b'], Addr: '::1',
		Left: [undefined, new Date(1700000000123), new Date(NaN)], None: undefined, Any: [1, {a: null}],
		Set: new Set([1, 2]), Map: new Map([[1, 2]]), Err: new TypeError('t'), unknown: 1})`
	if err := pool.RunInto(context.Background(), source, &all); err != nil {
		t.Fatal(err)
	}
	when := time.UnixMilli(1700000000123)
	if all.I8 != -128 || all.U != math.MaxUint64 || all.F != 3 || all.Big.BitLen() != 71 || all.Small != 7 ||
		!all.When.Equal(when) || all.When.Location() != time.UTC || !all.Dates["a"].Equal(time.UnixMilli(1700000000001)) ||
		len(all.Bytes) != 1 || all.List[1] != "b" || all.Addr != netip.IPv6Loopback() || all.None != nil ||
		!reflect.DeepEqual(all.Any, []any{int64(1), map[string]any{"a": nil}}) || len(all.Set) != 2 ||
		len(all.Map) != 1 || all.Err.Name != "TypeError" {
		t.Errorf("it is %+v", all)
	}
	// A part that is kept as a value is as it was: undefined, and dates as the library writes them.
	back := run(t, pool, "x[0] === undefined && x[1].getTime() === 1700000000123 && Number.isNaN(x[2].getTime())",
		WithGlobal("x", all.Left))
	if back.Interface() != true {
		t.Errorf("it came back as %v", all.Left)
	}

	for source, dst := range map[string]any{
		"1.5": new(int), "300": new(int8), "-1": new(uint), "'1'": new(int), "1": new(string), "2n ** 70n": new(int64),
		"[1]": new(map[string]int), "({})": new([]int), "new Map([[1, 2]])": new(map[string]int), "new Date": new(int64),
		"-0": new(int), "true": new(int), "'x'": new(netip.Addr), "new Set": new(Map), "({a: 1})": new(ErrorValue),
	} {
		if err := run(t, pool, source).Decode(dst); err == nil || !strings.HasPrefix(err.Error(), "enclave: ") {
			t.Errorf("%s fits %T: %v, %v", source, dst, reflect.ValueOf(dst).Elem(), err)
		}
	}
	if err := run(t, pool, "1").Decode(nil); err == nil {
		t.Error("it was decoded into nothing")
	}
	if err := run(t, pool, "1").Decode(5); err == nil {
		t.Error("it was decoded into a number")
	}
}

func TestValueAsItIs(t *testing.T) {
	pool := newPool(t, Config{MaxWorkers: 1})
	value := run(t, pool, "({z: 1, a: [undefined, 'x'], m: new Map([[{}, 2n]]), s: new Set([3])})")
	var keys []string
	for key := range value.Entries() {
		keys = append(keys, key.String())
	}
	if strings.Join(keys, "") != "zams" {
		t.Errorf("the keys are %v", keys)
	}
	entries := map[string]Value{}
	if err := value.Decode(&entries); err != nil {
		t.Fatal(err)
	}
	list := slices.Collect(entries["a"].Items())
	if len(list) != 2 || list[0].Kind() != KindUndefined || list[1].String() != "x" {
		t.Errorf("the list is %v", list)
	}
	for key, item := range entries["m"].Entries() {
		if key.Kind() != KindObject || item.Kind() != KindBigInt {
			t.Errorf("the map has %v: %v", key, item)
		}
	}
	for key := range entries["s"].Entries() {
		t.Errorf("a set has the entry %v", key)
	}
	if got := value.String(); got != `{"z":1,"a":[null,"x"],"m":[[{},"2"]],"s":[3]}` {
		t.Errorf("it is %s", got)
	}
	encoded, err := json.Marshal(map[string]any{"v": value})
	if err != nil || !strings.Contains(string(encoded), `"z":1`) {
		t.Errorf("its JSON is %s, %v", encoded, err)
	}
	for source, want := range map[string]string{
		"undefined": "undefined", "null": "null", "'t'": "t", "NaN": "null", "[1]": "[1]", "new Date(0)": `"1970-01-01T00:00:00.000Z"`,
	} {
		if got := fmt.Sprint(run(t, pool, source)); got != want {
			t.Errorf("%s is %s, not %s", source, got, want)
		}
	}
	var broken Value
	if err := broken.UnmarshalJSON([]byte("{")); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("it is %v", err)
	}
}

func TestDeepAndLargeValues(t *testing.T) {
	cfg := Default()
	cfg.MaxWorkers, cfg.MaxValueDepth = 1, 512
	pool := newPool(t, cfg)
	value := run(t, pool, "let x = 1; for (let i = 0; i < 511; i++) x = i % 2 ? new Map([[1, x]]) : [x]; x")
	depth := 0
	for inner := any(value.Interface()); ; depth++ {
		if list, ok := inner.([]any); ok {
			inner = list[0]
		} else if entries, ok := inner.(Map); ok {
			inner = entries[0].Value
		} else {
			break
		}
	}
	if depth != 511 {
		t.Errorf("it has %d levels", depth)
	}
	if got := run(t, pool, "typeof x", WithGlobal("x", value)); got.String() != "object" {
		t.Errorf("it came back as %v", got)
	}
	_, err := pool.Run(context.Background(), "let x = 1; for (let i = 0; i < 513; i++) x = [x]; x")
	wantIs(t, err, ErrResultNotTransferable)

	list, err := Run[[]int](context.Background(), pool, "Array.from({length: 500000}, (_, i) => i)")
	if err != nil || len(list) != 500000 || list[499999] != 499999 {
		t.Errorf("it has %d elements, %v", len(list), err)
	}
	big := strings.Repeat("x", 10<<20)
	if got := run(t, pool, "s.length", WithGlobal("s", big)); got.Interface() != int64(10<<20) {
		t.Errorf("it has %v characters", got)
	}
}

// FuzzRoundTrip sends a value of Go's through a script and back.
func FuzzRoundTrip(f *testing.F) {
	f.Add("text", int64(-5), 1.5, []byte{1}, int64(1700000000123), true)
	f.Add("", int64(math.MaxInt64), math.Inf(1), []byte{}, int64(-62135596800000), false)
	f.Add("\x00ß😀", int64(1<<53), math.Copysign(0, -1), []byte("x"), int64(8.64e15), true)
	cfg := Default()
	cfg.MaxWorkers = 1
	cfg.MaxExecutionsPerWorker = 1_000_000
	pool, err := New(cfg)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { pool.Close() })
	f.Fuzz(func(t *testing.T, text string, whole int64, float float64, content []byte, ms int64, flag bool) {
		type record struct {
			Text    string
			Whole   int64
			Float   float64
			Bytes   []byte
			When    time.Time
			Flag    bool
			List    []any
			Named   map[string]int64
			Pointer *string
		}
		if ms < -8.64e15 || ms > 8.64e15 {
			ms %= 8.64e15
		}
		text = strings.ToValidUTF8(text, "?")
		in := record{
			Text: text, Whole: whole, Float: float, Bytes: append([]byte{}, content...), When: time.UnixMilli(ms).UTC(),
			Flag: flag, List: []any{text, flag, nil, float + 0.5}, Named: map[string]int64{text: whole}, Pointer: &text,
		}
		var out record
		if err := pool.RunInto(context.Background(), "x", &out, WithGlobal("x", in)); err != nil {
			t.Fatal(err)
		}
		if in.When.IsZero() {
			out.When = in.When // null
		}
		out.When = out.When.Round(time.Millisecond).UTC() // beyond the years of RFC 3339
		in.List[3], out.List[3] = normal(in.List[3]), normal(out.List[3])
		if math.IsNaN(in.Float) && math.IsNaN(out.Float) {
			in.Float, out.Float = 0, 0
		}
		if !reflect.DeepEqual(in, out) {
			t.Errorf("%#v became %#v", in, out)
		}
	})
}

// normal is a number as a float, NaN as something that is equal to itself.
func normal(x any) any {
	switch x := x.(type) {
	case int64:
		return float64(x)
	case float64:
		if math.IsNaN(x) {
			return "NaN"
		}
	}
	return x
}

// FuzzValue decodes what JSON a fuzzer finds, all ways, and sends it through a script and back.
func FuzzValue(f *testing.F) {
	for _, seed := range []string{`{"a":[1,-0.0,1e300,null,true,"x"]}`, `[[[[]]]]`, `"\u0000"`, `12345678901234567890`, `{"":{}}`} {
		f.Add([]byte(seed))
	}
	cfg := Default()
	cfg.MaxWorkers = 1
	cfg.MaxValueDepth = 512
	cfg.MaxExecutionsPerWorker = 1_000_000
	pool, err := New(cfg)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { pool.Close() })
	f.Fuzz(func(t *testing.T, from []byte) {
		var value Value
		if err := value.UnmarshalJSON(from); err != nil {
			t.Skip()
		}
		back, err := pool.Run(context.Background(), "x", WithGlobal("x", value))
		if err != nil {
			t.Fatal(err)
		}
		if !same(back, value) {
			t.Errorf("%v became %v", value, back)
		}
		again, err := ValueOf(value.Interface())
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(again.Interface(), value.Interface()) {
			t.Errorf("%v became %v in Go", value, again)
		}
	})
}

// FuzzReadItem feeds the reader of single items what the library never writes.
func FuzzReadItem(f *testing.F) {
	f.Add([]byte{0xc1, 0xfb, 0x41, 0xd9, 0x54, 0xfc, 0x40, 0x07, 0xce, 0xd9})
	f.Add([]byte{0xd9, 1, 3, 0xa1, 0x61, 'a', 0xc0, 0x60})
	f.Add([]byte{0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, from []byte) {
		value := Value{from}
		_ = value.Kind().String()
		count := 0
		for item := range value.Items() {
			_ = item.Kind()
			if count++; count > 1000 {
				break
			}
		}
		var x any
		_ = value.Decode(&x)
		var kept Value
		_ = kept.UnmarshalCBOR(from)
		_ = datesFromText(datesToText(from))
	})
}

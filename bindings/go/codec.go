package enclave

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"encoding/json"
	"io"
	"iter"
	"math"
	"reflect"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/enclave/enclave/bindings/go/internal/capi"
)

// Values cross as CBOR, in the form that core/src/value/cbor.rs describes. fxamacker/cbor encodes and decodes; what is
// here is what it does not know: our tags, dates to the millisecond, and reading one level of a value.

const (
	majorBytes  = 2
	majorText   = 3
	majorArray  = 4
	majorMap    = 5
	majorTag    = 6
	majorSimple = 7

	tagDateText  = 0
	tagDate      = 1
	tagBigInt    = 2
	tagNegBigInt = 3
	tagObject    = 27
	tagSet       = 258
	tagMap       = 259

	simpleFalse     = 20
	simpleTrue      = 21
	simpleNull      = 22
	simpleUndefined = 23

	// The library's own bound is 512 levels of values. A level can be two or three of CBOR: tag, array, map.
	maxDepth     = 512
	maxCBORDepth = 4 * maxDepth
)

var undefined = []byte{0xf7}

var encMode, decMode = func() (cbor.EncMode, cbor.DecMode) {
	tags := cbor.NewTagSet()
	both := cbor.TagOptions{DecTag: cbor.DecTagRequired, EncTag: cbor.EncTagRequired}
	// These write and read their tag themselves.
	decode := cbor.TagOptions{DecTag: cbor.DecTagOptional, EncTag: cbor.EncTagNone}
	must(tags.Add(both, reflect.TypeFor[Set](), tagSet))
	must(tags.Add(decode, reflect.TypeFor[Map](), tagMap))
	must(tags.Add(decode, reflect.TypeFor[ErrorValue](), tagObject))
	enc, err := cbor.EncOptions{
		ShortestFloat:           cbor.ShortestFloat16,
		BigIntConvert:           cbor.BigIntConvertNone,
		Time:                    cbor.TimeUnixDynamic,
		TimeTag:                 cbor.EncTagRequired,
		OmitEmpty:               cbor.OmitEmptyGoValue,
		BinaryMarshaler:         cbor.BinaryMarshalerNone,
		TextMarshaler:           cbor.TextMarshalerTextString,
		JSONMarshalerTranscoder: transcoder(capi.FromJSON),
	}.EncModeWithTags(tags)
	must(err)
	dec, err := cbor.DecOptions{
		DefaultMapType:    reflect.TypeFor[map[string]any](),
		IntDec:            cbor.IntDecConvertSignedOrBigInt,
		BigIntDec:         cbor.BigIntDecodePointer,
		TimeTag:           cbor.DecTagOptional,
		MaxNestedLevels:   maxCBORDepth,
		MaxArrayElements:  math.MaxInt32,
		MaxMapPairs:       math.MaxInt32,
		BinaryUnmarshaler: cbor.BinaryUnmarshalerNone,
		TextUnmarshaler:   cbor.TextUnmarshalerTextString,
	}.DecModeWithTags(tags)
	must(err)
	return enc, dec
}()

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// transcoder turns what a json.Marshaler has written into CBOR.
type transcoder func([]byte) ([]byte, *capi.Error)

func (f transcoder) Transcode(dst io.Writer, src io.Reader) error {
	from, err := io.ReadAll(src)
	if err != nil {
		return err
	}
	to, failure := f(from)
	if failure != nil {
		return newError(failure)
	}
	_, err = dst.Write(to)
	return err
}

// encode makes CBOR of a Go value. That it is UTF-8, and that keys are text, the library checks.
func encode(x any) ([]byte, error) {
	if _, ok := x.(cbor.Marshaler); !ok {
		if err, ok := x.(error); ok {
			x = ErrorValue{Message: err.Error()}
		}
	}
	if err := checkDepth(reflect.ValueOf(x), 0); err != nil {
		return nil, err
	}
	encoded, err := encMode.Marshal(x)
	if err != nil {
		return nil, unencodable(x, err)
	}
	return encoded, nil
}

func appendItem(to []byte, x any) ([]byte, error) {
	encoded, err := encMode.Marshal(x)
	return append(to, encoded...), err
}

// decode stores CBOR of the library's in a Go variable.
func decode(from []byte, dst any) error {
	if target := reflect.ValueOf(dst); target.Kind() != reflect.Pointer || target.IsNil() {
		return invalid("dst", "it is %T; it has to be a pointer to a variable", dst)
	}
	from = datesToText(from)
	if hasLargeBigInt(from) {
		// Of a bigint that does not fit the decoder prints the digits, which takes more than linear time.
		if misfit := findMisfit(from, dst); misfit != nil {
			return misfit
		}
	}
	err := decMode.Unmarshal(from, dst)
	if err == nil {
		return nil
	}
	if misfit := findMisfit(from, dst); misfit != nil {
		return misfit
	}
	to := reflect.TypeOf(dst)
	return &DecodeError{Kind: kindOf(from), Type: to.Elem(), Err: err, whole: kindOf(from), dst: to, got: jsKind(kindOf(from))}
}

// checkDepth refuses what is nested so deep that it may be a cycle, for which the encoder would never end.
func checkDepth(v reflect.Value, depth int) error {
	if !v.IsValid() || !mayNest(v.Type()) {
		return nil
	}
	if depth > maxDepth {
		return invalid("value", "it has more than %d levels of nesting, or is a cycle", maxDepth)
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		// An interface or pointer is no level of the value, but a cycle can be made of them alone.
		return checkDepth(v.Elem(), depth+1)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if err := checkDepth(v.Index(i), depth+1); err != nil {
				return err
			}
		}
	case reflect.Map:
		for entries := v.MapRange(); entries.Next(); {
			if err := checkDepth(entries.Value(), depth+1); err != nil {
				return err
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if !isEncoded(v.Type().Field(i)) {
				continue
			}
			if err := checkDepth(v.Field(i), depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

var nesting sync.Map // reflect.Type to bool

// mayNest says whether values of a type can be of any depth: those of interfaces and of recursive types.
func mayNest(t reflect.Type) bool {
	if known, ok := nesting.Load(t); ok {
		return known.(bool)
	}
	nests := nestsWithin(t, map[reflect.Type]bool{})
	nesting.Store(t, nests)
	return nests
}

func nestsWithin(t reflect.Type, path map[reflect.Type]bool) bool {
	switch {
	case t.Kind() == reflect.Interface || path[t]:
		return true
	case t != reflect.TypeFor[Map]() && t != reflect.TypeFor[Object]() && marshalsItself(t):
		return false
	}
	path[t] = true
	defer delete(path, t)
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return nestsWithin(t.Elem(), path)
	case reflect.Struct:
		for i := range t.NumField() {
			if isEncoded(t.Field(i)) && nestsWithin(t.Field(i).Type, path) {
				return true
			}
		}
	}
	return false
}

func isEncoded(field reflect.StructField) bool {
	return (field.IsExported() || field.Anonymous) && field.Tag.Get("cbor") != "-" && field.Tag.Get("json") != "-"
}

func marshalsItself(t reflect.Type) bool {
	return t.Implements(reflect.TypeFor[cbor.Marshaler]()) || t.Implements(reflect.TypeFor[json.Marshaler]()) ||
		t.Implements(reflect.TypeFor[encoding.TextMarshaler]())
}

// readHead reads the head of an item: its major type, its argument, and what is behind it. For a float the argument is
// its bits. Nothing of an item that is cut off is an undefined.
func readHead(from []byte) (major byte, argument uint64, rest []byte) {
	if len(from) == 0 {
		return majorSimple, simpleUndefined, nil
	}
	major, info, rest := from[0]>>5, from[0]&31, from[1:]
	size := 0
	if info >= 24 {
		size = 1 << (info - 24)
	}
	switch {
	case info < 24:
		return major, uint64(info), rest
	case info > 27 || len(rest) < size:
		return majorSimple, simpleUndefined, nil
	}
	var wide [8]byte
	copy(wide[8-size:], rest[:size])
	return major, binary.BigEndian.Uint64(wide[:]), rest[size:]
}

func appendHead(to []byte, major byte, argument uint64) []byte {
	head := major << 5
	switch {
	case argument < 24:
		return append(to, head|byte(argument))
	case argument <= math.MaxUint8:
		return append(to, head|24, byte(argument))
	case argument <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(to, head|25), uint16(argument))
	case argument <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(to, head|26), uint32(argument))
	}
	return binary.BigEndian.AppendUint64(append(to, head|27), argument)
}

// kindOf is the kind of the value that is written.
func kindOf(from []byte) Kind {
	major, argument, _ := readHead(from)
	switch major {
	case majorBytes:
		return KindBytes
	case majorText:
		return KindString
	case majorArray:
		return KindArray
	case majorMap:
		return KindObject
	case majorTag:
		switch argument {
		case tagDateText, tagDate:
			return KindDate
		case tagBigInt, tagNegBigInt:
			return KindBigInt
		case tagObject:
			return KindError
		case tagSet:
			return KindSet
		case tagMap:
			return KindMap
		}
	case majorSimple:
		switch {
		case len(from) > 1: // a float
		case argument == simpleFalse, argument == simpleTrue:
			return KindBool
		case argument == simpleNull:
			return KindNull
		default:
			return KindUndefined
		}
	}
	return KindNumber
}

// items yields what is inside an array, set, map or object: keys and values of the latter in turns.
func items(from []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		major, count, rest := readHead(from)
		if major == majorTag {
			major, count, rest = readHead(rest)
		}
		if major == majorMap {
			count *= 2
		}
		for range count {
			size := itemSize(rest)
			if size == 0 || !yield(rest[:size:size]) {
				return
			}
			rest = rest[size:]
		}
	}
}

// itemSize is how many bytes the first item has.
func itemSize(from []byte) int {
	rest := from
	for pending := uint64(1); pending > 0 && len(rest) > 0; pending-- {
		major, argument, behind := readHead(rest)
		rest = behind
		switch major {
		case majorBytes, majorText:
			rest = rest[min(argument, uint64(len(rest))):]
		case majorArray:
			pending += argument
		case majorMap:
			pending += 2 * argument
		case majorTag:
			pending++
		}
	}
	return len(from) - len(rest)
}

// The decoder reads a double, as JavaScript's dates have, with some hundred nanoseconds too much, and in the local time
// zone. A text (tag 0) it reads to the millisecond, and in UTC. So dates are rewritten before, and back where a part is
// kept as a Value.

const dateLayout = "2006-01-02T15:04:05.999Z07:00"

// datesToText rewrites tag 1 as tag 0, but for what RFC 3339 does not have: years beyond 9999 and invalid dates.
func datesToText(from []byte) []byte {
	return rewriteTag(from, tagDate, func(to, content []byte) []byte {
		var seconds float64
		if err := decMode.Unmarshal(content, &seconds); err != nil || !(math.Abs(seconds) <= 8.64e12) {
			return nil
		}
		whole, fraction := math.Modf(seconds)
		date := time.UnixMilli(int64(whole)*1000 + int64(math.Round(fraction*1000))).UTC()
		if date.Year() < 0 || date.Year() > 9999 {
			return nil
		}
		text := date.AppendFormat(nil, dateLayout)
		return append(appendHead(appendHead(to, majorTag, tagDateText), majorText, uint64(len(text))), text...)
	})
}

// datesFromText rewrites tag 0 as tag 1.
func datesFromText(from []byte) []byte {
	return rewriteTag(from, tagDateText, func(to, content []byte) []byte {
		var text string
		if err := decMode.Unmarshal(content, &text); err != nil {
			return nil
		}
		date, err := time.Parse(dateLayout, text)
		if err != nil {
			return nil
		}
		encoded, err := encMode.Marshal(date)
		if err != nil || date.IsZero() {
			return nil
		}
		return append(to, encoded...)
	})
}

// rewriteTag copies an item, and has replace append what stands for each content of a tag; nil leaves it as it is.
func rewriteTag(from []byte, tag uint64, replace func(to, content []byte) []byte) []byte {
	if bytes.IndexByte(from, majorTag<<5|byte(tag)) < 0 {
		return from
	}
	to := make([]byte, 0, len(from)+32)
	for len(from) > 0 {
		major, argument, rest := readHead(from)
		size := len(from) - len(rest)
		switch major {
		case majorTag:
			if argument != tag {
				break
			}
			// A number or a text: what holds other items would be read again for each tag around it.
			if inner, _, _ := readHead(rest); inner >= majorArray && inner <= majorTag {
				break
			}
			content := rest[:itemSize(rest)]
			if replaced := replace(to, content); replaced != nil {
				to, from = replaced, rest[len(content):]
				continue
			}
		case majorBytes, majorText:
			size += int(min(argument, uint64(len(rest))))
		}
		to = append(to, from[:size]...)
		from = from[size:]
	}
	return to
}

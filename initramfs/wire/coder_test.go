package wire

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// messages are empty ones of all types.
func messages() []Message {
	return []Message{
		&HelloMsg{}, &PrepareMsg{}, &SetupMsg{}, &ReadyMsg{}, &StartMsg{}, &WindowSize{},
		&SignalMsg{}, &ExitedMsg{}, &FetchMsg{}, &FetchedMsg{}, &SysrqMsg{},
	}
}

// fill gives each field a value of its own, so that none can be left out, or
// taken for another.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d, not UTF-8: \xff\x00", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		v.SetUint(uint64(*n) % 251)
	default:
		v.SetInt(-int64(*n))
	}
}

func TestMessages(t *testing.T) {
	for _, full := range messages() {
		t.Run(fmt.Sprintf("%T", full), func(t *testing.T) {
			empty := reflect.New(reflect.TypeOf(full).Elem()).Interface().(Message)
			if err := decode(encode(full), empty); err != nil {
				t.Errorf("empty: %v", err)
			}
			n := 0
			fill(reflect.ValueOf(full).Elem(), &n)
			b := encode(full)
			got := reflect.New(reflect.TypeOf(full).Elem()).Interface().(Message)
			if err := decode(b, got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(full, got); diff != "" {
				t.Errorf("-sent +received:\n%s", diff)
			}
			if err := decode(append(b, 0), got); err == nil || !strings.Contains(err.Error(), "after its end") {
				t.Errorf("with a byte more: %v", err)
			}
			for i := range b {
				if err := decode(b[:i], reflect.New(reflect.TypeOf(full).Elem()).Interface().(Message)); err == nil {
					t.Errorf("without what comes after byte %d of %d: no error", i, len(b))
				}
			}
		})
	}
}

// TestNumbers: what one end's type can hold and the other's cannot, only a peer
// sends that is not ours.
func TestNumbers(t *testing.T) {
	for _, n := range []int64{-1, 1 << 16, 1 << 40} {
		c := coder{b: encode(&SetupMsg{Clock: n})[1:], reading: true} // after the host name
		var v uint16
		if number(&c, &v); c.err == nil || v != 0 {
			t.Errorf("%d as a uint16: %d, %v", n, v, c.err)
		}
	}
	large := &SetupMsg{CoreLimit: 1<<64 - 1, Clock: -1 << 63}
	var got SetupMsg
	if err := decode(encode(large), &got); err != nil || !cmp.Equal(&got, large) {
		t.Errorf("%+v, %v", got, err)
	}
	var c coder
	long := int64(maxList + 1)
	c.int64(&long)
	var list []string
	read := coder{b: append(c.b, make([]byte, long)...), reading: true}
	if read.strings(&list); read.err == nil || list != nil {
		t.Errorf("a list of %d: %d, %v", long, len(list), read.err)
	}
}

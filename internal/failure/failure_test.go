package failure

import (
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	for _, c := range []struct{ want, output string }{
		{"x_test.go:3: got 1, want 2", "=== RUN   TestX\n    x_test.go:2: starting\n    x_test.go:3: got 1, want 2\n    x_test.go:4: bye\n--- FAIL: TestX (0.00s)"},
		{"x_test.go:4: second error", "    x_test.go:3: first error\n    x_test.go:4: second error"},
		{"x_test.go:2: just this", "    x_test.go:2: just this\nsomething else"},
		{"panic: runtime error: index out of range [recovered]", "    x_test.go:2: an error\npanic: runtime error: index out of range [recovered]\n\ngoroutine 1 [running]:"},
		{"x_test.go:42: panic: oops", "    /w/m/y_test.go:1 +0x1\npanic: oops\n\ngoroutine 7 [running]:\ntesting.tRunner.func1()\n\t/usr/go/src/testing/testing.go:1974 +0x1\nm.TestX(0xc0)\n\t/w/m/x_test.go:42 +0x25\n\t/w/m/z_test.go:43 +0x25"},
		{"x_test.go:9: race detected during execution of test", "WARNING: DATA RACE\nWrite at 0x00c0 by goroutine 8:\n  m.TestX()\n      /w/m/x_test.go:9 +0x44\n    testing.go:1490: race detected during execution of test"},
		{"x_test.go:8: load program: permission denied: 3: R1 invalid mem access 'scalar' (9 line(s) omitted)", "    x_test.go:8: load program: permission denied: 3: R1 invalid mem access 'scalar' (9 line(s) omitted)"},
		{"x_test.go:8: load program: permission denied: R1 invalid mem access 'scalar'", "    x_test.go:8: load program: permission denied:\n        \t0: (79) r1 = *(u64 *)(r1 +0)\n        \tR1 invalid mem access 'scalar'\n        \tprocessed 1 insns (limit 1000000)"},
		{"x_test.go:5: Not equal:", "    x_test.go:5: \n        \tError Trace:\tx_test.go:5\n        \tError:      \tNot equal:\n        \t            \texpected: 1"},
		{"x_test.go:7: got non-nil value: load program: invalid argument: f() is not modifiable", "    x_test.go:7: \n        error:\n          got non-nil value\n        got:\n          load program: invalid argument:\n          \tf() is not modifiable\n          \tprocessed 0 insns (limit 1000000)\n        stack:\n          /w/m/helpers_test.go:162\n            qt.Assert(tb, qt.IsNil(err))\n            }, nil)\n        "},
		{"x_test.go:7: values are not equal: got int(1), want int(2)", "    x_test.go:7: \n        error:\n          values are not equal\n        got:\n          int(1)\n        want:\n          int(2)\n        stack:\n          /w/m/x_test.go:7\n            qt.Assert(t, qt.Equals(1, 2))\n"},
		{"x_test.go:7: values are not deep equal: []int{", "    x_test.go:7: \n        error:\n          values are not deep equal\n        diff (-got +want):\n            x\n        got:\n          []int{\n            1,\n          }\n        want:\n          []int{}\n"},
		{"x_test.go:6: error: red", "    x_test.go:6: \x1b[31merror\x1b[0m: red"},
		{"x_test.go:7: wrong", "    /w/m/x_test.go:7: wrong"},
		{"signal: killed", "signal: killed"},
		{"only a log", "only a log\n--- FAIL: TestX (0.00s)\nFAIL"},
		{"", "=== RUN   TestX\n--- FAIL: TestX (0.00s)"},
	} {
		if got := Find(strings.Split(c.output, "\n")).String(); got != c.want {
			t.Errorf("%q:\ngot  %s\nwant %s", c.output, got, c.want)
		}
	}
	if c := Find([]string{"    /w/m/x_test.go:7: wrong"}); c != (Cause{File: "/w/m/x_test.go", Line: 7, Message: "wrong"}) {
		t.Errorf("with -fullpath: %+v", c)
	}
}

func TestPrintable(t *testing.T) {
	for _, c := range []struct{ in, text, line string }{
		{"plain", "plain", "plain"},
		{" \ta  b\r\n", " \ta  b\r\n", "a b"},
		{"\x1b[1;31mred\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x1b\\ \x1b[2Kx", "red link x", "red link x"},
		{"a\x00b\x07c\u202ed\u200be", "abcde", "abcde"},
		{"\xff", "\ufffd", "\ufffd"},
		{"\x1b]0;unfinished", "", ""},
	} {
		if got := Printable(c.in); got != c.text {
			t.Errorf("Printable(%q) = %q, want %q", c.in, got, c.text)
		}
		if got := Line(c.in); got != c.line {
			t.Errorf("Line(%q) = %q, want %q", c.in, got, c.line)
		}
	}
}

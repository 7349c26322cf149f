// Package toolchain is compiled with the race detector and cgo.
package toolchain

// #include <stdlib.h>
// static int twice(int n) { return abs(2*n); }
import "C"

// Twice calls C.
func Twice(n int) int { return int(C.twice(C.int(n))) }

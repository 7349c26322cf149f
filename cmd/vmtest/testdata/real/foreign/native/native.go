// Package native is half in C.
package native

// #include <math.h>
// #include <stdlib.h>
// #cgo LDFLAGS: -lm
import "C"

// Root is the square root, as C's library has it.
func Root(x float64) float64 { return float64(C.sqrt(C.double(x))) }

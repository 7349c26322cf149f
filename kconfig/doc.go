// Package kconfig holds the fragments a test kernel's configuration is made
// of, and what it means to merge and to check them.
//
// A fragment is a piece of a kernel's .config in which a symbol may carry the
// range of versions it is meant for:
//
//	CONFIG_FPROBE=y  # 5.18..
//
// [Embedded] and [Parse] give fragments, [Select] picks from them what one
// version and architecture asks for, [Selection.Vet] finds symbols the
// kernel's tree does not have, and [Selection.Check] compares the wish with
// the .config that came out of the kernel's own tools.
package kconfig

package kernel

// Architectures are the GOARCH values of the kernels that can be had and
// booted, on a machine of either.
var Architectures = []string{"amd64", "arm64"}

package builder

import "embed"

// Kernels holds kernels.yaml, the catalogue of the kernels that this project
// publishes, and the fragments and patches that it names. Package catalogue
// reads it.
//
//go:embed kernels.yaml
var Kernels embed.FS

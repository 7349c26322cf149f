package catalogue

import _ "embed"

// Schema is the JSON schema of kernels.yaml, for editors.
//
//go:embed kernels.schema.json
var Schema []byte

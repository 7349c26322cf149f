package blocklist

import _ "embed"

// Schema is the JSON schema of blocklist.yaml, for editors.
//
//go:embed blocklist.schema.json
var Schema []byte

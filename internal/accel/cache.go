package accel

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
)

// A verdictPath is the path of a verdict on disk, or empty for none. A cache
// that cannot be read or written costs a new probe and nothing else, so its
// errors are not reported.
type verdictPath string

// verdictFile names the verdict after all that it may depend on: this boot of
// this kernel, and the probe itself.
func verdictFile(cacheDir string) verdictPath {
	bootID, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	release, err2 := os.ReadFile("/proc/sys/kernel/osrelease")
	if cacheDir == "" || err != nil || err2 != nil {
		return ""
	}
	const probeVersion = "1\n" // to be raised when the probe changes
	key := sha256.Sum256(append(append([]byte(probeVersion), bootID...), release...))
	return verdictPath(filepath.Join(cacheDir, "accel", hex.EncodeToString(key[:])+".json"))
}

func (p verdictPath) load() (Result, bool) {
	data, err := os.ReadFile(string(p))
	if err != nil {
		return Result{}, false
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var result Result
	if err := dec.Decode(&result); err != nil || result.Detail == "" {
		return Result{}, false
	}
	return result, true
}

func (p verdictPath) store(result Result) {
	if p == "" {
		return
	}
	data, err := json.Marshal(result)
	if err != nil {
		return
	}
	if err := os.MkdirAll(filepath.Dir(string(p)), 0o755); err != nil {
		return
	}
	temp, err := os.CreateTemp(filepath.Dir(string(p)), ".verdict-*")
	if err != nil {
		return
	}
	defer os.Remove(temp.Name()) // fails after the rename, as it should
	if _, err = temp.Write(data); err == nil {
		err = temp.Sync()
	}
	if closeErr := temp.Close(); err == nil && closeErr == nil {
		os.Rename(temp.Name(), string(p))
	}
}

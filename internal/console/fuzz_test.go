package console

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// However a console arrives, the same is recognised in it, and all of it is kept.
func FuzzLog(f *testing.F) {
	files, err := filepath.Glob("testdata/*.console")
	if err != nil || len(files) == 0 {
		f.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(serial(b), uint8(7))
	}
	f.Add([]byte("[    1.0] WARNING: \r\n<4>[1.000000][  T12] RIP: 0010:a.b+0x1/0x2\n\xff\x00\r\r\n[    1.000000] BUG: x"), uint8(1))
	f.Fuzz(func(t *testing.T, text []byte, chunk uint8) {
		var file bytes.Buffer
		whole, parts := NewLog(&bytes.Buffer{}, nil), NewLog(&file, nil)
		_, _ = whole.Write(text)
		for rest := text; len(rest) > 0; {
			n := min(int(chunk)+1, len(rest))
			_, _ = parts.Write(rest[:n])
			rest = rest[n:]
		}
		if !bytes.Equal(file.Bytes(), text) {
			t.Error("the file is not what was written")
		}
		if diff := cmp.Diff(whole.Splats(), parts.Splats(), cmpopts.IgnoreFields(Splat{}, "Time")); diff != "" {
			t.Errorf("whole and in parts of %d (-whole +parts):\n%s", int(chunk)+1, diff)
		}
		for _, s := range whole.Splats() {
			if s.Fingerprint() == "" || len(s.Lines) == 0 || len(s.Lines) > splatLines {
				t.Errorf("splat %+v", s)
			}
		}
		_ = whole.Tail()
	})
}

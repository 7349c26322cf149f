package main

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// allowed are the packages of this module that each package may import. Imports
// go one way, from cmd down to packages that import none of ours. Whoever adds
// an arrow here changes the design; see docs/design.md.
var allowed = map[string]string{
	"cmd/vmtest": "builder builder/catalogue builder/patch initramfs initramfs/toolbox initramfs/wire internal/accel internal/action internal/actions internal/artifact internal/attest internal/blocklist internal/boot internal/bootcheck internal/bundle internal/cache internal/console internal/gotest internal/guest internal/host internal/kernel internal/kernelinfo internal/kernelorg internal/kernelref internal/kver internal/lockfile internal/publish internal/record internal/registry internal/report internal/result internal/runner internal/shard internal/store internal/timeline internal/workspace kconfig",

	"internal/action":     "internal/kernel internal/kernelref internal/lockfile internal/report internal/result internal/shard",
	"internal/runner":     "initramfs/wire internal/accel internal/blocklist internal/boot internal/bundle internal/console internal/debuginfo internal/gotest internal/guest internal/kernel internal/kernelref internal/kver internal/meminfo internal/result internal/shard internal/workspace",
	"internal/bootcheck":  "initramfs internal/accel internal/boot internal/console internal/features internal/guest internal/kernel internal/kver kconfig",
	"internal/boot":       "initramfs internal/accel internal/cache internal/console internal/guest internal/host internal/kernel internal/machine internal/template internal/timeline",
	"internal/template":   "internal/cache internal/machine internal/meminfo",
	"internal/workspace":  "internal/gotest internal/guest",
	"internal/guest":      "initramfs/wire internal/console internal/machine internal/timeline",
	"internal/machine":    "initramfs/wire internal/sandbox internal/timeline",
	"internal/store":      "internal/artifact internal/cache internal/debuginfo internal/distro internal/kernel internal/kernelref internal/kver internal/lockfile internal/registry",
	"internal/attest":     "initramfs/toolbox internal/artifact internal/configfile internal/kver internal/registry",
	"internal/kernelinfo": "internal/artifact internal/features internal/kernel internal/kernelref internal/store kconfig",
	"internal/publish":    "internal/artifact internal/features internal/kver internal/registry",
	"internal/distro":     "internal/cache internal/kver",
	"internal/artifact":   "internal/kver",
	"internal/blocklist":  "internal/configfile internal/failure internal/kver",
	"internal/kernelref":  "internal/kver",
	"internal/lockfile":   "internal/configfile internal/kernelref",
	"internal/gotest":     "internal/result",
	"internal/report":     "internal/bundle internal/failure internal/result",
	"internal/shard":      "internal/result",
	"internal/host":       "internal/accel internal/meminfo internal/sandbox",
	"internal/fakeqemu":   "initramfs/wire",
	"builder":             "builder/patch internal/cache internal/distro internal/kernelorg internal/kver kconfig",
	"builder/catalogue":   "builder builder/patch internal/configfile internal/kernelorg internal/kver kconfig",
	"kconfig":             "internal/kver",
	"kconfig/gensymbols":  "kconfig",
	"bench/recipe":        "internal/kver kconfig",
	"bench/timeline":      "internal/timeline",
	"initramfs/init":      "initramfs/wire",

	"bench":                            "",
	"builder/patch":                    "",
	"initramfs":                        "",
	"internal/features/probe":          "internal/features",
	"initramfs/toolbox":                "",
	"initramfs/wire":                   "",
	"internal/kernelorg":               "internal/cache internal/kver",
	"internal/kernelorg/kernelorgtest": "",
	"internal/attest/sigstoretest":     "",
	"internal/configfile/schematest":   "",

	"internal/accel":      "",
	"internal/actions":    "",
	"internal/bundle":     "",
	"internal/cache":      "",
	"internal/configfile": "",
	"internal/console":    "",
	"internal/debuginfo":  "",
	"internal/failure":    "",
	"internal/features":   "",
	"internal/kernel":     "",
	"internal/kver":       "",
	"internal/meminfo":    "",
	"internal/record":     "",
	"internal/registry":   "",
	"internal/result":     "",
	"internal/sandbox":    "",
	"internal/timeline":   "",
}

// standardOnly travel into guests as source, or are what everything rests on.
var standardOnly = []string{
	"initramfs/init", "initramfs/wire", "internal/bundle", "internal/console", "internal/debuginfo", "internal/features", "internal/guest", "internal/kernel", "internal/kver",
	"internal/machine", "internal/record", "internal/result", "internal/workspace",
}

const module = "github.com/bpf-vmtest/bpf-vmtest/"

func TestImports(t *testing.T) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		name, ok := strings.CutPrefix(p.ImportPath, module)
		if !ok || strings.HasPrefix(name, "examples/") { // a module of its own
			continue
		}
		seen[name] = true
		checkImports(t, name, p.Imports)
	}
	for name := range allowed {
		if !seen[name] {
			t.Errorf("%s is listed and does not exist", name)
		}
	}
}

func checkImports(t *testing.T, name string, imports []string) {
	t.Helper()
	list, ok := allowed[name]
	if !ok {
		t.Errorf("%s is not listed: say what it may import", name)
		return
	}
	may := strings.Fields(list)
	for _, path := range imports {
		own, isOwn := strings.CutPrefix(path, module)
		switch {
		case isOwn && !slices.Contains(may, own):
			t.Errorf("%s may not import %s", name, own)
		case !isOwn && strings.Contains(path, ".") && slices.Contains(standardOnly, name):
			t.Errorf("%s may import the standard library only, not %s", name, path)
		}
	}
}

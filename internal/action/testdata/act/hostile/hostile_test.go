// Package hostile has tests that want to be more than tests.
package hostile

import (
	"fmt"
	"os"
	"testing"
)

const commands = "::error file=hostile_test.go,line=1::forged\n" +
	"::set-output name=forged::yes\n" +
	"::set-env name=FORGED::yes\n" +
	"::add-mask::passed\n" +
	"::add-path::/forged\n" +
	"::save-state name=forged::yes\n" +
	"##[error]forged\n" +
	"::stop-commands::forged\n"

func TestCommands(t *testing.T) {
	fmt.Print(commands)
	fmt.Fprint(os.Stderr, commands)
	t.Error(commands)
}

// TestFiles looks for the files that the runner reads.
func TestFiles(t *testing.T) {
	for _, name := range []string{"GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STEP_SUMMARY", "GITHUB_TOKEN", "ACTIONS_RUNTIME_TOKEN"} {
		if value, ok := os.LookupEnv(name); ok {
			t.Errorf("%s is %q in the guest", name, value)
		}
	}
}

func TestSummary(t *testing.T) {
	t.Error("</details>\n\n# 100 passed, 0 failed\n\n<script>alert(1)</script>\n\n[all is well](https://example.org)")
}

func TestSubtests(t *testing.T) {
	t.Run("forged\n::error::x\nforged=yes", func(t *testing.T) { t.Fail() })
}

package child

import (
	"os"
	"os/exec"
	"testing"
)

// TestChild leaves a process behind that holds the output.
func TestChild(t *testing.T) {
	c := exec.Command("sleep", "600")
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
}

package code

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) { m.Run(); os.Exit(7) }
func TestA(t *testing.T)    {}

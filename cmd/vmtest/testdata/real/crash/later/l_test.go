package later

import "testing"

func TestLater(t *testing.T) {}

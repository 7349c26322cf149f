package hang

import (
	"fmt"
	"testing"
)

func TestHang(t *testing.T) {
	fmt.Println("hanging now")
	select {}
}

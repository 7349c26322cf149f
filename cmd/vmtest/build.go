package main

import (
	"context"
	"errors"
)

func (a *app) buildKernel(ctx context.Context, args []string) error {
	return errors.New("build")
}

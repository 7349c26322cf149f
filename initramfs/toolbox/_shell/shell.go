// The program's shell under the name of sh, as other programs start one. It
// takes what gosh does not: options of set, and arguments.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// init comes before the program looks for a command by the name it was started
// with. It does not know sh.
func init() {
	if filepath.Base(os.Args[0]) != "sh" {
		return
	}
	if len(os.Args) == 1 {
		os.Args[0] = "gosh" // may be for a person at a terminal
		return
	}
	status, err := sh(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "sh:", err)
		status = 2
	}
	os.Exit(status)
}

// sh runs `sh [-options] script [argument...]`, without a script what standard
// input holds, or `sh [-options] -c command [name [argument...]]`.
func sh(args []string) (status int, err error) {
	var options []string
	isCommand := false
	for len(args) > 0 && len(args[0]) > 1 && strings.ContainsAny(args[0][:1], "-+") {
		option := args[0]
		args = args[1:]
		if option == "--" {
			break
		}
		if rest := strings.Replace(option, "c", "", 1); option[0] == '-' && rest != option {
			isCommand, option = true, rest
		}
		if option != "-" {
			options = append(options, option)
		}
		if strings.HasSuffix(option, "o") && len(args) > 0 {
			options, args = append(options, args[0]), args[1:]
		}
	}
	name := "sh"
	var in io.Reader = os.Stdin
	switch {
	case isCommand && len(args) == 0:
		return 0, fmt.Errorf("-c: no command given")
	case isCommand:
		in, args = strings.NewReader(args[0]), args[1:]
		if len(args) > 0 {
			name, args = args[0], args[1:]
		}
	case len(args) > 0:
		f, err := os.Open(args[0])
		if err != nil {
			return 0, err
		}
		defer f.Close()
		in, name, args = f, args[0], args[1:]
	}
	program, err := syntax.NewParser().Parse(in, name)
	if err != nil {
		return 0, err
	}
	runner, err := interp.New(
		interp.StdIO(os.Stdin, os.Stdout, os.Stderr),
		interp.Params(append(append(options, "--"), args...)...),
	)
	if err != nil {
		return 0, err
	}
	err = runner.Run(context.Background(), program)
	if code, ok := interp.IsExitStatus(err); ok {
		return int(code), nil
	}
	return 0, err
}

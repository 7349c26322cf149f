package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/term"

	"github.com/bpf-vmtest/bpf-vmtest/internal/attest"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelref"
	"github.com/bpf-vmtest/bpf-vmtest/internal/registry"
)

// signFlags are those of vmtest kernel sign.
type signFlags struct {
	key      string
	again    bool
	sigstore attest.Sigstore
}

func (s *signFlags) register(fs *flag.FlagSet) {
	fs.StringVar(&s.key, "key", "", "private key, a `file` (default: none, but the identity of the GitHub workflow that this is a step of)")
	fs.BoolVar(&s.again, "again", false, "attach also what the same signer has attached before")
	fs.StringVar(&s.sigstore.TrustedRoot, "trusted-root", "", "without a key: trusted root of another sigstore, a `file`")
	fs.StringVar(&s.sigstore.SigningConfig, "signing-config", "", "without a key: where the services of another sigstore are, a `file`")
}

// signKernel attaches what is to be known of a kernel, signed.
func (a *app) signKernel(ctx context.Context, args []string) error {
	var s signFlags
	fs := a.flagSet("kernel sign")
	s.register(fs)
	if err := parseFlags(fs, args); err != nil {
		return err
	}
	if fs.NArg() != 1 {
		return usagef("vmtest kernel sign -key vmtest.key ghcr.io/org/kernels@sha256:…", "kernel sign: want one image")
	}
	repository, digest, err := imageToSign(fs.Arg(0))
	if err != nil {
		return err
	}
	signing := attest.Signing{Builder: attest.FindBuilder(os.Getenv, version()), Again: s.again}
	if signing.Roots, err = a.roots(); err != nil {
		return err
	}
	if signing.Signer, err = a.signer(s, signing.Roots); err != nil {
		return err
	}
	signing.Done = func(d attest.Attached) {
		verb := "attached"
		if d.Before {
			verb = "there"
		}
		fmt.Fprintf(a.stdout, "%s\t%s\t%s\t%s\n", verb, d.Predicate, d.Image, d.What)
	}
	client := &registry.Client{Mirrors: &registry.Mirrors{}, Warn: func(message string) { a.progress("warning: " + message) }}
	return signing.Sign(ctx, client, repository, digest)
}

// imageToSign is named by its digest: a tag may be another image by the time it is
// signed.
func imageToSign(text string) (repository string, digest v1.Hash, err error) {
	refs, err := parseKernels(text)
	if err != nil {
		return "", v1.Hash{}, err
	}
	source, ok := refs[0].Source().(kernelref.Registry)
	switch {
	case len(refs) > 1:
		return "", v1.Hash{}, usagef("", "kernel sign: want one image, not %d", len(refs))
	case !ok:
		return "", v1.Hash{}, usagef("put it there with vmtest kernel push -no-tag", "kernel sign: %s is not in a registry", text)
	case source.Digest == "":
		return "", v1.Hash{}, usagef("vmtest kernel push prints the digest: "+source.Repository+"@sha256:…", "kernel sign: %s may be another image tomorrow: want a digest", text)
	}
	digest, err = v1.NewHash(source.Digest)
	return source.Repository, digest, err
}

func (a *app) signer(s signFlags, roots *attest.Roots) (attest.Signer, error) {
	if s.key != "" && s.sigstore != (attest.Sigstore{}) {
		return nil, usagef("leave out one of them", "kernel sign: -key needs no sigstore, which -trusted-root and -signing-config describe")
	}
	if s.key == "" {
		return attest.FindWorkflow(os.Getenv, roots, s.sigstore)
	}
	return attest.ReadPrivateKey(s.key, func() ([]byte, error) { return a.passphrase("passphrase of "+s.key, false) })
}

// roots are the trusted roots, kept in the cache.
func (a *app) roots() (*attest.Roots, error) {
	cache, err := cacheDir()
	return &attest.Roots{Dir: cache, Warn: func(message string) { a.progress("warning: " + message) }}, err
}

// generateKey makes a pair of keys.
func (a *app) generateKey(_ context.Context, args []string) error {
	fs := a.flagSet("kernel keygen")
	name := fs.String("o", "vmtest", "`name` of the files, NAME.key and NAME.pub")
	if err := parseFlags(fs, args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return usagef("vmtest kernel keygen -o NAME", "kernel keygen: unexpected %q", fs.Arg(0))
	}
	passphrase, err := a.passphrase("passphrase for the new key", true)
	if err != nil {
		return err
	}
	public, err := attest.WriteKeys(*name, passphrase)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%s.key\n%s.pub\t%s\n", *name, *name, public)
	if dir, err := os.UserConfigDir(); err == nil {
		a.progress(fmt.Sprintf("who is to trust it puts %s.pub beside %s and into it:\n- repository: HOST/REPOSITORY\n  key: %s", *name, attest.PolicyFile(dir), filepath.Base(*name+".pub")))
	}
	return nil
}

// passphrase is in the environment, or is asked for; twice where it is new.
func (a *app) passphrase(what string, isNew bool) ([]byte, error) {
	for _, variable := range []string{"VMTEST_KEY_PASSPHRASE", "COSIGN_PASSWORD"} {
		if value, ok := os.LookupEnv(variable); ok {
			return []byte(value), nil
		}
	}
	if !isTerminal(a.stdin) {
		return nil, usagef("set VMTEST_KEY_PASSPHRASE; an empty one is none", "there is no terminal to ask for the %s", what)
	}
	first, err := a.ask(what)
	if err != nil || !isNew {
		return first, err
	}
	second, err := a.ask("again")
	if err == nil && !bytes.Equal(first, second) {
		err = errors.New("the passphrases differ")
	}
	return first, err
}

func (a *app) ask(what string) ([]byte, error) {
	fmt.Fprintf(a.stderr, "vmtest: %s: ", what)
	defer fmt.Fprintln(a.stderr)
	return term.ReadPassword(int(a.stdin.Fd()))
}

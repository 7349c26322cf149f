package patch

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// coverLetter is the subject of the mail before the first patch.
var coverLetter = regexp.MustCompile(`^\[[^\]]*\b0+/\d+\]`)

// parseMailbox takes the mails apart as git am does, which knows of their
// encodings.
func parseMailbox(ctx context.Context, name string, data []byte) ([]Patch, error) {
	dir, err := os.MkdirTemp("", "vmtest-mails-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	mailbox := filepath.Join(dir, "mbox")
	if err := os.WriteFile(mailbox, data, 0o600); err != nil {
		return nil, err
	}
	if _, err := git(ctx, dir, nil, "mailsplit", "-o"+dir, mailbox); err != nil {
		return nil, formatError(name, err)
	}
	mails, err := filepath.Glob(filepath.Join(dir, "[0-9]*")) // 0001, 0002, …
	if err != nil {
		return nil, err
	}
	var patches []Patch
	for i, mail := range mails {
		label := filepath.Base(name)
		if len(mails) > 1 {
			label += fmt.Sprintf("#%d", i+1)
		}
		p, err := parseMail(ctx, label, mail)
		if err != nil {
			return nil, formatError(name, err)
		}
		if p != nil {
			patches = append(patches, *p)
		}
	}
	if len(patches) == 0 {
		return nil, &FormatError{name, fmt.Errorf("no mail in it holds a patch")}
	}
	return patches, nil
}

// parseMail reads a mail; the result is nil for a cover letter.
func parseMail(ctx context.Context, label, mail string) (*Patch, error) {
	raw, err := os.ReadFile(mail)
	if err != nil {
		return nil, err
	}
	body := mail + ".diff"
	info, err := git(ctx, filepath.Dir(mail), raw, "mailinfo", "-k", mail+".msg", body)
	if err != nil {
		return nil, err
	}
	p := &Patch{Name: label, Digest: digest(raw)}
	for line := range strings.Lines(info) {
		if subject, ok := strings.CutPrefix(line, "Subject: "); ok {
			p.Subject = strings.TrimSpace(subject)
		}
	}
	if p.diff, err = os.ReadFile(body); err != nil {
		return nil, err
	}
	if coverLetter.MatchString(p.Subject) && !diffStart.Match(p.diff) {
		return nil, nil
	}
	if err := p.list(ctx); err != nil {
		return nil, fmt.Errorf("mail %q: %w", p.Subject, err)
	}
	return p, nil
}

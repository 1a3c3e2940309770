package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/ciconfig"
)

// blob is a file of a commit.
type blob struct {
	name, id string
	size     int64
}

// blobs lists the regular files of a commit, those of the checkout's directory.
func (c *checkout) blobs(ctx context.Context, ref string) ([]blob, error) {
	if !c.git {
		return nil, fmt.Errorf("%s is no git checkout, so there is no commit %s to read", c.dir, ref)
	}
	out, err := c.run(ctx, "", "ls-tree", "-r", "-l", "-z", "--end-of-options", ref)
	if err != nil {
		return nil, err
	}
	var blobs []blob
	for row := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		facts, name, ok := strings.Cut(row, "\t")
		f := strings.Fields(facts) // mode, type, object, size
		if !ok || len(f) != 4 || f[1] != "blob" || f[0] == "120000" {
			continue // a submodule, a link
		}
		size, err := strconv.ParseInt(f[3], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("git ls-tree says %q", row)
		}
		blobs = append(blobs, blob{name, f[2], size})
	}
	return blobs, nil
}

// filesAt reads what files would, of a commit in place of the directory, and
// returns how to read an include there.
func (c *checkout) filesAt(ctx context.Context, ref, ciPath string) ([]ciconfig.File, func(ciconfig.Include) ciconfig.Included, error) {
	blobs, err := c.blobs(ctx, ref)
	if err != nil {
		return nil, nil, err
	}
	var wanted []blob
	total := int64(0)
	others := map[string]blob{}
	for _, b := range blobs {
		if b.name != ciPath && !ciconfig.Candidate(b.name) {
			others[b.name] = b
			continue
		}
		if total += b.size; total > maxCheckout {
			return nil, nil, c.tooMuch()
		}
		wanted = append(wanted, b)
	}
	files, err := c.contents(ctx, wanted)
	include := func(inc ciconfig.Include) ciconfig.Included {
		b, ok := others[path.Clean(inc.File)]
		if inc.Kind != "local" || !ok || b.size > maxCheckout {
			return c.include(ciconfig.Include{})
		}
		got, err := c.contents(ctx, []blob{b})
		if err != nil {
			return ciconfig.Included{Missing: err.Error()}
		}
		return ciconfig.Included{Content: got[0].Content}
	}
	return files, include, err
}

// contents reads files of a commit, those that are too large only so far that
// it shows.
func (c *checkout) contents(ctx context.Context, blobs []blob) ([]ciconfig.File, error) {
	var ids strings.Builder
	for _, b := range blobs {
		ids.WriteString(b.id + "\n")
	}
	out, err := c.run(ctx, ids.String(), "cat-file", "--batch")
	if err != nil {
		return nil, err
	}
	files := make([]ciconfig.File, 0, len(blobs))
	rest := bytes.NewBuffer(out)
	for _, b := range blobs {
		head, err := rest.ReadString('\n') // object, type, size
		if err != nil || !strings.HasPrefix(head, b.id+" blob ") || int64(rest.Len()) <= b.size {
			return nil, fmt.Errorf("git cat-file says %q of %s: %w", head, b.name, io.ErrUnexpectedEOF)
		}
		content := rest.Next(int(b.size) + 1)[:b.size]
		files = append(files, ciconfig.File{Path: b.name, Content: content[:min(len(content), ciconfig.MaxFile+1)]})
	}
	return files, nil
}

package gitlab

import (
	"context"
	"crypto/sha1" //nolint:gosec // git's object ids are SHA-1
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	api "gitlab.com/gitlab-org/api/client-go/v2"
	"golang.org/x/sync/errgroup"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
)

// REST reads one file a request, GraphQL many. GitLab counts a path as two
// points of a query's complexity, of which 250 are allowed, so half of what
// would go is asked for at once.
// https://docs.gitlab.com/api/graphql/#limits
const (
	batch  = 50
	singly = 4 // files that are read one by one at the same time
)

const textsQuery = `query($project: ID!, $ref: String!, $paths: [String!]!) {
  project(fullPath: $project) { repository { blobs(ref: $ref, paths: $paths) { nodes { path rawTextBlob } } } }
}`

// Files reads files of one commit, as Tree listed them, in one request for
// fifty. The project is named twice, as the one API wants its id and the other
// its path.
//
// GraphQL gives text only, turns other encodings into UTF-8 and cuts long files
// short. So what it gives counts only if it has the file's object id; all else,
// and all where there is no answer, is read by File. LastCommitID is left empty:
// File knows it, for a file that is to be edited.
func (c *Client) Files(ctx context.Context, project int64, path, sha string, entries []Entry) (map[string]File, error) {
	files := make(map[string]File, len(entries))
	var rest []Entry
	for part := range slices.Chunk(entries, batch) {
		texts, err := c.texts(ctx, path, sha, part)
		if ctx.Err() != nil || fault.RetryAfter(err) > 0 {
			return nil, err
		}
		for _, e := range part {
			if content := []byte(texts[e.Path]); objectID(content, len(e.BlobID)) == e.BlobID {
				files[e.Path] = File{Path: e.Path, Content: content, BlobID: e.BlobID}
			} else {
				rest = append(rest, e)
			}
		}
	}
	read := make([]File, len(rest))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(singly)
	for i, e := range rest {
		g.Go(func() (err error) {
			read[i], err = c.File(ctx, project, sha, e.Path)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for i, e := range rest {
		files[e.Path] = read[i]
	}
	return files, nil
}

// texts are the files that GraphQL gives as text, by path.
func (c *Client) texts(ctx context.Context, project, sha string, entries []Entry) (map[string]string, error) {
	paths := make([]string, len(entries))
	for i, e := range entries {
		paths[i] = e.Path
	}
	type answer struct {
		Data struct {
			Project struct {
				Repository struct {
					Blobs struct {
						Nodes []struct {
							Path        string
							RawTextBlob *string
						}
					}
				}
			}
		}
	}
	a, err := call(ctx, Reporter, fmt.Sprintf("reading %d files of %s at %s", len(paths), project, sha), func(opts ...api.RequestOptionFunc) (answer, *api.Response, error) {
		var a answer
		resp, err := c.api.GraphQL.Do(api.GraphQLQuery{Query: textsQuery, Variables: map[string]any{"project": project, "ref": sha, "paths": paths}}, &a, opts...)
		return a, resp, err
	})
	texts := map[string]string{}
	for _, n := range a.Data.Project.Repository.Blobs.Nodes {
		if n.RawTextBlob != nil {
			texts[n.Path] = *n.RawTextBlob
		}
	}
	return texts, err
}

// objectID is git's id of a blob, of so many hexadecimal digits.
func objectID(content []byte, digits int) string {
	h := sha1.New() //nolint:gosec // as above
	if digits == 2*sha256.Size {
		h = sha256.New()
	}
	fmt.Fprintf(h, "blob %d\x00", len(content))
	h.Write(content)
	return hex.EncodeToString(h.Sum(nil))
}

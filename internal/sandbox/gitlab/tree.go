package gitlab

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
)

type treeNode struct {
	id, name, kind, path, mode string
}

// nodes lists a folder ("" for the root) of a commit: folders first, then
// files, each by name; recursive lists everything below it by path.
func nodes(files map[string]entry, folder string, recursive bool) []treeNode {
	if folder != "" {
		folder += "/"
	}
	seen := map[string]bool{}
	var out []treeNode
	for path, e := range files {
		rest, ok := strings.CutPrefix(path, folder)
		if !ok {
			continue
		}
		parts := strings.Split(rest, "/")
		for i := range parts {
			if i > 0 && !recursive {
				break
			}
			p := folder + strings.Join(parts[:i+1], "/")
			if seen[p] {
				continue
			}
			seen[p] = true
			switch {
			case i < len(parts)-1:
				out = append(out, treeNode{treeID(files, p+"/"), parts[i], "tree", p, "040000"})
			case e.Exec:
				out = append(out, treeNode{e.Blob, parts[i], "blob", p, "100755"})
			default:
				out = append(out, treeNode{e.Blob, parts[i], "blob", p, "100644"})
			}
		}
	}
	slices.SortFunc(out, func(a, b treeNode) int {
		if a.kind != b.kind {
			return -strings.Compare(a.kind, b.kind) // tree before blob
		}
		return strings.Compare(a.path, b.path)
	})
	return out
}

// commitAt finds the commit that a ref parameter names, or the default branch's.
func (c *call) commitAt(ref string) *commit {
	if ref == "" || ref == "HEAD" {
		ref = c.project.DefaultBranch
	}
	return c.project.Repo.resolve(ref)
}

// listTree follows https://docs.gitlab.com/api/repositories/#list-repository-tree.
func listTree(c *call) (int, any, error) {
	head := c.commitAt(c.params.str("ref"))
	if head == nil {
		return 0, nil, notFound("Tree")
	}
	recursive, err := c.params.boolean("recursive", false)
	if err != nil {
		return 0, nil, err
	}
	folder := strings.Trim(c.params.str("path"), "/")
	all := nodes(head.Files, folder, recursive)
	if len(all) == 0 && folder != "" {
		return 0, nil, notFound("invalid revision or path")
	}
	if c.params.str("pagination") == "keyset" {
		if token := c.params.str("page_token"); token != "" {
			i := slices.IndexFunc(all, func(n treeNode) bool { return n.id == token || n.path == token })
			if i < 0 {
				return 0, nil, refuse(http.StatusBadRequest, "400 Bad request - invalid page token")
			}
			all = all[i+1:]
		}
		// The path is the token here: two files of the same content share an id.
		all, err = keyset(c, all, func(n treeNode) map[string]string { return map[string]string{"page_token": n.path} })
	} else {
		all, err = page(c, all)
	}
	out := make([]object, 0, len(all))
	for _, n := range all {
		out = append(out, object{"id": n.id, "name": n.name, "type": n.kind, "path": n.path, "mode": n.mode})
	}
	return http.StatusOK, out, err
}

func (c *call) blob() ([]byte, error) {
	content, ok := c.project.Repo.Blobs[c.path("sha")]
	if !ok {
		return nil, notFound("Blob")
	}
	return content, nil
}

func getBlob(c *call) (int, any, error) {
	content, err := c.blob()
	return http.StatusOK, object{"size": len(content), "encoding": "base64", "content": base64.StdEncoding.EncodeToString(content), "sha": c.path("sha")}, err
}

func getRawBlob(c *call) (int, any, error) {
	content, err := c.blob()
	return http.StatusOK, raw{contentType: "text/plain", body: content}, err
}

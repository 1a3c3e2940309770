package gitlab

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"path"
	"strconv"
)

// file is a file at a ref, as the three forms of the files API show it.
type file struct {
	path, ref string
	head      *commit
	last      *commit
	entry     entry
	content   []byte
}

// file reads the file that the request names; needsRef is whether the form
// refuses to fall back to the default branch.
func (c *call) file(needsRef bool) (file, error) {
	if needsRef {
		if err := c.params.required("ref"); err != nil {
			return file{}, err
		}
	}
	f := file{path: c.path("file"), ref: c.params.str("ref")}
	if f.head = c.commitAt(f.ref); f.head == nil {
		return f, notFound("Commit")
	}
	if f.ref == "" || f.ref == "HEAD" {
		f.ref = c.project.DefaultBranch
	}
	e, ok := f.head.Files[f.path]
	if !ok {
		return f, notFound("File")
	}
	f.entry, f.content, f.last = e, c.project.Repo.Blobs[e.Blob], c.project.Repo.lastCommit(f.head, f.path)
	return f, nil
}

func (f file) sum() string {
	sum := sha256.Sum256(f.content)
	return hex.EncodeToString(sum[:])
}

// header gives the metadata that HEAD and raw answers carry.
func (f file) header() http.Header {
	h := http.Header{}
	for k, v := range map[string]string{
		"Blob-Id": f.entry.Blob, "Commit-Id": f.head.SHA, "Content-Sha256": f.sum(), "Encoding": "base64",
		"Execute-Filemode": strconv.FormatBool(f.entry.Exec), "File-Name": path.Base(f.path), "File-Path": f.path,
		"Last-Commit-Id": f.last.SHA, "Ref": f.ref, "Size": strconv.Itoa(len(f.content)),
	} {
		h.Set("X-Gitlab-"+k, v)
	}
	return h
}

func getFile(c *call) (int, any, error) {
	f, err := c.file(true)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, object{
		"file_name": path.Base(f.path), "file_path": f.path, "size": len(f.content), "encoding": "base64",
		"content": base64.StdEncoding.EncodeToString(f.content), "content_sha256": f.sum(), "ref": f.ref, "blob_id": f.entry.Blob,
		"commit_id": f.head.SHA, "last_commit_id": f.last.SHA, "execute_filemode": f.entry.Exec,
	}, nil
}

func headFile(c *call) (int, any, error) {
	f, err := c.file(true)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, raw{contentType: "application/json", header: f.header()}, nil
}

func getRawFile(c *call) (int, any, error) {
	f, err := c.file(false)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, raw{contentType: "text/plain", body: f.content, header: f.header()}, nil
}

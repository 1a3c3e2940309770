package ciconfig

import (
	"bytes"
	"strings"
)

// otherCase reports places that name the old registry in capitals. To DNS, and so to
// docker, it is the same host; the rest of the rewriter knows it by its own spelling.
func (r *run) otherCase() {
	host := r.in.Project.OldHost
	dot := strings.IndexByte(host, '.')
	if dot < 0 {
		return
	}
	for _, f := range r.in.Files {
		s := r.files[f.Path]
		if prose(f.Path) || len(s.data) > maxFile {
			continue
		}
		for at := 0; ; {
			i := bytes.IndexByte(s.data[at:], '.')
			if i < 0 {
				break
			}
			at += i + 1
			start := at - 1 - dot
			if start < 0 || start+len(host) > len(s.data) {
				continue
			}
			name := s.data[start : start+len(host)]
			if !bytes.EqualFold(name, []byte(host)) || string(name) == host || start > 0 && nameByte(s.data[start-1]) {
				continue
			}
			from, end := s.line(start)
			if start >= from+len(uncommented(string(s.data[from:end]))) {
				continue
			}
			severity := Warning
			if r.visited[f.Path] {
				severity = Blocking
			}
			r.reportAs(severity, "name-unknown", span{s, start, from + len(strings.TrimRight(string(s.data[from:end]), "\r\n"))}, string(name))
		}
	}
}

package jobs

import (
	"bytes"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/ciconfig"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// unexplained returns the first name of the old registry in a merged
// configuration that nothing explains, "" for none. A finding explains what it
// names; and GitLab reads included files as they are in the repository, so what
// the same commit takes out of one of those is explained too.
func unexplained(merged, oldHost string, edits []ciconfig.Edit, findings []store.Finding) string {
	for _, name := range mentions(merged, oldHost) {
		repository := name
		if i := strings.LastIndexAny(name, ":@"); i > strings.LastIndexByte(name, '/') {
			repository = name[:i]
		}
		explained := false
		for _, f := range findings {
			explained = explained || strings.Contains(f.Text, repository) || strings.Contains(f.Message, repository)
		}
		for _, e := range edits {
			explained = explained || bytes.Contains(e.Before, []byte(name)) && !bytes.Contains(e.After, []byte(name))
		}
		if !explained {
			return name
		}
	}
	return ""
}

// mentions returns every word of a text that begins with the host's name, once each.
func mentions(text, host string) []string {
	var out []string
	seen := map[string]bool{}
	for rest := text; host != ""; {
		i := strings.Index(rest, host)
		if i < 0 {
			break
		}
		end := i + len(host)
		for end < len(rest) && !strings.ContainsRune(" \t\r\n\"'`,;|&()[]{}<>", rune(rest[end])) {
			end++
		}
		name := strings.TrimRight(rest[i:end], ".:/")
		if !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
		rest = rest[end:]
	}
	return out
}

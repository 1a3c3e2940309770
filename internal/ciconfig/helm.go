package ciconfig

import "strings"

// repository handles a use that wants the bare repository: the name has gone,
// so the tag that is named beside it needs the prefix.
func (r *run) repository(u *use, prefix string) {
	text := u.at.text()
	if strings.Contains(u.command, "executor") || strings.Contains(text, "cache") {
		return // a cache needs no tag
	}
	u.bad = "tag-elsewhere"
}

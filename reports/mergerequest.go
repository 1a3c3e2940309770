package reports

import (
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MergeRequest is what a project's owners are told in the merge request that
// brings the new image names.
type MergeRequest struct {
	// Path is the project's.
	Path string
	// FilesURL is where the files are shown as they were before, such as
	// https://gitlab.example.org/group/project/-/blob/SHA; "" when not known.
	FilesURL string
	// Registry is where the project's images were, such as
	// registry.uninett.no/group/project, written $CI_REGISTRY_IMAGE below; "" when not known.
	Registry string
	// Mapping is what each reference becomes.
	Mapping  []Renamed
	Findings []Finding
	// Trailer is the last line, by which the request is known again.
	Trailer string
}

// Renamed is a reference to an image before and after.
type Renamed struct{ Before, After string }

// Markdown writes the description in the Markdown of GitLab.
func (m MergeRequest) Markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "This moves the container images of %s from the old registry to Amazon ECR, which keeps one repository a project: image names become tag prefixes, and a tag can be pushed only once.\n", code(m.Path))
	if len(m.Mapping) > 0 {
		b.WriteString("\n| before | after |\n| --- | --- |\n")
		for _, r := range m.Mapping {
			// A bar ends a cell, even within code.
			fmt.Fprintf(&b, "| %s | %s |\n", strings.ReplaceAll(code(m.short(r.Before)), "|", `\|`), strings.ReplaceAll(code(r.After), "|", `\|`))
		}
	}
	m.findings(&b, "What to look at before the merge", func(f Finding) bool { return f.Severity != "note" })
	m.findings(&b, "Good to know", func(f Finding) bool { return f.Severity == "note" })
	b.WriteString("\n**What happens next**\n\nAfter the merge the pipeline of the default branch runs, and its result is followed until the service runs from ECR.\n")
	b.WriteString("\n**How to revert**\n\nBefore the merge: close this merge request. After it: ask the platform team to roll the project back, which also puts the CI/CD variables back; a bare revert of the merge leaves those pointing to ECR.\n")
	if m.Trailer != "" {
		fmt.Fprintf(&b, "\n%s\n", plain(m.Trailer))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// findings writes the chosen ones under a heading: what a code means and what to
// do once, then each place.
func (m MergeRequest) findings(b *strings.Builder, heading string, chosen func(Finding) bool) {
	var codes []string
	groups := map[string][]Finding{}
	for _, f := range m.Findings {
		if !chosen(f) {
			continue
		}
		if groups[f.Code] == nil {
			codes = append(codes, f.Code)
		}
		groups[f.Code] = append(groups[f.Code], f)
	}
	if len(codes) == 0 {
		return
	}
	fmt.Fprintf(b, "\n**%s**\n\n", heading)
	for _, c := range codes {
		group := groups[c]
		meaning, alike := sameMeaning(group)
		fmt.Fprintf(b, "- %s", sentence(meaning))
		remedy := group[0].Remedy
		if remedy != "" && !slices.ContainsFunc(group, func(f Finding) bool { return f.Remedy != remedy }) {
			fmt.Fprintf(b, " What to do%s: %s", whose(group[0].Owner), sentence(remedy))
		} else {
			remedy = ""
		}
		b.WriteString(" (" + code(c) + ")\n")
		for i, f := range group {
			if f.File == "" && alike {
				continue
			}
			if i == few && len(group) > few+1 {
				fmt.Fprintf(b, "\n  <details><summary>and %d more places</summary>\n\n", len(group)-few)
			}
			b.WriteString("  - ")
			sep := ""
			if f.File != "" {
				b.WriteString(m.place(f))
				sep = ": "
			}
			if f.Text != "" {
				b.WriteString(sep + code(f.Text))
				sep = " – "
			}
			if alike {
				if detail := m.detail(f, meaning); detail != "" {
					b.WriteString(sep + detail)
				}
			} else {
				b.WriteString(sep + sentence(f.Message))
			}
			if remedy == "" && f.Remedy != "" {
				b.WriteString(" What to do" + whose(f.Owner) + ": " + sentence(f.Remedy))
			}
			b.WriteString("\n")
		}
		if len(group) > few+1 {
			b.WriteString("\n  </details>\n\n")
		}
	}
}

// few is how many places of a finding, and names at a place, are shown at once.
const (
	few      = 6
	fewNames = 3
)

// detail is what a message says in brackets behind its meaning, without what the text
// says already.
func (m MergeRequest) detail(f Finding, meaning string) string {
	detail := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(f.Message, meaning), " ("), ")")
	if detail == "" {
		return ""
	}
	var names []string
	for _, name := range strings.Split(detail, ", ") {
		switch name = m.short(name); {
		case bare.Replace(name) == bare.Replace(m.short(f.Text)):
		case strings.ContainsAny(name, "/:$_"):
			names = append(names, code(name))
		default:
			names = append(names, plain(name))
		}
	}
	if n := len(names) - fewNames; n > 1 {
		names = append(names[:fewNames], fmt.Sprintf("%d more", n))
	}
	return strings.Join(names, ", ")
}

// bare leaves out what is written one way or the other without a difference.
var bare = strings.NewReplacer("{", "", "}", "", `"`, "", "'", "")

// short is a reference with the variable that stands for its beginning.
func (m MergeRequest) short(ref string) string {
	rest, ok := strings.CutPrefix(ref, m.Registry)
	if m.Registry == "" || !ok || rest != "" && !strings.ContainsRune("/:-@", rune(rest[0])) {
		return ref
	}
	return "$CI_REGISTRY_IMAGE" + rest
}

// place is a link to the line.
func (m MergeRequest) place(f Finding) string {
	text := f.File
	if f.Line > 0 {
		text += fmt.Sprintf(":%d", f.Line)
	}
	if m.FilesURL == "" {
		return code(text)
	}
	to := m.FilesURL + "/" + (&url.URL{Path: f.File}).EscapedPath()
	if f.Line > 0 {
		to += fmt.Sprintf("#L%d", f.Line)
	}
	return link(text, to)
}

// sameMeaning is what the messages of a group share when they differ in the
// bracketed detail at their ends only, else the code's name in words.
func sameMeaning(group []Finding) (meaning string, alike bool) {
	for i, f := range group {
		m := f.Message
		if at := strings.Index(m, " ("); at > 0 && strings.HasSuffix(m, ")") {
			m = m[:at]
		}
		if i == 0 {
			meaning = m
		} else if m != meaning {
			return strings.ReplaceAll(f.Code, "-", " "), false
		}
	}
	return meaning, true
}

// whose names who can act when it is not the reader.
func whose(owner string) string {
	if owner == "" || owner == "project" {
		return ""
	}
	return " (for the " + plain(strings.ReplaceAll(owner, "-", " ")) + ")"
}

// sentence is text as Markdown, with a capital and a full stop.
func sentence(s string) string {
	s = plain(s)
	if s == "" {
		return s
	}
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(s[size:], ".") + "."
}

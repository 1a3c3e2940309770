package gitlab

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The part of GitLab's GraphQL API that reads files: project, repository, blobs.
// Documents are checked as graphql-ruby checks them (fields, arguments, types of
// variables) and bounded as GitLab bounds them.
// https://docs.gitlab.com/api/graphql/#limits and app/graphql/resolvers/blobs_resolver.rb.
const (
	maxQuery      = 10_000   // characters of a document
	maxComplexity = 250      // of a document by somebody who is signed in
	maxBlobs      = 20 << 20 // bytes of all blobs of a field
	maxBlob       = 10 << 20 // bytes of one blob; the rest is cut off
	binarySample  = 8000     // bytes in which a NUL makes a blob binary
)

// selection is a field of a document with its arguments, each a variable.
type selection struct {
	name   string
	args   map[string]string
	fields []*selection
}

func (f *selection) field(name string) *selection {
	for _, k := range f.fields {
		if k.name == name {
			return k
		}
	}
	return nil
}

// graphType is a type of the schema: its fields, each with its arguments and
// its own type, "" for a scalar.
type graphType map[string]struct {
	args map[string]string
	of   string
}

var schema = map[string]graphType{
	"Query":                    {"project": {map[string]string{"fullPath": "ID!"}, "Project"}},
	"Project":                  {"id": {}, "fullPath": {}, "repository": {nil, "Repository"}},
	"Repository":               {"blobs": {map[string]string{"paths": "[String!]!", "ref": "String"}, "RepositoryBlobConnection"}},
	"RepositoryBlobConnection": {"nodes": {nil, "RepositoryBlob"}},
	"RepositoryBlob":           {"path": {}, "oid": {}, "rawTextBlob": {}},
}

// graphql answers a query. What is wrong with the query itself is an error in an
// answer with status 200; what the caller may not see is null.
func (s *Server) graphql(w http.ResponseWriter, r *http.Request) {
	c := &call{s: s, w: w, r: r}
	var q struct {
		Query     string
		Variables map[string]any
	}
	s.mu.Lock()
	c.user = s.authenticate(r)
	s.mu.Unlock()
	switch err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&q); {
	case c.user == nil:
		c.respond(http.StatusUnauthorized, graphErrors("Invalid token"), nil)
		return
	case err != nil:
		c.respond(http.StatusUnprocessableEntity, graphErrors("Unexpected end of document"), nil)
		return
	case len(q.Query) > maxQuery:
		c.respond(http.StatusUnprocessableEntity, graphErrors("Query too large"), nil)
		return
	}
	d, err := parseDocument(q.Query)
	if err == nil {
		err = d.check(d.root, "Query")
	}
	if err == nil {
		err = d.given(q.Variables)
	}
	if n := d.complexity(d.root, q.Variables); err == nil && n > maxComplexity {
		err = fmt.Errorf("Query has complexity of %d, which exceeds max complexity of %d", n, maxComplexity) //nolint:staticcheck // GitLab's words
	}
	if err != nil {
		c.respond(http.StatusOK, graphErrors(err.Error()), nil)
		return
	}
	s.mu.Lock()
	answer := c.query(d.root, q.Variables)
	s.mu.Unlock()
	c.respond(http.StatusOK, answer, nil)
}

func graphErrors(message string) object {
	return object{"errors": []object{{"message": message}}}
}

// query fills the answer's data. s.mu is held.
func (c *call) query(root *selection, vars map[string]any) object {
	data := object{}
	answer := object{"data": data}
	f := root.field("project")
	if f == nil {
		return answer
	}
	data["project"] = nil
	path, _ := vars[f.args["fullPath"]].(string)
	c.project = c.s.projectByPath(path) // a former path is not followed here
	if c.project == nil || !c.s.visible(c.user, c.project) {
		return answer
	}
	project := object{}
	data["project"] = project
	for _, k := range f.fields {
		switch k.name {
		case "id":
			project["id"] = fmt.Sprintf("gid://gitlab/Project/%d", c.project.ID)
		case "fullPath":
			project["fullPath"] = c.project.Path
		case "repository":
			project["repository"] = nil
			if c.level() < Reporter {
				continue
			}
			repository := object{}
			project["repository"] = repository
			if b := k.field("blobs"); b != nil {
				nodes, err := c.blobs(b, vars)
				if err != nil {
					repository["blobs"] = nil
					answer["errors"] = []object{{"message": err.Error(), "path": []string{"project", "repository", "blobs"}}}
					continue
				}
				repository["blobs"] = object{"nodes": nodes}
			}
		}
	}
	return answer
}

// blobs are the files of the given paths that are there.
func (c *call) blobs(f *selection, vars map[string]any) ([]object, error) {
	nodes := []object{}
	ref, _ := vars[f.args["ref"]].(string)
	head := c.commitAt(ref)
	if head == nil {
		return nodes, nil
	}
	total := 0
	paths, _ := vars[f.args["paths"]].([]any)
	for _, p := range paths {
		name, _ := p.(string)
		e, ok := head.Files[name]
		if !ok {
			continue
		}
		content := c.project.Repo.Blobs[e.Blob]
		total += len(content)
		node := object{}
		for _, k := range f.field("nodes").fields {
			switch k.name {
			case "path":
				node["path"] = name
			case "oid":
				node["oid"] = e.Blob
			case "rawTextBlob":
				node["rawTextBlob"] = textOnly(content[:min(len(content), maxBlob)])
			}
		}
		nodes = append(nodes, node)
	}
	if len(paths) > 1 && total > maxBlobs {
		return nil, fmt.Errorf("Max blobs size limit exceeded (%d Bytes / 20 MiB).", total) //nolint:staticcheck // GitLab's words
	}
	return nodes, nil
}

// textOnly is a blob as GitLab shows it: null for binary data, UTF-8 whatever
// the file's encoding was.
func textOnly(content []byte) any {
	if slices.Contains(content[:min(len(content), binarySample)], 0) {
		return nil
	}
	if utf8.Valid(content) {
		return string(content)
	}
	var b strings.Builder
	for _, c := range content {
		b.WriteRune(rune(c)) // as Latin-1
	}
	return b.String()
}

// document is a query with the types of its variables.
type document struct {
	vars map[string]string
	root *selection
}

// check compares a selection with the schema.
func (d document) check(f *selection, kind string) error {
	if len(f.fields) == 0 {
		return fmt.Errorf("Field must have selections (field '%s' returns %s but has no selections. Did you mean '%s { ... }'?)", f.name, kind, f.name) //nolint:staticcheck // as GitLab says it
	}
	for _, k := range f.fields {
		def, ok := schema[kind][k.name]
		if !ok {
			return fmt.Errorf("Field '%s' doesn't exist on type '%s'", k.name, kind) //nolint:staticcheck // as GitLab says it
		}
		for arg, v := range k.args {
			want, ok := def.args[arg]
			if !ok {
				return fmt.Errorf("Field '%s' doesn't accept argument '%s'", k.name, arg) //nolint:staticcheck // as GitLab says it
			}
			if got := d.vars[v]; got != want && got != want+"!" {
				return fmt.Errorf("Type mismatch on variable $%s and argument %s (%s / %s)", v, arg, got, want) //nolint:staticcheck // as GitLab says it
			}
		}
		for arg, want := range def.args {
			if strings.HasSuffix(want, "!") && k.args[arg] == "" {
				return fmt.Errorf("Field '%s' is missing required arguments: %s", k.name, arg) //nolint:staticcheck // as GitLab says it
			}
		}
		if def.of == "" {
			if len(k.fields) > 0 {
				return fmt.Errorf("Selections can't be made on scalars (field '%s')", k.name) //nolint:staticcheck // as GitLab says it
			}
			continue
		}
		if err := d.check(k, def.of); err != nil {
			return err
		}
	}
	return nil
}

// given checks that each variable has a value of its type.
func (d document) given(vars map[string]any) error {
	for name, kind := range d.vars {
		v := vars[name]
		_, text := v.(string)
		list, many := v.([]any)
		many = many && !slices.ContainsFunc(list, func(x any) bool { _, ok := x.(string); return !ok })
		if v == nil && !strings.HasSuffix(kind, "!") || !strings.HasPrefix(kind, "[") && text || strings.HasPrefix(kind, "[") && many {
			continue
		}
		return fmt.Errorf("Variable $%s of type %s was provided invalid value", name, kind) //nolint:staticcheck // as GitLab says it
	}
	return nil
}

// complexity counts as GitLab does: one a field, one more for each path and for
// asking Gitaly, and twice the sum for a connection, which may have 100 nodes.
func (d document) complexity(f *selection, vars map[string]any) int {
	if f == nil {
		return 0
	}
	n := 0
	for _, k := range f.fields {
		n += 1 + d.complexity(k, vars)
	}
	if f.name == "blobs" {
		paths, _ := vars[f.args["paths"]].([]any)
		return 2 * (n + 1 + len(paths) + 1)
	}
	return n
}

// parseDocument reads `query($a: T!) { field(arg: $a) { … } }`: one operation,
// arguments by variables only.
func parseDocument(text string) (document, error) {
	p := &graphParser{tokens: graphTokens(text)}
	d := document{vars: map[string]string{}, root: &selection{}}
	if p.next() != "query" {
		return d, errors.New("Parse error: expected an operation") //nolint:staticcheck // as GitLab says it
	}
	if p.peek() != "(" && p.peek() != "{" {
		p.next() // its name
	}
	if p.accept("(") {
		for !p.accept(")") {
			name := strings.TrimPrefix(p.next(), "$")
			p.want(":")
			for p.peek() != "" && p.peek() != ")" && !strings.HasPrefix(p.peek(), "$") {
				d.vars[name] += p.next()
			}
			if p.err != nil || p.peek() == "" {
				break
			}
		}
	}
	d.root.fields = p.selections(0)
	if p.err == nil && p.peek() != "" {
		p.err = fmt.Errorf("Parse error on %q", p.peek()) //nolint:staticcheck // as GitLab says it
	}
	return d, p.err
}

type graphParser struct {
	tokens []string
	err    error
}

func (p *graphParser) peek() string {
	if len(p.tokens) == 0 {
		return ""
	}
	return p.tokens[0]
}

func (p *graphParser) next() string {
	t := p.peek()
	if t != "" {
		p.tokens = p.tokens[1:]
	}
	return t
}

func (p *graphParser) accept(t string) bool {
	if p.peek() == t {
		p.next()
		return true
	}
	return false
}

func (p *graphParser) want(t string) {
	if !p.accept(t) && p.err == nil {
		p.err = fmt.Errorf("Parse error on %q, expected %q", p.peek(), t) //nolint:staticcheck // as GitLab says it
	}
}

func (p *graphParser) selections(depth int) []*selection {
	var out []*selection
	p.want("{")
	for p.err == nil && !p.accept("}") {
		f := &selection{name: p.next(), args: map[string]string{}}
		if f.name == "" || depth > 15 {
			p.err = errors.New("Unexpected end of document") //nolint:staticcheck // as GitLab says it
			return nil
		}
		if p.accept("(") {
			for p.err == nil && !p.accept(")") {
				arg := p.next()
				p.want(":")
				f.args[arg] = strings.TrimPrefix(p.next(), "$")
			}
		}
		if p.peek() == "{" {
			f.fields = p.selections(depth + 1)
		}
		out = append(out, f)
	}
	return out
}

// graphTokens splits a document into names, variables and punctuation.
func graphTokens(text string) []string {
	var out []string
	word := func(r rune) bool { return r == '_' || r == '$' || unicode.IsLetter(r) || unicode.IsDigit(r) }
	for i := 0; i < len(text); {
		r, w := utf8.DecodeRuneInString(text[i:])
		switch {
		case unicode.IsSpace(r) || r == ',':
			i += w
			continue
		case word(r):
			end := i + w
			for end < len(text) && word(rune(text[end])) && text[end] != '$' {
				end++
			}
			out = append(out, text[i:end])
			i = end
			continue
		}
		out = append(out, string(r))
		i += w
	}
	return out
}

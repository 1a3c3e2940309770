package config

import (
	"fmt"
	"iter"
	"reflect"
	"strings"
)

// Setting describes a variable.
type Setting struct {
	Name    string
	Default string // "" is none
	Purpose string
	Secret  bool // it may come from NAME_FILE, and is never shown
}

// Describe returns all settings in the order in which they are documented.
func Describe() []Setting {
	var all []Setting
	for field := range fields(&Config{}) {
		s := Setting{
			Name:    field.Tag.Get("env"),
			Default: field.Tag.Get("envDefault"),
			Purpose: field.Tag.Get("doc"),
			Secret:  field.Type == reflect.TypeFor[Secret](),
		}
		if text, ok := field.Tag.Lookup("default"); ok {
			s.Default = text
		}
		all = append(all, s)
	}
	return all
}

// Markdown returns the settings as a table, for the README.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| variable | default | purpose |\n| --- | --- | --- |\n")
	for _, s := range Describe() {
		def := s.Default
		if def != "" {
			def = "`" + def + "`"
		}
		purpose := s.Purpose
		if s.Secret {
			purpose += " (secret; also `" + s.Name + "_FILE`)"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s.Name, def, purpose)
	}
	return b.String()
}

// fields yields the fields of c that are settings, with their values.
func fields(c *Config) iter.Seq2[reflect.StructField, reflect.Value] {
	return func(yield func(reflect.StructField, reflect.Value) bool) {
		v := reflect.ValueOf(c).Elem()
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if name := field.Tag.Get("env"); name == "" || name == "-" {
				continue
			}
			if !yield(field, v.Field(i)) {
				return
			}
		}
	}
}

// nearest returns the known name that differs least from name, or "" when none
// is near enough to have been meant.
func nearest(name string, known map[string]bool) string {
	best, least := "", len(name)/4+1
	for other, ok := range known {
		if !ok {
			continue
		}
		if d := distance(name, other); d < least || d == least && best != "" && other < best {
			best, least = other, d
		}
	}
	return best
}

// distance is how many letters must be inserted, deleted or replaced to turn a
// into b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

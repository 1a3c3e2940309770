package runner

import (
	"slices"
	"strings"
)

// flags splits arguments into short and long flags and the rest. valued names
// the flags that take an argument.
func flags(args []string, valued string) (given map[string][]string, rest []string) {
	given = map[string][]string{}
	takes := set(valued)
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			return given, append(rest, args[i+1:]...)
		case len(a) < 2 || a[0] != '-':
			rest = append(rest, a)
		case takes[a] && i+1 < len(args):
			i++
			given[a] = append(given[a], args[i])
		case strings.HasPrefix(a, "--"):
			name, value, _ := strings.Cut(a, "=")
			given[name] = append(given[name], value)
		case takes[a[:2]]:
			given[a[:2]] = append(given[a[:2]], a[2:])
		default:
			for k, o := range a[1:] {
				name := "-" + string(o)
				value := ""
				if takes[name] { // the rest of the word, or the next one
					if value = a[1+k+1:]; value == "" && i+1 < len(args) {
						i++
						value = args[i]
					}
				}
				given[name] = append(given[name], value)
				if takes[name] {
					break
				}
			}
		}
	}
	return given, rest
}

func has(given map[string][]string, names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return len(given[n]) > 0 })
}

// last returns the value of a flag given under one of several names.
func last(given map[string][]string, names ...string) string {
	for _, n := range names {
		if v := given[n]; len(v) > 0 {
			return v[len(v)-1]
		}
	}
	return ""
}

func all(given map[string][]string, names ...string) []string {
	var out []string
	for _, n := range names {
		out = append(out, given[n]...)
	}
	return out
}

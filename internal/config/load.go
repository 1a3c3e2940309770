package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"gitlab.sikt.no/platon/ecrferry/internal/calendar"
)

// Problem is something wrong with a setting. Its text never holds a secret.
type Problem struct {
	Variable string
	Text     string // what is wrong and what to do
}

func (p *Problem) Error() string { return p.Variable + ": " + p.Text }

// problems collects what is wrong.
type problems []error

func (ps *problems) add(variable, format string, args ...any) {
	*ps = append(*ps, &Problem{Variable: variable, Text: fmt.Sprintf(format, args...)})
}

// Load reads the configuration, normally from os.Getenv. The error joins all
// problems, each a *Problem.
func Load(getenv func(string) string) (Config, error) {
	var (
		c  Config
		ps problems
	)
	given := map[string]string{}
	for field := range fields(&c) {
		name := field.Tag.Get("env")
		value := getenv(name)
		if field.Type == reflect.TypeFor[Secret]() {
			value = ps.secret(getenv, name)
		}
		if value != "" {
			given[name] = value
		}
	}
	err := env.ParseWithOptions(&c, env.Options{Environment: given})
	for _, e := range unjoin(err) {
		ps.unreadable(e, given)
	}
	c.defaults(getenv)
	c.Aliases = ps.aliases(c.OldRegistryAliases)
	c.Calendar = ps.calendar(c)
	c.Users = ps.users(c.DashboardUsers)
	c.Proxies = ps.proxies(c.DashboardProxies)
	ps.check(&c)
	return c, errors.Join(ps...)
}

// secret returns the variable's value, or that of the file that NAME_FILE names.
func (ps *problems) secret(getenv func(string) string, name string) string {
	value, path := getenv(name), getenv(name+"_FILE")
	if path == "" {
		return value
	}
	if value != "" {
		ps.add(name, "both %s and %s_FILE are set; keep one of them", name, name)
		return value
	}
	text, err := os.ReadFile(path) //nolint:gosec // the operator names it
	if err != nil {
		ps.add(name+"_FILE", "%v; name a file that this user may read", err)
		return ""
	}
	value = strings.TrimRight(string(text), "\r\n")
	if value == "" {
		ps.add(name+"_FILE", "%s is empty; put the secret into it", path)
	}
	return value
}

// unreadable turns an error of the parser, which names fields, into a problem
// that names the variable and its value.
func (ps *problems) unreadable(err error, given map[string]string) {
	parse, ok := errors.AsType[env.ParseError](err)
	if !ok {
		*ps = append(*ps, err)
		return
	}
	field, ok := reflect.TypeFor[Config]().FieldByName(parse.Name)
	if !ok {
		*ps = append(*ps, err)
		return
	}
	name := field.Tag.Get("env")
	want := "a valid value"
	switch field.Type.String() {
	case "int":
		want = "a whole number such as " + field.Tag.Get("envDefault")
	case "time.Duration":
		want = "a duration such as 30s, 5m or 3h"
	case "slog.Level":
		want = "one of DEBUG, INFO, WARN, ERROR"
	}
	ps.add(name, "%q is not understood; write %s", given[name], want)
}

func unjoin(err error) []error {
	if err == nil {
		return nil
	}
	if all, ok := errors.AsType[env.AggregateError](err); ok {
		return all.Errors
	}
	return []error{err}
}

// defaults fills in what follows from other settings or the surroundings.
func (c *Config) defaults(getenv func(string) string) {
	if c.DataDir == "" {
		switch base, home := getenv("XDG_DATA_HOME"), getenv("HOME"); {
		case filepath.IsAbs(base): // the specification says to ignore others
			c.DataDir = filepath.Join(base, "ecrferry")
		case home != "":
			c.DataDir = filepath.Join(home, ".local", "share", "ecrferry")
		}
	}
	if c.OldRegistryURL == "" {
		c.OldRegistryURL = "https://" + c.OldRegistry
	}
	c.ConsoleMethod = strings.ToUpper(c.ConsoleMethod)
}

// aliases reads the file of aliases, if there is one.
func (ps *problems) aliases(path string) map[string]string {
	if path == "" {
		return nil
	}
	aliases, err := Aliases(path)
	if err != nil {
		ps.add("ECRFERRY_OLD_REGISTRY_ALIASES", "%v", err)
	}
	return aliases
}

// Aliases reads a file that gives repositories of the old registry to projects
// which their names do not show: a repository and a project path a line, empty
// lines and those that begin with # aside. The error joins all problems.
func Aliases(path string) (map[string]string, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, fmt.Errorf("%w; name a file that this user may read", err)
	}
	var problems []error
	aliases := map[string]string{}
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if len(words) != 2 {
			problems = append(problems, fmt.Errorf("%s:%d: write a repository and a project path, such as public/kart group/kart", path, number))
			continue
		}
		if other, ok := aliases[words[0]]; ok && other != words[1] {
			problems = append(problems, fmt.Errorf("%s:%d: %s is given to %s and to %s; keep one", path, number, words[0], other, words[1]))
		}
		aliases[words[0]] = words[1]
	}
	return aliases, errors.Join(problems...)
}

// calendar reads working hours and the file of freezes.
func (ps *problems) calendar(c Config) calendar.Calendar {
	out := calendar.Calendar{Text: c.Hours}
	var err error
	if out.Zone, err = time.LoadLocation(c.TimeZone); err != nil {
		ps.add("ECRFERRY_TIME_ZONE", "%q is no time zone; write one such as Europe/Oslo", c.TimeZone)
		return calendar.Calendar{}
	}
	if out.Hours, err = calendar.ParseHours(c.Hours); err != nil {
		ps.add("ECRFERRY_HOURS", "%v", err)
	}
	if c.Freezes == "" {
		return out
	}
	text, err := os.ReadFile(c.Freezes)
	if err != nil {
		ps.add("ECRFERRY_FREEZES", "%v; name a file that this user may read", err)
		return out
	}
	if out.Freezes, err = calendar.ParseFreezes(string(text), out.Zone); err != nil {
		ps.add("ECRFERRY_FREEZES", "%s: %v", c.Freezes, err)
	}
	return out
}

// Typos reports variables of environ, normally os.Environ(), that begin like
// ours and are none: most likely somebody misspelt one.
func Typos(environ []string) error {
	known := map[string]bool{}
	for _, s := range Describe() {
		known[s.Name] = true
		known[s.Name+"_FILE"] = s.Secret
	}
	var ps problems
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "ECRFERRY_") || known[name] {
			continue
		}
		if near := nearest(name, known); near != "" {
			ps.add(name, "there is no such setting; did you mean %s?", near)
			continue
		}
		ps.add(name, "there is no such setting; unset it, --help lists them all")
	}
	slices.SortFunc(ps, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(ps...)
}

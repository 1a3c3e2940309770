package ci

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNoConfig says that the project has no CI configuration at the commit.
var ErrNoConfig = errors.New("ci: the project has no CI configuration file")

// ConfigError lists what is wrong with a configuration, in GitLab's own words.
type ConfigError struct {
	Messages []string
}

func (e *ConfigError) Error() string { return strings.Join(e.Messages, ", ") }

// failure carries an error that ends a compilation through the panic that
// Compile recovers. It keeps the many small steps free of error plumbing.
type failure struct{ err error }

// fail ends the compilation with one message of GitLab's.
func fail(format string, args ...any) {
	panic(failure{&ConfigError{Messages: []string{fmt.Sprintf(format, args...)}}})
}

// abort ends the compilation with an error that is not the configuration's fault.
func abort(err error) { panic(failure{err}) }

// catch turns a failure into err; other panics go on.
func catch(err *error) {
	switch r := recover().(type) {
	case nil:
	case failure:
		*err = r.err
	default:
		panic(r)
	}
}

// tooBig is GitLab's message for configurations beyond its limits.
const tooBig = "The parsed YAML is too big"

// work bounds what one compilation may do, whatever anchors, extends and
// references multiply to. Real projects with 350 jobs need about a tenth of it.
const work = 1_000_000

// spend counts n steps of work and fails when a hostile input used them up.
func (c *compiler) spend(n int) {
	c.spent += n
	if c.spent > work {
		fail(tooBig)
	}
}

// problem notes a fault of an entry; GitLab lower-cases the whole message.
func (c *compiler) problem(location, format string, args ...any) {
	c.complain(strings.ToLower(location + " " + fmt.Sprintf(format, args...)))
}

// complain notes a fault in its final words.
func (c *compiler) complain(message string) {
	if len(c.problems) < 100 {
		c.problems = append(c.problems, message)
	}
}

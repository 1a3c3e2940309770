package ci

import (
	"errors"
	"strings"
)

// ErrNoConfig says that the project has no CI configuration at the commit.
var ErrNoConfig = errors.New("ci: the project has no CI configuration file")

// ConfigError lists what is wrong with a configuration, in GitLab's own words.
type ConfigError struct {
	Messages []string
}

func (e *ConfigError) Error() string { return strings.Join(e.Messages, ", ") }

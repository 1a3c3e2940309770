package ci

// Expand replaces $NAME and ${NAME} in s as the runner does: nested values are
// expanded too, unknown names become empty, $$ stays one dollar sign.
func Expand(s string, vars []Variable) string { return s }

// Environ returns every variable of a job in GitLab's precedence, expanded as
// the runner does before it starts the job's script.
func Environ(e Execution) []Variable { return nil }

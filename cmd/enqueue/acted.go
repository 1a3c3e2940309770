package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// acted is what came of an order for one project, or for what else it names.
type acted struct {
	Project string `json:"project"` // its path, a pattern of paths, or "" for the whole fleet
	Done    bool   `json:"done"`
	What    string `json:"what"` // what came of it; of what was not done, why
}

// actFlags are those of orders that print what came of them, a line or JSON.
func actFlags(cmd *cobra.Command) {
	jsonFlag(cmd, new(bool))
}

// acts tells what comes of an order: a line for each as it comes, what was not
// done on standard error, or all of it as JSON at the end.
type acts struct {
	cmd  *cobra.Command
	json bool
	list []acted
	done int
}

func newActs(cmd *cobra.Command) *acts {
	asJSON, _ := cmd.Flags().GetBool("json") // false where there is no such flag
	return &acts{cmd: cmd, json: asJSON, list: []acted{}}
}

func (a *acts) tell(project string, done bool, what string) {
	a.list = append(a.list, acted{project, done, what})
	if done {
		a.done++
	}
	if a.json {
		return
	}
	w, text := a.cmd.OutOrStdout(), what
	if project != "" {
		text = printable(project) + " " + what
	}
	if !done {
		w, text = a.cmd.ErrOrStderr(), printable(project)+": "+what
	}
	fmt.Fprintln(w, text)
}

// end prints the JSON.
func (a *acts) end() error {
	if !a.json {
		return nil
	}
	return printJSON(a.cmd.OutOrStdout(), a.list)
}

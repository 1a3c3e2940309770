package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// selectionFlags choose projects, alike in every command that takes many.
type selectionFlags struct {
	store.Selection
	states   []string
	fromFile string
}

// wide adds the flags for a command in which --wave chooses by wave.
func (s *selectionFlags) wide(cmd *cobra.Command) {
	s.add(cmd)
	cmd.Flags().StringVar(&s.Wave, "wave", "", "only projects of this wave, as enqueue all --wave named it")
	cmd.Flags().Int64Var(&s.RunID, "run", 0, "only projects whose latest migration came from this order: the number that enqueue all printed")
	_ = cmd.RegisterFlagCompletionFunc("wave", completeWaves)
}

func (s *selectionFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.Group, "group", "", "only projects of this group and its subgroups")
	f.StringSliceVar(&s.Topics, "topic", nil, "only projects with this topic in GitLab; of several, given by commas or again, with one of them")
	f.StringSliceVar(&s.Match, "match", nil, "only paths that match one of these, such as 'kurs/*' (** goes through groups)")
	f.StringSliceVar(&s.Exclude, "exclude", nil, "no paths that match one of these")
	f.StringSliceVar(&s.states, "state", nil, "only projects in these states: "+strings.Join(names(allStates), ", "))
	f.StringSliceVar(&s.Causes, "cause", nil, "only projects stopped by these causes, as enqueue status lists them (also --reason)")
	f.StringVar(&s.fromFile, "from-file", "", "only projects of this CSV file: its column project, or else its first; - is standard input")
	f.IntVar(&s.Limit, "limit", 0, "so many projects at most, the first by path; 0 for all")
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "reason" { // what --cause was called first
			name = "cause"
		}
		return pflag.NormalizedName(name)
	})
	_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(names(allStates), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("cause", completeCauses)
	_ = cmd.RegisterFlagCompletionFunc("group", completeGroups)
}

// any says whether anything was chosen.
func (s *selectionFlags) any() bool {
	return s.Group != "" || len(s.Match)+len(s.Exclude)+len(s.Topics)+len(s.states)+len(s.Causes) > 0 ||
		s.fromFile != "" || s.Wave != "" || s.RunID != 0
}

// read checks the flags, and adds the projects that were named or that the file
// names.
func (s *selectionFlags) read(stdin io.Reader, paths []string) (store.Selection, error) {
	sel := s.Selection
	for _, st := range s.states {
		if !slices.Contains(allStates, store.State(st)) {
			return sel, &coded{exitUsage, fmt.Errorf("--state %s: choose of %s", st, strings.Join(names(allStates), ", "))}
		}
		sel.States = append(sel.States, store.State(st))
	}
	if sel.Limit < 0 {
		return sel, &coded{exitUsage, errors.New("--limit: write a number above zero")}
	}
	sel.Paths = slices.Clone(paths)
	if s.fromFile == "" {
		return sel, nil
	}
	in, name := stdin, "standard input"
	if s.fromFile != "-" {
		file, err := os.Open(s.fromFile)
		if err != nil {
			return sel, &coded{exitUsage, fmt.Errorf("--from-file: %w", err)}
		}
		defer file.Close()
		in, name = file, s.fromFile
	}
	listed, err := projectList(in)
	if err != nil {
		return sel, &coded{exitUsage, fmt.Errorf("--from-file %s: %w", name, err)}
	}
	sel.Paths = append(sel.Paths, listed...)
	return sel, nil
}

// projectList reads project paths from CSV, with commas or semicolons, as
// spreadsheets write it: the column whose heading is project, or the first one.
func projectList(in io.Reader) ([]string, error) {
	text, err := io.ReadAll(io.LimitReader(in, 64<<20))
	if err != nil {
		return nil, err
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) // a spreadsheet's byte order mark
	r := csv.NewReader(bufio.NewReader(bytes.NewReader(text)))
	r.FieldsPerRecord, r.TrimLeadingSpace, r.Comment = -1, true, '#'
	if first, _, _ := bytes.Cut(text, []byte("\n")); bytes.Count(first, []byte(";")) > bytes.Count(first, []byte(",")) {
		r.Comma = ';'
	}
	var (
		paths  []string
		column int
	)
	for first := true; ; first = false {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if first {
			heading := slices.IndexFunc(row, func(cell string) bool { return strings.EqualFold(strings.TrimSpace(cell), "project") })
			if heading >= 0 {
				column = heading
				continue
			}
		}
		path := ""
		if column < len(row) {
			path = strings.Trim(strings.TrimSpace(row[column]), "/")
		}
		if path == "" && len(row) == 1 {
			continue
		}
		if line, _ := r.FieldPos(0); !strings.Contains(path, "/") {
			return nil, fmt.Errorf("line %d: %q is no project path; write group/project, or name the column project", line, path)
		}
		paths = append(paths, path)
	}
	if len(paths) == 0 {
		return nil, errors.New("it names no project")
	}
	return paths, nil
}

// selection reads the flags and makes sure that every project named is known,
// before anything is done for any of them.
func (s *session) selection(cmd *cobra.Command, flags *selectionFlags, paths []string) (store.Selection, error) {
	sel, err := flags.read(cmd.InOrStdin(), paths)
	if err != nil {
		return sel, err
	}
	unknown, err := s.store.Unknown(cmd.Context(), sel.Paths)
	if err == nil && len(unknown) > 0 {
		err = unknownProjects(unknown)
	}
	return sel, err
}

func unknownProjects(paths []string) error {
	if len(paths) == 1 {
		return fmt.Errorf("project %s is not known; nothing was done. See enqueue status for those that are, or put it in with enqueue project", paths[0])
	}
	shown := strings.Join(paths[:min(20, len(paths))], "\n  ")
	if more := len(paths) - 20; more > 0 {
		shown += fmt.Sprintf("\n  and %d more", more)
	}
	return fmt.Errorf("%d projects are not known; nothing was done. Correct their paths, or take them out:\n  %s", len(paths), shown)
}

// selectionAnywhere is selection for commands that begin something: projects that
// are not known yet are looked for in GitLab.
func (s *session) selectionAnywhere(cmd *cobra.Command, flags *selectionFlags, paths []string) (store.Selection, error) {
	sel, err := flags.read(cmd.InOrStdin(), paths)
	if err != nil {
		return sel, err
	}
	unknown, err := s.store.Unknown(cmd.Context(), sel.Paths)
	if err != nil {
		return sel, err
	}
	var nowhere []string
	for _, path := range unknown {
		p, err := s.project(cmd.Context(), path, cmd)
		if errors.Is(err, errNoSuchProject) && len(unknown) > 1 {
			nowhere = append(nowhere, path)
			continue
		}
		if err != nil {
			return sel, err
		}
		// GitLab finds a moved project by its old path, too.
		for i := range sel.Paths {
			if sel.Paths[i] == path {
				sel.Paths[i] = p.Path
			}
		}
	}
	if len(nowhere) > 0 {
		return sel, unknownProjects(nowhere)
	}
	return sel, nil
}

// choose returns the status of the projects that were named or selected.
func (s *session) choose(ctx context.Context, sel store.Selection) ([]store.Status, error) {
	rows, err := s.store.Status(ctx, sel)
	if err == nil && len(rows) == 0 {
		return nil, &coded{exitNothing, errors.New("no project is selected; see enqueue status")}
	}
	return rows, err
}

var allStates = []store.State{
	store.StateNone, store.StateQueued, store.StateRunning, store.StateWaiting, store.StateDone, store.StateExceptions,
	store.StateSkipped, store.StateAttention, store.StateFailed, store.StateCancelled,
}

func names(states []store.State) []string {
	var out []string
	for _, s := range states {
		out = append(out, string(s))
	}
	return out
}

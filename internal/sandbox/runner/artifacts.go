package runner

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
)

// maxArtifacts is GitLab's default limit of an archive.
const maxArtifacts = 100 << 20

// upload collects the job's artifacts and dotenv reports when its outcome is one
// for which they are wanted.
func (j *job) upload(success bool) {
	job := j.e.Job
	when := job.ArtifactsWhen
	if len(job.Artifacts) > 0 && (when == "always" || (when == "on_failure") != success) {
		name, title := "upload_artifacts_on_success", "Uploading artifacts for successful job"
		if !success {
			name, title = "upload_artifacts_on_failure", "Uploading artifacts for failed job"
		}
		j.log.section(name, title, func() error {
			var patterns []string
			for _, p := range job.Artifacts {
				patterns = append(patterns, strings.TrimSuffix(path.Clean(ci.Expand(p, j.vars)), "/"))
			}
			j.artifacts = j.collect(patterns)
			return nil
		})
	}
	if !success {
		return
	}
	for _, file := range job.Dotenv {
		b, err := j.disk.read(virtual(j.home, file))
		if err != nil {
			j.log.line(fmt.Sprintf("\x1b[0;33mWARNING: %s: no matching files. Ensure that the artifact path is relative to the working directory (%s)\x1b[0;m", file, j.home))
			continue
		}
		for _, line := range strings.Split(string(b), "\n") {
			line = strings.TrimSpace(line)
			k, v, ok := strings.Cut(line, "=")
			if !ok || strings.HasPrefix(line, "#") {
				continue
			}
			j.dotenv = append(j.dotenv, ci.Variable{Key: strings.TrimSpace(k), Value: strings.Trim(v, `"'`)})
		}
	}
}

func (j *job) collect(patterns []string) []ci.Artifact {
	var out []ci.Artifact
	size := int64(0)
	err := j.disk.walk(j.home, func(name string, info fs.FileInfo) error {
		if !slices.ContainsFunc(patterns, func(p string) bool {
			match, _ := doublestar.Match(p, name)
			return match || p == "." || strings.HasPrefix(name, p+"/")
		}) {
			return nil
		}
		if size += info.Size(); size > maxArtifacts {
			return fs.ErrInvalid
		}
		b, err := j.disk.read(path.Join(j.home, name))
		if err != nil {
			return err
		}
		out = append(out, ci.Artifact{Path: name, Content: b, Mode: uint32(info.Mode().Perm())})
		return nil
	})
	switch {
	case err != nil:
		j.log.line("ERROR: Uploading artifacts as \"archive\" to coordinator... too large archive")
		return nil
	case len(out) == 0:
		j.log.line("\x1b[0;33mWARNING: " + strings.Join(patterns, ", ") + ": no matching files.\x1b[0;m\nERROR: No files to upload")
	default:
		j.log.line(fmt.Sprintf("%s: found %d matching artifact files and directories", strings.Join(patterns, ", "), len(out)))
	}
	return out
}

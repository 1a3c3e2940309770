// Package gitlab is a strict stand-in for a self-managed GitLab: the part of
// REST v4 that a migration uses, spoken by the unmodified client-go.
//
// A Server holds projects with a git-like repository (real blob, tree and
// commit ids), branches and their protection, merge requests, CI/CD variables,
// pipelines, jobs, environments and deployments. A push starts its pipeline a
// little later, as GitLab does; the configuration is compiled by package ci and
// each job is run by the injected ci.Executor. Nothing decides beforehand how a
// job ends.
//
// Where GitLab refuses, so does the Server, with GitLab's status and words:
// archived and empty projects, projects with CI/CD switched off, protected
// branches, stale last_commit_id, pipelines without jobs, moved projects.
//
// With Options.Dir the state is kept in one JSON file a project beside
// server.json, written shortly after each change; a new Start goes on there.
// Jobs that ran when the process died fail with runner_system_failure, pending
// ones are taken up again, and pushes whose pipeline was still to come get it.
package gitlab

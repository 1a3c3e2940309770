package diagnose

import "bytes"

// reasoned is what a failure_reason of GitLab means.
type reasoned struct {
	Diagnosis
	// decisive: the reason alone says it, whatever the log holds.
	decisive bool
	// quoted: Failure.Log is the message itself.
	quoted bool
}

func (r reasoned) with(log []byte) Diagnosis {
	d := r.Diagnosis
	if r.quoted {
		for i, l := range bytes.Split(log[:min(len(log), MaxLog)], []byte{'\n'}) {
			if text := plain(l); text != "" {
				d.Evidence, d.Line = quote(text), i+1
				break
			}
		}
	}
	return d
}

// byReason is GitLab's list of job failure reasons
// (app/models/concerns/enums/ci/commit_status.rb) and, of the pipeline's own,
// config_error. script_failure and unknown_failure are missing on purpose: only
// the log can tell. A reason that is not here leads to Unknown.
var byReason = func() map[string]reasoned {
	runner := Diagnosis{
		Cause: RunnerFailure, Owner: GitLab, Retry: JobOnce,
		Summary: "the runner failed, not the job",
		Remedy:  "retry the job; if it happens again, tell the people who run the runners",
	}
	stuck := Diagnosis{
		Cause: NoRunner, Owner: GitLab, Retry: JobOnce,
		Summary: "no runner took the job, or the runner fell silent",
		Remedy:  "retry the job; if no runner takes it, see whether one with the job's tags is online",
	}
	timeout := Diagnosis{
		Cause: JobTimeout, Owner: Project, Retry: Never,
		Summary: "the job took longer than it may",
		Remedy:  "find out what the job waits for, or raise its timeout",
	}
	superseded := Diagnosis{
		Cause: Superseded, Owner: Project, Retry: Never,
		Summary: "a newer pipeline deployed first, so GitLab does not let this one deploy",
		Remedy:  "follow the newer pipeline",
	}
	forbidden := Diagnosis{
		Cause: NotPermitted, Owner: Project, Retry: AfterRemedy,
		Summary: "GitLab does not let the job run",
		Remedy:  "see the job's page: the user, the project or the environment lacks a right, or a quota is used up",
	}
	artifact := Diagnosis{
		Cause: ArtifactMissing, Owner: Project, Retry: AfterRemedy,
		Summary: "what an earlier job left for this one is gone",
		Remedy:  "run a new pipeline, so that the earlier job runs again",
	}
	yaml := Diagnosis{
		Cause: YAMLError, Owner: Us, Retry: AfterRemedy, Ours: true,
		Summary: "GitLab can't read the CI configuration",
		Remedy:  "correct the configuration; if the migration changed it, take the change back",
	}
	downstream := Diagnosis{
		Cause: YAMLError, Owner: Project, Retry: AfterRemedy,
		Summary: "the downstream pipeline could not be created",
		Remedy:  "look at the trigger job and at the configuration of the project or file it names",
	}
	moved := Diagnosis{
		Cause: ProjectMoved, Owner: Platform, Retry: AfterRemedy, Ours: true,
		Summary: "GitLab gives the project no identity towards AWS, because its path belonged to another project",
		Remedy:  updateConfiguration,
	}
	m := map[string]reasoned{"config_error": {yaml, true, true}, "id_token_burned_project_path": {moved, true, false}}
	add := func(d Diagnosis, decisive bool, reasons ...string) {
		for _, r := range reasons {
			m[r] = reasoned{Diagnosis: d, decisive: decisive}
		}
	}
	// Not decisive: a job image that can't be pulled is reported as a failure of
	// the runner, and the log says what it really is.
	add(runner, false, "runner_system_failure", "runner_external_dependency_failure", "runner_configuration_error", "image_pull_failure", "api_failure")
	add(runner, true, "runner_unsupported", "runner_interrupted", "scheduler_failure", "data_integrity_failure", "job_router_failure")
	add(stuck, true, "stuck_or_timeout_failure", "stuck_pending_with_matching_runners", "stuck_pending_no_matching_runners",
		"no_matching_runner", "no_updates_running", "no_updates_canceling")
	add(timeout, true, "job_execution_timeout", "job_execution_server_timeout", "server_timeout_running", "server_timeout_canceling", "trace_size_exceeded")
	add(superseded, true, "failed_outdated_deployment_job", "forward_deployment_failure", "stale_schedule")
	add(forbidden, true, "archived_failure", "user_blocked", "project_deleted", "ci_quota_exceeded", "builds_disabled", "deployment_rejected",
		"protected_environment_failure", "ip_restriction_failure", "environment_creation_failure", "secrets_provider_not_found", "unmet_prerequisites")
	add(artifact, true, "missing_dependency_failure")
	add(downstream, true, "downstream_pipeline_creation_failed", "downstream_bridge_project_not_found", "invalid_bridge_trigger",
		"insufficient_bridge_permissions", "upstream_bridge_project_not_found", "insufficient_upstream_permissions",
		"pipeline_loop_detected", "reached_max_descendant_pipelines_depth", "reached_max_pipeline_hierarchy_size",
		"reached_downstream_pipeline_trigger_rate_limit", "downstream_project_trigger_resolved_to_empty")
	return m
}()

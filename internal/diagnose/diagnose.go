// Package diagnose explains why a CI job failed: a job's log and GitLab's failure
// reason in; cause, evidence, owner, remedy and retry policy out.
//
// It knows what goes wrong when a project moves from the old registry to ECR on
// this platform, and what goes wrong in CI anyway. Whatever it has not seen
// before it calls [Unknown]: a guess would send a human to the wrong place.
//
// A log is read from its end and at most [MaxLog] bytes of it. A line counts
// only if the job stopped there: what an earlier command printed, and what ran
// after the failure, proves nothing about it (see window). Everything quoted is
// masked; [Mask] does the same to a whole log before it is stored.
package diagnose

// Cause is a short stable name of what went wrong. It is stored and grouped by.
type Cause string

// The causes.
const (
	// What the migration brings about, or should have prevented.
	NoBasicAuth       Cause = "no-basic-auth"       // an image in ECR is used without a login
	PushNotAuthorized Cause = "push-not-authorized" // a push to another name than the project's repository
	PullNotAuthorized Cause = "pull-not-authorized" // a pull of another project's image
	TagImmutable      Cause = "tag-immutable"       // the tag is taken
	RepositoryMissing Cause = "repository-missing"  // Update configuration was never run
	ProjectMoved      Cause = "project-moved"       // AWS knows the project by an older path
	ManifestUnknown   Cause = "manifest-unknown"    // never pushed, or removed by the clean-up
	RegistryLogin     Cause = "registry-login"      // a login of the job's own failed or ran out
	RegistryDenied    Cause = "registry-denied"     // a registry refused the job's credentials
	ImageNameInvalid  Cause = "image-name-invalid"  // made of variables that are empty or hold what no name may
	ImagePull         Cause = "image-pull"          // the cluster can't pull the image

	// What goes wrong anyway.
	RateLimited     Cause = "rate-limited"
	Network         Cause = "network"
	RunnerFailure   Cause = "runner-failure"
	NoRunner        Cause = "no-runner" // no runner took the job
	JobTimeout      Cause = "job-timeout"
	RolloutFailed   Cause = "rollout-failed" // deployed, but it does not come up
	YAMLError       Cause = "yaml-error"
	Superseded      Cause = "superseded"       // a newer pipeline deployed first
	NotPermitted    Cause = "not-permitted"    // GitLab lets this user or project not run it
	ArtifactMissing Cause = "artifact-missing" // of an earlier job
	ScriptFailure   Cause = "script-failure"   // the job's own command failed
	Unknown         Cause = "unknown"          // nobody has seen this before
)

// Owner is who has to act.
type Owner string

// The owners.
const (
	Us       Owner = "us"       // whoever runs the migration
	Project  Owner = "project"  // the project's people
	Platform Owner = "platform" // the people of the PaaS, its console and its cluster
	GitLab   Owner = "gitlab"   // the people of the GitLab instance and its runners
	AWS      Owner = "aws"
)

// Retry says what trying again is good for.
type Retry string

// The retry policies.
const (
	Never       Retry = "never"        // it fails the same way
	JobOnce     Retry = "job-once"     // this job, once
	AfterRemedy Retry = "after-remedy" // a new pipeline, when somebody has acted
	Later       Retry = "later"        // by itself, after a while
)

// MaxLog is how many bytes of a log's end are looked at.
const MaxLog = 1 << 20

// Failure is a failed job, or a pipeline that failed before it had jobs.
type Failure struct {
	Job, Stage string
	// FailureReason is GitLab's failure_reason, of the job or (config_error) of
	// the pipeline.
	FailureReason string
	Image         string // the job's image, expanded; may be empty
	// Log is the end of the job's log as GitLab keeps it. For a pipeline with
	// config_error it is the text of yaml_errors.
	Log        []byte
	Project    string // path in GitLab
	Repository string // name of the project's ECR repository; may be empty
}

// Diagnosis is the explanation of a Failure.
type Diagnosis struct {
	Cause    Cause
	Evidence string // the line that shows it, masked and shortened; may be empty
	Line     int    // of the evidence in Failure.Log, from 1; 0 without evidence
	Owner    Owner
	Summary  string // one sentence: what happened
	Remedy   string // one sentence: what to do
	Retry    Retry
	Ours     bool // the migration brings this cause about or removes it
}

// Diagnose explains a failure. It never returns an empty cause.
func Diagnose(f Failure) Diagnosis {
	if d, ok := byReason[f.FailureReason]; ok && d.decisive {
		return d.with(f.Log)
	}
	lines := window(split(f.Log))
	for _, r := range rules {
		// The last line that fits is the nearest to the failure.
		for i := len(lines) - 1; i >= 0; i-- {
			m := r.match(lines[i])
			if m == nil {
				continue
			}
			d := r.diagnosis
			if r.refine != nil {
				d = r.refine(f, lines[i].text, m)
			}
			d.Evidence, d.Line = quote(lines[i].text), lines[i].number
			return d
		}
	}
	if d, ok := byReason[f.FailureReason]; ok {
		return d.with(f.Log)
	}
	return scriptFailure(f, lines)
}

// scriptFailure is the diagnosis of a log in which no rule found its cause: the
// job's own command failed, if the log says that a command failed and neither
// the command nor its complaint is about a registry.
func scriptFailure(f Failure, lines []line) Diagnosis {
	unknown := Diagnosis{
		Cause: Unknown, Owner: Us, Retry: Never,
		Summary: "the job failed in a way that has not been seen before",
		Remedy:  "read the job's log, then add the cause to the diagnosis",
	}
	failed := f.FailureReason == "script_failure"
	switch f.FailureReason {
	case "", "script_failure", "unknown_failure":
	default:
		unknown.Summary += " (" + quote(f.FailureReason) + ")"
	}
	var command string
	var last, complaint line
	var exited bool
	for _, l := range lines {
		switch {
		case l.command:
			command = l.text
		case exitCode.MatchString(l.text):
			exited = true
		case l.text == "":
		default:
			last = l
			if grumble.MatchString(l.text) {
				complaint = l
			}
		}
	}
	if complaint.number == 0 {
		complaint = last
	}
	if complaint.number > 0 {
		unknown.Evidence, unknown.Line = quote(complaint.text), complaint.number
	}
	if exited && (f.FailureReason == "" || f.FailureReason == "unknown_failure") {
		failed = true
	}
	if !failed || registryTalk.MatchString(command) || registryTalk.MatchString(complaint.text) {
		return unknown
	}
	d := Diagnosis{
		Cause: ScriptFailure, Owner: Project, Retry: Never, Evidence: unknown.Evidence, Line: unknown.Line,
		Summary: "a command of the job itself failed",
		Remedy:  "the project's people correct the job; it has nothing to do with the registry",
	}
	if command != "" {
		d.Summary += ": " + quote(command)
	}
	return d
}

package diagnose

import (
	"regexp"
	"strings"
)

// rule is one cause that a line of the log shows. Rules are tried in order, the
// more telling one first: a failed deployment that says why beats the message
// that it failed.
type rule struct {
	pattern *regexp.Regexp
	// not excludes lines that look alike; also must fit too, if set.
	not, also *regexp.Regexp
	diagnosis Diagnosis
	// refine, if set, makes the diagnosis from the failure and what matched.
	refine func(f Failure, text string, m []string) Diagnosis
}

func (r rule) match(l line) []string {
	if l.command || r.not != nil && r.not.MatchString(l.text) || r.also != nil && !r.also.MatchString(l.text) {
		return nil
	}
	return r.pattern.FindStringSubmatch(l.text)
}

const updateConfiguration = `run "Update configuration" for the project in the PaaS console, then run the pipeline again`

var (
	runnerError = regexp.MustCompile(`^ERROR: (Job failed|Preparation failed|Failed to)`)
	runnerPull  = regexp.MustCompile(`^(ERROR: Job failed|ERROR: Preparation failed|WARNING: Failed to pull image with policy)`)
	exitCode    = regexp.MustCompile(`^ERROR: Job failed: (exit (code|status) \d+|command terminated with exit code)`)
	// grumble is how programs begin to complain.
	grumble = regexp.MustCompile(`(?i)\b(error|fatal|fail(ed|ure)?|exception|panic|denied|not found|cannot|unable)\b`)
	// registryTalk is where a failure may be the migration's doing.
	registryTalk = regexp.MustCompile(`(?i)\.dkr\.ecr\.|registry\.uninett\.no|\b(docker|podman|buildah|skopeo|crane|kaniko|buildx)\b.*\b(push|pull|login|--push|--destination)\b|/kaniko/executor|\becr:|\bimagePull`)
	inECR        = regexp.MustCompile(`\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com`)
)

var rules = []rule{
	// AWS says exactly what it will not do.
	{
		pattern: regexp.MustCompile(`not authorized to perform:? sts:AssumeRoleWithWebIdentity|AssumeRoleWithWebIdentity operation|claim "?project_path"? does not match`),
		diagnosis: Diagnosis{
			Cause: ProjectMoved, Owner: Platform, Retry: AfterRemedy, Ours: true,
			Summary: "AWS does not know the project by its present path in GitLab",
			Remedy:  updateConfiguration,
		},
	},
	{
		pattern: regexp.MustCompile(`(?i)not authorized to perform:? (ecr:\w+)(?: on resource:? (\S+))?`),
		refine:  notAuthorized,
	},
	{
		pattern: regexp.MustCompile(`cannot be overwritten because the (?:tag|repository) is immutable|ImageTagAlreadyExistsException|ImageAlreadyExistsException`),
		diagnosis: Diagnosis{
			Cause: TagImmutable, Owner: Us, Retry: AfterRemedy, Ours: true,
			Summary: "the tag is in ECR already and can't be pushed a second time",
			Remedy:  "run a new pipeline on a new commit, whose tag is free; if the job always pushes the same tag, give it one of its own for each commit",
		},
	},
	{
		pattern: regexp.MustCompile(`(?i)repository with name '([^']+)' does not exist|\bname[_ ]unknown\b|RepositoryNotFoundException`),
		refine:  repositoryMissing,
	},

	// The cluster, before the words that it quotes.
	{
		pattern: regexp.MustCompile(`(?i)failed to pull image "[^"]*":.*(?:not found|manifest unknown)`),
		not:     runnerPull,
		diagnosis: Diagnosis{
			Cause: ImagePull, Owner: Us, Retry: AfterRemedy, Ours: true,
			Summary: "the cluster can't pull the image that was deployed: the registry does not have it",
			Remedy:  "see whether the pipeline pushed exactly this tag; an image in ECR that nothing uses is removed after a day",
		},
	},
	{
		pattern: regexp.MustCompile(`InvalidImageName`),
		diagnosis: Diagnosis{
			Cause: ImagePull, Owner: Us, Retry: AfterRemedy, Ours: true,
			Summary: "the manifest names an image in a way that is no image name",
			Remedy:  "look at the image in the manifest, and at the variables it is made of",
		},
	},
	{
		pattern: regexp.MustCompile(`ErrImagePull|ImagePullBackOff|Back-off pulling image|(?i:failed to pull image) "[^"]*":`),
		not:     runnerPull,
		diagnosis: Diagnosis{
			Cause: ImagePull, Owner: Platform, Retry: AfterRemedy, Ours: true,
			Summary: "the cluster can't pull the image that was deployed",
			Remedy:  "see whether the image is in its registry, and whether the cluster may pull it",
		},
	},

	{
		pattern: regexp.MustCompile(`invalid reference format|could not parse reference: |repository name must be lowercase|repository can only contain the characters`),
		diagnosis: Diagnosis{
			Cause: ImageNameInvalid, Owner: Us, Retry: AfterRemedy, Ours: true,
			Summary: "what the job gives as the name of an image is none",
			Remedy:  "look at the variables that the name is made of: one may be empty, or hold what a tag may not, such as a slash",
		},
	},
	{
		pattern: regexp.MustCompile(`no basic auth credentials`),
		refine:  noBasicAuth,
	},
	{
		pattern: regexp.MustCompile(`(?i)authorization token has expired|login attempt to \S+ failed|cannot perform an interactive login from a non[- ]TTY|error logging in to|error: (?:username|password) (?:is )?required`),
		diagnosis: Diagnosis{
			Cause: RegistryLogin, Owner: Us, Retry: AfterRemedy, Ours: true,
			Summary: "the job logs in to the registry by itself, and that does not work with ECR",
			Remedy:  "remove the login from the job and extend the platform's docker template, which logs in with the job's AWS identity",
		},
	},
	{
		pattern: regexp.MustCompile(`(?i)toomanyrequests|pull rate limit|ThrottlingException|rate exceeded|(?:registry|daemon|\.dkr\.).*429 too many requests`),
		refine: func(_ Failure, text string, _ []string) Diagnosis {
			d := Diagnosis{
				Cause: RateLimited, Owner: AWS, Retry: Later,
				Summary: "a registry allows no more requests for now",
				Remedy:  "run the pipeline again later",
			}
			if !inECR.MatchString(text) && strings.Contains(text, "pull rate limit") {
				d.Owner = Platform
				d.Remedy = "run the pipeline again later, or use a mirror of the public registry"
			}
			return d
		},
	},
	{
		pattern: regexp.MustCompile(`(?i)manifest unknown|manifest for \S+ not found|requested image not found|no matching manifest for \S+ in the manifest list|\b[\w.\-]+/[\w.\-/]+:[\w.\-]+: not found$|ImageNotFoundException`),
		refine:  manifestUnknown,
	},
	{
		pattern: regexp.MustCompile(`(?i)requested access to the resource is denied|pull access denied|unauthorized: (?:authentication required|HTTP Basic: Access denied)|insufficient_scope: authorization failed|error checking push permissions|: (?:unexpected status(?: code)?|failed with status code)[^:]*(?:: |\])[^:]*40[13] (?:unauthorized|forbidden)|(?:\.dkr\.ecr\.|registry).*: 40[13] (?:unauthorized|forbidden)`),
		diagnosis: Diagnosis{
			Cause: RegistryDenied, Owner: Us, Retry: AfterRemedy, Ours: true,
			Summary: "a registry refused the job's credentials",
			Remedy:  "see which registry the line names: the job must use its own project's repository in ECR, or log in to the other one",
		},
	},

	// The rollout.
	{
		pattern: regexp.MustCompile(`exceeded its progress deadline|timed out waiting for the condition|CrashLoopBackOff|CreateContainerConfigError|RunContainerError`),
		diagnosis: Diagnosis{
			Cause: RolloutFailed, Owner: Project, Retry: Never,
			Summary: "the image was deployed, but the service does not come up",
			Remedy:  "look at the pods and their logs; compare with the deployment before",
		},
	},

	// The runner and the network.
	{
		pattern: regexp.MustCompile(`Cannot connect to the Docker daemon|error during connect: .*docker|no space left on device|^ERROR: Job failed \(system failure\)|^ERROR: Preparation failed`),
		diagnosis: Diagnosis{
			Cause: RunnerFailure, Owner: GitLab, Retry: JobOnce,
			Summary: "the runner failed, not the job",
			Remedy:  "retry the job; if it happens again, tell the people who run the runners",
		},
	},
	{
		pattern: regexp.MustCompile(`(?i)received unexpected HTTP status: 5\d\d|unexpected status from \w+ request.*: 5\d\d|\b50[234] (?:bad gateway|service unavailable|gateway time-?out)|i/o timeout|TLS handshake timeout|connection reset by peer|connection refused|no such host|could not resolve host|temporary failure in name resolution|Client\.Timeout exceeded|x509: certificate|: unexpected EOF$`),
		// A project's own tests print such words too.
		also: regexp.MustCompile(`Error response from daemon|received unexpected HTTP|unexpected status from|\.dkr\.ecr\.|(?i:registry)|failed to (?:do|send) request|unable to access|^ERROR: Job failed`),
		diagnosis: Diagnosis{
			Cause: Network, Owner: Platform, Retry: Later,
			Summary: "something the job needs could not be reached",
			Remedy:  "see which host the line names, and run the pipeline again when it is reachable",
		},
	},
}

// notAuthorized reads which action on which repository AWS refused.
func notAuthorized(f Failure, _ string, m []string) Diagnosis {
	_, repository, _ := strings.Cut(m[2], ":repository/")
	repository = strings.TrimRight(repository, `.,;"')`)
	own := repository != "" && repository == f.Repository
	switch action := strings.ToLower(strings.TrimPrefix(m[1], "ecr:")); {
	case own || action == "getauthorizationtoken":
		return Diagnosis{
			Cause: ProjectMoved, Owner: Platform, Retry: AfterRemedy, Ours: true,
			Summary: "the project may not use its own repository in ECR, as after a move to another group",
			Remedy:  updateConfiguration,
		}
	case action == "batchgetimage" || action == "getdownloadurlforlayer":
		return Diagnosis{
			Cause: PullNotAuthorized, Owner: Project, Retry: AfterRemedy, Ours: true,
			Summary: "the job pulls an image from a repository in ECR that is not its project's" + named(repository),
			Remedy:  "an image for several projects can't live in ECR; move it to the GitLab Container Registry or another registry made for that",
		}
	default:
		return Diagnosis{
			Cause: PushNotAuthorized, Owner: Us, Retry: AfterRemedy, Ours: true,
			Summary: "the job pushes to another name than its project's one repository in ECR" + named(repository),
			Remedy:  "tell images apart by tag instead of by name: $CI_REGISTRY_IMAGE:api-$CI_REGISTRY_TAG",
		}
	}
}

func repositoryMissing(f Failure, _ string, m []string) Diagnosis {
	d := Diagnosis{
		Cause: RepositoryMissing, Owner: Platform, Retry: AfterRemedy, Ours: true,
		Summary: "the project has no repository in ECR" + named(m[1]),
		Remedy:  updateConfiguration,
	}
	if m[1] != "" && f.Repository != "" && m[1] != f.Repository {
		d.Owner = Us
		d.Summary = "the job uses a repository that ECR does not have" + named(m[1])
		d.Remedy = "each project has one repository in ECR: tell images apart by tag instead of by name"
	}
	return d
}

func noBasicAuth(_ Failure, text string, _ []string) Diagnosis {
	d := Diagnosis{
		Cause: NoBasicAuth, Owner: Us, Retry: AfterRemedy, Ours: true,
		Summary: "a command in the job uses an image in ECR without being logged in",
		Remedy:  "let the job extend the platform's docker template, which logs in with the job's AWS identity",
	}
	if runnerPull.MatchString(text) {
		d.Summary = "the job runs in an image in ECR, and the runner has no login there"
		d.Remedy = "run the commands with docker run inside a job that extends the platform's docker template"
	}
	return d
}

func manifestUnknown(f Failure, text string, _ []string) Diagnosis {
	if inECR.MatchString(text) || f.Repository != "" && strings.Contains(text, f.Repository) {
		return Diagnosis{
			Cause: ManifestUnknown, Owner: Us, Retry: AfterRemedy, Ours: true,
			Summary: "the image is not in ECR: this pipeline did not push it, or it was removed because nothing used it for a day",
			Remedy:  "build and push the image in the same pipeline, or keep it in a registry without the clean-up",
		}
	}
	return Diagnosis{
		Cause: ManifestUnknown, Owner: Project, Retry: AfterRemedy,
		Summary: "an image that the job needs does not exist",
		Remedy:  "see which image the line names and use one that exists",
	}
}

func named(repository string) string {
	if repository == "" {
		return ""
	}
	return " (" + quote(repository) + ")"
}

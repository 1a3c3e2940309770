package jobs

// RetryReason is why a try was followed by another.
type RetryReason struct {
	Code    string // as it is stored, counted and selected by
	Meaning string // in a sentence
}

// RetryReasons are all there are, by system: a closed vocabulary, so that a graph
// of retries by reason means the same in every version. A test compares it with
// the errors in the source that are worth another try.
var RetryReasons = []RetryReason{
	{"gitlab-unavailable", "GitLab gave no answer, or one from 500 on; it is being updated, say"},
	{"gitlab-throttled", "GitLab's rate limit was met"},
	{"gitlab-conflict", "somebody changed the same thing in GitLab at the same time"},
	{"file-changed", "somebody pushed between our look and our commit"},
	{"merge-request-not-mergeable", "a check of the merge request has not ended, or an approval is missing"},

	{"old-registry-unavailable", "the old registry gave no answer, or one from 500 on"},
	{"old-registry-throttled", "the old registry's rate limit was met"},
	{"old-registry-token-expired", "its token ended during a request; a fresh one is fetched"},

	{"ecr-unavailable", "ECR gave no answer, or one from 500 on"},
	{"ecr-throttled", "ECR's quota was met, or the fleet's own turn at it has not come"},
	{"ecr-token-expired", "ECR's token ended during a request; a fresh one is fetched"},
	{"ecr-inconsistent", "ECR contradicts itself: a tag is taken, and nothing holds it"},
	{"ecr-answer-unknown", "ECR answered with an error that nobody has seen; a few tries, then it stops the line"},

	{"registry-answer-unknown", "a registry answered with an error that nobody has seen; a few tries, then it stops the line"},

	{"blob-missing", "a manifest was refused because a part of it is not there; it is sent again"},
	{"blob-upload-unknown", "the upload was lost on the way"},
	{"blob-refused", "the far side found the blob damaged"},
	{"blob-corrupt", "a blob came damaged from its registry"},
	{"manifest-corrupt", "a manifest came damaged from its registry"},
	{"verify-mismatch", "what ECR holds after the copy is not what was sent"},
	{"images-failed", "images could not be copied for a reason that nobody has seen; a few tries, then it stops the line"},
	{"pace-unavailable", "the database did not give out a turn at ECR"},

	{"configuration-without-effect", "Update configuration ran, and its effect does not show yet"},
	{"console-unavailable", "the PaaS console gave no answer, or one from 500 on"},
	{"cluster-unavailable", "the cluster gave no answer, or one from 500 on"},

	{unknownReason, "an error that no room has classified; a few tries, then it stops the line"},
}

// unknownReason is that of an error without one.
const unknownReason = "unknown"

// retryReason is a reason as it is counted: one of the vocabulary.
func retryReason(code string) string {
	for _, r := range RetryReasons {
		if r.Code == code {
			return code
		}
	}
	return unknownReason
}

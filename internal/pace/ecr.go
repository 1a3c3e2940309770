package pace

// PutImageQuota is how many manifests ECR takes in a second, for all of an
// account and region.
const PutImageQuota = 10

// ECR is the options for an account of ECR, by the quotas that are published.
// Its API and its registry door share them: the door's requests are the API's
// actions. UploadLayerPart has none, since a blob that comes in one PUT counts
// as CompleteLayerUpload, the tighter of the two. What only lists and describes
// has no published quota.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html
func ECR() Options {
	return Options{Name: "ecr", Reason: "ecr-throttled", Quotas: map[string]float64{
		"PutImage":                    PutImageQuota,
		"InitiateLayerUpload":         100,
		"CompleteLayerUpload":         100,
		"BatchCheckLayerAvailability": 1000,
		"BatchGetImage":               2000,
		"GetDownloadUrlForLayer":      3000,
		"GetAuthorizationToken":       500,
	}}
}

// OldRegistry is the options for a registry that publishes no quotas.
func OldRegistry() Options {
	return Options{Name: "old-registry", Reason: "old-registry-throttled"}
}

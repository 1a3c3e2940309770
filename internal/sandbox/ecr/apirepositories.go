package ecr

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
)

const nameForm = `(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*`

var (
	// ECR's own expression takes one separator in the text of its error, and
	// __ and several dashes in its model; the model is what is checked.
	nameModel    = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	excludeModel = regexp.MustCompile(`^[0-9a-zA-Z._*-]{1,128}$`)
)

func checkName(name string) *failure {
	switch {
	case len(name) < 2:
		return invalid("repositoryName", "Member must have length greater than or equal to 2")
	case len(name) > 256:
		return invalid("repositoryName", "Member must have length less than or equal to 256")
	case !nameModel.MatchString(name):
		return invalid("repositoryName", "must satisfy regular expression '"+nameForm+"'")
	}
	return nil
}

func checkMutability(mode string, exclusions []exclusion) *failure {
	modes := []string{"MUTABLE", "IMMUTABLE", "IMMUTABLE_WITH_EXCLUSION", "MUTABLE_WITH_EXCLUSION"}
	if !slices.Contains(modes, mode) {
		return invalid("imageTagMutability", "Member must satisfy enum value set: ["+strings.Join(modes, ", ")+"]")
	}
	if strings.HasSuffix(mode, "_WITH_EXCLUSION") != (len(exclusions) > 0) || len(exclusions) > 5 {
		return invalid("imageTagMutabilityExclusionFilters", "Between 1 and 5 filters go with an exclusion, and none without")
	}
	for _, e := range exclusions {
		if e.FilterType != "WILDCARD" || !excludeModel.MatchString(e.Filter) {
			return invalid("imageTagMutabilityExclusionFilters", "must satisfy regular expression '"+excludeModel.String()+"'")
		}
	}
	return nil
}

func (s *Server) getAuthorizationToken(p principal, _ *getAuthorizationTokenIn) (*getAuthorizationTokenOut, *failure) {
	password, expires := s.token(p)
	return &getAuthorizationTokenOut{AuthorizationData: []authorizationData{{
		AuthorizationToken: base64.StdEncoding.EncodeToString([]byte("AWS:" + password)),
		ExpiresAt:          stampOf(expires), ProxyEndpoint: s.URL,
	}}}, nil
}

// describe shows a repository; the caller holds the lock.
func (s *Server) describe(r *repository) repositoryOut {
	return repositoryOut{
		in: s.head(r.Name), CreatedAt: stampOf(r.Created), EncryptionConfiguration: &r.Encryption,
		ImageScanningConfiguration: &scanning{ScanOnPush: r.ScanOnPush}, ImageTagMutability: r.Mutability,
		ImageTagMutabilityExclusionFilters: r.Exclusions,
		RepositoryARN:                      s.arn(r.Name), RepositoryURI: s.Registry + "/" + r.Name,
	}
}

func (s *Server) describeRepositories(_ principal, request *describeRepositoriesIn) (*describeRepositoriesOut, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := slices.Sorted(maps.Keys(s.kept.Repositories))
	out := &describeRepositoriesOut{Repositories: []repositoryOut{}}
	var f *failure
	switch asked := request.RepositoryNames; {
	case len(asked) > 100:
		return nil, invalid("repositoryNames", "Member must have length less than or equal to 100")
	case len(asked) > 0 && (request.MaxResults != nil || request.NextToken != ""):
		return nil, invalid("maxResults", "must not be given together with repositoryNames")
	case len(asked) > 0:
		names = asked
	default:
		if names, out.NextToken, f = cut(names, request.page, 1000); f != nil {
			return nil, f
		}
	}
	for _, name := range names {
		if f := checkName(name); f != nil {
			return nil, f
		}
		r := s.kept.Repositories[name]
		if r == nil {
			return nil, s.noRepository(name)
		}
		out.Repositories = append(out.Repositories, s.describe(r))
	}
	return out, nil
}

func emptyRepository(name string) *repository {
	return &repository{
		Name: name, Encryption: encryption{EncryptionType: "AES256"},
		Labels: map[string]string{}, Images: map[string]*image{}, Tags: map[string]string{}, Layers: map[string]*layer{},
	}
}

// repository returns a repository for a request that was let in because it was
// there: one that was deleted since is empty, and what is put into it is lost.
// The caller holds the lock.
func (s *Server) repository(name string) *repository {
	if r := s.kept.Repositories[name]; r != nil {
		return r
	}
	return emptyRepository(name)
}

// createRepository adds a repository; the caller holds the lock.
func (s *Server) createRepository(name, mode string, exclusions []exclusion) (*repository, *failure) {
	if f := checkName(name); f != nil {
		return nil, f
	}
	if f := checkMutability(mode, exclusions); f != nil {
		return nil, f
	}
	if s.kept.Repositories[name] != nil {
		return nil, exception("RepositoryAlreadyExistsException", "The repository with name '%s' already exists in the registry with id '%s'", name, s.options.Account)
	}
	r := emptyRepository(name)
	r.Created, r.Mutability, r.Exclusions = s.now(), mode, exclusions
	s.kept.Repositories[name] = r
	s.saver.Changed()
	return r, nil
}

func (s *Server) createRepositoryAPI(_ principal, request *createRepositoryIn) (*createRepositoryOut, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mode := request.ImageTagMutability
	if mode == "" {
		mode = "MUTABLE"
	}
	e := request.EncryptionConfiguration
	if e != nil && !slices.Contains([]string{"AES256", "KMS", "KMS_DSSE"}, e.EncryptionType) {
		return nil, invalid("encryptionConfiguration.encryptionType", "Member must satisfy enum value set: [AES256, KMS, KMS_DSSE]")
	}
	if f := checkLabels(request.Tags, nil); f != nil {
		return nil, f
	}
	r, f := s.createRepository(request.RepositoryName, mode, request.ImageTagMutabilityExclusionFilters)
	if f != nil {
		return nil, f
	}
	if e != nil {
		r.Encryption = *e
	}
	r.ScanOnPush = request.ImageScanningConfiguration != nil && request.ImageScanningConfiguration.ScanOnPush
	for _, l := range request.Tags {
		r.Labels[l.Key] = l.Value
	}
	s.wrote("repositories")
	return &createRepositoryOut{Repository: s.describe(r)}, nil
}

// deleteRepository removes a repository; one that holds images only by force.
// What the door had taken in of an unfinished upload goes with it.
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DeleteRepository.html
func (s *Server) deleteRepository(_ principal, request *deleteRepositoryIn) (*deleteRepositoryOut, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.kept.Repositories[request.RepositoryName]
	if r == nil {
		return nil, s.noRepository(request.RepositoryName) // somebody else was faster
	}
	if len(r.Images) > 0 && !request.Force {
		return nil, exception("RepositoryNotEmptyException",
			"The repository with name '%s' in registry with id '%s' cannot be deleted because it still contains images", r.Name, s.options.Account)
	}
	out := &deleteRepositoryOut{Repository: s.describe(r)}
	if err := s.drop(r); err != nil {
		return nil, internal(err)
	}
	s.wrote("deletions")
	return out, nil
}

// drop forgets a repository with its images and layers; the caller holds the lock.
func (s *Server) drop(r *repository) error {
	for len(r.Images) > 0 {
		// An index goes before what it consists of.
		digests := r.digests()
		i := slices.IndexFunc(digests, func(d string) bool { return len(r.parents(d)) == 0 })
		if err := s.remove(r, r.Images[digests[max(i, 0)]]); err != nil {
			return err
		}
	}
	for digest := range r.Layers {
		if err := s.backend.remove(r.Name, "blobs", digest); err != nil {
			return err
		}
	}
	for id, u := range s.parts {
		if u.repository == r.Name {
			delete(s.parts, id)
		}
	}
	delete(s.kept.Repositories, r.Name)
	s.saver.Changed()
	return nil
}

// DeleteRepository removes a repository and all that is in it, as the platform's
// administrators can. It tells whether there was one.
func (s *Server) DeleteRepository(name string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.kept.Repositories[name]
	if r == nil {
		return false, nil
	}
	return true, s.drop(r)
}

func (s *Server) putImageTagMutability(_ principal, request *mutability) (*mutability, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := checkMutability(request.ImageTagMutability, request.ImageTagMutabilityExclusionFilters); f != nil {
		return nil, f
	}
	r := s.repository(request.RepositoryName)
	r.Mutability, r.Exclusions = request.ImageTagMutability, request.ImageTagMutabilityExclusionFilters
	s.wrote("policies")
	return &mutability{in: s.head(r.Name), ImageTagMutability: r.Mutability, ImageTagMutabilityExclusionFilters: r.Exclusions}, nil
}

func (s *Server) putLifecyclePolicy(_ principal, request *putLifecyclePolicy) (*putLifecyclePolicy, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := request.LifecyclePolicyText
	if len(text) < 100 || len(text) > 30720 {
		return nil, invalid("LifecyclePolicyText", "Member must have length between 100 and 30720")
	}
	var policy struct{ Rules []json.RawMessage }
	if err := json.Unmarshal([]byte(text), &policy); err != nil || len(policy.Rules) == 0 || len(policy.Rules) > 50 {
		return nil, invalid("LifecyclePolicyText", "Lifecycle policy validation failure: not a policy of 1 to 50 rules")
	}
	s.repository(request.RepositoryName).Lifecycle = text
	s.wrote("policies")
	return &putLifecyclePolicy{in: s.head(request.RepositoryName), LifecyclePolicyText: text}, nil
}

func (s *Server) getLifecyclePolicy(_ principal, request *in) (*getLifecyclePolicyOut, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repository(request.RepositoryName)
	if r.Lifecycle == "" {
		return nil, exception("LifecyclePolicyNotFoundException", "Lifecycle policy does not exist for the repository with name '%s' in the registry with id '%s'", r.Name, s.options.Account)
	}
	return &getLifecyclePolicyOut{in: s.head(r.Name), LifecyclePolicyText: r.Lifecycle}, nil
}

func (s *Server) setRepositoryPolicy(_ principal, request *setRepositoryPolicyIn) (*repositoryPolicy, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(request.PolicyText) > 10240 || !json.Valid([]byte(request.PolicyText)) {
		return nil, invalid("PolicyText", "Invalid repository policy provided")
	}
	s.repository(request.RepositoryName).Policy = request.PolicyText
	s.wrote("policies")
	return &repositoryPolicy{in: s.head(request.RepositoryName), PolicyText: request.PolicyText}, nil
}

func (s *Server) getRepositoryPolicy(_ principal, request *in) (*repositoryPolicy, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repository(request.RepositoryName)
	if r.Policy == "" {
		return nil, exception("RepositoryPolicyNotFoundException", "Repository policy does not exist for the repository with name '%s' in the registry with id '%s'", r.Name, s.options.Account)
	}
	return &repositoryPolicy{in: s.head(r.Name), PolicyText: r.Policy}, nil
}

package ecr

import (
	"maps"
	"slices"
	"strings"
)

// maxLabels is how many resource tags a repository may have.
const maxLabels = 50

func checkLabels(added []label, had map[string]string) *failure {
	all := maps.Clone(had)
	if all == nil {
		all = map[string]string{}
	}
	for _, l := range added {
		if l.Key == "" || len(l.Key) > 128 || len(l.Value) > 256 {
			return exception("InvalidTagParameterException", "A tag has a key of 1 to 128 characters and a value of at most 256")
		}
		all[l.Key] = l.Value
	}
	if len(all) > maxLabels {
		return exception("TooManyTagsException", "The list of tags on the repository is over the limit. The maximum number of tags that can be applied to a repository is %d", maxLabels)
	}
	return nil
}

// labelled finds the repository of an ARN; the caller holds the lock.
func (s *Server) labelled(arn string) (*repository, *failure) {
	name, ok := strings.CutPrefix(arn, s.arn(""))
	if !ok {
		return nil, invalid("resourceArn", "Invalid ARN")
	}
	r := s.kept.Repositories[name]
	if r == nil {
		return nil, s.noRepository(name)
	}
	return r, nil
}

func (s *Server) tagResource(_ principal, request *tagResourceIn) (*empty, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, f := s.labelled(request.ResourceARN)
	if f == nil {
		f = checkLabels(request.Tags, r.Labels)
	}
	if f != nil {
		return nil, f
	}
	for _, l := range request.Tags {
		r.Labels[l.Key] = l.Value
	}
	s.wrote("policies")
	return &empty{}, nil
}

func (s *Server) listTagsForResource(_ principal, request *resource) (*listTagsForResourceOut, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, f := s.labelled(request.ResourceARN)
	if f != nil {
		return nil, f
	}
	out := &listTagsForResourceOut{Tags: []label{}}
	for _, key := range slices.Sorted(maps.Keys(r.Labels)) {
		out.Tags = append(out.Tags, label{Key: key, Value: r.Labels[key]})
	}
	return out, nil
}

// settings are the account settings and their values, the default first.
var settings = map[string][]string{
	"BASIC_SCAN_TYPE_VERSION": {"AWS_NATIVE", "CLAIR"},
	"REGISTRY_POLICY_SCOPE":   {"V2", "V1"},
	"BLOB_MOUNTING":           {"DISABLED", "ENABLED"},
}

// setting returns an account setting; the caller holds the lock.
func (s *Server) setting(name string) string {
	if value, ok := s.kept.Settings[name]; ok {
		return value
	}
	return settings[name][0]
}

func (s *Server) putAccountSetting(_ principal, request *accountSetting) (*accountSetting, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(settings[request.Name], request.Value) {
		return nil, invalid("value", "Invalid value for account setting "+request.Name)
	}
	s.kept.Settings[request.Name] = request.Value
	s.wrote("policies")
	return &accountSetting{Name: request.Name, Value: request.Value}, nil
}

func (s *Server) getAccountSetting(_ principal, request *getAccountSettingIn) (*accountSetting, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if settings[request.Name] == nil {
		return nil, invalid("name", "Invalid account setting name")
	}
	return &accountSetting{Name: request.Name, Value: s.setting(request.Name)}, nil
}

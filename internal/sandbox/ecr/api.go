package ecr

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
)

// maxRequest bounds an API request: a layer part of 20 MiB in base64.
const maxRequest = 32 << 20

// operation is one of the API's operations.
type operation struct {
	in, out reflect.Type
	run     func(s *Server, name string, r *http.Request, body []byte) (any, *failure)
}

// named is a request about a repository.
type named interface{ head() in }

// serve makes an operation of a method: it decodes the request, checks who
// asks, and that account and repository exist.
func serve[In, Out any](method func(*Server, principal, *In) (*Out, *failure)) operation {
	return operation{
		in: reflect.TypeFor[In](), out: reflect.TypeFor[Out](),
		run: func(s *Server, name string, r *http.Request, body []byte) (any, *failure) {
			p, f := s.signer(r, body)
			if f != nil {
				return nil, f
			}
			request := new(In)
			if err := json.Unmarshal(body, request); err != nil {
				return nil, exception("SerializationException", "%v", err)
			}
			var head in
			n, isNamed := any(request).(named)
			if isNamed {
				head = n.head()
			}
			if f := s.admit(p, name, head.RepositoryName); f != nil {
				return nil, f
			}
			if isNamed {
				if f := s.checkHead(name, head); f != nil {
					return nil, f
				}
			}
			out, f := method(s, p, request)
			if f != nil {
				return nil, f
			}
			return out, nil
		},
	}
}

// operations are those that are served, by name.
var operations = map[string]operation{
	"GetAuthorizationToken":       serve((*Server).getAuthorizationToken),
	"DescribeRepositories":        serve((*Server).describeRepositories),
	"CreateRepository":            serve((*Server).createRepositoryAPI),
	"DeleteRepository":            serve((*Server).deleteRepository),
	"PutImageTagMutability":       serve((*Server).putImageTagMutability),
	"PutLifecyclePolicy":          serve((*Server).putLifecyclePolicy),
	"GetLifecyclePolicy":          serve((*Server).getLifecyclePolicy),
	"SetRepositoryPolicy":         serve((*Server).setRepositoryPolicy),
	"GetRepositoryPolicy":         serve((*Server).getRepositoryPolicy),
	"TagResource":                 serve((*Server).tagResource),
	"ListTagsForResource":         serve((*Server).listTagsForResource),
	"PutAccountSetting":           serve((*Server).putAccountSetting),
	"GetAccountSetting":           serve((*Server).getAccountSetting),
	"DescribeImages":              serve((*Server).describeImages),
	"ListImages":                  serve((*Server).listImages),
	"BatchGetImage":               serve((*Server).batchGetImage),
	"BatchDeleteImage":            serve((*Server).batchDeleteImage),
	"PutImage":                    serve((*Server).putImageAPI),
	"ListImageReferrers":          serve((*Server).listImageReferrers),
	"BatchCheckLayerAvailability": serve((*Server).batchCheckLayerAvailability),
	"InitiateLayerUpload":         serve((*Server).initiateLayerUpload),
	"UploadLayerPart":             serve((*Server).uploadLayerPart),
	"CompleteLayerUpload":         serve((*Server).completeLayerUpload),
	"GetDownloadUrlForLayer":      serve((*Server).getDownloadURLForLayer),
}

// serveAPI answers an AWS JSON 1.1 request. See
// https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html.
func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		exception("SerializationException", "%v", err).serveAPI(w)
		return
	}
	name, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), targetPrefix)
	op, known := operations[name]
	if !ok || !known || r.Header.Get("Content-Type") != jsonType {
		exception("UnknownOperationException", "").serveAPI(w)
		return
	}
	out, f := op.run(s, name, r, body)
	if f != nil {
		s.options.Log.Debug("refused", "operation", name, "exception", f.exception, "message", f.message)
		f.serveAPI(w)
		return
	}
	w.Header().Set("Content-Type", jsonType)
	_ = json.NewEncoder(w).Encode(out)
}

// checkHead checks the account and, for all but CreateRepository, that the
// repository exists.
func (s *Server) checkHead(operation string, h in) *failure {
	if f := checkName(h.RepositoryName); f != nil {
		return f
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.RegistryID != "" && h.RegistryID != s.options.Account {
		f := s.noRepository(h.RepositoryName)
		f.message = fmt.Sprintf("The repository with name '%s' does not exist in the registry with id '%s'", h.RepositoryName, h.RegistryID)
		return f
	}
	if operation != "CreateRepository" && s.kept.Repositories[h.RepositoryName] == nil {
		return s.noRepository(h.RepositoryName)
	}
	return nil
}

// head returns the start of an answer about a repository.
func (s *Server) head(repository string) in {
	return in{RegistryID: s.options.Account, RepositoryName: repository}
}

// cut returns the part of a sorted list that a page asks for, and the token of
// the next. A token is opaque to clients: it holds the last key given out, so
// that what comes and goes between two pages does no harm.
func cut(keys []string, p page, most int) (part []string, next string, f *failure) {
	n := min(100, most)
	if p.MaxResults != nil {
		n = *p.MaxResults
	}
	if n < 1 {
		return nil, "", invalid("maxResults", "Member must have value greater than or equal to 1")
	}
	if n > most {
		return nil, "", invalid("maxResults", fmt.Sprintf("Member must have value less than or equal to %d", most))
	}
	if p.NextToken != "" {
		last, err := base64.RawURLEncoding.DecodeString(p.NextToken)
		if err != nil {
			return nil, "", invalid("nextToken", "Invalid pagination token")
		}
		for len(keys) > 0 && keys[0] <= string(last) {
			keys = keys[1:]
		}
	}
	if len(keys) <= n {
		return keys, "", nil
	}
	return keys[:n], base64.RawURLEncoding.EncodeToString([]byte(keys[n-1])), nil
}

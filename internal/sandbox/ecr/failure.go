package ecr

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// failure is a refusal in the words of both doors.
type failure struct {
	exception string // of the API
	status    int    // of the API; 0 means 400
	message   string
	code      string         // of the registry door
	door      int            // status of the registry door
	fields    map[string]any // further members of the API's answer
}

func (f *failure) Error() string { return f.exception + ": " + f.message }

// serveAPI writes the failure as AWS JSON 1.1 does.
func (f *failure) serveAPI(w http.ResponseWriter) {
	body := map[string]any{"__type": f.exception, "message": f.message}
	for k, v := range f.fields {
		body[k] = v
	}
	status := f.status
	if status == 0 {
		status = http.StatusBadRequest
	}
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// serveDoor writes the failure as registries do.
func (f *failure) serveDoor(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(f.door)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]string{{"code": f.code, "message": f.message}}})
}

func invalid(parameter, constraint string) *failure {
	return &failure{
		exception: "InvalidParameterException", code: "UNSUPPORTED", door: http.StatusMethodNotAllowed,
		message: fmt.Sprintf("Invalid parameter at '%s' failed to satisfy constraint: '%s'", parameter, constraint),
	}
}

func internal(err error) *failure {
	return &failure{
		exception: "ServerException", status: http.StatusInternalServerError, message: err.Error(),
		code: "UNKNOWN", door: http.StatusInternalServerError,
	}
}

func throttled() *failure {
	return &failure{exception: "ThrottlingException", message: "Rate exceeded", code: "TOOMANYREQUESTS", door: http.StatusTooManyRequests}
}

// deniedLogin is what the door says of a token that does not open it. There
// is no challenge with it, so clients do not log in again by themselves.
func deniedLogin(status int, message string) *failure {
	return &failure{exception: "AccessDeniedException", code: "DENIED", door: status, message: message}
}

func (s *Server) denied(p principal, action, resource string) *failure {
	return &failure{
		exception: "AccessDeniedException", code: "DENIED", door: http.StatusForbidden,
		message: fmt.Sprintf("User: %s is not authorized to perform: ecr:%s on resource: %s because no identity-based policy allows the ecr:%[2]s action", s.role(p), action, resource),
	}
}

func (s *Server) noRepository(name string) *failure {
	return &failure{
		exception: "RepositoryNotFoundException", code: "NAME_UNKNOWN", door: http.StatusNotFound,
		message: fmt.Sprintf("The repository with name '%s' does not exist in the registry with id '%s'", name, s.options.Account),
	}
}

func tagTaken(repository, tag string) *failure {
	return &failure{
		exception: "ImageTagAlreadyExistsException", code: "TAG_INVALID", door: http.StatusBadRequest,
		message: fmt.Sprintf("The image tag '%s' already exists in the '%s' repository and cannot be overwritten because the tag is immutable.", tag, repository),
	}
}

func (s *Server) imageExists(repository, digest, tag string) *failure {
	return &failure{exception: "ImageAlreadyExistsException", message: fmt.Sprintf(
		"Image with digest '%s' and tag '%s' already exists in the repository with name '%s' in registry with id '%s'", digest, tag, repository, s.options.Account)}
}

func (s *Server) noImage(repository string, id imageID) *failure {
	show := func(s string) string {
		if s == "" {
			return "null"
		}
		return s
	}
	return &failure{
		exception: "ImageNotFoundException", code: "MANIFEST_UNKNOWN", door: http.StatusNotFound,
		message: fmt.Sprintf("The image with imageId {imageDigest:'%s', imageTag:'%s'} does not exist within the repository with name '%s' in the registry with id '%s'",
			show(id.ImageDigest), show(id.ImageTag), repository, s.options.Account),
	}
}

func (s *Server) noLayers(repository string, digests []string) *failure {
	return &failure{
		exception: "LayersNotFoundException", code: "MANIFEST_BLOB_UNKNOWN", door: http.StatusNotFound,
		message: fmt.Sprintf("Layers with digests '[%s]' required for pushing image into repository with name '%s' in the registry with id '%s' do not exist",
			strings.Join(digests, ", "), repository, s.options.Account),
	}
}

func (s *Server) noReferenced(repository string, digests []string) *failure {
	return &failure{
		exception: "ReferencedImagesNotFoundException", code: "MANIFEST_UNKNOWN", door: http.StatusNotFound,
		message: fmt.Sprintf("Images with digests '[%s]' required for pushing image into repository with name '%s' in the registry with id '%s' do not exist",
			strings.Join(digests, ", "), repository, s.options.Account),
	}
}

func digestMismatch(given, actual string) *failure {
	return &failure{
		exception: "ImageDigestDoesNotMatchException", code: "DIGEST_INVALID", door: http.StatusBadRequest,
		message: fmt.Sprintf("Manifest digest '%s' does not match the digest '%s' of the given manifest", given, actual),
	}
}

// exception is a failure that only the API knows.
func exception(name, format string, args ...any) *failure {
	return &failure{exception: name, message: fmt.Sprintf(format, args...), code: "UNKNOWN", door: http.StatusBadRequest}
}

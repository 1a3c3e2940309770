package gitlab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// object is a JSON object of an answer.
type object = map[string]any

// call is one request on its way through a handler.
type call struct {
	s       *Server
	w       http.ResponseWriter
	r       *http.Request
	params  params
	user    *user
	project *project
}

// apiError is an answer that is not a success.
type apiError struct {
	status int
	body   any
}

func (e *apiError) Error() string { return fmt.Sprintf("%d %v", e.status, e.body) }

func refuse(status int, message any) error {
	return &apiError{status, object{"message": message}}
}

// invalid is Grape's answer to parameters of the wrong kind; it says error
// where the rest of the API says message.
func invalid(format string, args ...any) error {
	return &apiError{http.StatusBadRequest, object{"error": fmt.Sprintf(format, args...)}}
}

func notFound(what string) error {
	return refuse(http.StatusNotFound, strings.Join(strings.Fields("404 "+what+" Not Found"), " "))
}

func forbidden(reason string) error {
	if reason == "" {
		return refuse(http.StatusForbidden, "403 Forbidden")
	}
	return refuse(http.StatusForbidden, "403 Forbidden - "+reason)
}

// raw is an answer that is not JSON.
type raw struct {
	contentType string
	body        []byte
	header      http.Header
}

func (c *call) path(name string) string { return c.r.PathValue(name) }

func (c *call) number(name string) (int64, error) {
	n, err := strconv.ParseInt(c.path(name), 10, 64)
	if err != nil {
		return 0, invalid("%s is invalid", name)
	}
	return n, nil
}

func (c *call) respond(status int, body any, err error) {
	var e *apiError
	switch {
	case errors.As(err, &e):
		status, body = e.status, e.body
	case err != nil:
		status, body = http.StatusInternalServerError, object{"message": "500 Internal Server Error"}
		c.s.log.Error("gitlab stand-in", "path", c.r.URL.Path, "error", err)
	}
	if r, ok := body.(raw); ok {
		for k, v := range r.header {
			c.w.Header()[k] = v
		}
		c.w.Header().Set("Content-Type", r.contentType)
		c.w.WriteHeader(status)
		_, _ = c.w.Write(r.body)
		return
	}
	if status == http.StatusNoContent {
		c.w.WriteHeader(status)
		return
	}
	text, err := json.Marshal(body)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"message":"500 Internal Server Error"}`)
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(text)
}

// params are the parameters of query and body in one, as Grape merges them.
type params map[string]any

func readParams(r *http.Request) (params, error) {
	p := params{}
	addForm := func(values url.Values) {
		for key, v := range values {
			name, list := strings.CutSuffix(key, "[]")
			outer, inner, nested := strings.Cut(strings.TrimSuffix(key, "]"), "[")
			switch {
			case list:
				p[name] = v
			case nested:
				m, _ := p[outer].(map[string]any)
				if m == nil {
					m = map[string]any{}
				}
				m[inner] = v[len(v)-1]
				p[outer] = m
			default:
				p[name] = v[len(v)-1]
			}
		}
	}
	addForm(r.URL.Query())
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<20))
	if err != nil {
		return nil, err
	}
	switch {
	case len(body) == 0:
	case kind == "application/json":
		var m map[string]any
		if err := json.Unmarshal(body, &m); err != nil {
			return nil, invalid("The request body is not valid JSON")
		}
		for k, v := range m {
			p[k] = v
		}
	case kind == "application/x-www-form-urlencoded":
		values, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, invalid("The request body is not a valid form")
		}
		addForm(values)
	default:
		return nil, &apiError{http.StatusUnsupportedMediaType, object{"error": "The provided content-type '" + kind + "' is not supported."}}
	}
	return p, nil
}

func (p params) has(name string) bool { v, ok := p[name]; return ok && v != nil }

func (p params) str(name string) string {
	switch v := p[name].(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

// required returns a parameter that must be there and not be empty.
func (p params) required(names ...string) error {
	var missing []string
	for _, n := range names {
		if !p.has(n) {
			missing = append(missing, n+" is missing")
		} else if v, ok := p[n].(string); ok && v == "" {
			missing = append(missing, n+" is empty")
		}
	}
	if missing == nil {
		return nil
	}
	return invalid("%s", strings.Join(missing, ", "))
}

func (p params) boolean(name string, or bool) (bool, error) {
	if !p.has(name) {
		return or, nil
	}
	switch strings.ToLower(p.str(name)) {
	case "true", "1", "t", "on":
		return true, nil
	case "false", "0", "f", "off":
		return false, nil
	}
	return false, invalid("%s is invalid", name)
}

func (p params) integer(name string, or int64) (int64, error) {
	if !p.has(name) {
		return or, nil
	}
	n, err := strconv.ParseInt(p.str(name), 10, 64)
	if err != nil {
		return 0, invalid("%s is invalid", name)
	}
	return n, nil
}

func (p params) time(name string) (time.Time, error) {
	if !p.has(name) {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, p.str(name)); err == nil {
			return t, nil
		}
	}
	return time.Time{}, invalid("%s is invalid", name)
}

// oneOf checks a parameter that has a closed set of values.
func (p params) oneOf(name, or string, values ...string) (string, error) {
	if !p.has(name) {
		return or, nil
	}
	got := p.str(name)
	for _, v := range values {
		if v == got {
			return got, nil
		}
	}
	return "", invalid("%s does not have a valid value", name)
}

func (p params) list(name string) []string {
	switch v := p[name].(type) {
	case []string:
		return v
	case string:
		if v == "" {
			return nil
		}
		return []string{v}
	case []any:
		var out []string
		for _, x := range v {
			out = append(out, fmt.Sprint(x))
		}
		return out
	}
	return nil
}

func (p params) object(name string) params {
	m, _ := p[name].(map[string]any)
	return m
}

func (p params) objects(name string) ([]params, error) {
	if !p.has(name) {
		return nil, nil
	}
	list, ok := p[name].([]any)
	if !ok {
		return nil, invalid("%s is invalid", name)
	}
	var out []params
	for _, x := range list {
		m, ok := x.(map[string]any)
		if !ok {
			return nil, invalid("%s is invalid", name)
		}
		out = append(out, m)
	}
	return out, nil
}

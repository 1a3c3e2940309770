package ecr

import (
	"context"
	"encoding/base64"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
)

// Token is a login to the registry door, good for every repository that the
// credentials may reach, for twelve hours.
type Token struct {
	User, Password string
	Expires        time.Time
	Endpoint       string // URL of the registry door
}

// String keeps the password out of texts.
func (t Token) String() string { return "token of " + t.User + " [redacted]" }

// GoString keeps the password out of texts.
func (t Token) GoString() string { return t.String() }

// LogValue keeps the password out of logs.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// Token returns a login that is good for a while yet: it is replaced after four
// fifths of its life. All who wait for a new one share one request.
func (c *Client) Token(ctx context.Context) (Token, error) {
	for {
		token, fresh := c.current()
		if fresh {
			return token, nil
		}
		// One waiter that gives up must not take the others along.
		ch := c.flight.DoChan("token", func() (any, error) {
			// An earlier flight may have landed since the look above.
			if token, fresh := c.current(); fresh {
				return token, nil
			}
			own, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), time.Minute,
				fault.New(fault.Transient, "ecr-unavailable", "token: no answer within a minute"))
			defer cancel()
			return c.login(own)
		})
		select {
		case <-ctx.Done():
			return Token{}, context.Cause(ctx)
		case r := <-ch:
			if r.Err != nil {
				if time.Now().Before(token.Expires) && fault.ClassOf(r.Err) == fault.Transient {
					return token, nil
				}
				return Token{}, r.Err
			}
			// Whoever joined a flight that was about to land may have been told since
			// that the door does not take this token.
			if landed := r.Val.(Token); c.holds(landed) {
				return landed, nil
			}
		}
	}
}

// current is the token at hand, and whether it needs no other yet.
func (c *Client) current() (token Token, fresh bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.token, time.Now().Before(c.fresh)
}

func (c *Client) holds(t Token) bool {
	token, _ := c.current()
	return token.Password == t.Password
}

// LoggedIn tells whether Token would answer without a request.
func (c *Client) LoggedIn() bool {
	_, fresh := c.current()
	return fresh
}

// Credentials is Token in the form in which package registry asks for it.
func (c *Client) Credentials(ctx context.Context) (user, password string, err error) {
	t, err := c.Token(ctx)
	return t.User, t.Password, err
}

// Refused drops the token with this password, because the door took it for
// expired. Another one that has come meanwhile stays.
func (c *Client) Refused(password string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token.Password == password {
		c.token, c.fresh = Token{}, time.Time{}
	}
}

func (c *Client) login(ctx context.Context) (t Token, err error) {
	defer wrap(&err, "token")
	out, err := call(ctx, c, "GetAuthorizationToken", c.api.GetAuthorizationToken, &sdk.GetAuthorizationTokenInput{})
	if err != nil {
		return Token{}, err
	}
	if len(out.AuthorizationData) == 0 {
		return Token{}, fault.New(fault.Unclassified, "ecr-answer-unknown", "the answer holds no token")
	}
	data := out.AuthorizationData[0]
	plain, err := base64.StdEncoding.DecodeString(aws.ToString(data.AuthorizationToken))
	user, password, ok := strings.Cut(string(plain), ":")
	if err != nil || !ok {
		// The error of the decoder would quote the token.
		return Token{}, fault.New(fault.Unclassified, "ecr-answer-unknown", "the token has an unknown form")
	}
	t = Token{User: user, Password: password, Expires: aws.ToTime(data.ExpiresAt), Endpoint: aws.ToString(data.ProxyEndpoint)}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token = t
	c.fresh = now.Add(t.Expires.Sub(now) * 4 / 5)
	return t, nil
}

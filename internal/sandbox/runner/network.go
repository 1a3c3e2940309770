package runner

import (
	"fmt"
	"net/url"
	"strings"
)

// cmdCurl and cmdWget reach nothing: the sandbox has no network of its own.
func cmdCurl(c *call) int {
	fmt.Fprintf(c.err, "curl: (6) Could not resolve host: %s\n", hostOf(c.args))
	return 6
}

func cmdWget(c *call) int {
	return c.fail("wget: bad address '%s'", hostOf(c.args))
}

func hostOf(args []string) string {
	for _, a := range args {
		if u, err := url.Parse(a); err == nil && u.Host != "" {
			return u.Hostname()
		}
	}
	return "localhost"
}

// cmdAWS is the part of the AWS CLI with which pipelines log in to ECR. The
// identity is the job's: it cannot be chosen here.
func cmdAWS(c *call) int {
	given, rest := flags(c.args, "--region --query --output --role-arn --role-session-name --web-identity-token --duration-seconds --profile --registry-ids --endpoint-url --repository-name --image-ids")
	if len(rest) == 0 {
		fmt.Fprintln(c.err, "usage: aws [options] <command> <subcommand> [<subcommand> ...] [parameters]")
		return 252
	}
	host, l, err := c.ecr()
	denied := func() int {
		fmt.Fprintf(c.err, "\n%s\n", err)
		return 254
	}
	switch strings.Join(rest[:min(2, len(rest))], " ") {
	case "--version", "configure set", "configure list", "configure get":
		return 0
	case "sts assume-role-with-web-identity", "sts get-caller-identity":
		if err != nil {
			return denied()
		}
		switch {
		case rest[1] == "get-caller-identity":
			c.printf("{\"Account\": %q}\n", accountOf(host))
		case last(given, "--output") == "text":
			c.printf("ASIASANDBOX\tsandbox\tsandbox\n")
		default:
			c.printf("{\"Credentials\": {\"AccessKeyId\": \"ASIASANDBOX\", \"SecretAccessKey\": \"sandbox\", \"SessionToken\": \"sandbox\"}}\n")
		}
		return 0
	case "ecr get-login-password":
		if err != nil {
			return denied()
		}
		c.printf("%s\n", l.pass)
		return 0
	}
	fmt.Fprintf(c.err, "\naws: error: argument command: Invalid choice: %s\n", strings.Join(rest, " "))
	return 252
}

// ecr is the job's registry in AWS with its log-in.
func (c *call) ecr() (host string, l login, err error) {
	for _, host := range c.j.o.Registries {
		if !strings.Contains(host, ".dkr.ecr.") {
			continue
		}
		if err := c.j.denied[host]; err != nil {
			return host, login{}, err
		}
		return host, c.j.granted[host], nil
	}
	return "", login{}, ErrAssumeRole
}

func accountOf(host string) string {
	account, _, _ := strings.Cut(host, ".")
	return account
}

// cmdGit answers what scripts ask of the checkout; it has no history.
func cmdGit(c *call) int {
	args := c.args
	for len(args) > 1 && (args[0] == "-C" || args[0] == "-c") {
		args = args[2:]
	}
	if len(args) == 0 {
		return 1
	}
	t := c.j.e.Trigger
	given, _ := flags(args[1:], "--format --pretty -n")
	switch args[0] {
	case "rev-parse":
		switch {
		case has(given, "--short"):
			c.printf("%s\n", short(t.SHA))
		case has(given, "--show-toplevel"):
			c.printf("%s\n", c.j.home)
		case has(given, "--abbrev-ref"):
			c.printf("HEAD\n")
		default:
			c.printf("%s\n", t.SHA)
		}
	case "describe":
		if t.Tag {
			c.printf("%s\n", t.Ref)
		} else if has(given, "--always") {
			c.printf("%s\n", short(t.SHA))
		} else {
			fmt.Fprintln(c.err, "fatal: No names found, cannot describe anything.")
			return 128
		}
	case "log", "show":
		format := last(given, "--format", "--pretty")
		if format == "" {
			format = "%h %s"
		}
		subject, _, _ := strings.Cut(t.CommitMessage, "\n")
		c.printf("%s\n", strings.NewReplacer("format:", "", "%h", short(t.SHA), "%H", t.SHA, "%s", subject, "%an", t.User, "%ct", "0", "%B", t.CommitMessage).Replace(format))
	case "diff", "status", "config", "add", "tag", "branch", "checkout", "remote", "submodule", "lfs", "ls-files", "fetch", "clean", "stash", "version", "--version":
	case "clone", "push", "pull", "ls-remote":
		fmt.Fprintf(c.err, "fatal: unable to access remote: Could not resolve host: %s\n", hostOf(args))
		return 128
	default:
		return c.fail("git: '%s' is not available here", args[0])
	}
	return 0
}

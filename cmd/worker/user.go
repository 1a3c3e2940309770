package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/bcrypt"

	"gitlab.sikt.no/platon/ecrferry/internal/config"
)

// shortest is how many letters a password needs: the dashboard can start rollbacks.
const shortest = 12

func userCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "user NAME ROLE",
		Short: "Make a line of ECRFERRY_DASHBOARD_USERS: reads a password, prints its hash",
		Long: `Reads a password from standard input and prints the line that lets NAME log in
to the dashboard as viewer (reads) or operator (acts, too). Put the lines into
the file that ECRFERRY_DASHBOARD_USERS_FILE names, one a user; the worker reads
them at its start. Nothing is stored here.`,
		Example: `  worker user ola operator >> dashboard-users      # type the password, then Enter
  pass show ferry/ola | worker user ola operator >> dashboard-users`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, role := args[0], config.Role(args[1])
			if name == "" || strings.ContainsAny(name, ":\r\n") || strings.HasPrefix(name, "#") {
				return fmt.Errorf("%q can't be a user's name: it may not hold a colon, nor begin with #", name)
			}
			if role != config.RoleViewer && role != config.RoleOperator {
				return fmt.Errorf("there is no role %q; write viewer or operator", role)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "password of %s: ", name)
			password, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			password = strings.TrimRight(password, "\r\n")
			if len([]rune(password)) < shortest {
				return fmt.Errorf("the password is too short; use at least %d letters", shortest)
			}
			hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
			if err != nil {
				return fmt.Errorf("the password of %s: %w", name, err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s:%s:%s\n", name, role, hash)
			return nil
		},
	}
}

package main

import (
	"github.com/spf13/cobra"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

func (s *session) watch(cmd *cobra.Command, sel store.Selection) error { return nil }

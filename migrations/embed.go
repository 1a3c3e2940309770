// Package migrations holds the SQL migrations of schema ferry. It embeds them
// itself because go:embed cannot reach upward from the package that runs them.
//
// A file is NNNN_theme.sql in goose's format, with an Up and a Down part. It
// holds one theme, names every object with its schema, and is never edited
// once it has been applied anywhere that matters: the next thought is the next
// file. River's own tables are not here; rivermigrate makes them.
package migrations

import "embed"

// FS holds the migrations.
//
//go:embed *.sql
var FS embed.FS

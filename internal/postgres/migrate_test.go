package postgres_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"gitlab.sikt.no/platon/ecrferry/internal/postgres"
	"gitlab.sikt.no/platon/ecrferry/internal/postgres/postgrestest"
)

// objects lists what the schemas hold, but for the bookkeeping of goose.
func objects(t *testing.T, db *postgres.DB) []string {
	t.Helper()
	rows, _ := db.Pool.Query(t.Context(), `
		SELECT n.nspname || '.' || c.relname || ' ' || c.relkind::text
		  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		 WHERE n.nspname IN ('ferry', 'river') AND c.relname NOT LIKE 'goose%'
		UNION ALL
		SELECT n.nspname || '.' || p.proname || '()'
		  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
		 WHERE n.nspname IN ('ferry', 'river')
		UNION ALL
		SELECT n.nspname || '.' || t.typname || ' type'
		  FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
		 WHERE n.nspname IN ('ferry', 'river') AND t.typname NOT LIKE '%goose%'
		 ORDER BY 1`)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestMigrateFourAtOnce(t *testing.T) {
	t.Parallel()
	db := postgrestest.Empty(t)
	var g errgroup.Group
	for range 4 {
		g.Go(func() error {
			own, err := postgres.Open(context.Background(), postgres.Options{URL: db.URL})
			if err != nil {
				return err
			}
			defer own.Pool.Close()
			return postgres.Migrate(context.Background(), own)
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	var applied, doubles int
	err := db.Pool.QueryRow(t.Context(), `
		SELECT count(*), count(*) - count(DISTINCT version_id) FROM ferry.goose_migrations`).Scan(&applied, &doubles)
	if err != nil {
		t.Fatal(err)
	}
	if applied < 5 || doubles != 0 {
		t.Errorf("%d rows of applied migrations, %d of them double", applied, doubles)
	}
}

func TestMigrateUpDownUp(t *testing.T) {
	t.Parallel()
	db := postgrestest.Empty(t)
	up := func() []string {
		t.Helper()
		if err := postgres.Migrate(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		return objects(t, db)
	}
	first := up()
	if len(first) < 20 {
		t.Fatalf("only %d objects after the way up: %v", len(first), first)
	}
	if err := postgres.MigrateDown(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	if left := objects(t, db); len(left) != 0 {
		t.Errorf("the way down left %v", left)
	}
	again := up()
	if len(again) != len(first) {
		t.Errorf("%d objects after the second way up, want %d", len(again), len(first))
	}
	up() // a third time, with nothing to do
}

// Every table, view and column is explained in the database itself, for those who
// read it with psql.
func TestTablesAreCommented(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	rows, _ := pool.Query(t.Context(), `
		SELECT c.relname || coalesce('.' || a.attname, '')
		  FROM pg_class c
		  LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		 WHERE c.relnamespace = 'ferry'::regnamespace AND c.relkind IN ('r', 'v')
		   AND c.relname NOT LIKE 'goose%'
		   AND (obj_description(c.oid, 'pg_class') IS NULL OR col_description(c.oid, a.attnum) IS NULL)`)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if len(names) != 0 {
		t.Errorf("no comment on %v", names)
	}
}

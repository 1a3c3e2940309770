//go:build !race

package copy_test

const raceEnabled = false

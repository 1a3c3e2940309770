package ci

import "testing"

func TestExpression(t *testing.T) {
	t.Parallel()
	vars := map[string]string{
		"A": "main", "B": "main", "C": "feature/x", "EMPTY": "", "BLANK": " ", "TAG": "v1.2.3",
		"RX": "/^v\\d/", "PLAIN": "a main thing",
	}
	tests := []struct {
		expr string
		want bool
	}{
		{`$A`, true},
		{`$UNSET`, false},
		{`$EMPTY`, false},
		{`$BLANK`, false},
		{`$A == "main"`, true},
		{`$A == 'main'`, true},
		{`"main" == $A`, true},
		{`$A == $B`, true},
		{`$A != $C`, true},
		{`$UNSET == null`, true},
		{`$EMPTY == null`, false},
		{`$EMPTY == ""`, true},
		{`$UNSET == ""`, false},
		{`$UNSET != null`, false},
		{`null == $UNSET`, true},
		{`$TAG =~ /^v\d+\.\d+/`, true},
		{`$TAG =~ /^V\d/`, false},
		{`$TAG =~ /^V\d/i`, true},
		{`$C =~ /^feature\/x$/`, true},
		{`$TAG !~ /^v/`, false},
		{`$UNSET =~ /x/`, false},
		{`$UNSET !~ /x/`, true},
		{`$TAG =~ $RX`, true},
		{`$A =~ $RX`, false},
		{`$A =~ $PLAIN`, true}, // no pattern: the text is searched for the value
		{`$A =~ $UNSET`, false},
		{`$A !~ $UNSET`, true},
		{`$A == "main" && $C == "nope"`, false},
		{`$A == "x" || $C == "feature/x"`, true},
		{`$A == "x" || $A == "main" && $B == "main"`, true},
		{`$A == "main" || $UNSET && $UNSET`, true},
		{`($A == "main" || $B) && $UNSET`, false},
		{`($A == "x" || ($B == "main"))&&$C`, true},
		{`$EMPTY && $A`, true},  // Ruby's &&: an empty string is true
		{`$EMPTY || $A`, false}, // and so || stops at it
		{`$UNSET || $A`, true},
		{`"$A" == "main"`, false}, // strings are not expanded
		{`$A =~ /^MAIN$/i && $TAG =~ /1/`, true},
		{"$A\n==\n\"main\"", true},
	}
	for _, tt := range tests {
		e, err := parse(tt.expr)
		if err != nil {
			t.Errorf("%s: %v", tt.expr, err)
			continue
		}
		if got := truthful(e, vars); got != tt.want {
			t.Errorf("%s is %v, want %v", tt.expr, got, tt.want)
		}
	}
}

func TestExpressionSyntax(t *testing.T) {
	t.Parallel()
	for _, expr := range []string{
		``, `$A ==`, `== "x"`, `$A = "x"`, `$A == "x`, `($A`, `$A)`, `$A $B`, `${A} == "x"`, `A == "x"`,
		`$A =~ /(/`, `$A =~ /x`, `$A && && $B`, `$A == "x" and $B`, `!$A`,
	} {
		if _, err := parse(expr); err == nil {
			t.Errorf("%s was accepted", expr)
		}
	}
}

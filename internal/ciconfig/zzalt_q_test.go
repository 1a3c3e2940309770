package ciconfig
import ("testing";"regexp";"math/rand/v2";"strings";"slices")
var zzpattern = regexp.MustCompile(`[=!]~\s*/(\\.|[^/\\])*/i?|"[^"]*"|'[^']*'`)
func zzalt(expr, operator string) []string {
	if !strings.Contains(expr, operator) {
		return []string{expr}
	}
	var out []string
	last, depth := 0, 0
	covered := zzpattern.FindAllStringIndex(expr, -1)
	for i := 0; i+1 < len(expr); i++ {
		if len(covered) > 0 && i >= covered[0][0] {
			i, covered = covered[0][1]-1, covered[1:]
			continue
		}
		switch {
		case expr[i] == '(':
			depth++
		case expr[i] == ')':
			depth--
		case depth == 0 && expr[i:i+2] == operator:
			out = append(out, expr[last:i])
			last = i + 2
			i++
		}
	}
	return append(out, expr[last:])
}
func TestZZAlt(t *testing.T) {
	parts := []string{"||","&&","|","&","=~","!~","==","/","\\/","\\","\"","'"," ","  ","\n","a","$X","(",")","i","~","=","\\n","é"}
	for range 5000000 {
		var b strings.Builder
		for range 1+rand.IntN(14) { b.WriteString(parts[rand.IntN(len(parts))]) }
		for _, op := range []string{"||","&&"} {
			if x, y := zzalt(b.String(), op), alternatives(b.String(), op); !slices.Equal(x, y) { t.Fatalf("%q %q %q", b.String(), x, y) }
		}
	}
}

package ciconfig
import ("testing";"os";"fmt";"strings")
func TestZZHost(t *testing.T) {
	d := os.Getenv("ZZHOST"); if d == "" { t.Skip() }
	in := input(readProject(t, d), rule{Project: "group/project"})
	start := cpu(t)
	res, err := Rewrite(in)
	fmt.Println(d, cpu(t)-start, err, len(res.Findings))
	_ = strings.Repeat
}

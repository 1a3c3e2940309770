package runner

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

// container is a container of the job's daemon.
type container struct {
	id, name string
	image    ref
	built    bool            // its image says what it provides
	own      bool            // its image is of one of the sandbox's registries
	programs map[string]bool // names that the image brings
	config   oci.Config
	env      map[string]string
	dir      string // working directory
	disk     *disk
}

// has tells whether the container's image brings a program. Images that were not
// built here say nothing about their programs: those of the sandbox's registries
// are taken to have what is asked of them, public ones only the known tools.
func (k *container) has(name string) bool {
	if k.programs[path.Base(name)] {
		return true
	}
	return k.own && !k.built
}

// take notes what programs the files of an image bring.
func (k *container) take(files map[string]string, own bool) {
	brings, built := files[provides]
	k.built, k.own, k.programs = built, own, set(brings)
	for name := range files {
		k.programs[path.Base(name)] = true
	}
}

// imageFiles reads the files of an image, as its layers leave them.
func imageFiles(image oci.Image) map[string]string {
	for len(image.Children) > 0 {
		image = image.Children[0]
	}
	files := map[string]string{}
	m, err := image.Parsed()
	if err != nil {
		return files
	}
	for _, l := range m.Layers {
		unzip, err := gzip.NewReader(bytes.NewReader(image.Blobs[l.Digest]))
		if err != nil {
			continue
		}
		archive := tar.NewReader(io.LimitReader(unzip, 2*maxLayer))
		for {
			h, err := archive.Next()
			if err != nil {
				break
			}
			if h.Typeflag != tar.TypeReg {
				continue
			}
			b, err := io.ReadAll(archive)
			if err != nil {
				break
			}
			files[strings.TrimPrefix(path.Clean("/"+h.Name), "/")] = string(b)
		}
	}
	return files
}

const runValued = "-e --env --env-file -v --volume --mount -w --workdir --name --network --net -p --publish -u --user --entrypoint --platform " +
	"-l --label --add-host --link -h --hostname --restart -m --memory --cpus --shm-size --ulimit --tmpfs --volumes-from --pull --cap-add " +
	"--cap-drop --security-opt --device --gpus --ipc --pid --log-driver --log-opt --expose --dns --network-alias --cidfile --health-cmd --group-add --init-path"

// leading splits off the flags before the first argument: what follows the image
// of docker run belongs to the container.
func leading(args []string, valued string) (flagArgs, rest []string) {
	takes := set(valued)
	for i := 0; i < len(args); i++ {
		a := args[i]
		if len(a) < 2 || a[0] != '-' {
			return args[:i], args[i:]
		}
		if a == "--" {
			return args[:i], args[i+1:]
		}
		if strings.HasPrefix(a, "--") {
			if takes[a] {
				i++
			}
			continue
		}
		for k := 1; k < len(a); k++ { // -it, -eNAME, -ite NAME
			if takes["-"+a[k:k+1]] {
				if k == len(a)-1 {
					i++
				}
				break
			}
		}
	}
	return args, nil
}

func dockerRun(c *call) int {
	options, rest := leading(c.args, runValued)
	given, _ := flags(options, runValued)
	if len(rest) == 0 {
		return c.fail("\"docker run\" requires at least 1 argument.")
	}
	if code := c.checkNetworks(append(given["--network"], given["--net"]...)); code != 0 {
		return code
	}
	k, code := c.newContainer(rest[0], given)
	if code != 0 {
		return code
	}
	d := c.j.docker
	d.mu.Lock()
	if _, taken := d.containers[k.name]; taken {
		d.mu.Unlock()
		fmt.Fprintf(c.err, "docker: Error response from daemon: Conflict. The container name \"/%s\" is already in use.\n", k.name)
		return 125
	}
	d.containers[k.name] = k
	d.mu.Unlock()
	argv := k.command(given, rest[1:])
	if has(given, "-d", "--detach") || c.name == "docker create" {
		c.printf("%s\n", k.id)
		return 0
	}
	if has(given, "--rm") {
		defer func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			delete(d.containers, k.name)
		}()
	}
	in := c.in
	if !has(given, "-i", "--interactive") {
		in = strings.NewReader("")
	}
	return c.inContainer(k, argv, k.env, k.dir, in)
}

func (c *call) checkNetworks(names []string) int {
	d := c.j.docker
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range names {
		if !d.networks[n] && !strings.HasPrefix(n, "container:") {
			fmt.Fprintf(c.err, "docker: Error response from daemon: network %s not found\n", n)
			return 125
		}
	}
	return 0
}

// newContainer gets the image, from the local store or its registry, and lays
// out the container.
func (c *call) newContainer(image string, given map[string][]string) (*container, int) {
	r, err := parseRef(image)
	if err != nil {
		fmt.Fprintf(c.err, "docker: %s.\nSee 'docker run --help'.\n", err)
		return nil, 125
	}
	d := c.j.docker
	img, ok := d.local(r)
	if !ok || last(given, "--pull") == "always" {
		if !ok {
			fmt.Fprintf(c.err, "Unable to find image '%s' locally\n", r)
		}
		if img, err = d.pull(c.ctx, r); err != nil {
			fmt.Fprintf(c.err, "docker: %s.\nSee 'docker run --help'.\n", pullWords(r, err))
			return nil, 125
		}
	}
	files := imageFiles(img)
	k := &container{image: r, env: map[string]string{}, id: oci.Digest(fmt.Appendf(nil, "%s %d", r, c.j.calls.Load()))[7:]}
	k.take(files, c.j.served(r.Host))
	if k.name = last(given, "--name"); k.name == "" {
		k.name = "sandbox_" + k.id[:8]
	}
	k.config, err = img.Run()
	if err != nil && !errors.Is(err, io.EOF) {
		k.config = oci.Config{}
	}
	if err := c.environ(k, given); err != nil {
		fmt.Fprintf(c.err, "docker: %s\n", err)
		return nil, 125
	}
	k.dir = virtual("/", k.config.WorkingDir)
	if w := last(given, "-w", "--workdir"); w != "" {
		k.dir = virtual("/", w)
	}
	mounts := map[string]string{}
	for _, v := range all(given, "-v", "--volume") {
		source, target, ok := strings.Cut(v, ":")
		target, _, _ = strings.Cut(target, ":")
		if ok && strings.HasPrefix(source, "/") || strings.HasPrefix(source, ".") {
			mounts[target] = c.path(source)
		}
	}
	home := "/var/lib/docker/containers/" + k.id[:12]
	k.disk = c.disk.within(home, mounts)
	for _, dir := range []string{"/tmp", "/root", k.dir} {
		if err := k.disk.mkdirAll(dir); err != nil {
			return nil, c.fail("docker: %s", err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.HasPrefix(name, "var/lib/sandbox/") || name == provides {
			continue
		}
		if err := k.disk.write("/"+name, []byte(files[name]), 0o755); err != nil {
			return nil, c.fail("docker: %s", err)
		}
	}
	return k, 0
}

// environ gives the container its variables: those of the image, then those of
// -e and --env-file. Nothing else of the job gets in.
func (c *call) environ(k *container, given map[string][]string) error {
	for _, kv := range k.config.Env {
		name, value, _ := strings.Cut(kv, "=")
		k.env[name] = value
	}
	for _, file := range given["--env-file"] {
		b, err := c.readFile(file)
		if err != nil {
			return fmt.Errorf("open %s: no such file or directory", file)
		}
		var list []string
		for _, line := range strings.Split(string(b), "\n") {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				list = append(list, line)
			}
		}
		maps.Copy(k.env, c.keyValues(list))
	}
	maps.Copy(k.env, c.keyValues(all(given, "-e", "--env")))
	for name, value := range map[string]string{"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "HOSTNAME": k.id[:12]} {
		if _, ok := k.env[name]; !ok {
			k.env[name] = value
		}
	}
	return nil
}

// command is what the container starts.
func (k *container) command(given map[string][]string, args []string) []string {
	entrypoint := k.config.Entrypoint
	cmd := args
	if e, ok := given["--entrypoint"]; ok {
		if entrypoint = nil; e[len(e)-1] != "" {
			entrypoint = e[len(e)-1:]
		}
	} else if len(cmd) == 0 {
		cmd = k.config.Cmd
	}
	return slices.Concat(entrypoint, cmd)
}

// inContainer runs a command in a container. A container without anything to run
// has its image's own start command, which succeeds.
func (c *call) inContainer(k *container, argv []string, env map[string]string, dir string, in io.Reader) int {
	if len(argv) == 0 {
		if k.built {
			fmt.Fprintln(c.err, "docker: Error response from daemon: no command specified.")
			return 125
		}
		return 0
	}
	sh := session{
		place: place{j: c.j, disk: k.disk, inside: k}, dir: dir, env: pairs(env),
		args: append([]string{"--"}, argv...), in: in, out: c.out, err: c.err,
	}
	return sh.run(c.ctx, "docker", `"$@"`)
}

func dockerExec(c *call) int {
	options, rest := leading(c.args, runValued)
	given, _ := flags(options, runValued)
	if len(rest) < 2 {
		return c.fail("\"docker exec\" requires at least 2 arguments.")
	}
	d := c.j.docker
	d.mu.Lock()
	k := d.containers[rest[0]]
	d.mu.Unlock()
	if k == nil {
		return c.fail("Error response from daemon: No such container: %s", rest[0])
	}
	env := merge(k.env, c.keyValues(all(given, "-e", "--env")))
	dir := k.dir
	if w := last(given, "-w", "--workdir"); w != "" {
		dir = virtual("/", w)
	}
	return c.inContainer(k, rest[1:], env, dir, c.in)
}

func dockerRemove(c *call) int {
	given, names := flags(c.args, "-t --time -s --signal")
	d := c.j.docker
	d.mu.Lock()
	defer d.mu.Unlock()
	code := 0
	for _, name := range names {
		found := ""
		for n, k := range d.containers {
			if n == name || strings.HasPrefix(k.id, name) {
				found = n
			}
		}
		if found == "" {
			if !has(given, "-f", "--force") {
				code = c.fail("Error response from daemon: No such container: %s", name)
			}
			continue
		}
		if strings.HasSuffix(c.name, " rm") {
			delete(d.containers, found)
		}
		c.printf("%s\n", name)
	}
	return code
}

func dockerLogs(c *call) int {
	_, names := flags(c.args, "--tail -n --since")
	d := c.j.docker
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range names {
		if d.containers[name] == nil {
			return c.fail("Error response from daemon: No such container: %s", name)
		}
	}
	return 0
}

func dockerPs(c *call) int {
	given, _ := flags(c.args, "-f --filter --format")
	d := c.j.docker
	d.mu.Lock()
	defer d.mu.Unlock()
	if !has(given, "-q", "--quiet") {
		c.printf("CONTAINER ID\tIMAGE\tNAMES\n")
	}
	for _, name := range slices.Sorted(maps.Keys(d.containers)) {
		k := d.containers[name]
		if has(given, "-q", "--quiet") {
			c.printf("%s\n", k.id[:12])
		} else {
			c.printf("%s\t%s\t%s\n", k.id[:12], k.image, name)
		}
	}
	return 0
}

package ciconfig

import "go.yaml.in/yaml/v3"

// What a run has seen, by subject.

// scriptsSeen is what the scripts of all jobs are and do.
type scriptsSeen struct {
	following  map[*source]bool
	functions  []declared
	called     map[function]bool
	operations []operation
	assigned   map[string][]text // what they assign
	exported   map[string]bool   // variables that one exports
	steps      int
	truncated  bool
	compares   []comparedFile
	quiet      map[*source]bool // those that are left out, see quiet.go
	lineOf     map[*chunk]line
	followed   map[*chunk]bool // images and script lines that a job has
	logins     []credentials
	restarting map[*job]bool // jobs that have what runs pull its image again
	deleted    []deletion
}

// dockerfilesSeen is what builds read.
type dockerfilesSeen struct {
	builds   []*build
	baseUses []baseUse // base images that become ARGs
	bases    []base    // and the ARGs
}

// othersSeen is what stands in the places of own images.
type othersSeen struct {
	others []text          // values with an image of another registry
	apart  map[string]bool // those that are there already
	shared map[span]bool   // words, and commands, that name images of other registries too
}

// variableFilesSeen are the variables in files that scripts write.
type variableFilesSeen struct {
	written  map[string]map[string][]text
	words    map[string][]text // what is nothing but a word in them
	spoiled  map[string]bool   // files of which that is not all
	halves   []*use            // names that a script writes into one
	envLists []envList
}

// composeSeen is what compose does.
type composeSeen struct {
	composes         bool                // a job builds or starts what a compose or bake file says
	composeBuilds    bool                // a job builds or pushes by compose
	pushesComposed   bool                // a job for the default branch pushes what compose files build
	composing        []composing         // what runs compose
	composers        []composer          // what pushes by compose, with its variables
	composedServices []composeService    // that compose builds
	handed           []handedArg         // what compose and bake files hand to Dockerfiles
	layers           map[string][]string // files that one call reads
	layersKnown      bool
	besides          map[string]map[string]bool // by file, the services that another one builds
	envsBeside       map[*source]map[string]*chunk
	envsAsTheyAre    *bool // a script takes files of variables without putting any in
}

// makeSeen is what make does.
type makeSeen struct {
	makes        bool                  // a job calls it
	makesUnknown bool                  // what one makes is not known
	runsTasks    bool                  // a job calls another task runner
	playbooks    bool                  // a job calls Ansible
	makeFamilies map[*source][]*source // the Makefiles that a Makefile includes, and those that include it
	makeTexts    []string              // the lines of the Makefiles
	madeTexts    []string              // and those of them that a job may come to
	recipes      map[span]bool         // the lines that one has been seen to run
	recipeOf     map[*chunk]span       // the lines of a recipe's command
}

// skaffoldSeen is what skaffold does.
type skaffoldSeen struct {
	skaffolds     bool   // a job builds what its configuration says
	skaffoldBases []text // the default repositories that it is given
}

// bakeSeen is what bake does.
type bakeSeen struct {
	baked       bool // a job builds by it
	bakesUnseen bool // and what it builds there is not all seen
	bakeCalls   []bakeCall
	expressions int // of HCL, evaluated so far
}

// chartsSeen is what helm does.
type chartsSeen struct {
	helms     []helmCall
	helmfiles bool     // a job calls helmfile
	chartKeys []string // values that the templates of charts put in
	tagged    []string // images in the values of charts whose tag a command sets
}

// filledSeen is what becomes of manifests before they are applied, and who applies them.
type filledSeen struct {
	filled  []string // files and directories in which variables are put in
	fillers []filler // and the jobs that do that
	applied []applying
	syncs   []string // folders that Argo CD or Flux applies
}

// sedSeen is what sed does to files.
type sedSeen struct {
	sedEdits      []sedEdit
	sedComputed   []sedComputed
	sedSlashes    []change // that give scripts of sed another delimiter
	sedRuns       []sedRun
	sedsElsewhere []sedElsewhere
	sought        []span // own images that sed looks for
}

// partsSeen are parts of references that commands set or hand on apart.
type partsSeen struct {
	setParts     []imagePart
	handedTags   []handedTag // what may hand on a tag alone
	imagesSet    [][3]string // kind, name and container of which a command sets the image
	unseen       []unseenRepository
	sedLines     int                // to which substitutions have been applied for these
	unseenPushes []unseenRepository // those that the pipeline pushes
	unseenPushed map[string]bool    // their repositories
}

// remoteSeen is what other machines get.
type remoteSeen struct {
	copies        []string        // files and folders that go there
	composedThere bool            // compose starts services there
	folders       map[string]bool // words of scripts that may be folders
	patterns      map[string]bool // how words of scripts begin that are patterns
}

// answers are those that are asked for again and again.
type answers struct {
	got        map[span][]text                      // see values
	tagPuts    map[span]bool                        // see readBeside
	beside     map[string]bool                      // see readBeside
	baseValues map[span]bool                        // see definesBase
	slugged    *bool                                // see slugs
	gitTags    answer                               // see releases
	syncedBy   *bool                                // see gitops
	ofCommits  map[*job][]string                    // see twoOfOneCommit
	valuePaths map[*yaml.Node]map[*yaml.Node]string // see valuesPath
}

package ciconfig

// vocabulary is the closed list of findings. docs/findings.md shows it.
var vocabulary = map[Code]kind{
	"yaml-invalid":       {Blocking, OwnerProject, "the file is not valid YAML, or not YAML that GitLab would read", "", "repair the file; GitLab's CI editor shows the place"},
	"dockerfile-invalid": {Blocking, OwnerProject, "the Dockerfile names the old registry and cannot be parsed", "", "repair it, or change the reference by hand"},
	"file-too-large":     {Blocking, OwnerProject, "the file is too large to be read", "", "rewrite it by hand, or leave it out of the repository"},
	"duplicate-key":      {Note, OwnerProject, "a key occurs twice in one mapping; GitLab uses the last one", "", "remove one of them"},
	"position-unknown":   {Blocking, OwnerProject, "the place of a reference cannot be told exactly", "", "write the value in a simpler form and start again"},
	"foreign-image":      {Warning, OwnerProject, "an image of another project in the old registry", "", "ECR holds only the project's own images. Artifactory is retired, so let the other project offer the image in the GitLab Container Registry, or use the upstream image"},
	"old-host":           {Warning, OwnerProject, "the old registry is named without an image", "", "use $CI_REGISTRY, or remove the line if it is not needed any more"},
	"name-unknown":       {Blocking, OwnerProject, "the name of the image is put together in a way that is not understood", "", "write the reference as $CI_REGISTRY_IMAGE:name-tag by hand"},
	"tag-elsewhere":      {Blocking, OwnerProject, "an image name without a tag is handed to something that is not understood", "", "find out where the tag is joined, then write $CI_REGISTRY_IMAGE there and name-tag as the tag"},
	"joined-elsewhere":   {Blocking, OwnerProject, "the separator before the name or the tag comes out of a variable", "", "write name and tag next to $CI_REGISTRY_IMAGE"},
	"base-composed":      {Blocking, OwnerProject, "the path of the project is put together from parts", "", "use $CI_REGISTRY_IMAGE"},
	"literal-in-file":    {Blocking, OwnerProject, "the old registry is written out in a file in which no variables are put in", "", "let the deployment put in $CI_REGISTRY_IMAGE, or set the image by a command"},
	"name-with-slash":    {Blocking, OwnerProject, "a name with a slash comes from a variable in a place where it cannot be changed", "", "give the variable a value with a dash"},
	"in-template":        {Blocking, OwnerTemplate, "the place that would have to change is in an included file", "", "ask the owner of the template, or override it in the project"},
	"job-image":          {Blocking, OwnerProject, "the job runs in an image of the own registry, which the runner cannot pull from ECR, and it cannot be rewritten safely", "", "let the job extend .docker and start the image by docker run, as the platform's guide shows"},
	"include-added":      {Note, OwnerProject, "the platform's helpers are included, because a job now extends .docker", "", "nothing"},
	"uses-disagree":      {Blocking, OwnerProject, "one place serves several references that would need different changes", "", "write the references apart, one variable for each image"},
}

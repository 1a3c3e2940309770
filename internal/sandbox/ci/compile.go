package ci

// Compile turns a project's configuration into the pipeline that GitLab would
// create for the trigger. Content nil reads the project's ConfigPath at t.SHA;
// otherwise content is compiled in its place, as lint does with given text.
//
// A configuration that GitLab would refuse gives a *ConfigError; a project
// without one gives ErrNoConfig. A valid configuration without a job for this
// trigger is not an error: Pipeline.Filtered is set.
func Compile(p Project, t Trigger, s Settings, files Files, content []byte) (*Pipeline, error) {
	return nil, ErrNoConfig
}

// Package host changes the machine for a cluster, and undoes it: packages,
// bridges, firewall rules, cgroups, kernel settings.
package host

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Path is where system programs lie; a caller's PATH may lack the sbin ones.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Run runs a system command; its output is in the error.
func Run(argv ...string) error {
	_, err := Output(argv...)
	return err
}

// Output runs a system command and returns what it prints.
func Output(argv ...string) (string, error) {
	program, err := Find(argv[0])
	if err != nil {
		return "", err
	}
	command := exec.Command(program, argv[1:]...)
	command.Env = []string{"PATH=" + searchPath, "LANG=C.UTF-8"}
	output, err := command.CombinedOutput()
	if err != nil {
		return string(output), fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(string(output)))
	}
	return string(output), nil
}

// Find is the path of a system program.
func Find(program string) (string, error) {
	if filepath.IsAbs(program) {
		return program, nil
	}
	for _, directory := range filepath.SplitList(searchPath) {
		path := filepath.Join(directory, program)
		if info, err := os.Stat(path); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("the program %s must be installed", program)
}

package host

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// needed maps a program that nodes need to the Debian package that has it.
var needed = []struct{ program, pkg string }{
	{"containerd", "containerd"},
	{"ctr", "containerd"},
	{"runc", "runc"},
	{"conntrack", "conntrack"},
	{"iptables", "iptables"},
	{"ip", "iproute2"},
	{"mkfs.ext4", "e2fsprogs"},
	{"losetup", "mount"},
	{"nsenter", "util-linux"},
}

// cniDirectories are where distributions put the network plugins.
var cniDirectories = []string{"/usr/lib/cni", "/opt/cni/bin"}

// CNIPlugins is the directory of the network plugins.
func CNIPlugins() (string, error) {
	for _, directory := range cniDirectories {
		if _, err := os.Stat(directory + "/bridge"); err == nil {
			return directory, nil
		}
	}
	return "", errors.New("the CNI plugins must be installed in one of " + strings.Join(cniDirectories, ", "))
}

func missingPackages() []string {
	var missing []string
	seen := map[string]bool{}
	add := func(pkg string) {
		if !seen[pkg] {
			seen[pkg] = true
			missing = append(missing, pkg)
		}
	}
	for _, need := range needed {
		if _, err := Find(need.program); err != nil {
			add(need.pkg)
		}
	}
	if _, err := CNIPlugins(); err != nil {
		add("containernetworking-plugins")
	}
	return missing
}

// EnsurePackages installs what nodes need and the machine lacks.
func EnsurePackages(progress io.Writer) error {
	missing := missingPackages()
	if len(missing) == 0 {
		return nil
	}
	list := strings.Join(missing, " ")
	if _, err := Find("apt-get"); err != nil {
		return fmt.Errorf("nodes need these packages, which must be installed by hand as there is no apt-get: %s", list)
	}
	fmt.Fprintf(progress, "installing %s\n", list)
	if err := InstallPackages(missing...); err != nil {
		return fmt.Errorf("nodes need these packages, and apt-get could not install them: %s: %w", list, err)
	}
	if still := missingPackages(); len(still) > 0 {
		return fmt.Errorf("nodes need programs that the installed packages do not have: %s", strings.Join(still, " "))
	}
	return nil
}

const policyFile = "/usr/sbin/policy-rc.d"

// InstallPackages installs Debian packages without starting their services:
// every node runs a containerd of its own, the machine's would only be in the way.
func InstallPackages(packages ...string) error {
	if _, err := os.Stat(policyFile); errors.Is(err, os.ErrNotExist) {
		if err := os.WriteFile(policyFile, []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil {
			return err
		}
		defer os.Remove(policyFile)
	}
	install := append([]string{"env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "--no-install-recommends"}, packages...)
	if Run(install...) == nil {
		return nil
	}
	if err := Run("apt-get", "update"); err != nil { // a fresh machine has no package lists
		return err
	}
	return Run(install...)
}

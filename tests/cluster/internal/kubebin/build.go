// Package kubebin builds the multi-call binary of Kubernetes and keeps it
// outside the checkout, keyed by what it was built from.
package kubebin

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"

	"modelcache.test/cluster/internal/layout"
	"modelcache.test/cluster/internal/state"
)

// Version is the Kubernetes release; go.mod names the same.
const Version = "v1.36.3"

// programs are the names the binary answers to.
var programs = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl"}

// SourceDir is the Go module this launcher was built from. The shell entry
// point names it; "go run" and "go test" run inside it.
func SourceDir() (string, error) {
	if dir := os.Getenv("MODELCACHE_CLUSTER_SOURCE"); dir != "" {
		return dir, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "cmd", "kube", "main.go")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("the launcher must be run through tests/cluster/cluster, or MODELCACHE_CLUSTER_SOURCE must name that directory")
}

// Ensure returns the directory with the programs, building them if needed.
// Builds started at the same time wait for the first one.
func Ensure(progress io.Writer) (string, error) {
	source, err := SourceDir()
	if err != nil {
		return "", err
	}
	cache, err := layout.CacheRoot()
	if err != nil {
		return "", err
	}
	key, err := hash(source)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "kube", key)
	if complete(dir) {
		return dir, nil
	}
	unlock, err := state.Lock("build")
	if err != nil {
		return "", err
	}
	defer unlock()
	if complete(dir) {
		return dir, nil
	}
	fmt.Fprintf(progress, "building Kubernetes %s from the Go module proxy; the first time this takes 5 to 10 minutes on two cores\n", Version)
	if err := goBuild(source, "./cmd/kube", filepath.Join(dir, "kube"), linkerFlags()); err != nil {
		return "", err
	}
	for _, program := range programs {
		link := filepath.Join(dir, program)
		if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		if err := os.Symlink("kube", link); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// linkerFlags stamp the version. Without the stamp the servers call themselves
// v0.0.0, and whoever checks capabilities by version goes wrong.
func linkerFlags() string {
	numbers := strings.Split(strings.TrimPrefix(Version, "v"), ".")
	stamp := "-X k8s.io/component-base/version."
	return strings.Join([]string{
		"-s -w",
		stamp + "gitVersion=" + Version,
		stamp + "gitMajor=" + numbers[0],
		stamp + "gitMinor=" + numbers[1],
		stamp + "gitTreeState=clean",
	}, " ")
}

// complete says whether a build came to its end: the last link is there.
func complete(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, programs[len(programs)-1]))
	return err == nil
}

// GoBuild builds a static program of this module into the cache, keyed by its
// sources, and returns its path.
func GoBuild(name string) (string, error) {
	source, err := SourceDir()
	if err != nil {
		return "", err
	}
	cache, err := layout.CacheRoot()
	if err != nil {
		return "", err
	}
	key, err := hashFiles(source, filepath.Join("cmd", name, "*.go"))
	if err != nil {
		return "", err
	}
	target := filepath.Join(cache, "programs", name+"-"+key)
	if _, err := os.Stat(target); err == nil {
		return target, nil
	}
	return target, goBuild(source, "./cmd/"+name, target, "-s -w -buildid=")
}

// goBuild puts the binary in place in one step, so that nobody sees half of it.
func goBuild(source, pkg, target, ldflags string) error {
	if _, err := exec.LookPath("go"); err != nil {
		return fmt.Errorf("go must be on PATH to build %s: install Go 1.26 or newer", pkg)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	temporary := fmt.Sprintf("%s.new-%d", target, os.Getpid())
	defer os.Remove(temporary)
	command := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", ldflags, "-o", temporary, pkg)
	command.Dir = source
	command.Env = append(os.Environ(), "CGO_ENABLED=0") // static: it runs in any image
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s cannot be built: %w\n%s", pkg, err, output)
	}
	return os.Rename(temporary, target)
}

func hash(source string) (string, error) {
	return hashFiles(source, "go.mod", "go.sum", "cmd/kube/*.go")
}

// hashFiles is a short digest of the files that match, names included.
func hashFiles(source string, patterns ...string) (string, error) {
	digest := sha256.New()
	for _, pattern := range patterns {
		files, err := filepath.Glob(filepath.Join(source, pattern))
		if err != nil {
			return "", err
		}
		if len(files) == 0 {
			return "", fmt.Errorf("%s must hold %s", source, pattern)
		}
		sort.Strings(files)
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(digest, "%s %d\n", strings.TrimPrefix(file, source), len(content))
			digest.Write(content)
		}
	}
	fmt.Fprint(digest, linkerFlags())
	return hex.EncodeToString(digest.Sum(nil))[:16], nil
}

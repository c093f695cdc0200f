// Package selftest proves on real clusters that the launcher keeps its
// promises. It runs the launcher as its callers do, as a program.
package selftest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"modelcache.test/cluster/internal/cluster"
)

// T is one run of the self-test: it runs the launcher and counts what failed.
type T struct {
	launcher string
	failures int
}

// fatal ends the current scenario.
type fatal struct{ message string }

// Scenarios in the order they run; each brings up what it needs and takes it down.
var scenarios = []struct {
	name string
	run  func(*T)
}{
	{"a control plane alone", controlPlaneAlone},
	{"pods on two nodes", podsOnTwoNodes},
	{"nodes come and go", nodesComeAndGo},
	{"two clusters at once", twoClustersAtOnce},
	{"a launcher killed in the middle", killedLauncher},
	{"bad requests", badRequests},
}

// Run runs the scenarios whose name contains the filter.
func Run(filter string) error {
	launcher, err := os.Executable()
	if err != nil {
		return err
	}
	t := &T{launcher: launcher}
	before, err := lookAtMachine()
	if err != nil {
		return err
	}
	for _, scenario := range scenarios {
		if !strings.Contains(scenario.name, filter) {
			continue
		}
		begin, failedBefore := time.Now(), t.failures
		fmt.Printf("=== %s\n", scenario.name)
		t.guard(scenario.run)
		if t.failures > failedBefore {
			fmt.Printf("--- FAILED: %s (%.0f s)\n", scenario.name, time.Since(begin).Seconds())
		} else {
			fmt.Printf("--- ok: %s (%.0f s)\n", scenario.name, time.Since(begin).Seconds())
		}
	}
	for _, name := range clusterNames {
		if _, err := t.try("down", "--name", name); err != nil {
			t.fail("down %s: %v", name, err)
		}
	}
	traces, err := tracesSince(before)
	if err != nil {
		return err
	}
	for _, trace := range traces {
		t.fail("left on the machine: %s", trace)
	}
	if t.failures > 0 {
		return fmt.Errorf("%d checks failed", t.failures)
	}
	return nil
}

// clusterNames are the clusters the self-test uses; nobody else's are touched.
var clusterNames = []string{"selftest", "selftest-a", "selftest-b"}

func (t *T) guard(run func(*T)) {
	defer func() {
		switch reason := recover().(type) {
		case nil:
		case fatal:
			t.fail("%s", reason.message)
		default:
			panic(reason)
		}
	}()
	run(t)
}

func (t *T) fail(format string, arguments ...any) {
	t.failures++
	fmt.Printf("    FAILED: "+format+"\n", arguments...)
}

// check is one promise.
func (t *T) check(kept bool, promise string, arguments ...any) {
	if kept {
		fmt.Printf("    ok: "+promise+"\n", arguments...)
		return
	}
	t.fail(promise, arguments...)
}

// try runs the launcher.
func (t *T) try(arguments ...string) (string, error) {
	command := exec.Command(t.launcher, arguments...)
	var errors strings.Builder
	command.Stderr = &errors
	output, err := command.Output()
	if err != nil {
		err = fmt.Errorf("cluster %s: %w: %s%s", strings.Join(arguments, " "), err, output, errors.String())
	}
	return string(output), err
}

// must runs the launcher; without success there is no point in going on.
func (t *T) must(arguments ...string) string {
	output, err := t.try(arguments...)
	if err != nil {
		panic(fatal{err.Error()})
	}
	return output
}

// up starts a cluster and reads its description.
func (t *T) up(name string, arguments ...string) *cluster.Description {
	output := t.must(append([]string{"up", "--name", name, "-o", "json"}, arguments...)...)
	var description cluster.Description
	if err := json.Unmarshal([]byte(output), &description); err != nil {
		panic(fatal{"up -o json: " + err.Error()})
	}
	fmt.Printf("    %s: /readyz after %.1f s, up after %.1f s\n", name, description.APISeconds, description.Seconds)
	return &description
}

// kubectl runs kubectl against a cluster.
func (t *T) kubectl(name string, arguments ...string) string {
	return strings.TrimSpace(t.must(append([]string{"kubectl", "--name", name, "--"}, arguments...)...))
}

// apply applies manifests.
func (t *T) apply(name, manifests string) {
	command := exec.Command(t.launcher, "kubectl", "--name", name, "--", "apply", "-f", "-")
	command.Stdin = strings.NewReader(manifests)
	if output, err := command.CombinedOutput(); err != nil {
		panic(fatal{fmt.Sprintf("kubectl apply: %v: %s", err, output)})
	}
}

// eventually repeats a check until it holds.
func (t *T) eventually(limit time.Duration, promise string, holds func() bool) {
	begin := time.Now()
	for !holds() {
		if time.Since(begin) > limit {
			t.fail("%s (waited %s)", promise, limit)
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	fmt.Printf("    ok: %s (%.1f s)\n", promise, time.Since(begin).Seconds())
}

package selftest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"modelcache.test/cluster/internal/layout"
	"modelcache.test/cluster/internal/proc"
)

func nodesComeAndGo(t *T) {
	busybox := strings.TrimSpace(t.must("image", "busybox"))
	d := t.up("selftest", "--nodes", "1", "--image", busybox)
	defer t.must("down", "--name", d.Name)
	nodes := func() string {
		return strings.ReplaceAll(t.kubectl(d.Name, "get", "nodes", "--no-headers", "-o",
			`custom-columns=N:.metadata.name,R:.status.conditions[?(@.type=="Ready")].status`), "   ", " ")
	}
	added := strings.TrimSpace(t.must("node", "add", "--name", d.Name, "--disk-size", "64Mi"))
	t.check(added == "node-2", "a node joins a running cluster (%s)", added)
	t.apply(d.Name, "apiVersion: v1\nkind: Namespace\nmetadata: {name: user}\n"+pod("sleeper", "node-2", "localhost/busybox:test", "sleep 600", ""))
	t.kubectl(d.Name, "wait", "--namespace=user", "--for=condition=Ready", "pod/sleeper", "--timeout=60s")

	begin := time.Now()
	t.must("node", "stop", "--name", d.Name, "node-2")
	t.check(strings.Contains(nodes(), "node-2 Unknown"), "a stopped node is NotReady after %.1f s", time.Since(begin).Seconds())
	t.must("node", "start", "--name", d.Name, "node-2")
	t.check(strings.Contains(nodes(), "node-2 True"), "a started node is Ready")
	t.eventually(30*time.Second, "its pod runs on", func() bool {
		output, _ := t.try("kubectl", "--name", d.Name, "--", "exec", "--namespace=user", "sleeper", "--", "echo", "alive")
		return strings.Contains(output, "alive")
	})
	t.must("node", "stop", "--power-off", "--name", d.Name, "node-2")
	t.must("node", "start", "--name", d.Name, "node-2")
	t.eventually(60*time.Second, "a pod does not survive its node's power-off", func() bool {
		phase := t.kubectl(d.Name, "get", "--namespace=user", "pod/sleeper", "-o", "jsonpath={.status.phase}")
		return phase == "Failed" || phase == "Succeeded"
	})
	t.must("node", "remove", "--name", d.Name, "node-1")
	t.check(!strings.Contains(nodes(), "node-1"), "a removed node's object is gone")
	t.check(strings.TrimSpace(t.must("node", "add", "--name", d.Name)) == "node-1", "its name can be used again")
	_, err := t.try("node", "stop", "--name", d.Name, "node-7")
	t.check(err != nil && strings.Contains(err.Error(), `has no node "node-7"`), "an unknown node is refused by name")
}

func twoClustersAtOnce(t *T) {
	var work sync.WaitGroup
	work.Go(func() { t.guard(func(t *T) { t.up("selftest-a", "--nodes", "1") }) })
	work.Go(func() { t.guard(func(t *T) { t.up("selftest-b", "--nodes", "2") }) })
	work.Wait()
	for _, name := range []string{"selftest-a", "selftest-b"} {
		t.check(strings.Contains(t.kubectl(name, "get", "nodes"), "Ready"), "%s has Ready nodes", name)
	}
	t.must("down", "--name", "selftest-a")
	t.check(strings.Contains(t.kubectl("selftest-b", "get", "nodes"), " Ready"), "one goes, the other stays")
	t.must("down", "--name", "selftest-b")
}

// killedLauncher ends "up" at random moments, and parts of a running cluster.
func killedLauncher(t *T) {
	before, err := lookAtMachine()
	if err != nil {
		panic(fatal{err.Error()})
	}
	clean := func(when string) {
		t.must("down", "--name", "selftest")
		traces, err := tracesSince(before)
		if err != nil {
			panic(fatal{err.Error()})
		}
		t.check(len(traces) == 0, "%s, down leaves nothing %s", when, strings.Join(traces, "; "))
	}
	for range 5 {
		pause := time.Duration(rand.IntN(6000)) * time.Millisecond
		up := exec.Command(t.launcher, "up", "--name", "selftest")
		if err := up.Start(); err != nil {
			panic(fatal{err.Error()})
		}
		time.Sleep(pause)
		_ = up.Process.Kill()
		_ = up.Wait()
		clean(fmt.Sprintf("up killed after %s", pause))
	}
	up := exec.Command(t.launcher, "up", "--name", "selftest")
	if err := up.Start(); err != nil {
		panic(fatal{err.Error()})
	}
	time.Sleep(3 * time.Second)
	_ = up.Process.Signal(os.Interrupt)
	t.check(up.Wait() != nil, "an interrupted up fails")
	_, err = t.try("status", "--name", "selftest")
	t.check(err != nil && strings.Contains(err.Error(), "there is no cluster"), "and cleans up behind itself")

	d := t.up("selftest", "--nodes", "1")
	for _, part := range []string{"node-1.holder", "node-1.containerd", "kube-apiserver"} {
		if err := proc.KillRecorded(layout.Cluster(d.StateDir).PidFile(part)); err != nil {
			panic(fatal{err.Error()})
		}
	}
	_, err = t.try("status", "--name", "selftest")
	t.check(err != nil && strings.Contains(err.Error(), "is not running"), "status sees that parts are dead")
	clean("with parts of it killed")
}

func badRequests(t *T) {
	for _, bad := range []struct{ arguments, says string }{
		{"up --name Bad_Name", "lower-case"},
		{"up --name selftest --nodes 9", "--nodes must be 1 to 4"},
		{"up --name selftest --disk-size 1", "at least 4Mi"},
		{"up --name selftest --disk-size node-9=64Mi", "the nodes are node-1 to node-2"},
		{"up --name selftest --image /no/such.tar", "must exist"},
		{"up --name selftest --address-range 10.0.0.0/8", "must be an IPv4 /16"},
		{"up --name selftest --pool-path relative", "--pool-path"},
		{"up --name selftest extra", "no argument"},
		{"status --name selftest", "there is no cluster"},
		{"node stop --name selftest node-1", "there is no cluster"},
		{"image product --binary /bin/sh", "say one of"},
		{"nonsense", "there is no"},
	} {
		_, err := t.try(strings.Fields(bad.arguments)...)
		t.check(err != nil && strings.Contains(err.Error(), bad.says), "%s: says %q", bad.arguments, bad.says)
	}
	root, err := layout.ClustersRoot()
	_, statError := os.Stat(filepath.Join(root, "selftest"))
	t.check(err == nil && os.IsNotExist(statError), "and nothing was made")
}

package selftest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modelcache.test/cluster/internal/cluster"
)

func controlPlaneAlone(t *T) {
	d := t.up("selftest", "--control-plane-only")
	t.check(d.APISeconds < 5, "/readyz says yes in under 5 s (%.1f s)", d.APISeconds)
	t.kubectl(d.Name, "create", "namespace", "x")
	t.kubectl(d.Name, "create", "job", "j", "--namespace", "x", "--image", "x")
	t.eventually(10*time.Second, "the job controller makes a pod", func() bool {
		return t.kubectl(d.Name, "get", "pods", "--namespace", "x", "-o", "name") != ""
	})
	t.kubectl(d.Name, "delete", "namespace", "x", "--timeout=30s")
	t.must("down", "--name", d.Name)
	_, err := t.try("status", "--name", d.Name)
	t.check(err != nil, "after down there is no such cluster")
	t.must("down", "--name", d.Name)
}

// restricted is what Pod Security "restricted" wants of a pod.
const (
	podSecurity       = "{runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}"
	containerSecurity = "{allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}"
)

// perNodeVolume is one claim that is another directory on each node.
const perNodeVolume = `
apiVersion: v1
kind: Namespace
metadata: {name: user, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: per-node}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteMany]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: ""
  claimRef: {namespace: user, name: per-node}
  local: {path: /var/lib/modelcache/user}
  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: pool, operator: In, values: [gpu]}]}]}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: per-node, namespace: user}
spec:
  accessModes: [ReadWriteMany]
  storageClassName: ""
  volumeName: per-node
  resources: {requests: {storage: 1Gi}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: shared, namespace: user}
spec: {accessModes: [ReadWriteMany], storageClassName: standard, resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: late, namespace: user}
spec: {accessModes: [ReadWriteOnce], storageClassName: standard-wait, resources: {requests: {storage: 1Gi}}}
`

// jobOn is a restricted Job bound to one node by required affinity.
func jobOn(node, script string) string {
	return fmt.Sprintf(`
apiVersion: batch/v1
kind: Job
metadata: {name: write-%[1]s, namespace: user}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [%[1]s]}]}]}}}
      securityContext: %[2]s
      containers:
      - name: main
        image: localhost/busybox:test
        command: [sh, -c, %[4]q]
        securityContext: %[3]s
        volumeMounts: [{name: per-node, mountPath: /volume}, {name: shared, mountPath: /shared}]
      volumes:
      - {name: per-node, persistentVolumeClaim: {claimName: per-node}}
      - {name: shared, persistentVolumeClaim: {claimName: shared}}
`, node, podSecurity, containerSecurity, script)
}

func pod(name, node, image, script, more string) string {
	return fmt.Sprintf(`
---
apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: user, labels: {app: %[1]s}}
spec:
  restartPolicy: Never
  nodeSelector: {kubernetes.io/hostname: %s}
  securityContext: %s
  containers:
  - name: main
    image: %s
    command: [sh, -c, %q]
    securityContext: %s
    %s
`, name, node, podSecurity, image, script, containerSecurity, more)
}

func podsOnTwoNodes(t *T) {
	busybox := strings.TrimSpace(t.must("image", "busybox"))
	python := strings.TrimSpace(t.must("image", "python", "huggingface_hub==2.4.0"))
	d := t.up("selftest", "--nodes", "2", "--disk-size", "200Mi", "--disk-size", "node-2=64Mi", "--image", busybox)
	defer t.must("down", "--name", d.Name)
	t.check(d.Seconds < 20, "two nodes are Ready in under 20 s (%.1f s)", d.Seconds)
	t.kubectl(d.Name, "label", "nodes", "--all", "pool=gpu")
	for _, node := range d.Nodes {
		directory := filepath.Join(node.PoolDir, "user")
		if err := os.Mkdir(directory, 0o755); err != nil {
			panic(fatal{err.Error()})
		}
		if err := os.Chown(directory, 65532, 65532); err != nil {
			panic(fatal{err.Error()})
		}
	}
	t.apply(d.Name, perNodeVolume)
	perNodeDirectories(t, d)
	limitsAndStreams(t, d)
	networks(t, d)
	loadPython(t, d, python)
	productImage(t, d)
	audit, err := os.ReadFile(d.AuditLog)
	t.check(err == nil && strings.Contains(string(audit), `"username":"admin"`), "the audit log names who wrote")
}

func perNodeDirectories(t *T, d *cluster.Description) {
	for _, node := range d.Nodes {
		t.apply(d.Name, jobOn(node.Name, "echo "+node.Name+" > /volume/who && echo x > /shared/"+node.Name+" && echo done on "+node.Name+" > /dev/termination-log"))
	}
	for _, node := range d.Nodes {
		t.kubectl(d.Name, "wait", "--namespace=user", "--for=condition=Complete", "job/write-"+node.Name, "--timeout=60s")
		message := t.kubectl(d.Name, "get", "pods", "--namespace=user", "-l", "job-name=write-"+node.Name,
			"-o", "jsonpath={.items[0].status.containerStatuses[0].state.terminated.message}")
		t.check(strings.TrimSpace(message) == "done on "+node.Name, "%s: the termination message is in the status (%q)", node.Name, message)
		written, _ := os.ReadFile(filepath.Join(node.PoolDir, "user", "who"))
		t.check(strings.TrimSpace(string(written)) == node.Name, "%s: one claim, and this node's own directory behind it", node.Name)
	}
	t.apply(d.Name, pod("reader", "node-1", "localhost/busybox:test", "ls /shared /late && touch /late/x",
		"volumeMounts: [{name: shared, mountPath: /shared}, {name: late, mountPath: /late}]\n  volumes: [{name: shared, persistentVolumeClaim: {claimName: shared}}, {name: late, persistentVolumeClaim: {claimName: late}}]"))
	t.kubectl(d.Name, "wait", "--namespace=user", "--for=jsonpath={.status.phase}=Succeeded", "pod/reader", "--timeout=60s")
	listed := t.kubectl(d.Name, "logs", "--namespace=user", "reader")
	t.check(strings.Contains(listed, "node-1") && strings.Contains(listed, "node-2"), "a non-root pod reads in the shared volume what pods of both nodes wrote")
	t.kubectl(d.Name, "delete", "--namespace=user", "pod/reader", "pvc/late", "--timeout=60s")
	t.eventually(30*time.Second, "a provisioned volume goes with its claim", func() bool {
		return !strings.Contains(t.kubectl(d.Name, "get", "pv"), "user/late")
	})
}

func limitsAndStreams(t *T, d *cluster.Description) {
	t.apply(d.Name, pod("greedy", "node-1", "localhost/busybox:test", "dd if=/dev/zero of=/dev/null bs=200M count=1; sleep 60", "resources: {limits: {memory: 40Mi}}"))
	// dd dies, its shell lives on: only the memory of the container's main process ends it
	t.apply(d.Name, pod("bomb", "node-1", "localhost/busybox:test", "exec dd if=/dev/zero of=/dev/null bs=200M count=1", "resources: {limits: {memory: 40Mi}}"))
	t.eventually(60*time.Second, "a memory limit kills", func() bool {
		return t.kubectl(d.Name, "get", "--namespace=user", "pod/bomb", "-o", "jsonpath={.status.containerStatuses[0].state.terminated.reason}") == "OOMKilled"
	})
	full, _ := t.try("node", "exec", "--name", d.Name, "node-2", "--", "sh", "-c", "dd if=/dev/zero of=/var/lib/modelcache/big bs=1M count=100 2>&1; rm /var/lib/modelcache/big")
	t.check(strings.Contains(full, "No space left on device"), "a small disk is full before 100 MB")
	t.kubectl(d.Name, "wait", "--namespace=user", "--for=condition=Ready", "pod/greedy", "--timeout=60s")
	answer := t.kubectl(d.Name, "exec", "--namespace=user", "greedy", "--", "id", "-u")
	t.check(answer == "65532", "exec runs as the pod's user (%s)", answer)
	t.kubectl(d.Name, "delete", "--namespace=user", "pod/greedy", "--now")
}

// networks checks every direction that tests rely on.
func networks(t *T, d *cluster.Description) {
	listener, err := net.Listen("tcp", d.BridgeAddress+":0")
	if err != nil {
		panic(fatal{err.Error()})
	}
	defer listener.Close()
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "from the machine") }))
	onMachine := "http://" + listener.Addr().String()
	t.apply(d.Name, pod("server", "node-1", "localhost/busybox:test", "mkdir /tmp/www; echo from a pod > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www", ""))
	t.apply(d.Name, pod("client", "node-2", "localhost/busybox:test", "sleep 600", ""))
	t.kubectl(d.Name, "wait", "--namespace=user", "--for=condition=Ready", "pod/server", "pod/client", "--timeout=60s")
	t.kubectl(d.Name, "expose", "--namespace=user", "pod/server", "--port=80", "--target-port=8080")
	podIP := t.kubectl(d.Name, "get", "--namespace=user", "pod/server", "-o", "jsonpath={.status.podIP}")
	serviceIP := t.kubectl(d.Name, "get", "--namespace=user", "service/server", "-o", "jsonpath={.spec.clusterIP}")
	fromPod := func(url string) string {
		output, _ := t.try("kubectl", "--name", d.Name, "--", "exec", "--namespace=user", "client", "--", "timeout", "3", "wget", "-q", "-O-", url)
		return strings.TrimSpace(output)
	}
	t.check(fromPod(onMachine) == "from the machine", "a pod reaches a server on the machine")
	t.check(fromPod("http://"+podIP+":8080") == "from a pod", "a pod reaches a pod on the other node")
	t.eventually(10*time.Second, "a pod reaches a service", func() bool { return fromPod("http://"+serviceIP) == "from a pod" })
	t.check(fromMachine("http://"+podIP+":8080") == "from a pod", "the machine reaches a pod")
	t.check(fromMachine("http://"+serviceIP) == "from a pod", "the machine reaches a service")
	t.must("node", "egress", "--name", d.Name, "node-2", "off")
	t.check(fromPod(onMachine) == "", "with egress off, pods of the node reach nothing")
	t.must("node", "egress", "--name", d.Name, "node-2", "on")
	t.check(fromPod(onMachine) == "from the machine", "with egress on again, they do")
}

func fromMachine(url string) string {
	client := http.Client{Timeout: 3 * time.Second}
	response, err := client.Get(url)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return strings.TrimSpace(string(body))
}

func loadPython(t *T, d *cluster.Description, archive string) {
	begin := time.Now()
	t.must("load", "--name", d.Name, archive)
	fmt.Printf("    the Python image is on both nodes after %.1f s\n", time.Since(begin).Seconds())
	script := `
import os, ssl, urllib.request
import huggingface_hub
print(huggingface_hub.__version__)
context = ssl.create_default_context(cafile="/var/run/secrets/kubernetes.io/serviceaccount/ca.crt")
print(urllib.request.urlopen("https://" + os.environ["KUBERNETES_SERVICE_HOST"] + "/version", context=context, timeout=5).read().decode())
`
	t.apply(d.Name, pod("python", "node-2", "localhost/python:test", "python3 -c '"+script+"'", ""))
	t.kubectl(d.Name, "wait", "--namespace=user", "--for=jsonpath={.status.phase}=Succeeded", "pod/python", "--timeout=60s")
	printed := t.kubectl(d.Name, "logs", "--namespace=user", "python")
	t.check(strings.HasPrefix(printed, "2.4.0\n"), "a restricted pod imports huggingface_hub")
	t.check(strings.Contains(printed, `"gitVersion": "v1.36`), "a pod reaches the API server through its service, with the certificate checked")
}

// productImage puts a dynamically linked program in the product's place: its
// libraries must be in the image, and its user must count as non-root.
func productImage(t *T, d *cluster.Description) {
	archive := filepath.Join(d.StateDir, "product.tar")
	t.must("image", "product", "--binary", "/usr/bin/id", "--ref", "localhost/product:selftest", "--output", archive)
	t.must("load", "--name", d.Name, archive)
	t.apply(d.Name, `
apiVersion: v1
kind: Pod
metadata: {name: product, namespace: user}
spec:
  restartPolicy: Never
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers: [{name: main, image: "localhost/product:selftest", args: [-u], securityContext: `+containerSecurity+`}]
`)
	t.kubectl(d.Name, "wait", "--namespace=user", "--for=jsonpath={.status.phase}=Succeeded", "pod/product", "--timeout=60s")
	user := t.kubectl(d.Name, "logs", "--namespace=user", "product")
	t.check(user == "65532", "the product image runs a dynamic program as user 65532 (%s)", user)
}

// Package controlplane starts etcd, the API server, the controller manager and
// the scheduler of one cluster.
package controlplane

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"modelcache.test/cluster/internal/addr"
	"modelcache.test/cluster/internal/kubeapi"
	"modelcache.test/cluster/internal/layout"
	"modelcache.test/cluster/internal/pki"
	"modelcache.test/cluster/internal/proc"
	"modelcache.test/cluster/internal/state"
)

// startLimit is generous: a machine that compiles beside it is slow.
const startLimit = 4 * time.Minute

// ControlPlane is the control plane of one cluster.
type ControlPlane struct {
	name     string
	dir      layout.Cluster
	plan     addr.Plan
	binaries string
	only     bool // without nodes: everything on loopback, no root
	audit    bool

	Authority *pki.Authority
	API       *kubeapi.Client
	ReadyAt   time.Time // when /readyz first said yes
}

// New describes the control plane of a recorded cluster.
func New(record *state.Record, dir layout.Cluster, audit bool) *ControlPlane {
	return &ControlPlane{
		name: record.Name, dir: dir, plan: record.Plan(), binaries: record.Binaries,
		only: record.ControlPlaneOnly, audit: audit,
	}
}

// Server is the URL of the API server.
func (c *ControlPlane) Server() string { return Server(c.plan, c.only) }

// Server is the URL of a cluster's API server.
func Server(plan addr.Plan, controlPlaneOnly bool) string {
	if controlPlaneOnly {
		return fmt.Sprintf("https://%s:6443", plan.Loopback())
	}
	return fmt.Sprintf("https://%s:6443", plan.Bridge())
}

// Connect makes a client from what an earlier launcher wrote.
func (c *ControlPlane) Connect() error {
	authority, err := pki.LoadAuthority(c.dir.PKI)
	if err != nil {
		return err
	}
	admin, err := authority.Issue(pki.Subject{User: "admin", Groups: []string{"system:masters"}})
	if err != nil {
		return err
	}
	c.Authority = authority
	c.API, err = kubeapi.New(c.Server(), authority.Cert, admin)
	return err
}

// Prepare writes credentials and configuration; nodes need the authority
// before the API server runs.
func (c *ControlPlane) Prepare() error {
	authority, admin, err := c.writeCredentials()
	if err != nil {
		return err
	}
	c.Authority = authority
	if err := os.MkdirAll(filepath.Dir(c.dir.Config("x")), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(c.dir.Config("audit-policy.yaml"), []byte(auditPolicy), 0o644); err != nil {
		return err
	}
	if err := os.MkdirAll(c.dir.HostPathVolumes(), 0o755); err != nil {
		return err
	}
	c.API, err = kubeapi.New(c.Server(), authority.Cert, admin)
	return err
}

// Start returns when the API server is ready and new namespaces get their
// service accounts, so that pods can be created at once.
func (c *ControlPlane) Start() error {
	etcd, err := c.start("etcd", c.etcdArguments(), 0)
	if err != nil {
		return err
	}
	// An API server that finds etcd closed tries again only a second later.
	if err := etcd.WaitFor("it listens", startLimit, c.etcdListens); err != nil {
		return err
	}
	apiserver, err := c.start("kube-apiserver", c.apiserverArguments(), 0)
	if err != nil {
		return err
	}
	if err := apiserver.WaitFor("/readyz says yes", startLimit, c.API.Ready); err != nil {
		return err
	}
	c.ReadyAt = time.Now()
	if _, err := c.start("kube-scheduler", c.schedulerArguments(), 0); err != nil {
		return err
	}
	manager, err := c.startControllerManager()
	if err != nil {
		return err
	}
	var made sync.WaitGroup
	var classError error
	made.Go(func() { classError = c.createStorageClasses() })
	err = manager.WaitFor("the namespace default has its service account", startLimit, func() bool {
		return c.API.Exists("/api/v1/namespaces/default/serviceaccounts/default")
	})
	made.Wait()
	if err != nil {
		return err
	}
	return classError
}

func (c *ControlPlane) etcdListens() bool {
	connection, err := net.DialTimeout("tcp", strings.TrimPrefix(c.etcdURL(), "http://"), time.Second)
	if err == nil {
		connection.Close()
	}
	return err == nil
}

// startControllerManager gives it, if the launcher may, a mount namespace in
// which the host-path provisioner's directory is the cluster's own.
func (c *ControlPlane) startControllerManager() (*proc.Process, error) {
	arguments := c.controllerManagerArguments()
	if c.only {
		return c.start("kube-controller-manager", arguments, 0)
	}
	program := filepath.Join(c.binaries, "kube-controller-manager")
	script := `mount --make-rslave / && mount --bind "$1" /tmp/hostpath_pv && shift && exec "$@"`
	argv := append([]string{"/bin/sh", "-c", script, "sh", c.dir.HostPathVolumes(), program}, arguments...)
	return proc.Start(c.owner(), "kube-controller-manager", argv, c.dir.Log("kube-controller-manager"),
		c.dir.PidFile("kube-controller-manager"), proc.Options{Cloneflags: syscall.CLONE_NEWNS})
}

func (c *ControlPlane) start(program string, arguments []string, cloneflags uintptr) (*proc.Process, error) {
	argv := append([]string{filepath.Join(c.binaries, program)}, arguments...)
	return proc.Start(c.owner(), program, argv, c.dir.Log(program), c.dir.PidFile(program), proc.Options{Cloneflags: cloneflags})
}

func (c *ControlPlane) owner() proc.Owner { return proc.Owner{StateDir: string(c.dir)} }

// createStorageClasses makes the classes that tests ask for by name.
func (c *ControlPlane) createStorageClasses() error {
	for _, class := range []struct{ name, binding, reclaim string }{
		{"standard", "Immediate", "Delete"},
		{"standard-wait", "WaitForFirstConsumer", "Delete"},
		{"standard-retain", "Immediate", "Retain"},
	} {
		annotations := map[string]string{}
		if class.name == "standard" {
			annotations["storageclass.kubernetes.io/is-default-class"] = "true"
		}
		err := c.API.Create("/apis/storage.k8s.io/v1/storageclasses", map[string]any{
			"apiVersion":        "storage.k8s.io/v1",
			"kind":              "StorageClass",
			"metadata":          map[string]any{"name": class.name, "annotations": annotations},
			"provisioner":       "kubernetes.io/host-path",
			"volumeBindingMode": class.binding,
			"reclaimPolicy":     class.reclaim,
		})
		if err != nil {
			return fmt.Errorf("StorageClass %s cannot be made: %w", class.name, err)
		}
	}
	return nil
}

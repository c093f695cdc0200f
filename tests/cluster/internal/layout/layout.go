// Package layout knows where things lie on disk: the cache of built binaries
// and the state of each running cluster, both outside the checkout.
package layout

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// CacheRoot is the directory of everything this tool keeps between runs:
// $MODELCACHE_TEST_CACHE, or modelcache-operator in the user's cache.
func CacheRoot() (string, error) {
	if dir := os.Getenv("MODELCACHE_TEST_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no place for the cache: set MODELCACHE_TEST_CACHE, XDG_CACHE_HOME or HOME: %w", err)
	}
	return filepath.Join(dir, "modelcache-operator"), nil
}

// ClustersRoot is the directory with one directory of state per cluster.
func ClustersRoot() (string, error) {
	cache, err := CacheRoot()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "clusters"), nil
}

// shadowed are the directories of which every node has its own.
var shadowed = []string{"/run", "/var/run", "/var/lib", "/var/log"}

// CheckStateRoot refuses a state directory that a node could not see, because
// the node has its own directory over it.
func CheckStateRoot(dir string) error {
	if OwnOfNode(dir) {
		return fmt.Errorf("the state of clusters must not lie under any of %s (it is %s), as every node has its own: set MODELCACHE_TEST_CACHE", strings.Join(shadowed, ", "), dir)
	}
	return nil
}

// OwnOfNode says whether a path is not the machine's inside a node.
func OwnOfNode(path string) bool {
	for _, own := range shadowed {
		if path == own || strings.HasPrefix(path, own+"/") {
			return true
		}
	}
	return false
}

var clusterName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$`)

// CheckName says whether name can be a cluster's or a node's name.
func CheckName(name string) error {
	if !clusterName.MatchString(name) {
		return fmt.Errorf("the name %q must be 1 to 32 lower-case letters, digits or dashes, with no dash at either end", name)
	}
	return nil
}

// Cluster is the directory of one cluster's state.
type Cluster string

func (c Cluster) path(parts ...string) string {
	return filepath.Join(append([]string{string(c)}, parts...)...)
}

// Record is the file that says what the cluster consists of.
func (c Cluster) Record() string { return c.path("cluster.json") }

// Kubeconfig is the administrator's kubeconfig.
func (c Cluster) Kubeconfig() string { return c.path("kubeconfig") }

// PKI is the directory of certificates and keys.
func (c Cluster) PKI(file string) string { return c.path("pki", file) }

// Config is a configuration file of the control plane.
func (c Cluster) Config(file string) string { return c.path("config", file) }

// EtcdData is etcd's data directory.
func (c Cluster) EtcdData() string { return c.path("etcd") }

// AuditLog is the API server's audit log.
func (c Cluster) AuditLog() string { return c.path("audit.log") }

// HostPathVolumes lies over /tmp/hostpath_pv in the controller manager and in
// every node, so that the volumes of clusters stay apart and go with them.
func (c Cluster) HostPathVolumes() string { return c.path("hostpath_pv") }

// Log is the log of one process.
func (c Cluster) Log(process string) string { return c.path("logs", process+".log") }

// PidFile records one process.
func (c Cluster) PidFile(process string) string { return c.path("run", process+".pid") }

// PidDir holds all PidFiles.
func (c Cluster) PidDir() string { return c.path("run") }

// Node is a path inside the directory of one node.
func (c Cluster) Node(node string, parts ...string) string {
	return c.path(append([]string{"nodes", node}, parts...)...)
}

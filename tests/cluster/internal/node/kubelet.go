package node

import (
	"fmt"
	"os"
	"path/filepath"

	"modelcache.test/cluster/internal/controlplane"
	"modelcache.test/cluster/internal/host"
	"modelcache.test/cluster/internal/pki"
	"modelcache.test/cluster/internal/proc"
)

const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: %q}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix://` + containerdSocket + `
resolvConf: %q
%sclusterDomain: cluster.local
cgroupDriver: cgroupfs
cgroupRoot: %q
failCgroupV1: false # machines with the old hierarchy still build and test this
failSwapOn: false
oomScoreAdj: 0 # a container as the machine may lack CAP_SYS_RESOURCE
makeIPTablesUtilChains: false
serializeImagePulls: false
maxPods: 60
# The machine's own fill level is no news about the node: evict, and throw away
# images, at the very end only.
evictionHard: {memory.available: 20Mi, nodefs.available: 1%%, imagefs.available: 1%%}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
# A node that stops is seen after node-monitor-grace-period, which has to be
# many times the renewal (a quarter of the lease) on a busy machine.
nodeLeaseDurationSeconds: 8
nodeStatusUpdateFrequency: 2s
nodeStatusReportFrequency: 1m
`

// Enroll writes the node's identity and configuration.
func (n *Node) Enroll(authority *pki.Authority) error {
	server := controlplane.Server(n.plan, false)
	for program, subject := range map[string]pki.Subject{
		"kubelet":    {User: "system:node:" + n.Name, Groups: []string{"system:nodes"}},
		"kube-proxy": {User: "system:kube-proxy"},
	} {
		if _, err := authority.Kubeconfig(n.file("etc", program+".kubeconfig"), n.cluster, server, subject); err != nil {
			return err
		}
	}
	resolvers := host.Resolvers()
	if err := os.WriteFile(n.file("etc/resolv.conf"), []byte(resolvers), 0o644); err != nil {
		return err
	}
	// There is no cluster DNS. With the machine's resolvers in its place every
	// pod can look up public names, and none gets a warning event about it.
	clusterDNS := ""
	if servers := host.Nameservers(resolvers); len(servers) > 0 {
		clusterDNS = fmt.Sprintf("clusterDNS: [%q]\n", servers[0])
	}
	config := fmt.Sprintf(kubeletConfig, n.dir.PKI("ca.crt"), n.file("etc/resolv.conf"), clusterDNS, "/"+n.plan.CgroupName(n.Number))
	return os.WriteFile(n.file("etc/kubelet.yaml"), []byte(config), 0o644)
}

// StartAgents starts those of kube-proxy and kubelet that do not run.
func (n *Node) StartAgents() (*proc.Process, error) {
	if _, running := proc.Running(n.PidFile("kube-proxy")); !running {
		_, err := n.startInside("kube-proxy", filepath.Join(n.record.Binaries, "kube-proxy"),
			"--kubeconfig="+n.file("etc/kube-proxy.kubeconfig"),
			"--hostname-override="+n.Name,
			"--proxy-mode=iptables",
			// Who is no pod gets masqueraded: the machine reaches services through one node.
			"--cluster-cidr="+n.plan.Pods().String(),
			// These belong to the machine, not to a network namespace.
			"--conntrack-max-per-core=0",
			"--conntrack-tcp-timeout-established=0",
			"--conntrack-tcp-timeout-close-wait=0",
		)
		if err != nil {
			return nil, err
		}
	}
	if n.KubeletRuns() {
		return nil, fmt.Errorf("node %s runs already", n.Name)
	}
	return n.startInside("kubelet", filepath.Join(n.record.Binaries, "kubelet"),
		"--config="+n.file("etc/kubelet.yaml"),
		"--kubeconfig="+n.file("etc/kubelet.kubeconfig"),
		"--hostname-override="+n.Name,
		"--node-ip="+n.IP(),
		"--root-dir=/var/lib/kubelet",
		"--cert-dir=/var/lib/kubelet/pki",
	)
}

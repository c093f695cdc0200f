package controlplane

import (
	"os"
	"path/filepath"

	"modelcache.test/cluster/internal/pki"
)

// writeCredentials makes every certificate and kubeconfig of the control
// plane, and returns the administrator's pair with the authority.
func (c *ControlPlane) writeCredentials() (*pki.Authority, pki.Pair, error) {
	authority, err := pki.NewAuthority()
	if err != nil {
		return nil, pki.Pair{}, err
	}
	if err := authority.Write(c.dir.PKI("ca")); err != nil {
		return nil, pki.Pair{}, err
	}
	pairs := map[string]pki.Subject{
		"apiserver": {User: "kube-apiserver", Hosts: []string{
			"localhost", "127.0.0.1", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
			"kubernetes.default.svc.cluster.local",
			c.plan.APIService().String(), c.plan.Bridge().String(), c.plan.Loopback().String(),
		}},
		"apiserver-kubelet-client": {User: "kube-apiserver-kubelet-client", Groups: []string{"system:masters"}},
		"front-proxy-client":       {User: "front-proxy-client"},
		"service-accounts":         {User: "service-accounts"},
	}
	for name, subject := range pairs {
		pair, err := authority.Issue(subject)
		if err != nil {
			return nil, pki.Pair{}, err
		}
		if err := pair.Write(c.dir.PKI(name)); err != nil {
			return nil, pki.Pair{}, err
		}
		if name == "service-accounts" {
			public, err := pair.PublicKey()
			if err != nil {
				return nil, pki.Pair{}, err
			}
			if err := os.WriteFile(c.dir.PKI("service-accounts.pub"), public, 0o644); err != nil {
				return nil, pki.Pair{}, err
			}
		}
	}
	for _, user := range []string{"kube-controller-manager", "kube-scheduler"} {
		subject := pki.Subject{User: "system:" + user}
		if _, err := authority.Kubeconfig(c.dir.Config(user+".kubeconfig"), c.name, c.Server(), subject); err != nil {
			return nil, pki.Pair{}, err
		}
	}
	admin, err := authority.Kubeconfig(c.dir.Kubeconfig(), filepath.Base(string(c.dir)), c.Server(),
		pki.Subject{User: "admin", Groups: []string{"system:masters"}})
	return authority, admin, err
}

// auditPolicy logs who did what to which object, not the objects. The reads of
// Kubernetes' own parts are left out: they are most of the traffic and no test
// asks about them. Every write is in it, of everybody.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  verbs: [get, list, watch]
  userGroups: ["system:nodes"]
- level: None
  verbs: [get, list, watch]
  users: ["system:apiserver", "system:kube-controller-manager", "system:kube-scheduler", "system:kube-proxy"]
- level: None
  verbs: [get, list, watch]
  userGroups: ["system:serviceaccounts:kube-system"]
- level: None
  nonResourceURLs: ["*"]
- level: Metadata
`

package controlplane

import "fmt"

func (c *ControlPlane) etcdURL() string { return fmt.Sprintf("http://%s:2379", c.plan.Loopback()) }

func (c *ControlPlane) etcdArguments() []string {
	peer := fmt.Sprintf("http://%s:2380", c.plan.Loopback())
	return []string{
		"--name=default",
		"--data-dir=" + c.dir.EtcdData(),
		"--listen-client-urls=" + c.etcdURL(),
		"--advertise-client-urls=" + c.etcdURL(),
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=default=" + peer,
		"--unsafe-no-fsync", // a test cluster is thrown away after a power cut
		"--log-level=warn",
	}
}

func (c *ControlPlane) apiserverArguments() []string {
	bind := c.plan.Bridge() // not loopback: the endpoint of the service "kubernetes" must be reachable from pods
	if c.only {
		bind = c.plan.Loopback()
	}
	arguments := []string{
		"--etcd-servers=" + c.etcdURL(),
		"--bind-address=" + bind.String(),
		"--advertise-address=" + bind.String(),
		"--secure-port=6443",
		"--tls-cert-file=" + c.dir.PKI("apiserver.crt"),
		"--tls-private-key-file=" + c.dir.PKI("apiserver.key"),
		"--client-ca-file=" + c.dir.PKI("ca.crt"),
		"--requestheader-client-ca-file=" + c.dir.PKI("ca.crt"),
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + c.dir.PKI("front-proxy-client.crt"),
		"--proxy-client-key-file=" + c.dir.PKI("front-proxy-client.key"),
		"--kubelet-client-certificate=" + c.dir.PKI("apiserver-kubelet-client.crt"),
		"--kubelet-client-key=" + c.dir.PKI("apiserver-kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP", // a node's name does not resolve
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + c.dir.PKI("service-accounts.pub"),
		"--service-account-signing-key-file=" + c.dir.PKI("service-accounts.key"),
		"--service-cluster-ip-range=" + c.plan.Services().String(),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged",
		"--profiling=false",
	}
	if c.only {
		// The endpoint of the service "kubernetes" must not be a loopback address.
		arguments = append(arguments, "--endpoint-reconciler-type=none")
	}
	if c.audit {
		arguments = append(arguments,
			"--audit-policy-file="+c.dir.Config("audit-policy.yaml"),
			"--audit-log-path="+c.dir.AuditLog(),
			"--audit-log-maxsize=4096", // megabytes: never rotated in a test
		)
	}
	return arguments
}

func (c *ControlPlane) controllerManagerArguments() []string {
	kubeconfig := c.dir.Config("kube-controller-manager.kubeconfig")
	arguments := []string{
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=" + c.plan.Loopback().String(),
		"--leader-elect=false",
		"--use-service-account-credentials",
		"--service-account-private-key-file=" + c.dir.PKI("service-accounts.key"),
		"--root-ca-file=" + c.dir.PKI("ca.crt"),
		"--cluster-signing-cert-file=" + c.dir.PKI("ca.crt"),
		"--cluster-signing-key-file=" + c.dir.PKI("ca.key"),
		// A stopped kubelet shows as NotReady after this long; kubelets renew every two seconds. Less would be quicker, and
		// take a node that a busy machine held up for one that does not answer.
		"--node-monitor-period=1s",
		"--node-monitor-grace-period=40s",
		"--pvclaimbinder-sync-period=5s",
		"--kube-api-qps=500", // the default of 20 alone makes its start take five seconds
		"--kube-api-burst=1000",
		"--profiling=false",
	}
	if !c.only { // it would write to the machine's own /tmp
		arguments = append(arguments, "--enable-hostpath-provisioner")
	}
	return arguments
}

func (c *ControlPlane) schedulerArguments() []string {
	kubeconfig := c.dir.Config("kube-scheduler.kubeconfig")
	return []string{
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=" + c.plan.Loopback().String(),
		"--leader-elect=false",
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
		"--profiling=false",
	}
}

// Command kube is every binary of a small Kubernetes cluster in one file: the
// etcd store, the control plane, the node agents and kubectl. One binary links
// the shared code once, which keeps build time and disk use bearable.
//
// It runs as the program it is called as (a symlink named kubelet is the
// kubelet); under any other name, as the program its first argument names.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// programs maps a program's name to its entry point. An entry point reads
// os.Args as that program's own main would, and exits or returns.
var programs = map[string]func(){
	"etcd":                    runEtcd,
	"kube-apiserver":          runAPIServer,
	"kube-controller-manager": runControllerManager,
	"kube-scheduler":          runScheduler,
	"kube-proxy":              runProxy,
	"kubelet":                 runKubelet,
	"kubectl":                 runKubectl,
}

func main() {
	if run, known := programs[filepath.Base(os.Args[0])]; known {
		run()
		return
	}
	if len(os.Args) > 1 {
		if run, known := programs[os.Args[1]]; known {
			os.Args = os.Args[1:]
			run()
			return
		}
	}
	fmt.Fprintf(os.Stderr, "kube: the first argument must be one of %s\n", strings.Join(programNames(), ", "))
	os.Exit(2)
}

func programNames() []string {
	names := make([]string, 0, len(programs))
	for name := range programs {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Command cluster runs real Kubernetes clusters on one machine, for tests and
// the demo. It uses nothing but the standard library, so that it builds in
// seconds; Kubernetes itself is cmd/kube, which it builds once.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"sort"
)

// verb is one thing the launcher does.
type verb struct {
	arguments string
	help      string
	run       func(arguments []string) error
}

var verbs map[string]verb

func init() { // not a literal: usage reads the map
	verbs = map[string]verb{
		"up":       {"[--name N] [--nodes 2 | --control-plane-only] …", "start a cluster and wait until its nodes are Ready", up},
		"down":     {"[--name N | --all]", "remove a cluster and every trace of it", down},
		"status":   {"[--name N | --all]", "describe running clusters", status},
		"build":    {"", "build Kubernetes (done by up as well) and print where it is", build},
		"load":     {"[--name N] ARCHIVE...", "import image archives into every node", load},
		"image":    {"product|python|busybox …", "make an image archive and print its path", image},
		"node":     {"add|remove|stop|start|exec|egress [--name N] …", "change one node of a running cluster", nodeVerb},
		"kubectl":  {"[--name N] -- ARGUMENTS...", "run kubectl against a cluster", kubectl},
		"logs":     {"[--name N] PROCESS", "print the log of one process, such as kube-apiserver or node-1.kubelet", logs},
		"selftest": {"", "prove on real clusters that all of this works", selftestVerb},
	}
}

func main() {
	if len(os.Args) < 2 || os.Args[1] == "-h" || os.Args[1] == "--help" || os.Args[1] == "help" {
		usage()
		return
	}
	chosen, known := verbs[os.Args[1]]
	if !known {
		fmt.Fprintf(os.Stderr, "cluster: there is no %q; see cluster --help\n", os.Args[1])
		os.Exit(2)
	}
	err := chosen.run(os.Args[2:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "cluster %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

func usage() {
	fmt.Println("Real Kubernetes clusters on this machine. Each command has its own --help.")
	names := make([]string, 0, len(verbs))
	for name := range verbs {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Printf("\n  cluster %s %s\n      %s\n", name, verbs[name].arguments, verbs[name].help)
	}
}

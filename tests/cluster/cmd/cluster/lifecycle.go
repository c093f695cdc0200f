package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"modelcache.test/cluster/internal/cluster"
	"modelcache.test/cluster/internal/kubebin"
	"modelcache.test/cluster/internal/layout"
)

func up(arguments []string) error {
	flags := newFlags("up").withOutput()
	options := cluster.Options{Progress: os.Stderr}
	disks := diskSizes{all: cluster.DefaultDisk}
	var archives list
	flags.IntVar(&options.Nodes, "nodes", 2, "how many nodes, 1 to 4")
	flags.BoolVar(&options.ControlPlaneOnly, "control-plane-only", false, "no nodes; needs no root")
	flags.StringVar(&options.AddressRange, "address-range", "", "an IPv4 `/16` for the cluster (default: one that is free)")
	flags.StringVar(&options.PoolPath, "pool-path", "/var/lib/modelcache", "where each node has a disk of its own")
	flags.Var(&disks, "disk-size", "`size` of the nodes' disks, or NODE=SIZE for one of them (default 4Gi, sparse)")
	flags.Var(&archives, "image", "an image `archive` that every node gets; may be repeated")
	flags.BoolVar(&options.Audit, "audit", true, "write the API server's audit log")
	rest, err := flags.parse(arguments)
	if err = errors.Join(err, none(rest)); err != nil {
		return err
	}
	options.Name, options.Images = *flags.name, archives
	options.DiskBytes, options.NodeDiskBytes = disks.all, disks.perNode
	description, err := cluster.Up(options)
	if err != nil {
		return err
	}
	if *flags.output == "json" {
		return printJSON(description)
	}
	fmt.Fprintf(os.Stderr, "cluster %s is ready after %.1f s; its kubeconfig:\n", description.Name, description.Seconds)
	fmt.Println(description.Kubeconfig)
	return nil
}

func down(arguments []string) error {
	flags := newFlags("down")
	all := flags.Bool("all", false, "every cluster")
	rest, err := flags.parse(arguments)
	if err = errors.Join(err, none(rest)); err != nil {
		return err
	}
	if *all {
		return cluster.DownAll()
	}
	return cluster.Down(*flags.name)
}

// status fails if the named cluster is not running, so that scripts can ask.
func status(arguments []string) error {
	flags := newFlags("status").withOutput()
	all := flags.Bool("all", false, "every cluster")
	rest, err := flags.parse(arguments)
	if err = errors.Join(err, none(rest)); err != nil {
		return err
	}
	if *all {
		descriptions, err := cluster.StatusAll()
		if err != nil {
			return err
		}
		if *flags.output == "json" {
			return printJSON(descriptions)
		}
		for _, description := range descriptions {
			printDescription(description)
		}
		return nil
	}
	description, err := cluster.Status(*flags.name)
	if err != nil {
		return err
	}
	if *flags.output == "json" {
		err = printJSON(description)
	} else {
		printDescription(description)
	}
	if err == nil && !description.Running {
		err = fmt.Errorf("cluster %q is not running: take it down", description.Name)
	}
	return err
}

func printDescription(d *cluster.Description) {
	state := "running"
	if !d.Running {
		state = "not running"
	}
	fmt.Printf("%s: %s\n  kubeconfig %s\n  server     %s\n", d.Name, state, d.Kubeconfig, d.Server)
	for _, node := range d.Nodes {
		kubelet := ""
		if !node.KubeletRunning {
			kubelet = "  (kubelet stopped)"
		}
		fmt.Printf("  %s     %s  disk %s%s\n", node.Name, node.IP, node.PoolDir, kubelet)
	}
	if len(d.Stopped) > 0 {
		fmt.Printf("  stopped    %s\n", strings.Join(d.Stopped, " "))
	}
}

func build(arguments []string) error {
	flags := newFlags("build")
	rest, err := flags.parse(arguments)
	if err = errors.Join(err, none(rest)); err != nil {
		return err
	}
	directory, err := kubebin.Ensure(os.Stderr)
	if err == nil {
		fmt.Println(directory)
	}
	return err
}

func kubectl(arguments []string) error {
	flags := newFlags("kubectl")
	if err := flags.Parse(arguments); err != nil { // the first other argument and all after it is kubectl's
		return err
	}
	rest := flags.Args()
	description, err := cluster.Status(*flags.name)
	if err != nil {
		return err
	}
	environment := append(os.Environ(), "KUBECONFIG="+description.Kubeconfig)
	return syscall.Exec(description.Kubectl, append([]string{"kubectl"}, rest...), environment)
}

func logs(arguments []string) error {
	flags := newFlags("logs")
	rest, err := flags.parse(arguments)
	if err != nil {
		return err
	}
	description, err := cluster.Status(*flags.name)
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		files, _ := filepath.Glob(layout.Cluster(description.StateDir).Log("*"))
		for index, file := range files {
			files[index] = strings.TrimSuffix(filepath.Base(file), ".log")
		}
		return fmt.Errorf("one process must be named, of: %s", strings.Join(files, " "))
	}
	content, err := os.ReadFile(layout.Cluster(description.StateDir).Log(filepath.Base(rest[0])))
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(content)
	return err
}

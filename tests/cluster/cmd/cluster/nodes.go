package main

import (
	"errors"
	"fmt"
	"syscall"

	"modelcache.test/cluster/internal/cluster"
	"modelcache.test/cluster/internal/host"
)

func nodeVerb(arguments []string) error {
	usage := errors.New("say one of: node add, node remove NAME, node stop NAME, node start NAME, node exec NAME -- COMMAND, node egress NAME on|off")
	if len(arguments) == 0 {
		return usage
	}
	flags := newFlags("node " + arguments[0])
	disks := diskSizes{all: cluster.DefaultDisk}
	powerOff := false
	switch arguments[0] {
	case "add":
		flags.Var(&disks, "disk-size", "`size` of the node's disk (default 4Gi, sparse)")
	case "stop":
		flags.BoolVar(&powerOff, "power-off", false, "end the node's pods too, not just its kubelet")
	case "remove", "start", "exec", "egress":
	default:
		return usage
	}
	rest, err := flags.parse(arguments[1:])
	if err != nil {
		return err
	}
	if arguments[0] == "add" {
		if err := none(rest); err != nil {
			return fmt.Errorf("a node gets the lowest free name: %w", err)
		}
		name, err := cluster.AddNode(*flags.name, disks.all)
		if err == nil {
			fmt.Println(name)
		}
		return err
	}
	if len(rest) == 0 {
		return usage
	}
	name, rest := rest[0], rest[1:]
	switch arguments[0] {
	case "exec":
		if len(rest) == 0 {
			return usage
		}
		return nodeExec(*flags.name, name, rest)
	case "egress":
		if len(rest) != 1 || rest[0] != "on" && rest[0] != "off" {
			return usage
		}
		return cluster.SetEgress(*flags.name, name, rest[0] == "on")
	}
	if err := none(rest); err != nil {
		return err
	}
	switch arguments[0] {
	case "remove":
		return cluster.RemoveNode(*flags.name, name)
	case "stop":
		return cluster.StopNode(*flags.name, name, powerOff)
	default:
		return cluster.StartNode(*flags.name, name)
	}
}

// nodeExec becomes the command, so that its exit code and signals are its own.
func nodeExec(clusterName, nodeName string, command []string) error {
	n, err := cluster.FindNode(clusterName, nodeName)
	if err != nil {
		return err
	}
	argv, environment, err := n.Command(command...)
	if err != nil {
		return err
	}
	program, err := host.Find(argv[0])
	if err != nil {
		return err
	}
	return syscall.Exec(program, argv, environment)
}

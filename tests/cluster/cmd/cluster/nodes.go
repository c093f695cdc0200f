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
	switch arguments[0] {
	case "remove":
		return errors.Join(none(rest[1:]), cluster.RemoveNode(*flags.name, rest[0]))
	case "stop":
		return errors.Join(none(rest[1:]), cluster.StopNode(*flags.name, rest[0], powerOff))
	case "start":
		return errors.Join(none(rest[1:]), cluster.StartNode(*flags.name, rest[0]))
	case "egress":
		if len(rest) != 2 || rest[1] != "on" && rest[1] != "off" {
			return usage
		}
		return cluster.SetEgress(*flags.name, rest[0], rest[1] == "on")
	}
	if len(rest) < 2 {
		return usage
	}
	return nodeExec(*flags.name, rest[0], rest[1:])
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

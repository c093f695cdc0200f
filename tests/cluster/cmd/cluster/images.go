package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"modelcache.test/cluster/internal/cluster"
	"modelcache.test/cluster/internal/images"
	"modelcache.test/cluster/internal/layout"
)

func load(arguments []string) error {
	flags := newFlags("load")
	archives, err := flags.parse(arguments)
	if err != nil {
		return err
	}
	if len(archives) == 0 {
		return errors.New("at least one image archive must be named")
	}
	return cluster.LoadImages(*flags.name, archives)
}

func image(arguments []string) error {
	usage := errors.New("say one of: image product --binary FILE --output FILE [--ref NAME:TAG], image python [PACKAGE==VERSION...], image busybox")
	if len(arguments) == 0 {
		return usage
	}
	flags := newFlags("image " + arguments[0])
	var binary, ref, output string
	if arguments[0] == "product" {
		flags.StringVar(&binary, "binary", "", "the built modelcache `file`")
		flags.StringVar(&ref, "ref", "localhost/modelcache:test", "the image's `name:tag`")
		flags.StringVar(&output, "output", "", "the archive `file` to write")
	}
	rest, err := flags.parse(arguments[1:])
	if err != nil {
		return err
	}
	cache, err := layout.CacheRoot()
	if err != nil {
		return err
	}
	switch arguments[0] {
	case "product":
		if binary == "" || output == "" || len(rest) > 0 {
			return usage
		}
		err = images.Product(binary, ref, output)
	case "python":
		output, err = images.Python(cache, rest)
	case "busybox":
		if err := none(rest); err != nil {
			return err
		}
		output = filepath.Join(cache, "images", "busybox.tar")
		err = images.Busybox(output)
	default:
		return usage
	}
	if err == nil {
		fmt.Println(output)
	}
	return err
}

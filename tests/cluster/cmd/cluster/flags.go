package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// defaultName is the cluster that commands mean without --name.
const defaultName = "dev"

// flagSet is a set of flags with the two that most commands have.
type flagSet struct {
	*flag.FlagSet
	name   *string
	output *string
}

func newFlags(verb string) *flagSet {
	flags := &flagSet{FlagSet: flag.NewFlagSet("cluster "+verb, flag.ContinueOnError)}
	flags.name = flags.String("name", defaultName, "the cluster's `name`")
	return flags
}

func (f *flagSet) withOutput() *flagSet {
	f.output = f.String("o", "text", "output `format`: text or json")
	return f
}

// parse accepts flags before and after the other arguments, and returns those.
// All after "--" is left alone.
func (f *flagSet) parse(arguments []string) ([]string, error) {
	var rest []string
	for {
		if err := f.Parse(arguments); err != nil {
			return nil, err
		}
		consumed := len(arguments) - f.NArg()
		if consumed > 0 && arguments[consumed-1] == "--" {
			rest = append(rest, f.Args()...)
			break
		}
		if f.NArg() == 0 {
			break
		}
		rest = append(rest, f.Arg(0))
		arguments = f.Args()[1:]
	}
	if f.output != nil && *f.output != "text" && *f.output != "json" {
		return nil, fmt.Errorf("-o must be text or json, not %q", *f.output)
	}
	return rest, nil
}

// none refuses arguments where there are none.
func none(arguments []string) error {
	if len(arguments) > 0 {
		return fmt.Errorf("there must be no argument %q", arguments[0])
	}
	return nil
}

// list is a flag that may be repeated.
type list []string

func (l *list) String() string { return strings.Join(*l, " ") }

func (l *list) Set(value string) error { *l = append(*l, value); return nil }

// diskSizes is --disk-size: for all nodes, or NODE=SIZE for one.
type diskSizes struct {
	all     int64
	perNode map[string]int64
}

func (d *diskSizes) String() string { return "" }

func (d *diskSizes) Set(value string) error {
	node, size, own := strings.Cut(value, "=")
	if !own {
		size = value
	}
	bytes, err := parseSize(size)
	if err != nil {
		return err
	}
	if !own {
		d.all = bytes
		return nil
	}
	if d.perNode == nil {
		d.perNode = map[string]int64{}
	}
	d.perNode[node] = bytes
	return nil
}

const smallestDisk = 4 << 20 // less is no ext4 file system

// parseSize reads a size as Kubernetes writes it: 200Mi, 4Gi, or bytes.
func parseSize(text string) (int64, error) {
	for suffix, shift := range map[string]uint{"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "": 0} {
		digits, found := strings.CutSuffix(text, suffix)
		number, err := strconv.ParseInt(digits, 10, 64)
		if !found || err != nil || number < 0 || number > (1<<50)>>shift {
			continue
		}
		if number<<shift < smallestDisk {
			return 0, fmt.Errorf("a disk must have at least 4Mi, not %q", text)
		}
		return number << shift, nil
	}
	return 0, fmt.Errorf("a size must be written as 200Mi or 4Gi, not %q", text)
}

func printJSON(value any) error {
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

package images

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"modelcache.test/cluster/internal/host"
)

// NonRoot is the user of the product image; the Containerfile names the same.
const NonRoot = 65532

const certificates = "/etc/ssl/certs/ca-certificates.crt"

// nameServices names every database: for one without a line a static program
// would load a library that the image does not have, and crash.
const nameServices = "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\nnetworks: files\n"

// base has what every program expects to find.
func base(ref string) *Image {
	passwd := fmt.Sprintf("root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:%d:%d:nonroot:/home/nonroot:/sbin/nologin\n", NonRoot, NonRoot)
	group := fmt.Sprintf("root:x:0:\nnonroot:x:%d:\n", NonRoot)
	return &Image{Ref: ref, Files: map[string]Entry{
		"/etc/passwd":        {Mode: 0o644, Content: []byte(passwd)},
		"/etc/group":         {Mode: 0o644, Content: []byte(group)},
		"/etc/nsswitch.conf": {Mode: 0o644, Content: []byte(nameServices)},
		"/tmp":               {Mode: os.ModeDir | os.ModeSticky | 0o777},
	}}
}

func (i *Image) addCertificates() error {
	source, err := filepath.EvalSymlinks(certificates)
	if err != nil {
		return fmt.Errorf("the CA certificates must be installed (package ca-certificates): %w", err)
	}
	i.Files[certificates] = Entry{Mode: 0o644, Source: source}
	return nil
}

// Product makes the image of the operator and agent from a built binary: what
// the Containerfile makes, without a container tool.
func Product(binary, ref, output string) error {
	image := base(ref)
	if err := image.addCertificates(); err != nil {
		return err
	}
	const program = "/usr/local/bin/modelcache"
	image.Files[program] = Entry{Mode: 0o755, Source: binary}
	if err := image.addLibraries(binary); err != nil {
		return err
	}
	image.Config = Config{
		User:       fmt.Sprintf("%d:%d", NonRoot, NonRoot),
		Env:        []string{"PATH=/usr/local/bin", "SSL_CERT_FILE=" + certificates},
		Entrypoint: []string{program},
		WorkingDir: "/",
	}
	return image.Write(output)
}

// PauseRef is the image of the process that keeps a pod's namespaces open.
const PauseRef = "localhost/pause:test"

// Pause makes that image from a static binary.
func Pause(binary, output string) error {
	image := &Image{Ref: PauseRef, Files: map[string]Entry{"/pause": {Mode: 0o755, Source: binary}}}
	image.Config = Config{User: "65535:65535", Entrypoint: []string{"/pause"}}
	return image.Write(output)
}

// BusyboxRef is a small image with a shell and the usual tools.
const BusyboxRef = "localhost/busybox:test"

// findBusybox installs the static busybox if the machine lacks it.
func findBusybox() (string, error) {
	path, err := host.Find("busybox")
	if err != nil && os.Geteuid() == 0 {
		if err := host.InstallPackages("busybox-static"); err != nil {
			return "", err
		}
		path, err = host.Find("busybox")
	}
	if err != nil {
		return "", errors.New("the package busybox-static must be installed")
	}
	if dynamic, err := isDynamic(path); err != nil || dynamic {
		return "", errors.Join(err, fmt.Errorf("%s must be static: install the package busybox-static", path))
	}
	return path, nil
}

// addBusybox adds a shell and tools, except what the image has already.
func (i *Image) addBusybox() error {
	busybox, err := findBusybox()
	if err != nil {
		return err
	}
	applets, err := host.Output(busybox, "--list")
	if err != nil {
		return err
	}
	i.Files["/bin/busybox"] = Entry{Mode: 0o755, Source: busybox}
	for _, applet := range strings.Fields(applets) {
		if _, there := i.Files["/bin/"+applet]; !there {
			i.Files["/bin/"+applet] = Entry{Mode: os.ModeSymlink, Target: "busybox"}
		}
	}
	return nil
}

// Busybox makes the tools image.
func Busybox(output string) error {
	image := base(BusyboxRef)
	if err := image.addBusybox(); err != nil {
		return err
	}
	image.Config = Config{Env: []string{"PATH=/bin"}, Cmd: []string{"sh"}, WorkingDir: "/"}
	return image.Write(output)
}

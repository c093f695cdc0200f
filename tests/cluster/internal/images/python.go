package images

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
)

// PythonRef is the image with the machine's Python and the wanted packages.
const PythonRef = "localhost/python:test"

// sitePackages is where the packages lie in the image.
const sitePackages = "/usr/local/lib/site-packages"

// interpreter is what Python says about itself.
type interpreter struct {
	Executable string `json:"executable"`
	Version    string `json:"version"`
	Stdlib     string `json:"stdlib"`
}

const describe = `
import json, os, sys, sysconfig
print(json.dumps({
    "executable": os.path.realpath(sys.executable if sys.prefix == sys.base_prefix else sys._base_executable),
    "version": sys.version,
    "stdlib": os.path.realpath(sysconfig.get_path("stdlib")),
}))`

func findInterpreter() (*interpreter, error) {
	command := exec.Command("python3", "-c", describe)
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("python3 must be on PATH and work: %w", err)
	}
	var python interpreter
	return &python, json.Unmarshal(output, &python)
}

// Python makes an image of the machine's own interpreter with packages from
// PyPI ("huggingface_hub==…"), unless the cache has it, and returns its archive.
func Python(cache string, requirements []string) (string, error) {
	python, err := findInterpreter()
	if err != nil {
		return "", err
	}
	requirements = append([]string(nil), requirements...)
	sort.Strings(requirements)
	key := sha256.Sum256([]byte(strings.Join(append([]string{"1", python.Executable, python.Version}, requirements...), "\n")))
	output := filepath.Join(cache, "images", "python-"+hex.EncodeToString(key[:])[:16]+".tar")
	if _, err := os.Stat(output); err == nil {
		return output, nil
	}
	packages, err := os.MkdirTemp("", "python-image-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(packages)
	if err := install(packages, requirements); err != nil {
		return "", err
	}
	image := base(PythonRef)
	if err := image.addCertificates(); err != nil {
		return "", err
	}
	if err := image.addInterpreter(python); err != nil {
		return "", err
	}
	if err := image.addTree(packages, sitePackages, nil); err != nil {
		return "", err
	}
	if err := image.addAllLibraries(python); err != nil {
		return "", err
	}
	if err := image.addBusybox(); err != nil { // a test may want a shell beside it
		return "", err
	}
	image.Config = Config{
		Env:        []string{"PATH=/usr/local/bin:/bin", "PYTHONPATH=" + sitePackages, "SSL_CERT_FILE=" + certificates},
		Cmd:        []string{"python3"},
		WorkingDir: "/",
	}
	return output, image.Write(output)
}

func install(directory string, requirements []string) error {
	if len(requirements) == 0 {
		return nil
	}
	arguments := append([]string{"-m", "pip", "install", "--quiet", "--disable-pip-version-check",
		"--no-warn-script-location", "--root-user-action=ignore", "--only-binary=:all:", "--target", directory}, requirements...)
	command := exec.Command("python3", arguments...)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Run(); err != nil {
		return fmt.Errorf("the packages %s cannot be installed from PyPI: %w\n%s", strings.Join(requirements, " "), err, output.String())
	}
	return nil
}

// notNeeded are directories of the standard library that no client loads.
var notNeeded = map[string]bool{
	"site-packages": true, "dist-packages": true, "test": true, "tests": true, "idlelib": true,
	"ensurepip": true, "lib2to3": true, "tkinter": true, "turtledemo": true,
}

// addInterpreter puts Python at the path it has on the machine: it finds its
// library from there. Owner and modes are the image's own, so it does not
// matter that the machine may have it below a closed home directory.
func (i *Image) addInterpreter(python *interpreter) error {
	i.Files[python.Executable] = Entry{Mode: 0o755, Source: python.Executable}
	for _, name := range []string{"python3", "python"} {
		i.Files["/usr/local/bin/"+name] = Entry{Mode: os.ModeSymlink, Target: python.Executable}
	}
	skip := func(entry fs.DirEntry) bool {
		return entry.IsDir() && (notNeeded[entry.Name()] || strings.HasPrefix(entry.Name(), "config-"))
	}
	if err := i.addTree(python.Stdlib, python.Stdlib, skip); err != nil {
		return err
	}
	return nil
}

// addAllLibraries adds what the interpreter and all extension modules need,
// those of the packages included.
func (i *Image) addAllLibraries(python *interpreter) error {
	binaries := []string{python.Executable}
	for file, entry := range i.Files {
		if strings.HasSuffix(file, ".so") && entry.Source != "" {
			binaries = append(binaries, entry.Source)
		}
	}
	for _, binary := range binaries {
		if err := i.addLibraries(binary); err != nil {
			return err
		}
	}
	return nil
}

// addTree adds a directory. It keeps the files' times: Python's compiled files
// name the time of their source, and would be made again at every start.
func (i *Image) addTree(source, target string, skip func(fs.DirEntry) bool) error {
	return filepath.WalkDir(source, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if skip != nil && path != source && skip(entry) {
			return fs.SkipDir
		}
		relative, err := filepath.Rel(source, path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		file := filepath.Join(target, relative)
		switch {
		case entry.IsDir():
			i.Files[file] = Entry{Mode: os.ModeDir | 0o755}
		case entry.Type()&os.ModeSymlink != 0:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			i.Files[file] = Entry{Mode: os.ModeSymlink, Target: link}
		case entry.Type().IsRegular():
			mode := os.FileMode(0o644) | info.Mode().Perm()&0o111
			i.Files[file] = Entry{Mode: mode, Source: path, ModTime: info.ModTime().Truncate(1e9)}
		}
		return nil
	})
}

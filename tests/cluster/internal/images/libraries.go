package images

import (
	"debug/elf"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// isDynamic says whether a program or library needs shared libraries.
func isDynamic(file string) (bool, error) {
	binary, err := elf.Open(file)
	if err != nil {
		return false, fmt.Errorf("%s must be a Linux program: %w", file, err)
	}
	defer binary.Close()
	libraries, err := binary.ImportedLibraries()
	if err != nil {
		return false, err
	}
	for _, section := range binary.Progs {
		if section.Type == elf.PT_INTERP {
			return true, nil
		}
	}
	return len(libraries) > 0, nil
}

// addLibraries adds all shared libraries that the file needs, each where the
// loader looks for it.
func (i *Image) addLibraries(file string) error {
	dynamic, err := isDynamic(file)
	if err != nil || !dynamic {
		return err
	}
	output, err := exec.Command("ldd", file).CombinedOutput()
	if err != nil {
		return fmt.Errorf("the libraries of %s cannot be listed: ldd: %w: %s", file, err, output)
	}
	libraries, err := parseLdd(string(output))
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	for _, library := range libraries {
		source, err := filepath.EvalSymlinks(library)
		if err != nil {
			return err
		}
		i.Files[library] = Entry{Mode: 0o755, Source: source}
	}
	return nil
}

// parseLdd reads lines such as
//
//	linux-vdso.so.1 (0x00007ffd)
//	libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f0a)
//	/lib64/ld-linux-x86-64.so.2 (0x00007f0b)
func parseLdd(output string) ([]string, error) {
	var libraries []string
	for _, line := range strings.Split(output, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasSuffix(line, "not found") {
			return nil, fmt.Errorf("a library must be installed: %s", line)
		}
		if _, found, arrow := strings.Cut(line, "=> "); arrow {
			line = found
		}
		if !strings.HasPrefix(line, "/") {
			continue // the kernel's own, or "statically linked"
		}
		library, _, _ := strings.Cut(line, " (")
		libraries = append(libraries, filepath.Clean(library))
	}
	return libraries, nil
}

package state

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"modelcache.test/cluster/internal/layout"
)

// Machine is what clusters change on the machine together. The first one
// writes it, the last one undoes it.
type Machine struct {
	// Sysctls are the kernel settings as they were before.
	Sysctls map[string]string `json:"sysctls"`
	// Directories did not exist before: mount points that nodes need.
	Directories []string `json:"directories"`
}

func machineFile() (string, error) {
	root, err := layout.ClustersRoot()
	return filepath.Join(filepath.Dir(root), "machine.json"), err
}

// LoadMachine reads the record; it is nil if there is none.
func LoadMachine() (*Machine, error) {
	file, err := machineFile()
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var machine Machine
	return &machine, json.Unmarshal(content, &machine)
}

// Save writes the record.
func (m *Machine) Save() error {
	file, err := machineFile()
	if err != nil {
		return err
	}
	content, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o644)
}

// Forget removes the record.
func (m *Machine) Forget() error {
	file, err := machineFile()
	if err != nil {
		return err
	}
	return os.Remove(file)
}

// MakeDirectory makes a directory and its parents, and notes each new one.
func (m *Machine) MakeDirectory(directory string) error {
	var missing []string
	for path := directory; ; path = filepath.Dir(path) {
		if _, err := os.Stat(path); err == nil {
			break
		}
		missing = append(missing, path)
	}
	slices.Reverse(missing)
	m.Directories = append(m.Directories, missing...)
	if err := m.Save(); err != nil {
		return err
	}
	return os.MkdirAll(directory, 0o755)
}

// RemoveDirectories removes the noted directories that are empty.
func (m *Machine) RemoveDirectories() {
	for _, directory := range slices.Backward(m.Directories) {
		_ = os.Remove(directory) // somebody else's files in it keep it
	}
}

// Package images writes container images as archives that containerd imports,
// without any container tool.
package images

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"sort"
	"time"
)

// Entry is one file of an image.
type Entry struct {
	Mode    os.FileMode // permissions, and os.ModeDir or os.ModeSymlink
	Content []byte      // of a small file that is made up
	Source  string      // of a file on this machine
	Target  string      // of a symbolic link
	ModTime time.Time   // the epoch unless it matters: archives must be reproducible
}

// Config is how containers of the image run.
type Config struct {
	User       string   `json:"User,omitempty"`
	Env        []string `json:"Env,omitempty"`
	Entrypoint []string `json:"Entrypoint,omitempty"`
	Cmd        []string `json:"Cmd,omitempty"`
	WorkingDir string   `json:"WorkingDir,omitempty"`
}

// Image is a whole image; the keys of Files are absolute paths.
type Image struct {
	Ref    string
	Files  map[string]Entry
	Config Config
}

var epoch = time.Unix(0, 0).UTC()

// addParents completes the directories, so that all of them have sane modes.
func (i *Image) addParents() {
	for file := range i.Files {
		for directory := path.Dir(file); directory != "/"; directory = path.Dir(directory) {
			if _, there := i.Files[directory]; !there {
				i.Files[directory] = Entry{Mode: os.ModeDir | 0o755}
			}
		}
	}
}

// Write makes the archive, in one step: a reader never sees half of it. The
// same image gives the same bytes.
func (i *Image) Write(file string) error {
	i.addParents()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	layer, err := os.CreateTemp(filepath.Dir(file), ".layer-*")
	if err != nil {
		return err
	}
	defer os.Remove(layer.Name())
	defer layer.Close()
	digest := sha256.New()
	if err := i.writeLayer(io.MultiWriter(layer, digest)); err != nil {
		return err
	}
	diffID := hex.EncodeToString(digest.Sum(nil))

	temporary, err := os.CreateTemp(filepath.Dir(file), ".archive-*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	defer temporary.Close()
	if err := i.writeArchive(temporary, layer, diffID); err != nil {
		return err
	}
	if err := temporary.Chmod(0o644); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), file)
}

func (i *Image) writeLayer(out io.Writer) error {
	paths := make([]string, 0, len(i.Files))
	for file := range i.Files {
		paths = append(paths, file)
	}
	sort.Strings(paths)
	layer := tar.NewWriter(out)
	for _, file := range paths {
		if err := writeEntry(layer, file, i.Files[file]); err != nil {
			return fmt.Errorf("%s of image %s: %w", file, i.Ref, err)
		}
	}
	return layer.Close()
}

func writeEntry(out *tar.Writer, file string, entry Entry) error {
	header := &tar.Header{Name: file[1:], Mode: int64(entry.Mode.Perm()), ModTime: entry.ModTime, Format: tar.FormatPAX}
	if entry.ModTime.IsZero() {
		header.ModTime = epoch
	}
	if entry.Mode&os.ModeSticky != 0 {
		header.Mode |= 0o1000
	}
	switch {
	case entry.Mode.IsDir():
		header.Typeflag, header.Name = tar.TypeDir, header.Name+"/"
		return out.WriteHeader(header)
	case entry.Mode&os.ModeSymlink != 0:
		header.Typeflag, header.Linkname, header.Mode = tar.TypeSymlink, entry.Target, 0o777
		return out.WriteHeader(header)
	case entry.Source == "":
		header.Typeflag, header.Size = tar.TypeReg, int64(len(entry.Content))
		if err := out.WriteHeader(header); err != nil {
			return err
		}
		_, err := out.Write(entry.Content)
		return err
	}
	source, err := os.Open(entry.Source)
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	header.Typeflag, header.Size = tar.TypeReg, info.Size()
	if err := out.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(out, source)
	return err
}

// writeArchive wraps the layer in the format of "docker save".
func (i *Image) writeArchive(out io.Writer, layer *os.File, diffID string) error {
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"created":      epoch.Format(time.RFC3339),
		"config":       i.Config,
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + diffID}},
		"history":      []map[string]string{{"created": epoch.Format(time.RFC3339)}},
	})
	if err != nil {
		return err
	}
	sum := sha256.Sum256(config)
	configName, layerName := hex.EncodeToString(sum[:])+".json", diffID+"/layer.tar"
	manifest, err := json.Marshal([]map[string]any{{
		"Config": configName, "RepoTags": []string{i.Ref}, "Layers": []string{layerName},
	}})
	if err != nil {
		return err
	}
	archive := tar.NewWriter(out)
	for _, file := range []struct {
		name    string
		content []byte
	}{{"manifest.json", manifest}, {configName, config}} {
		entry := Entry{Mode: 0o644, Content: file.content}
		if err := writeEntry(archive, "/"+file.name, entry); err != nil {
			return err
		}
	}
	if err := writeEntry(archive, "/"+layerName, Entry{Mode: 0o644, Source: layer.Name()}); err != nil {
		return err
	}
	return archive.Close()
}

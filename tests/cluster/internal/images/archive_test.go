package images

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func small(t *testing.T) *Image {
	source := filepath.Join(t.TempDir(), "source")
	if err := os.WriteFile(source, []byte("program"), 0o600); err != nil {
		t.Fatal(err)
	}
	return &Image{
		Ref:    "localhost/small:test",
		Files:  map[string]Entry{"/usr/local/bin/program": {Mode: 0o755, Source: source}, "/tmp": {Mode: os.ModeDir | os.ModeSticky | 0o777}},
		Config: Config{User: "65532:65532", Entrypoint: []string{"/usr/local/bin/program"}},
	}
}

func written(t *testing.T, image *Image) []byte {
	file := filepath.Join(t.TempDir(), "image.tar")
	if err := image.Write(file); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestTheSameImageGivesTheSameBytes(t *testing.T) {
	if !bytes.Equal(written(t, small(t)), written(t, small(t))) {
		t.Error("two archives of the same image differ")
	}
}

func TestArchiveHoldsWhatItsManifestNames(t *testing.T) {
	files := map[string][]byte{}
	archive := tar.NewReader(bytes.NewReader(written(t, small(t))))
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name], _ = io.ReadAll(archive)
	}
	var manifest []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil {
		t.Fatal(err)
	}
	if len(manifest) != 1 || manifest[0].RepoTags[0] != "localhost/small:test" || files[manifest[0].Config] == nil {
		t.Fatalf("got %+v", manifest)
	}
	layer := tar.NewReader(bytes.NewReader(files[manifest[0].Layers[0]]))
	modes := map[string]int64{}
	for {
		header, err := layer.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		modes[header.Name] = header.Mode
		if header.Uid != 0 || header.ModTime.Unix() != 0 {
			t.Errorf("%s: owner %d, time %s", header.Name, header.Uid, header.ModTime)
		}
	}
	for name, mode := range map[string]int64{"usr/": 0o755, "usr/local/bin/": 0o755, "usr/local/bin/program": 0o755, "tmp/": 0o1777} {
		if modes[name] != mode {
			t.Errorf("%s has mode %o, want %o", name, modes[name], mode)
		}
	}
}

func TestLibrariesOfLdd(t *testing.T) {
	got, err := parseLdd("\tlinux-vdso.so.1 (0x7f)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x7f)\n\t/lib64/ld-linux-x86-64.so.2 (0x7f)\n")
	if want := []string{"/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if _, err := parseLdd("\tlibfoo.so.1 => not found\n"); err == nil || !strings.Contains(err.Error(), "libfoo") {
		t.Errorf("a missing library must be named, got %v", err)
	}
}

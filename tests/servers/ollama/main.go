// Reads a model of Ollama's store (OLLAMA_MODELS) with Ollama's own code: finds it by name, opens every layer, and prints
// the names of the store and each layer's media type, size and SHA-256.
package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/ollama/ollama/manifest"
	"github.com/ollama/ollama/types/model"
)

type layer struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

func read(name string) (names []string, layers []layer, err error) {
	all, err := manifest.Manifests(false)
	if err != nil {
		return nil, nil, err
	}
	for found := range all {
		names = append(names, found.String())
	}
	found, err := manifest.ParseNamedManifest(model.ParseName(name))
	if err != nil {
		return nil, nil, err
	}
	for _, it := range append([]manifest.Layer{found.Config}, found.Layers...) {
		file, err := it.Open()
		if err != nil {
			return nil, nil, err
		}
		hash := sha256.New()
		size, err := io.Copy(hash, file)
		file.Close()
		if err != nil {
			return nil, nil, err
		}
		layers = append(layers, layer{it.MediaType, fmt.Sprintf("sha256:%x", hash.Sum(nil)), size})
	}
	return names, layers, nil
}

func main() {
	names, layers, err := read(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(map[string]any{"names": names, "layers": layers})
}

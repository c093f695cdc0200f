"""Everything that a client asks of a cache, offline. Prints one line when all of it was right."""

import hashlib
import importlib.util
import json
import os
import sys

import huggingface_hub
from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download

EXPECTED = json.loads(sys.argv[1])
COMMITS = {repo: it["commit"] for repo, it in EXPECTED.items()}


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def right(repo, directory, without=()):
    """The directory holds exactly the repository's files, with their bytes."""
    wanted = {path: sha for path, sha in EXPECTED[repo]["files"].items() if not path.startswith(tuple(without) or "\0")}
    found = {}
    for base, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(base, name)
            found[os.path.relpath(path, directory)] = sha256(path)
    assert found == wanted, (repo, set(found) ^ set(wanted))


def same(found, repo, path):
    assert sha256(found) == EXPECTED[repo]["files"][path], (repo, path)


tiny, commit = "demo/tiny-llm", COMMITS["demo/tiny-llm"]
for revision in (None, "main", commit):
    right(tiny, snapshot_download(tiny, revision=revision))
    right(tiny, snapshot_download(tiny, revision=revision, local_files_only=True))
    directory = snapshot_download(tiny, revision=revision, allow_patterns=["*.json", "original/*"])
    assert os.path.exists(os.path.join(directory, "original/params.json"))
    for path in ("config.json", "model.safetensors", "original/tokenizer/words.txt"):
        same(hf_hub_download(tiny, path, revision=revision), tiny, path)
    same(hf_hub_download(tiny, "params.json", subfolder="original", revision=revision), tiny, "original/params.json")

# A filtered snapshot is what there is. vLLM asks in the second way.
filtered = "org/filtered"
right(filtered, snapshot_download(filtered), without=["original/"])
right(filtered, snapshot_download(filtered, allow_patterns="*.safetensors", local_files_only=True), without=["original/"])
right(filtered, snapshot_download(filtered, revision=COMMITS[filtered], local_files_only=True), without=["original/"])
same(hf_hub_download(filtered, "a/b/c.json"), filtered, "a/b/c.json")

rows = snapshot_download("org/rows", repo_type="dataset")
right("org/rows", rows)
same(hf_hub_download("org/rows", "data/train.parquet", repo_type="dataset"), "org/rows", "data/train.parquet")

for revision in ("v1", COMMITS["org/tagged"]):
    right("org/tagged", snapshot_download("org/tagged", revision=revision))
    same(hf_hub_download("org/tagged", "deep/er/x.bin", revision=revision), "org/tagged", "deep/er/x.bin")

report = scan_cache_dir()
assert not report.warnings, report.warnings
assert len(report.repos) == 4, report.repos

if importlib.util.find_spec("transformers"):
    from transformers import AutoConfig, AutoTokenizer

    assert AutoConfig.from_pretrained(tiny).model_type == "llama"
    assert AutoTokenizer.from_pretrained(tiny)("hello world offline")["input_ids"], "no tokens"

print(f"{huggingface_hub.__version__}: all of it")

"""The package's own `download_model`, offline. Prints one line when all of it was right."""

import hashlib
import json
import os
import sys

from faster_whisper import download_model

SHA256 = json.loads(sys.argv[1])["sha256"]

for arguments in ({}, {"local_files_only": True}, {"cache_dir": os.environ["MODELCACHE_HUB_MODELS"]}):
    directory = download_model("tiny", **arguments)
    names = sorted(os.listdir(directory))
    assert names == ["config.json", "model.bin", "tokenizer.json", "vocabulary.txt"], names
    with open(os.path.join(directory, "model.bin"), "rb") as file:
        assert hashlib.sha256(file.read()).hexdigest() == SHA256

print("faster-whisper: all of it")

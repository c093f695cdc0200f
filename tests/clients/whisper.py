"""The package's own `load_model` and `_download`; torch and what needs it are stubs. Prints one line when all was right."""

import hashlib
import json
import os
import sys
from unittest.mock import MagicMock

SHA256 = json.loads(sys.argv[1])["sha256"]

for name in ("torch", "tqdm", "whisper.audio", "whisper.decoding", "whisper.model", "whisper.transcribe"):
    sys.modules[name] = MagicMock()
torch = sys.modules["torch"]
torch.__version__ = "2.9"
loaded = []


def load(file, **_):
    loaded.append((file.name, hashlib.sha256(file.read()).hexdigest()))
    return {"dims": {}, "model_state_dict": {}}


torch.load = load

import whisper

published = whisper._MODELS["large"]
assert published.startswith("https://openaipublic.azureedge.net/main/whisper/models/e5b1a55b89c1367d"), published
assert published.endswith("/large-v3.pt") and whisper._MODELS["turbo"].endswith("/large-v3-turbo.pt")
# The table says that the file on the volume is the right one; nothing else is changed.
whisper._MODELS["large"] = whisper._MODELS["large-v3"] = published.replace(published.split("/")[-2], SHA256)
expected = os.path.join(os.environ["XDG_CACHE_HOME"], "whisper", "large-v3.pt")
for name in ("large", "large-v3"):
    whisper.load_model(name)
assert loaded == [(expected, SHA256)] * 2, loaded
assert whisper._download(whisper._MODELS["large"], os.environ["MODELCACHE_WHISPER_MODELS"], False) == expected

# Another file would be fetched again, and here that cannot be: what was found above was taken because it is right.
try:
    whisper._download(published, os.path.dirname(expected), False)
except UserWarning as warning:
    assert "checksum does not match" in str(warning), warning
else:
    raise AssertionError("a file of another hash was taken")

print("whisper: all of it")

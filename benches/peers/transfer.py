"""Files by hf_transfer, as huggingface_hub up to 0.36 called it: one file after the other, with these figures."""

import os
import sys

import hf_transfer

for line in open(sys.argv[1]):
    key, _, value = line.partition(" = ")
    value = value.strip().strip('"')
    if key == "url":
        url = value
    else:
        hf_transfer.download(
            url=url, filename=os.path.join(os.getcwd(), value), max_files=100, chunk_size=10 * 1024 * 1024, parallel_failures=3, max_retries=5
        )

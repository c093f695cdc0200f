"""Makes fnmatch_table.json: what CPython's fnmatch says. Run it in this directory; the seed keeps it the same."""

import fnmatch
import json
import random

HAND = [
    "*", "**", "?", "*.bin", "*.safetensors", "a/*", "a/*/c", "*/", "[abc]", "[!abc]", "[a-c]x", "[]a]", "[!]a]", "[",
    "[a", "[]", "[!]", "[!", "[a-]", "[-a]", "[c-a]", "[!c-a]", "[a-c-e]", "[--a]", "[a\\]", "\\*", "{a,b}", "[^a]",
    "[[a]", "[a&&b]", "[a||b]", "[a~~b]", "[!-a]", "[a-b-c]", "[z-aa]", "[b-ac]", "é*", "*é", "[é-ü]", "", ".*", "*.*",
]
TEXTS = [
    "", "a", "b", "c", "d", "-", "]", "[", "!", "^", "\\", "a/b", "a/b/c", "a/bx/c", "x.bin", "A.BIN", ".bin", "a.bin/b",
    "model.safetensors", "ax", "bx", "dx", "*", "\\*", "{a,b}", "&", "|", "~", "é", "éa", "aé", "ö", "a\nb", ".a", "a.b",
]


def main():
    rng = random.Random(20261121)
    rows = {(p, t) for p in HAND for t in TEXTS}
    while len(rows) < 4000:
        pattern = "".join(rng.choice("[]!-^ab*?/c\\") for _ in range(rng.randrange(1, 9)))
        text = "".join(rng.choice("abc/-]![^\\") for _ in range(rng.randrange(0, 6)))
        rows.add((pattern, text))
    table = [[p, t, fnmatch.fnmatchcase(t, p)] for p, t in sorted(rows)]
    with open("fnmatch_table.json", "w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in table) + "\n]\n")


main()

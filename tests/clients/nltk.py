"""What NLTK finds, with its check of owners and modes on. Prints one line when it was as expected."""

import json
import sys

import nltk
import nltk.pathsec
from nltk.corpus import stopwords
from nltk.tokenize import sent_tokenize

EXPECTED = json.loads(sys.argv[1])
assert nltk.pathsec.ENFORCE

if EXPECTED == "found":
    nltk.data.find("corpora/stopwords.zip")
    # What programs ask before they download.
    nltk.data.find("corpora/stopwords")
    nltk.data.find("corpora/stopwords/english")
    assert stopwords.words("english") == ["the", "of", "and"]
    nltk.data.find("tokenizers/punkt_tab/english/")
    assert sent_tokenize("Dr. Who came. He left.") == ["Dr. Who came.", "He left."]
else:
    try:
        found = nltk.data.find("corpora/stopwords.zip")
    except LookupError:
        pass
    else:
        raise AssertionError(f"it was found at {found}")
    nltk.data.find("tokenizers/punkt_tab/english/")

print(f"nltk: {EXPECTED}")

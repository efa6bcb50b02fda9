"""A note beside the files of a cache that says whose samples they hold, and which were skipped on the way."""

import hashlib
import json
import os

import numpy as np

from mmkeras.data.problems import Problem

# So many records, spread over all, stand for the collection.
_LOOKED_AT = 32


class CacheNote:
    """The note of one cache.

    Args:
        path: path of the cache.
        preprocessor: the Preprocessor that prepares the samples.
        records: the records they come from.
        arrangement: what else decides which samples there are (groups, shards), anything with a telling repr.
    """

    def __init__(self, path, preprocessor, records, arrangement):
        self.path = f"{path}.json"
        told = hashlib.sha256(json.dumps(preprocessor.get_config(), default=str, sort_keys=True).encode())
        told.update(repr((len(records), arrangement)).encode())
        for row in np.unique(np.linspace(0, len(records) - 1, _LOOKED_AT).astype(int)):
            told.update(repr(records[int(row)]).encode("utf-8", "replace"))
        self.fingerprint = told.hexdigest()

    def check(self, problems):
        """Refuse the cache of other samples; take over the problems of the one that wrote this one."""
        if not os.path.exists(self.path):
            return
        with open(self.path, encoding="utf-8") as file:
            note = json.load(file)
        if note["fingerprint"] != self.fingerprint:
            raise ValueError(
                f"The cache {self.path.removesuffix('.json')!r} holds other samples: it was written for other records, "
                "another Preprocessor or another grouping. Delete its files, or take another path"
            )
        problems.extend(Problem(*problem) for problem in note["problems"])

    def write(self, problems):
        """Write the note."""
        os.makedirs(os.path.dirname(self.path) or ".", exist_ok=True)
        with open(self.path, "w", encoding="utf-8") as file:
            json.dump({"fingerprint": self.fingerprint, "problems": [list(problem) for problem in problems]}, file)

"""How much of the text a preprocessor's vocabulary covers, and which sentences it cuts."""

from collections import Counter
from typing import Any, final

# Of more unknown words than this, those seen once are forgotten.
_MAX_UNKNOWN = 50_000
_SHOWN = 20


@final
class Coverage:
    """Adds up what a `Text` part says of the sentences of each record.

    Example:

    >>> coverage = Coverage()
    >>> found = {"sentences": 1, "empty": 0, "cut": 1, "words": 4, "unknown": 1, "most_unknown": [["okapi", 1]]}
    >>> coverage.add(found)
    >>> coverage.summary()["covered"]
    0.75
    """

    def __init__(self):
        self.counts = Counter()
        self.unknown = Counter()

    def add(self, found: dict[str, Any]) -> None:
        """Add what `Text.coverage` gives for the sentences of one record."""
        for name in ("sentences", "cut", "words", "unknown"):
            self.counts[name] += found[name]
        self.unknown.update(dict(found["most_unknown"]))
        if len(self.unknown) > _MAX_UNKNOWN:
            self.unknown = Counter({word: count for word, count in self.unknown.items() if count > 1})

    def summary(self) -> dict[str, Any]:
        """Numbers of sentences, of those cut, of words, of unknown ones; share covered; most frequent unknown words."""
        words = self.counts["words"]
        return {
            **{name: self.counts[name] for name in ("sentences", "cut", "words", "unknown")},
            "covered": 1 - self.counts["unknown"] / words if words else 1.0,
            "most_unknown": [list(item) for item in self.unknown.most_common(_SHOWN)],
        }

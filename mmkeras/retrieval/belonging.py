"""Which records belong together: those that share a file, or a value that says so."""

import collections
from typing import Any, final


@final
class Belonging:
    """Groups of records, found while they are read.

    Records that share a value are one group. Sharing must not be handed on from neighbour to neighbour (a picture
    with two sounds, one of them with another picture): all records of a group must share one value.
    """

    def __init__(self):
        self._parents = []
        # value -> first record that has it, last one, how many have it
        self._holders = {}

    def __len__(self):
        return len(self._parents)

    def add(self) -> int:
        """Take in the next record, and return its number."""
        self._parents.append(len(self._parents))
        return len(self._parents) - 1

    def link(self, record: int, value: Any) -> None:
        """Note that the newest record has a value, which may be any that can be hashed."""
        first, last, count = self._holders.get(value, (record, None, 0))
        self._holders[value] = first, record, count + (last != record)
        self._parents[self.group(record)] = self.group(first)

    def group(self, record: int) -> int:
        """The number of the group that a record belongs to, so far."""
        while self._parents[record] != record:
            self._parents[record] = self._parents[self._parents[record]]
            record = self._parents[record]
        return record

    def handed_on(self) -> tuple[Any, int, int] | None:
        """The value that most records of a group share, how many, and of how many; None where all share one."""
        sizes = collections.Counter(map(self.group, range(len(self))))
        widest = {}
        for value, (first, _, count) in self._holders.items():
            group = self.group(first)
            if count > widest.get(group, (None, 0))[1]:
                widest[group] = value, count
        return next(((*most, sizes[group]) for group, most in widest.items() if most[1] < sizes[group]), None)

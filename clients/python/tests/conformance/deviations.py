"""Where Metrifold does not do what prometheus_client does: what docs/conformance.md lists, exactly.

Each deviation rewrites what stands in the files into something that prometheus_client merges as Metrifold merges the
original. What is different after all of them is unlisted. Only the rounding of sums needs a comparison of its own.
"""

from __future__ import annotations

import math
import re
import struct
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from .entries import KINDS, Entry

# Stands for a user's label `pid`, which prometheus_client would drop.
USERS_PID = "users_own_pid"

Rewrite = Callable[[list[Entry]], list[Entry]]


def half_surrogates(entries: list[Entry]) -> list[Entry]:
    def whole(text: str) -> str:
        return re.sub("[\ud800-\udfff]", "\ufffd", text)

    return [
        replace(entry, labels=tuple((name, whole(value)) for name, value in entry.labels), help=whole(entry.help))
        for entry in entries
    ]


def the_bound_minus_zero(entries: list[Entry]) -> list[Entry]:
    def plus(entry: Entry) -> Entry:
        is_bucket = entry.kind == "histogram"
        labels = ((name, "0.0" if is_bucket and (name, value) == ("le", "-0.0") else value) for name, value in entry.labels)
        return replace(entry, labels=tuple(labels))

    return [plus(entry) for entry in entries]


def one_name_under_two_kinds(entries: list[Entry]) -> list[Entry]:
    shown: dict[str, str] = {}
    for entry in sorted((entry for entry in entries if entry.is_set), key=lambda entry: KINDS.index(entry.kind)):
        shown.setdefault(entry.family, entry.kind)
    return [entry for entry in entries if shown.get(entry.family, entry.kind) == entry.kind]


def one_sample_in_two_families(entries: list[Entry]) -> list[Entry]:
    taken: set[str] = set()
    refused: set[str] = set()
    for kind, family in sorted({(KINDS.index(entry.kind), entry.family) for entry in entries if entry.is_set}):
        exposed = {family + suffix for suffix in _suffixes(KINDS[kind])}
        if exposed & taken:
            refused.add(family)
        else:
            taken |= exposed
    # A gauge that was never set has no sample, but it has a name.
    is_set = {entry.family for entry in entries if entry.is_set}
    refused |= {entry.family for entry in entries} & taken - is_set
    return [entry for entry in entries if entry.family not in refused]


def _suffixes(kind: str) -> list[str]:
    return {"counter": ["", "_total"], "histogram": ["", "_bucket", "_sum", "_count"], "summary": ["", "_sum", "_count"]}.get(
        kind, [""]
    )


def a_users_label_pid(entries: list[Entry]) -> list[Entry]:
    rewritten = {}
    for place, entry in enumerate(entries):
        if not entry.kind.startswith("gauge_") or "pid" not in dict(entry.labels):
            rewritten[place] = entry
        elif entry.mode == "all":
            # The process's own takes its place; of one process's series that were told apart by it the last is shown.
            labels = tuple(label for label in entry.labels if label[0] != "pid")
            rewritten[entry.file, entry.sample, labels] = replace(entry, labels=labels)
        else:
            labels = tuple((USERS_PID if name == "pid" else name, value) for name, value in entry.labels)
            rewritten[place] = replace(entry, labels=labels)
    last = {}
    for entry in rewritten.values():
        last[entry.series if entry.mode == "all" else (entry.file, entry.series, entry.help)] = entry
    return list(last.values())


def extremes(entries: list[Entry]) -> list[Entry]:
    """NaN only if there is nothing else, and −0 below 0."""
    return _chosen(entries, {"min", "max"}, lambda entry: _extreme_rank(entry), lambda entry: True)


def _extreme_rank(entry: Entry) -> tuple[bool, int]:
    order = _total_order(entry.value)
    return (not math.isnan(entry.value), -order if entry.mode == "min" else order)


def equal_time_stamps(entries: list[Entry]) -> list[Entry]:
    """Of several newest values the largest."""
    return _chosen(
        entries,
        {"mostrecent"},
        lambda entry: (entry.timestamp, _total_order(entry.value)),
        lambda entry: entry.timestamp > 0,
    )


def _chosen(entries: list[Entry], modes: set[str], rank: Callable, counts: Callable) -> list[Entry]:
    """Leaves the first of the highest entries of each series."""
    best: dict = {}
    for entry in entries:
        if entry.mode in modes and counts(entry):
            best.setdefault(entry.series, entry)
            if rank(entry) > rank(best[entry.series]):
                best[entry.series] = entry
    return [entry for entry in entries if not (entry.mode in modes and counts(entry)) or best[entry.series] is entry]


def _total_order(value: float) -> int:
    (bits,) = struct.unpack("<q", struct.pack("<d", value))
    return bits ^ (0x7FFF_FFFF_FFFF_FFFF if bits < 0 else 0)


# By the names that docs/conformance.md gives them, in the order in which they apply.
REWRITES: dict[str, Rewrite] = {
    "half-surrogates": half_surrogates,
    "bound-zero": the_bound_minus_zero,
    "two-kinds": one_name_under_two_kinds,
    "two-families": one_sample_in_two_families,
    "label-pid": a_users_label_pid,
    "extremes": extremes,
    "equal-time-stamps": equal_time_stamps,
}
ROUNDING = "rounding"
OVERFLOW = "overflow"
# No deviation either: sets that were compared to the end.
COMPARED = "compared"
# No deviation, but sets where it cannot be said which family of several is to be shown.
NOT_COMPARED = "not-compared"
# Not about values: shown by tests of their own.
OTHERS = {"order", "damaged-files", "foreign-names"}
# Not about values either, but about the text of one release.
QUOTED_NAMES = "quoted-names"


def apply(entries: list[Entry], hits: dict[str, int]) -> list[Entry]:
    """All rewrites; counts those that changed something."""
    for name, rewrite in REWRITES.items():
        rewritten = rewrite(entries)
        if list(map(_bits, rewritten)) != list(map(_bits, entries)):
            hits[name] = hits.get(name, 0) + 1
        entries = rewritten
    return entries


def _bits(entry: Entry) -> tuple:
    return (*(getattr(entry, name) for name in ("file", "family", "sample", "labels", "help")), struct.pack("<d", entry.value))


def sums_agree(theirs: float, ours: float, addends: list[float], hits: dict[str, int]) -> bool:
    """Whether ours is the sum of the addends to nearly twice the precision, and theirs as near as their additions allow."""
    if not all(map(math.isfinite, addends)):
        return same(theirs, ours)
    total = math.fsum(map(abs, addends))
    exact = math.fsum(addends)
    if not abs(ours - exact) <= math.ulp(exact) + total * 2.0**-95:
        return False
    if same(theirs, ours):
        return True
    hits[ROUNDING] = hits.get(ROUNDING, 0) + 1
    return abs(theirs - ours) <= len(addends) * 2.0**-52 * total + math.ulp(0.0)


def overflows(addends: list[float]) -> bool:
    """Whether a sum of the finite addends may reach beyond the largest float on the way."""
    try:
        return not math.isfinite(math.fsum(abs(addend) for addend in addends if math.isfinite(addend)))
    except OverflowError:
        return True


def overflowing_sum_agrees(ours: float | None, addends: list[float]) -> bool:
    """Whether ours is what such addends come to, whatever theirs is; None if there is no such sample."""
    # Not math.fsum, which gives up where a part is too large.
    finite = [Fraction(addend) for addend in addends if math.isfinite(addend)]
    if ours is None:
        return abs(sum(finite)) > Fraction(sys.float_info.max)
    infinite = [addend for addend in addends if not math.isfinite(addend)]
    if infinite:
        return same(ours, sum(infinite))
    return math.isfinite(ours) and abs(Fraction(ours) - sum(finite)) <= Fraction(math.ulp(ours)) + sum(map(abs, finite)) / 2**95


def has_quoted_names(text: str) -> bool:
    """Whether a text has a name in quotes. Those of label values follow a backslash or an equals sign."""
    return re.search(r'^[^#\n]*[{,]"|^# TYPE "', text, re.MULTILINE) is not None


def same(one: float, two: float) -> bool:
    """To the bit; one NaN is as good as another."""
    return struct.pack("<d", one) == struct.pack("<d", two) or (math.isnan(one) and math.isnan(two))


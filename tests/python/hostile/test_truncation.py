"""Files that are cut short while they are open: told by name, never a signal.

Each runs in a process of its own, which a SIGBUS would end. What the caller's own touch of a
mapped array does is another matter: that page is gone, and no library can give it back.
"""

from __future__ import annotations

import pytest
from tests.python.helpers import run_python

PREPARE = """
import os, sys
import numpy as np
import tensorbundle as tb

prefix = sys.argv[1]
names = [f"tensor/{i:05d}/" + "n" * 100 for i in range(8000)]  # blocks beyond the first
tensors = {name: np.uint8(1) for name in names}
tensors["big"] = np.ones(1 << 20, np.float32)
tensors["square"] = np.ones((512, 512), np.float32)
tensors["strings"] = np.array([b"x" * 999] * 99, object)
tb.save(prefix, tensors, num_shards=1)
bundle = tb.open(prefix)
index, data = prefix + ".index", prefix + ".data-00000-of-00001"


def told(call, path):
    try:
        found = call()
    except tb.CorruptionError as error:
        assert error.code in ("ConcurrentModification", "OutOfBounds"), error.code
        assert error.path == path, error.path
        assert path in str(error)
        return error
    raise AssertionError(f"no error, but {found!r}")
"""


@pytest.mark.parametrize("size", [0, 1, 4096, 300_000])
def test_an_index_cut_short_under_an_open_bundle(prefix, size):
    out = run_python(PREPARE + f"""
os.truncate(index, {size})
for call in (
    lambda: list(bundle),
    lambda: len(bundle),
    lambda: bundle[names[-1]],
    lambda: bundle.entry(names[-1]),
    lambda: bundle.read(names[-1]),
    lambda: bundle.verify(),
    lambda: bundle.verify([names[-1]]).faults[0].code == 1 or list(bundle),
):
    error = told(call, index)
    assert error.code == "ConcurrentModification"
    assert error.offset is not None
print("survived")
""", prefix)  # fmt: skip
    assert out == "survived\n"


@pytest.mark.parametrize("size", [0, 4096, 2 << 20])
def test_a_data_file_cut_short_under_an_open_bundle(prefix, size):
    out = run_python(PREPARE + f"""
mapped = bundle["big"]  # its map outlives what follows
os.truncate(data, {size})
for call in (
    lambda: tb.load(prefix),
    lambda: bundle.read("big"),
    lambda: bundle.read_slice("big", np.s_[-5:]),
    lambda: bundle.read_slice("big", np.s_[::3]),
    lambda: bundle.read_slice("square", np.s_[:, -2:]),
    lambda: tb.load(prefix, mmap=True, verify=True),
):
    error = told(call, data)
    assert error.key is not None and error.shard == 0 and error.offset is not None
for report in (bundle.verify(), tb.verify(prefix)):
    assert "big" in {{fault.name for fault in report.faults}}
    assert all(fault.path == data for fault in report.faults)
print("survived")
""", prefix)  # fmt: skip
    assert out == "survived\n"


CAT = """
from tensorbundle.cli import cat, main


def cut_before(place, name, size):
    call = getattr(place, name)

    def cutting(*arguments, **options):
        os.truncate(data, size)
        return call(*arguments, **options)

    setattr(place, name, cutting)
"""


@pytest.mark.parametrize(
    "what", ["big", "big[-5:]", "square[:, -2:]", "strings", "strings[9]"]
)
@pytest.mark.parametrize("size", [0, 4096])
def test_a_data_file_cut_short_before_cat_reads_it(prefix, what, size):
    done = run_python(PREPARE + CAT + f"""
cut_before(cat.Bundle, "entry", {size})
sys.exit(main.main(["cat", prefix, {what!r}]))
""", prefix, check=False)  # fmt: skip
    assert done.returncode == 1, (done.returncode, done.stderr)
    assert f"{prefix}.data-00000-of-00001" in done.stderr
    assert what.partition("[")[0] in done.stderr


@pytest.mark.parametrize(
    ("what", "how"),
    [("big", []), ("big[-5:]", []), ("strings", []), ("big", ["--json"]), ("big", ["--npy"])],
)
def test_a_data_file_cut_short_after_cat_has_read_it(prefix, tmp_path, what, how):
    how = [*how, str(tmp_path / "a.npy")] if how == ["--npy"] else how
    out = run_python(PREPARE + CAT + f"""
for name in ("print_json", "write_npy", "as_text"):
    cut_before(cat, name, 0)
sys.exit(main.main(["cat", prefix, {what!r}, *{how!r}]))
""", prefix)  # fmt: skip
    assert out


def test_strings_of_a_mapped_file_cut_short(prefix):
    out = run_python(PREPARE + """
assert bundle["strings"][0] == b"x" * 999
bundle["big"]  # maps the file
os.truncate(data, 0)
told(lambda: bundle["strings"], data)
print("survived")
""", prefix)  # fmt: skip
    assert out == "survived\n"


def test_a_data_file_replaced_by_another_keeps_its_old_content(prefix):
    out = run_python(PREPARE + """
mapped = bundle["big"]
os.rename(data, data + ".old")
with open(data, "wb") as file:
    file.write(b"\\xff" * os.path.getsize(data + ".old"))
assert mapped.sum() == 1 << 20 and bundle["big"].sum() == 1 << 20  # the old inode
assert tb.verify(prefix).faults[0].code == "DataChecksumMismatch"  # opened anew
print("survived")
""", prefix)  # fmt: skip
    assert out == "survived\n"


def test_the_callers_own_touch_of_a_cut_map_is_not_ours(prefix):
    done = run_python(PREPARE + """
mapped = bundle["big"]
os.truncate(data, 0)
print(mapped.sum())
""", prefix, check=False)  # fmt: skip
    assert done.returncode == -7  # SIGBUS, as documented

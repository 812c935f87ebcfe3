"""What is said when something is wrong: with the name, the files, the disk."""

from __future__ import annotations

import errno
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

import tensorbundle as tb
from tensorbundle import errors, reports

from .helpers import (
    MIB,
    assert_same,
    data_file,
    flip_byte,
    listing,
    names_in,
    sample,
    snapshot,
)

READERS = {
    "load": lambda prefix: tb.load(prefix),
    "mmap": lambda prefix: tb.load(prefix, mmap=True),
    "open": lambda prefix: list(tb.open(prefix).items()),
    "load_variable": lambda prefix: tb.load_variable(prefix, "layer/kernel"),
}
each_reader = pytest.mark.parametrize("read", READERS.values(), ids=list(READERS))


@pytest.fixture
def saved(prefix):
    """Save two tensors of 4000 bytes, one per shard."""
    tensors = {name: sample("float32", (10, 100)) for name in ("layer/bias", "layer/kernel")}
    tb.save(prefix, tensors, num_shards=2)
    return prefix


def kernel_file(prefix):
    return data_file(prefix, tb.open(prefix).entry("layer/kernel").shard_id)


def rewrite(path, change):
    """Replace a file's content by what `change` makes of it, in a new file."""
    content = Path(path).read_bytes()
    Path(path).unlink()
    Path(path).write_bytes(change(content))


# ---- a missing name -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "read",
    [
        lambda prefix, name: tb.load(prefix, [name]),
        lambda prefix, name: tb.load(prefix, ["layer/bias", name], mmap=True),
        lambda prefix, name: tb.open(prefix)[name],
        lambda prefix, name: tb.open(prefix).entry(name),
        lambda prefix, name: tb.open(prefix).read_slice(name, 0),
        lambda prefix, name: tb.load_variable(prefix, name),
        lambda prefix, name: tb.load(prefix, into={name: np.ones(3)}),
    ],
)
def test_a_missing_name_is_told_with_close_matches(saved, read):
    with pytest.raises(KeyError) as caught:
        read(saved, "layer/kernal")
    error = caught.value
    assert isinstance(error, tb.MissingTensorError)
    assert error.key == "layer/kernal"
    assert "'layer/kernal'" in str(error) or '"layer/kernal"' in str(error)
    assert "did you mean 'layer/kernel'" in str(error)
    assert saved in str(error)


def test_a_missing_name_without_close_matches_is_told_plainly(saved):
    with pytest.raises(tb.MissingTensorError) as caught:
        tb.load(saved, ["zzzzzz"])
    assert "did you mean" not in str(caught.value)
    assert caught.value.__cause__ is None


# ---- missing and damaged files --------------------------------------------------------------


@each_reader
def test_a_missing_checkpoint_is_a_file_not_found(prefix, read):
    with pytest.raises(FileNotFoundError) as caught:
        read(prefix)
    assert caught.value.errno == errno.ENOENT
    assert caught.value.filename == prefix + ".index"
    assert not isinstance(caught.value, tb.BundleError)


@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00002"])
def test_a_path_with_a_suffix_is_explained(saved, suffix):
    with pytest.raises(FileNotFoundError, match="prefix") as caught:
        tb.load(saved + suffix)
    assert repr(saved) in str(caught.value)


def test_a_directory_as_prefix_is_explained(saved):
    with pytest.raises(FileNotFoundError, match="latest_checkpoint"):
        tb.load(os.path.dirname(saved))


def test_a_file_of_the_v1_format_is_named(tmp_path):
    (tmp_path / "model.ckpt").write_bytes(b"anything")
    with pytest.raises(tb.UnsupportedError, match="V1") as caught:
        tb.load(tmp_path / "model.ckpt")
    assert caught.value.path == str(tmp_path / "model.ckpt")


@each_reader
def test_a_missing_shard_is_named(saved, read):
    lost = tb.open(saved).entry("layer/kernel").shard_id
    path = data_file(saved, lost)
    path.unlink()
    with pytest.raises(tb.MissingShardError) as caught:
        read(saved)
    error = caught.value
    assert isinstance(error, FileNotFoundError)
    assert isinstance(error, tb.CorruptionError)
    assert (error.code, error.shard, error.path) == ("MissingShard", lost, str(path))
    assert error.key == "layer/kernel"
    assert str(path) in str(error)


@each_reader
def test_a_short_data_file_is_named(saved, read):
    entry = tb.open(saved).entry("layer/kernel")
    path = data_file(saved, entry.shard_id)
    rewrite(path, lambda content: content[:-1])
    with pytest.raises(tb.CorruptionError) as caught:
        read(saved)
    error = caught.value
    assert (error.code, error.shard, error.path) == ("OutOfBounds", entry.shard_id, str(path))
    assert (error.key, error.offset) == ("layer/kernel", entry.offset)
    assert "3999" in str(error)


def test_a_wrong_checksum_is_named(saved):
    entry = tb.open(saved).entry("layer/kernel")
    path = data_file(saved, entry.shard_id)
    flip_byte(path, entry.offset + 1)
    with pytest.raises(tb.CorruptionError) as caught:
        tb.load(saved)
    error = caught.value
    assert (error.code, error.key) == ("DataChecksumMismatch", "layer/kernel")
    assert (error.path, error.shard, error.offset) == (str(path), entry.shard_id, entry.offset)


@each_reader
def test_a_wrong_magic_is_named(saved, read):
    rewrite(saved + ".index", lambda content: content[:-8] + b"12345678")
    with pytest.raises(tb.CorruptionError) as caught:
        read(saved)
    error = caught.value
    assert (error.code, error.path) == ("BadMagic", saved + ".index")
    assert error.offset == Path(saved + ".index").stat().st_size - 48  # of the footer
    assert saved + ".index" in str(error)


@each_reader
def test_a_data_file_in_place_of_the_index_is_named(saved, read):
    rewrite(saved + ".index", lambda content: bytes(5000))
    with pytest.raises(tb.CorruptionError) as caught:
        read(saved)
    assert (caught.value.code, caught.value.path) == ("BadMagic", saved + ".index")


@pytest.mark.parametrize("size", [0, 1, 47])
def test_an_index_too_short_for_its_footer_is_named(saved, size):
    rewrite(saved + ".index", lambda content: content[:size])
    with pytest.raises(tb.CorruptionError) as caught:
        tb.open(saved)
    assert (caught.value.code, caught.value.path) == ("TruncatedIndex", saved + ".index")


def test_an_index_block_with_a_wrong_checksum_is_named(saved):
    flip_byte(saved + ".index", 20)
    with pytest.raises(tb.CorruptionError) as caught:
        tb.load(saved)
    assert (caught.value.code, caught.value.path) == ("BadBlockChecksum", saved + ".index")
    assert caught.value.offset == 0


def test_any_changed_byte_of_the_index_is_found_or_harmless(saved):
    content = Path(saved + ".index").read_bytes()
    expected = tb.load(saved)
    for i in range(len(content)):
        rewrite(saved + ".index", lambda _, i=i: content[:i] + b"\xa5" + content[i + 1 :])
        try:
            found = tb.load(saved)
        except tb.BundleError as error:
            assert error.code, f"byte {i}"
            continue
        assert list(found) == list(expected), f"byte {i}"
        for name in expected:
            assert_same(found[name], expected[name])


def test_any_truncated_index_is_found(saved):
    content = Path(saved + ".index").read_bytes()
    for size in range(len(content)):
        rewrite(saved + ".index", lambda _, size=size: content[:size])
        with pytest.raises(tb.CorruptionError):
            tb.load(saved)


@pytest.mark.parametrize("kind", ["directory", "fifo"])
@pytest.mark.parametrize("which", ["index", "data"])
def test_what_is_no_regular_file_is_named(saved, kind, which):
    path = saved + ".index" if which == "index" else str(kernel_file(saved))
    os.unlink(path)
    os.mkdir(path) if kind == "directory" else os.mkfifo(path)
    for read in READERS.values():
        with pytest.raises((tb.CorruptionError, OSError)) as caught:
            [read(saved), read(saved)]
        assert path in str(caught.value)


# ---- the operating system -------------------------------------------------------------------


def test_a_full_disk_leaves_the_old_checkpoint(small_disk):
    prefix = str(small_disk.path / "ckpt")
    tb.save(prefix, {"old": np.arange(10)})
    before = snapshot(prefix)
    for tensors in (
        {"a": np.ones(8 * MIB, np.uint8)},
        {"a": np.ones((4 * MIB, 2), np.uint8).T},
        {f"{i}": np.ones(MIB, np.uint8) for i in range(6)},
    ):
        for num_shards in (1, 3):
            with pytest.raises(OSError) as caught:
                tb.save(prefix, tensors, num_shards=num_shards)
            assert caught.value.errno == errno.ENOSPC
            assert str(small_disk.path) in caught.value.filename
            assert snapshot(prefix) == before
    tb.save(prefix, {"new": np.arange(3)})
    assert_same(tb.load(prefix)["new"], np.arange(3))


def test_a_disk_too_full_for_the_index_leaves_the_old_checkpoint(small_disk):
    prefix = str(small_disk.path / "ckpt")
    tb.save(prefix, {"old": np.arange(10)})
    before = snapshot(prefix)
    names = {f"{i}" + "n" * 100_000: np.uint8(i) for i in range(60)}  # an index of 6 MB
    with pytest.raises(OSError) as caught:
        tb.save(prefix, names)
    assert caught.value.errno == errno.ENOSPC
    assert snapshot(prefix) == before


def test_a_full_disk_leaves_no_new_directory(small_disk):
    with pytest.raises(OSError) as caught:
        tb.save(small_disk.path / "new" / "ckpt", {"a": np.ones(8 * MIB, np.uint8)})
    assert caught.value.errno == errno.ENOSPC
    assert names_in(small_disk.path) == []


@pytest.mark.parametrize("directory", ["", "new"])
def test_a_read_only_disk_is_refused(small_disk, directory):
    old = str(small_disk.path / "old")
    tb.save(old, {"a": np.arange(10)})
    small_disk.make_read_only()
    before = snapshot(old)
    with pytest.raises(OSError) as caught:
        tb.save(small_disk.path / directory / "ckpt", {"a": np.ones(3)})
    assert caught.value.errno == errno.EROFS
    assert str(small_disk.path) in caught.value.filename
    assert snapshot(old) == before
    assert_same(tb.load(old)["a"], np.arange(10))  # reading needs no writing
    assert tb.verify(old).ok


def test_a_directory_without_permission_is_refused(prefix):
    if os.geteuid() == 0:
        pytest.skip("permissions do not bind root; the read-only disk is tested instead")
    directory = os.path.dirname(prefix)
    os.chmod(directory, 0o500)
    try:
        with pytest.raises(PermissionError) as caught:
            tb.save(prefix, {"a": 1})
    finally:
        os.chmod(directory, 0o700)
    assert caught.value.filename.startswith(directory)
    assert listing(prefix) == []


def test_one_missing_directory_is_created(tmp_path):
    tb.save(tmp_path / "new" / "ckpt", {"a": 1})
    assert tb.load(tmp_path / "new" / "ckpt") == {"a": 1}


def test_two_missing_directories_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        tb.save(tmp_path / "one" / "two" / "ckpt", {"a": 1})
    assert caught.value.errno == errno.ENOENT
    assert caught.value.filename == str(tmp_path / "one" / "two")
    assert names_in(tmp_path) == []


def test_a_file_in_place_of_the_directory_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(NotADirectoryError) as caught:
        tb.save(tmp_path / "file" / "ckpt", {"a": 1})
    assert str(tmp_path / "file") in caught.value.filename
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_a_directory_in_place_of_the_index_is_refused(prefix):
    os.mkdir(prefix + ".index")
    with pytest.raises(OSError) as caught:
        tb.save(prefix, {"a": 1})
    assert caught.value.errno in (errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST)
    assert listing(prefix) == ["ckpt.index"]


def test_a_name_too_long_for_the_disk_is_refused(tmp_path):
    with pytest.raises(OSError) as caught:
        tb.save(tmp_path / ("x" * 300), {"a": 1})
    assert caught.value.errno == errno.ENAMETOOLONG
    assert names_in(tmp_path) == []


# ---- errors, reports and the rest as objects ------------------------------------------------


def raised(function, *arguments, **options):
    """Give what a call raises."""
    with pytest.raises(Exception) as caught:
        function(*arguments, **options)
    return caught.value


def test_errors_survive_pickling(saved):
    os.unlink(data_file(saved, 0))
    bad_index = saved + "-bad"
    Path(bad_index + ".index").write_bytes(bytes(100))
    for error in (
        raised(tb.load, saved),
        raised(tb.load, saved, ["nothing"]),
        raised(tb.load, bad_index),
        tb.LockedError("m", code="Locked", path="p"),
        tb.UnsupportedError("m", code="c", detail="d", path="p", key="k", shard=3, offset=4),
    ):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            copy = pickle.loads(pickle.dumps(error, protocol))
            assert type(copy) is type(error)
            assert str(copy) == str(error)
            assert copy.__dict__ == error.__dict__


def test_an_error_reads_as_its_message(saved):
    error = raised(tb.load, saved, ["nothing"])
    assert str(error) == error.message
    assert not str(error).startswith(("'", '"'))
    assert "\n" not in str(error)
    assert not str(error).endswith(".")


def test_control_characters_in_names_do_not_reach_the_terminal(prefix):
    tb.save(prefix, {"a\x1b[31m\n": np.ones(3)})
    flip_byte(data_file(prefix), 0)
    assert "\x1b" not in str(raised(tb.load, prefix))
    assert raised(tb.load, prefix).key == "a\x1b[31m\n"


def test_the_family_of_errors():
    kinds = [getattr(errors, name) for name in errors.__all__]
    assert all(issubclass(kind, tb.BundleError) for kind in kinds)
    assert not issubclass(tb.BundleError, (OSError, ValueError, KeyError))
    assert issubclass(tb.MissingTensorError, KeyError)
    assert issubclass(tb.MissingShardError, (tb.CorruptionError, FileNotFoundError))


def test_reports_can_be_written_as_json(saved):
    flip_byte(data_file(saved, 0), 0)
    made = [
        tb.save(saved + "-2", {"a": np.ones(1000)}),
        tb.load(saved, mmap=True).report,
        tb.verify(saved),
    ]
    for report in made:
        fields = json.loads(json.dumps(report.as_dict()))
        assert fields["prefix"] == report.prefix
        assert fields["tensor_bytes"] == report.tensor_bytes
        assert fields["gb_per_second"] == report.gb_per_second
    assert json.loads(json.dumps(made[2].as_dict()))["faults"][0]["shard"] == 0
    assert reports.SaveReport(**{**made[0].__dict__, "seconds": 0}).gb_per_second == 0


def test_build_info_tells_what_is_in_use():
    info = tb.build_info()
    assert set(info) >= {
        "version", "compiler", "crc32c", "crc32c_available", "backends", "io_uring",
    }  # fmt: skip
    assert info["crc32c"] in info["crc32c_available"]
    assert "portable" in info["crc32c_available"]
    assert "auto" in info["backends"]
    json.dumps(info)


def test_every_public_name_resolves():
    assert len(tb.__all__) == len(set(tb.__all__))
    for name in tb.__all__:
        assert getattr(tb, name) is not None
        assert name in dir(tb)
    assert isinstance(tb.__version__, str)
    with pytest.raises(AttributeError, match="no_such_name"):
        tb.no_such_name  # noqa: B018

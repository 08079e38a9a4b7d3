"""What is written has its name when it is whole and on the disk, and not before."""

import os
import stat
import sys

import pytest

from longspan import atomic


@pytest.fixture
def steps(monkeypatch):
    """What reached the disk and what was renamed, in order, by name."""
    if not sys.platform.startswith("linux"):
        pytest.skip("reads the names of open files from /proc")
    done = []
    sync, replace = os.fsync, os.replace

    def synced(descriptor):
        done.append(("sync", os.readlink(f"/proc/self/fd/{descriptor}").rsplit("/", 1)[1]))
        sync(descriptor)

    def replaced(source, target):
        done.append(("rename", os.path.basename(target)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    return done


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_file_reaches_the_disk_before_its_name(tmp_path, steps):
    target = tmp_path / "a.json"
    target.write_text("old")
    with atomic.write_file(target) as partial:
        partial.write_text("new")
        assert target.read_text() == "old" and partial.parent == tmp_path
    assert target.read_text() == "new" and names(tmp_path) == ["a.json"]
    assert steps == [("sync", ".writing-a.json"), ("rename", "a.json"), ("sync", tmp_path.name)]


@pytest.mark.parametrize("fault", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("write", [atomic.write_file, atomic.write_folder, atomic.write_new_folder])
def test_what_fails_leaves_nothing(tmp_path, write, fault):
    with pytest.raises(fault), write(tmp_path / "a") as partial:
        (partial / "b" if partial.is_dir() else partial).write_text("half")
        raise fault
    assert names(tmp_path) == []


def test_a_file_that_was_never_written_leaves_the_old_one(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(FileNotFoundError), atomic.write_file(tmp_path / "a"):
        pass
    assert (tmp_path / "a").read_text() == "old"


def test_json(tmp_path):
    atomic.write_json(tmp_path / "a.json", {"é": [1, None]})
    assert (tmp_path / "a.json").read_text() == '{\n "\\u00e9": [\n  1,\n  null\n ]\n}\n'
    with pytest.raises(TypeError):
        atomic.write_json(tmp_path / "a.json", object())
    assert names(tmp_path) == ["a.json"] and (tmp_path / "a.json").stat().st_size > 9


@pytest.mark.parametrize("write", [atomic.write_folder, atomic.write_new_folder])
def test_a_folder_and_all_in_it_reach_the_disk_before_its_name(tmp_path, write, steps):
    target = tmp_path / "new" / "a"
    with write(target) as partial:
        (partial / "inner").mkdir()
        (partial / "inner" / "b").write_text("b")
        (partial / "c").write_text("c")
        assert not target.exists() and partial.parent == target.parent
    assert names(target.parent) == ["a", "a/c", "a/inner", "a/inner/b"]
    synced, after = steps[: steps.index(("rename", "a"))], steps[steps.index(("rename", "a")) + 1 :]
    assert sorted(synced) == sorted(("sync", name) for name in ("b", "c", "inner", partial.name))
    assert after == [("sync", "new")]
    assert stat.S_IMODE(target.stat().st_mode) & 0o700 == 0o700


def test_a_broken_folder_is_replaced(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").write_text("old")
    (tmp_path / ".writing-a").mkdir()
    (tmp_path / ".writing-a" / "half").write_text("of a run that was killed")
    with atomic.write_folder(tmp_path / "a") as partial:
        (partial / "new").write_text("new")
    assert names(tmp_path) == ["a", "a/new"]


def test_a_new_folder_replaces_nothing(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(FileExistsError, match="a exists already: nothing is written over"):
        atomic.write_new_folder(tmp_path / "a").__enter__()
    with pytest.raises(FileExistsError), atomic.write_new_folder(tmp_path / "late"):
        (tmp_path / "late").write_text("somebody was faster")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        atomic.check_free(tmp_path / "gone")
    assert names(tmp_path) == ["a", "gone", "late"]


def test_a_file_does_not_replace_a_folder(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "kept").write_text("kept")
    with pytest.raises(IsADirectoryError), atomic.write_file(tmp_path / "a") as partial:
        partial.write_text("a")
    assert names(tmp_path) == ["a", "a/kept"]


def test_left_overs_go(tmp_path):
    for name in (".writing-a", ".removing-b", "kept"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    (tmp_path / ".writing-c.json").write_text("half")
    atomic.remove_left_overs(tmp_path, tmp_path / "missing")
    assert names(tmp_path) == ["kept", "kept/file"]

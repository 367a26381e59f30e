"""Files that a kill, a full disk or a flipped bit cannot turn into something that is silently wrong."""

import os
import random
import resource
import signal
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from gcvideo.keeping.checkpoint_file import CheckpointFiles, newest_checkpoint, require_whole
from tests.training.runs import context


def content(step: int) -> dict:
    """Of a size that takes a while to write, and the same number everywhere."""
    return {
        "global_step": step,
        "state_dict": {f"{k}": torch.full((400, 1000), float(step)) for k in range(8)},
    }


def save(path: Path, step: int) -> None:
    CheckpointFiles().save_checkpoint(content(step), path)


def step_in(path: Path) -> int:
    """Of a whole file; every number in it is that of its step."""
    require_whole(path)
    found = CheckpointFiles().load_checkpoint(path)
    assert all((tensor == found["global_step"]).all() for tensor in found["state_dict"].values())
    return found["global_step"]


def test_a_file_is_what_torch_saves_and_loads(tmp_path):
    save(tmp_path / "new folder" / "last.ckpt", 3)
    loaded = torch.load(tmp_path / "new folder" / "last.ckpt", weights_only=True)
    assert loaded["global_step"] == 3
    assert torch.equal(loaded["state_dict"]["0"], content(3)["state_dict"]["0"])
    assert [file.name for file in (tmp_path / "new folder").iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_file_that_is_cut_short_is_told_from_a_whole_one(tmp_path, share):
    path = tmp_path / "last.ckpt"
    save(path, 1)
    require_whole(path)
    os.truncate(path, int(path.stat().st_size * share))
    for refuse in (require_whole, CheckpointFiles().load_checkpoint):
        with pytest.raises(ValueError, match=r"last\.ckpt: is no checkpoint, or is cut short \(\d+ bytes\)"):
            refuse(path)


def test_one_flipped_bit_is_found(tmp_path):
    path = tmp_path / "last.ckpt"
    save(path, 1)
    flipped = bytearray(path.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    path.write_bytes(flipped)
    assert torch.load(path, weights_only=True)["global_step"] == 1  # torch itself does not look
    with pytest.raises(ValueError, match=r"last\.ckpt: is damaged: .*/data/\d in it does not have its"):
        CheckpointFiles().load_checkpoint(path)


def test_whatever_byte_changed_a_damaged_file_is_passed_over_and_named(tmp_path):
    """Of its table of contents too, where zipfile takes it for encrypted or compressed."""
    path = tmp_path / "last.ckpt"
    torch.save({"global_step": 1, "state_dict": {"weight": torch.ones(4)}}, path)
    whole, refused = path.read_bytes(), 0
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        try:
            require_whole(path)
        except ValueError:
            refused += 1
    assert refused > len(whole) / 4


def test_a_file_that_would_run_code_is_refused(tmp_path):
    class Runs:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "it ran"),)

    torch.save({"global_step": 1, "state_dict": Runs()}, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match=r"last\.ckpt: names code that loading it would run; nothing was"):
        CheckpointFiles().load_checkpoint(tmp_path / "last.ckpt")
    newest = newest_checkpoint(tmp_path)
    assert newest.file is None
    assert "last.ckpt: names code that loading it would run" in newest.damaged[0]
    assert not (tmp_path / "it ran").exists()


def limited_save(path: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    _expect(path, "File too large; the older one of that name is kept")


def save_without_permission(path: Path) -> None:
    if os.getuid() == 0:
        os.setuid(65534)
    _expect(path, "Permission denied; the older one of that name is kept")


def _expect(path: Path, reason: str) -> None:
    with pytest.raises(OSError, match=f"last.ckpt: cannot write the checkpoint: {reason}"):
        save(path, 2)


@pytest.mark.parametrize("fault", [limited_save, save_without_permission])
def test_where_a_file_cannot_be_written_an_error_says_so_and_the_older_one_stays(tmp_path, fault):
    for folder in (tmp_path, *tmp_path.parents):
        if Path(tempfile.gettempdir()) in folder.parents:
            folder.chmod(0o755)  # another user gets as far as the file, and no further
    save(tmp_path / "last.ckpt", 1)
    (tmp_path).chmod(0o555)
    process = context.Process(target=fault, args=(tmp_path / "last.ckpt",))
    try:
        process.start()
        process.join(60)
    finally:
        tmp_path.chmod(0o755)
    assert process.exitcode == 0
    assert step_in(tmp_path / "last.ckpt") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def save_for_ever(path: Path, step: int) -> None:
    while True:
        step += 1
        save(path, step)


def killed_while_saving(folder: Path, *, kills: int, seed: int) -> int:
    """How many kills at random moments left a whole file, and none older than the last one seen whole."""
    path = folder / "last.ckpt"
    save(path, 1)
    generator, survived = random.Random(seed), 0
    for _ in range(kills):
        before = step_in(path)
        process = context.Process(target=save_for_ever, args=(path, before))
        process.start()
        begun = path.stat().st_mtime_ns
        while path.stat().st_mtime_ns == begun:
            time.sleep(0.001)
        time.sleep(generator.uniform(0, 0.1))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        survived += step_in(path) > before
    return survived


@pytest.mark.parametrize("where", ["tmp_path", "/dev/shm"])
def test_a_kill_at_any_moment_leaves_a_whole_file(tmp_path, where):
    """In memory as well, which is another file system than that of temporary files."""
    folder = tmp_path if where == "tmp_path" else Path(where) / f"gcvideo-{os.getpid()}"
    if not folder.parent.is_dir():
        pytest.skip(f"{where} is not there")
    folder.mkdir(exist_ok=True)
    try:
        assert killed_while_saving(folder, kills=4, seed=1) == 4
    finally:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C is heeded, also where the tests are a background job of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("seconds", [0.0, 0.005, 0.01])
def test_ctrl_c_waits_until_the_file_is_whole(tmp_path, seconds):
    def interrupt() -> None:
        while not any(tmp_path.iterdir()):  # until writing has begun
            time.sleep(0.001)
        time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    with pytest.raises(KeyboardInterrupt):
        (thread.start(), save(tmp_path / "last.ckpt", 5), thread.join())
    assert step_in(tmp_path / "last.ckpt") == 5
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.mark.slow
def test_twenty_kills_leave_twenty_whole_files(tmp_path):
    assert killed_while_saving(tmp_path, kills=20, seed=2) == 20


def test_the_newest_whole_checkpoint_is_found_and_what_is_passed_over_is_named(tmp_path):
    assert newest_checkpoint(tmp_path / "absent") == (None, [])
    save(tmp_path / "best.ckpt", 4)
    save(tmp_path / "last.ckpt", 6)
    (tmp_path / ".last.ckpt.unfinished").write_bytes(b"begun")
    assert newest_checkpoint(tmp_path) == (tmp_path / "last.ckpt", [])

    os.truncate(tmp_path / "last.ckpt", 1000)
    with zipfile.ZipFile(tmp_path / "other.ckpt", "w") as archive:
        archive.writestr("a", "b")
    found = newest_checkpoint(tmp_path)
    assert found.file == tmp_path / "best.ckpt"
    assert [reason.partition(":")[0] for reason in found.damaged] == [
        str(tmp_path / "last.ckpt"),
        str(tmp_path / "other.ckpt"),
    ]


def test_of_two_checkpoints_of_one_step_the_later_one_is_taken(tmp_path):
    for name, written in (("best.ckpt", 200), ("last.ckpt", 100)):
        save(tmp_path / name, 5)
        os.utime(tmp_path / name, (written, written))
    assert newest_checkpoint(tmp_path).file == tmp_path / "best.ckpt"

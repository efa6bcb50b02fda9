"""Written aside, then put in place: whoever looks finds the old version whole or the new one."""

import contextlib
import errno
import os
import pathlib
import shutil

# What is left free when the size of an artefact is known only roughly.
_ROOM = 1 << 20


@contextlib.contextmanager
def placed(target, *, overwrite=False, size=0):
    """Give a path to write to, and rename it to `target` when all went well.

    What is written lies beside the target until then, under a hidden name which no server takes for a version. An
    error, or the end of the process, leaves what was there before.

    Args:
        target: path of a file or folder to be.
        overwrite: whether it may exist.
        size: about how many bytes it will have, which must be free.
    """
    target = pathlib.Path(target)
    if target.exists() and not overwrite:
        raise FileExistsError(
            f"{str(target)!r} exists: export to another version or name, or replace it by overwrite=True"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(target.parent).free
    if free < size + _ROOM:
        raise OSError(errno.ENOSPC, f"{size + _ROOM:,} bytes are needed, and {free:,} are free", str(target.parent))
    aside = target.parent / f".{target.name}.{os.getpid()}.partial"
    _remove(aside)
    try:
        yield aside
        _put(aside, target)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise OSError(
                errno.ENOSPC, "the disk is full; nothing was left behind: free some space and export again", str(target)
            ) from error
        raise
    finally:
        _remove(aside)


def next_version(folder):
    """One more than the highest numbered folder in a folder, 1 where there is none."""
    folder = pathlib.Path(folder)
    known = [int(path.name) for path in folder.iterdir() if path.name.isdecimal()] if folder.is_dir() else []
    return max(known, default=0) + 1


def _put(aside, target):
    if not target.is_dir():
        os.replace(aside, target)
        return
    # A folder cannot replace another one: the old one steps aside for the moment between two renames.
    old = target.parent / f".{target.name}.{os.getpid()}.replaced"
    _remove(old)
    os.rename(target, old)
    try:
        os.rename(aside, target)
    except OSError:
        os.rename(old, target)
        raise
    _remove(old)


def _remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

"""Written aside, then put in place: whoever looks finds the old version whole or the new one."""

import contextlib
import errno
import os
import pathlib
import shutil

# What is left free when the size of an artefact is known only roughly.
_ROOM = 1 << 20
_PARTIAL, _REPLACED = "partial", "replaced"


@contextlib.contextmanager
def placed(target, *, overwrite=False, size=0):
    """Give a path to write to, and rename it to `target` when all went well.

    What is written lies beside the target until then, under a hidden name which no server takes for a version. An
    error, or the end of the process, leaves what was there before; what an ended process left lying is removed by the
    next one.

    Args:
        target: path of a file or folder to be.
        overwrite: whether it may exist.
        size: about how many bytes it will have, which must be free.
    """
    target = pathlib.Path(target)
    if not target.parent.is_dir() and target.parent.exists():
        raise FileExistsError(f"{str(target.parent)!r} is a file: name a folder to export to")
    target.parent.mkdir(parents=True, exist_ok=True)
    _tidy(target)
    check_free(target, overwrite)
    free = shutil.disk_usage(target.parent).free
    if free < size + _ROOM:
        raise OSError(errno.ENOSPC, f"{size + _ROOM:,} bytes are needed, and {free:,} are free", str(target.parent))
    aside = _hidden(target, _PARTIAL)
    try:
        yield aside
        _put(aside, target, overwrite)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise OSError(
                errno.ENOSPC, "the disk is full; nothing was left behind: free some space and export again", str(target)
            ) from error
        raise
    finally:
        _remove(aside)


def check_free(target, overwrite):
    """Raise an error where something stands that may not be replaced."""
    if pathlib.Path(target).exists() and not overwrite:
        raise FileExistsError(
            f"{str(target)!r} exists: export to another version or name, or replace it by overwrite=True"
        )


def next_version(folder):
    """One more than the highest numbered folder in a folder, 1 where there is none."""
    folder = pathlib.Path(folder)
    known = [int(path.name) for path in folder.iterdir() if path.name.isdecimal()] if folder.is_dir() else []
    return max(known, default=0) + 1


def _hidden(target, kind):
    return target.parent / f".{target.name}.{os.getpid()}.{kind}"


def _put(aside, target, overwrite):
    if aside.is_file():
        if overwrite:
            os.replace(aside, target)
        else:
            # A link fails where somebody else was faster; a rename would replace.
            os.link(aside, target)
        return
    if not target.exists():
        os.rename(aside, target)
        return
    # Somebody may have been faster.
    check_free(target, overwrite)
    # A folder cannot replace another one: the old one steps aside for the moment between two renames, and is put back
    # by the next export should the process end there.
    old = _hidden(target, _REPLACED)
    os.rename(target, old)
    try:
        os.rename(aside, target)
    except OSError:
        os.rename(old, target)
        raise
    _remove(old)


def _tidy(target):
    """Remove what ended processes left lying beside a target, and put back an old version that stepped aside."""
    for path in target.parent.glob(f".{target.name}.*.*"):
        process, _, kind = path.name.removeprefix(f".{target.name}.").partition(".")
        if kind not in (_PARTIAL, _REPLACED) or not process.isdecimal() or _lives(int(process)):
            continue
        if kind == _REPLACED and not target.exists():
            os.rename(path, target)
        else:
            _remove(path)


def _lives(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process != os.getpid()


def _remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

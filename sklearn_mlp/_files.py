"""Files that are there as a whole or not at all."""

import os
from contextlib import contextmanager, suppress
from secrets import token_hex


@contextmanager
def replacing(path):
    """Open a binary file that takes the place of `path` once everything is written.

    Whatever happens on the way, a crash of the machine included, leaves the old file or the new one.
    The new one is written beside the old, forced to the disk and then renamed. It has the permissions
    of the old one, or those of any new file. Where `path` is a symbolic link, the file that it leads to
    is replaced.

    Parameters
    ----------
    path : str or path-like

    Yields
    ------
    file : binary file, open for writing

    Raises
    ------
    ValueError
        If there is something at `path` that is not an ordinary file, or it ends like a folder's.
    OSError
        If the file cannot be written.
    """
    given = os.fsdecode(path)
    if not os.path.basename(given):
        raise ValueError(f"{given!r} is not the path of a file; add a name to it.")
    path = os.path.realpath(given)
    if os.path.lexists(path) and not os.path.isfile(path):
        raise ValueError(f"{path} is not an ordinary file and cannot be replaced; give another path.")
    folder = os.path.dirname(path)
    temporary = os.path.join(folder, f".{token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            with suppress(FileNotFoundError):
                os.chmod(temporary, os.stat(path).st_mode & 0o777)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.filename == temporary and error.filename2 is None:
            error.filename = path  # the name that means something to the caller
        raise
    _sync_folder(folder)


def _sync_folder(folder):
    """Force the new name to the disk, where the system and the file system can."""
    if os.name != "posix":
        return
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

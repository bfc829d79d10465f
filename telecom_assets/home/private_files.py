"""Who may read what the project writes: names, numbers and amounts of people.

Belongs here: the modes of new files and folders, and which folders other users can read. Does not belong here: files of
credentials, which are private by themselves (`local_stack.layout`).

Files and folders that a process of the project makes can be read by its user alone (umask 077: folders 700, files 600). A
folder that exists keeps its mode: its owner decided who may enter. There is one exception, for a group that is meant to read:
when the folder of the warehouse or of the outputs existed, lies outside of the home, and has the set-group-id bit (`chmod g+s`,
the usual way to share a folder), new files in it get the group's permissions of the folder, and none for other users.
"""

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from telecom_assets.home.settings import Settings

_PRIVATE = 0o077


def keep_private(settings: Settings | None = None) -> None:
    """Set the umask of this process and its children: files for the user alone, or for the group that shares the folders."""
    os.umask(_PRIVATE if settings is None else umask_of(settings))


def umask_of(settings: Settings) -> int:
    """The umask of every process that writes for these settings."""
    shared = [folder for folder in _own_places(settings) if not folder.is_relative_to(settings.home_path)]
    modes = [folder.stat().st_mode for folder in shared if folder.is_dir()]
    return umask_for(modes)


def umask_for(modes: Sequence[int]) -> int:
    """The umask that keeps the group permissions of folders with the set-group-id bit. 077 when there is no such folder.

    modes: the modes of the folders.
    """
    granted = 0
    for mode in modes:
        if mode & stat.S_ISGID:
            granted |= mode & stat.S_IRWXG
    return _PRIVATE & ~granted


def make_home(settings: Settings) -> None:
    """Make the home, and the folders of tables and outputs that no group shares, for the user alone."""
    private_folder(settings.home_path)
    if umask_of(settings) != _PRIVATE:
        for folder in _own_places(settings):
            private_folder(folder)


def private_folder(folder: Path) -> None:
    """Make a folder that only its owner can enter. An existing folder keeps its mode. Raises NotADirectoryError."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), error.filename) from None


def open_folders(settings: Settings) -> list[Path]:
    """The folders of the home, the tables and the outputs that other users of the machine can read."""
    home = settings.home_path
    places = [home, *(folder for folder in _own_places(settings) if not folder.is_relative_to(home))]
    return [folder for folder in places if folder.is_dir() and is_open(_modes(folder))]


def is_open(modes: Sequence[int]) -> bool:
    """Whether every user can list a folder, by its mode and the modes of the folders above it."""
    own, *above = modes
    return bool(own & (stat.S_IROTH | stat.S_IXOTH)) and all(mode & stat.S_IXOTH for mode in above)


def _own_places(settings: Settings) -> list[Path]:
    """The folders of the tables and of the outputs, where they are folders of this machine."""
    tables = settings.warehouse_uri.removeprefix("file://")
    return [*([] if "://" in tables else [Path(tables)]), settings.output_path]


def _modes(folder: Path) -> list[int]:
    place = folder.resolve()
    return [each.stat().st_mode for each in (place, *place.parents)]

"""Who may read what the project writes: names, numbers and amounts of people.

Belongs here: the modes of new files and folders, and which folders other users can read. Does not belong here: files of
credentials, which are private by themselves (`local_stack.layout`).

What a process of the project makes is its user's alone (umask 077: folders 700, files 600). A folder that was there is
left as it is: whoever made it decided who may enter. One case says that a group is meant to read along: the folder of
the warehouse or of the outputs was there, outside of the home, and has the set-group-id bit (`chmod g+s`, the usual way
to share a folder). What is made there is then open to the group as far as the folder is, and to nobody else.
"""

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from telecom_assets.home.settings import Settings

_PRIVATE = 0o077


def keep_private(settings: Settings | None = None) -> None:
    """Make this process, and those it starts, write for its user alone, or for the group that shares the folders."""
    os.umask(_PRIVATE if settings is None else umask_of(settings))


def umask_of(settings: Settings) -> int:
    """The umask of every process that writes for these settings."""
    shared = [folder for folder in _own_places(settings) if not folder.is_relative_to(settings.home_path)]
    modes = [folder.stat().st_mode for folder in shared if folder.is_dir()]
    return umask_for(modes)


def umask_for(modes: Sequence[int]) -> int:
    """The umask that leaves open what folders that a group shares are open for; 077 without one."""
    granted = 0
    for mode in modes:
        if mode & stat.S_ISGID:
            granted |= mode & stat.S_IRWXG
    return _PRIVATE & ~granted


def make_home(settings: Settings) -> None:
    """Make the home, and what belongs to no group of the other places, closed to everybody else."""
    private_folder(settings.home_path)
    if umask_of(settings) != _PRIVATE:
        for folder in _own_places(settings):
            private_folder(folder)


def private_folder(folder: Path) -> None:
    """Make a folder that only its owner can enter; one that is there is left as it is. Raises NotADirectoryError."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), error.filename) from None


def open_folders(settings: Settings) -> list[Path]:
    """The home, and what lies outside of it, as far as other users of the machine can read it."""
    home = settings.home_path
    places = [home, *(folder for folder in _own_places(settings) if not folder.is_relative_to(home))]
    return [folder for folder in places if folder.is_dir() and is_open(_modes(folder))]


def is_open(modes: Sequence[int]) -> bool:
    """Whether everybody can look into a folder, by its mode and those of the folders above it."""
    own, *above = modes
    return bool(own & (stat.S_IROTH | stat.S_IXOTH)) and all(mode & stat.S_IXOTH for mode in above)


def _own_places(settings: Settings) -> list[Path]:
    """Folders of tables and of outputs on this machine."""
    tables = settings.warehouse_uri.removeprefix("file://")
    return [*([] if "://" in tables else [Path(tables)]), settings.output_path]


def _modes(folder: Path) -> list[int]:
    place = folder.resolve()
    return [each.stat().st_mode for each in (place, *place.parents)]

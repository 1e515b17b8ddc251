"""Who may write to the segment directory."""

from __future__ import annotations

import os

from .. import _native

# All may pass through, and none but the owner may see what is there.
_PASSAGE = 0o711
# The group makes files there, and none deletes another's.
_SHARED = 0o1770


def admit(directory: str, uid: int, gid: int) -> None:
    """Lets workers in that gunicorn's settings ``user`` and ``group`` take root's rights from. The directory stays root's.

    :raises OSError: if that cannot be done.
    """
    if os.geteuid() != 0 or uid == 0:
        return
    os.chown(directory, 0, gid)
    os.chmod(directory, _SHARED)
    default = _native.default_directory()
    if os.path.dirname(directory) == str(default):
        os.chmod(default, _PASSAGE)

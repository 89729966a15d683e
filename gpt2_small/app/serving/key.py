"""Create the secret key in the page's address, which other users cannot read."""

import os
import re
import secrets

from gpt2_small.files.user_cache import cache_folder

FILE = "page-key"
_KEY = re.compile(r"[A-Za-z0-9_-]{22,64}")


def page_key() -> str:
    """This user's key, the same at every start, so that an open page finds a restarted server.

    It is stored in the cache folder, in a file that only this user can read; if that is impossible,
    a new key is returned.
    """
    try:
        return _stored_key()
    except OSError:
        return _new_key()


def _new_key() -> str:
    return secrets.token_urlsafe(24)


def _stored_key() -> str:
    path = cache_folder() / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    with os.fdopen(os.open(path, flags, 0o600), "r+", encoding="ascii", errors="replace") as file:
        status = os.fstat(file.fileno())
        is_private = not hasattr(os, "getuid") or (
            status.st_uid == os.getuid() and not status.st_mode & 0o077
        )
        if not is_private:
            return _new_key()
        key = file.read().strip()
        if not _KEY.fullmatch(key):
            key = _new_key()
            file.seek(0)
            file.truncate()
            file.write(key)
        return key

"""Plug-ins: models and readers that other packages add by entry points, see CONTRIBUTING.md."""

import logging
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any

log = logging.getLogger(__name__)


@lru_cache
def plugins(group: str, needs: tuple[str, ...] = (), taken: tuple[str, ...] = ()) -> dict[str, Any]:
    """What installed packages add to a group of entry points, loaded once per process, by name.

    A plug-in that cannot be used costs one warning line, and is left out.

    Args:
        group: Such as "nowcast.models".
        needs: Names of attributes without which a plug-in is of no use.
        taken: Names that no plug-in can have, because nowcast has them itself.
    """
    found: dict[str, Any] = {}
    for entry in entry_points(group=group):
        try:
            if entry.name in taken or entry.name in found:
                raise ValueError(f"there is another {entry.name}")
            loaded = entry.load()
            if lacking := [name for name in needs if not hasattr(loaded, name)]:
                raise ValueError(f"it has no {', '.join(lacking)}")
            found[entry.name] = loaded
        except Exception as error:  # whatever the code of others raises
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            log.warning("plug-in %s = %s of %s is left out: %s", entry.name, entry.value, group, reason)
    return found

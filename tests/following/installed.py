"""The installed hooks, by name."""

from __future__ import annotations

import contextlib
import importlib

from pyroscope_otel import following

# Import every library, so that every hook is installed.
for _hook in following.HOOKS:
    with contextlib.suppress(ImportError):
        importlib.import_module(_hook.module)

ABSENT = object()


def patched():
    """Return the owner and name of each attribute that the hooks replace."""
    following.install()
    return [(patch._owner, patch._name) for hook in following.HOOKS for patch in hook._patches]


def patch_of(hook, name):
    """Return the patch whose full name ends with this name."""

    def full_name(patch):
        return f"{getattr(patch._owner, '__name__', 'object')}.{patch._name}"

    (patch,) = (patch for patch in hook._patches if full_name(patch).endswith("." + name))
    return patch


def attributes(of):
    return [vars(owner).get(name, ABSENT) for owner, name in of]

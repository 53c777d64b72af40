"""Stacks of the shop's samples; a frame is (function, file, line), root first."""

from __future__ import annotations

LIBRARY = "/srv/venv/lib/python3.12/site-packages"
SERVE = [
    ("run", "/usr/lib/python3.12/asyncio/runners.py", 190),
    ("main", f"{LIBRARY}/uvicorn/main.py", 410),
    ("app", f"{LIBRARY}/starlette/routing.py", 73),
]
SEARCH = ("search", "/srv/shop/api.py", 31)
RANK = ("rank_results", "/srv/shop/ranking.py", 58)
TOKENISE = ("tokenise", "/srv/shop/text.py", 17)
FINDITER = ("finditer", "/usr/lib/python3.12/re/__init__.py", 223)


def search_stacks(rank, tokenise):
    return [
        ([*SERVE, SEARCH, RANK], rank),
        ([*SERVE, SEARCH, TOKENISE, FINDITER], tokenise),
        ([*SERVE, SEARCH], 2),
    ]

"""Which tab of a browser each open page is in: what a person has given a page is still there when it is loaded anew.

The page's script makes an id that nobody can guess, keeps it as long as its tab is open, and tells it at each load.
"""

from __future__ import annotations

import re

from studio.registry import Registry

N_PAGES = 10_000
"""Pages of which the browser's tab is remembered."""
ID = re.compile(r"[0-9a-f]{32}")
"""The form of a tab's id; no session of a page has it, so that nobody can pass for another page."""


class Browsers:
    """The browser's tab of each page."""

    def __init__(self) -> None:
        self._tab_of = Registry[str](N_PAGES)

    def come(self, session: str, tab: str) -> None:
        """A page was opened in a tab; nothing happens if that is no tab's id."""
        if ID.fullmatch(tab):
            self._tab_of.put(session, tab)

    def owner(self, session: str) -> str:
        """Whose the things of a page are: its tab, or the page alone where its tab is not known."""
        return self._tab_of.get(session) or session

    def is_newest(self, session: str) -> bool:
        """Whether no newer page was opened in the same tab."""
        tab = self._tab_of.get(session)
        return tab is None or [page for page, each in self._tab_of.items() if each == tab][-1] == session

"""Finds the data the project ships beside its code: topics, schemas and compose.

In a checkout they are folders at the top level, where people and other
languages read them; in a wheel the build copies them to `agents/_data`.
"""

from pathlib import Path

FOLDERS = ("topics", "schemas", "compose")
_HERE = Path(__file__).parent
_ROOTS = (_HERE / "_data", _HERE.parent)


class MissingDataError(Exception):
    """A file the project ships with itself is not there."""

    def __init__(self, name: str, roots: tuple[Path, ...]) -> None:
        looked = " and ".join(str(root) for root in roots)
        super().__init__(
            f"{name} must come with the installation, looked in {looked}; install or check out again"
        )
        self.name = name


def path(name: str) -> Path:
    """Return the path of a shipped file or folder, such as `topics/catalogue.toml`.

    Raises:
        MissingDataError: neither the installed package nor a checkout holds it.
    """
    if name.partition("/")[0] not in FOLDERS:
        raise MissingDataError(name, _ROOTS)
    for root in _ROOTS:
        if (found := root / name).exists():
            return found
    raise MissingDataError(name, _ROOTS)

"""The trust root of a home: reading it, and changing it while nobody else does."""

from collections.abc import Callable

from atlas.exchange import alone
from atlas.home import Home
from atlas.trust import TrustRoot
from atlas.trust_file import load_trust_root


def trust_of(home: Home) -> TrustRoot:
    """What the home pins; raises as `load_trust_root`."""
    return load_trust_root(home.trust_path)


def change_trust(home: Home, change: Callable[[TrustRoot], TrustRoot]) -> None:
    """Pin something else from here on.

    Args:
        home: whose trust root.
        change: gets what is pinned at that moment, and returns what is to be; what it raises, leaves all as it is.

    Raises:
        InputError, DocumentError: if the present trust root cannot be read.
        StorageError: if it cannot be written.
    """
    with alone(home.path):
        old = trust_of(home)
        new = change(old)
        if new != old:
            home.write(home.trust_path.name, new.to_bytes())

"""The home's own log, anchored in a real Rekor v2 and in a log of ours."""

from pathlib import Path

from atlas.anchors import anchor, read_anchors, verify_anchor
from atlas.home import create_home
from atlas.log.rekor2 import Address
from atlas.logs import connect, own_log, pin
from atlas.trust_file import load_trust_root
from cluster.servers import Log


def test_a_checkpoint_is_anchored(log: Log, tmp_path: Path) -> None:
    home = create_home(tmp_path / ".atlas")
    pin(home, [log.pinned])
    trust = load_trust_root(home.trust_path)
    with own_log(home) as own, connect(Address(log.url, log.read_url, log.pinned)) as other:
        own.append([b"one"])
        made = anchor(home, own, other)
        assert verify_anchor(made, own, trust).logged.origin == log.pinned.origin
        own.append([b"two", b"three"])
        assert read_anchors(home) == [made]
        assert verify_anchor(made, own, trust).checkpoint.size == 1

"""Where Sigstore's trust configuration comes from: a file, or the TUF repository of the public instance.

TUF (The Update Framework) authenticates it: the first root is the one that the `sigstore` package ships, each further
one is signed by the one before. What was fetched before is kept, so that nobody can go back behind it.
"""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

from sigstore_models.trustroot.v1 import ClientTrustConfig, SigningConfig, TrustedRoot
from tuf.api.exceptions import DownloadError, DownloadHTTPError, RepositoryError
from tuf.ngclient.fetcher import FetcherInterface
from tuf.ngclient.updater import Updater

from atlas.document import read_input
from atlas.errors import FetchError
from atlas.log.choice import Instance, PublicChoice
from atlas.log.public import PublicLogs, parse, resolve
from atlas.web import Client, tls

_TIMEOUT = 30.0
_ROOT, _CONFIG, _CONFIG_2 = "trusted_root.json", "signing_config.v0.2.json", "signing_config_rekor_v2.v0.2.json"


def find_logs(choice: PublicChoice, cache: Path, now: dt.datetime) -> PublicLogs:
    """Find the chosen log, and the keys of all logs of its trust configuration.

    Args:
        choice: which trust configuration, and which version of Rekor.
        cache: a folder for what TUF fetches; made if need be.
        now: the time of day.

    Raises:
        InputError: if the configuration cannot be read, or has no such log.
        FetchError: if it cannot be fetched, or what was fetched is not authentic.
    """
    if choice.trust_config is None:
        root, config = _fetch_of(choice.instance, choice.rekor, cache)
    else:
        raw = read_input(choice.trust_config)
        given = parse(ClientTrustConfig, raw, str(choice.trust_config))
        root, config = given.trusted_root, given.signing_config
    return resolve(root, config, choice.rekor, now)


def fetch_config(instance: Instance, cache: Path) -> bytes:
    """The trust configuration of a public instance in one document (`ClientTrustConfig`, JSON).

    Args:
        instance: whose.
        cache: a folder for what TUF fetches; made if need be.

    Raises:
        InputError: if it cannot be read.
        FetchError: if it cannot be fetched, or what was fetched is not authentic.
    """
    return joined(*_fetch_of(instance, 1, cache))


def joined(root: TrustedRoot, config: SigningConfig) -> bytes:
    """Both documents in one (`ClientTrustConfig`, JSON)."""
    both = ClientTrustConfig(
        media_type="application/vnd.dev.sigstore.clienttrustconfig.v0.1+json", trusted_root=root, signing_config=config
    )
    return both.to_json().encode()


def _fetch_of(instance: Instance, rekor: int, cache: Path) -> tuple[TrustedRoot, SigningConfig]:
    client = Client(tls(None), _TIMEOUT)
    try:
        return fetch(instance.repository, instance.first_root(), rekor, cache / instance, client)
    finally:
        client.close()


def fetch(url: str, first_root: bytes, rekor: int, cache: Path, client: Client) -> tuple[TrustedRoot, SigningConfig]:
    """Fetch the newest trust configuration of a TUF repository.

    Args:
        url: of the repository.
        first_root: the TUF root that everything begins with.
        rekor: major version of Rekor; where the usual signing configuration lists no log of that version, the one for
            those who opt in is taken.
        cache: a folder for what is fetched; made if need be.
        client: asks the repository.

    Raises:
        FetchError: if it cannot be fetched, or what was fetched is not authentic.
        InputError: if a document is not of the form that Sigstore gives it.
    """
    try:
        cache.mkdir(parents=True, exist_ok=True)
        base = url.rstrip("/")
        updater = Updater(
            str(cache), base, str(cache), f"{base}/targets", fetcher=_Fetcher(client), bootstrap=first_root
        )
        updater.refresh()
        root = parse(TrustedRoot, _target(updater, _ROOT, url), f"{url}: {_ROOT}")
        config = parse(SigningConfig, _target(updater, _CONFIG, url), f"{url}: {_CONFIG}")
        if not any(each.major_api_version == rekor for each in config.rekor_tlog_urls):
            config = parse(SigningConfig, _target(updater, _CONFIG_2, url), f"{url}: {_CONFIG_2}")
    except (DownloadError, RepositoryError, OSError) as error:
        mend = "check that it can be reached from here, and this machine's clock; nothing unauthentic is used"
        raise FetchError(f"{url}: no trust configuration: {error.__cause__ or error}", mend=mend) from error
    return root, config


def _target(updater: Updater, name: str, url: str) -> bytes:
    info = updater.get_targetinfo(name)
    if info is None:
        raise FetchError(f"{url}: has no {name}", mend="choose the other version of Rekor, or use a newer Atlas")
    return Path(updater.find_cached_target(info) or updater.download_target(info)).read_bytes()


class _Fetcher(FetcherInterface):
    """Lets TUF ask as everything else in Atlas does."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def _fetch(self, url: str) -> Iterator[bytes]:
        answer = self._client.ask("GET", url)
        if answer.status != 200:
            raise DownloadHTTPError(f"{url}: answered {answer.status}", answer.status)
        return iter([answer.body])

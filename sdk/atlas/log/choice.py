"""Which public log somebody chose: by its trust configuration, never by its address."""

from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from pydantic import Field

from atlas.document import Strict


class Instance(StrEnum):
    """The public instances of Sigstore."""

    PRODUCTION = "production"
    STAGING = "staging"

    @property
    def repository(self) -> str:
        """Address of its TUF repository."""
        return f"https://tuf-repo-cdn.sig{'store' if self is Instance.PRODUCTION else 'stage'}.dev"

    def first_root(self) -> bytes:
        """The TUF root that everything begins with."""
        return files("sigstore").joinpath("_store", quote(self.repository, safe=""), "root.json").read_bytes()


class PublicChoice(Strict):
    """An instance of Sigstore and a version of Rekor."""

    instance: Instance = Instance.PRODUCTION
    trust_config: Path | None = Field(default=None, alias="trustConfig")
    """A file in the place of the instance's own configuration."""
    rekor: int = Field(default=1, ge=1, le=2)
    """Major version of Rekor. The public instance takes the first by default, as Sigstore's own clients do."""

    @property
    def name(self) -> str:
        """For a person."""
        source = self.trust_config or f"the {self.instance} instance of Sigstore"
        return f"Rekor v{self.rekor} of {source}"

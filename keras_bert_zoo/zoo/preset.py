"""What is known of weights that have a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.zoo.https import WebFile
from keras_bert_zoo.zoo.hub import HubFolder
from keras_bert_zoo.zoo.pypi import PackageFile

CASINGS = ("cased", "uncased")


@dataclass(frozen=True)
class Preset:
    """Where one pretrained encoder comes from and what it is.

    `config` is what its config file must say.  `casing` is "uncased" where texts are lower-cased, and lose their
    accents, before they are cut into tokens.  `verified` says whether this entry was ever fetched and checked by those
    who wrote it down; the others are known from their publishers' words.
    """

    name: str
    description: str
    source: PackageFile | WebFile | HubFolder
    config: BertConfig
    casing: str
    license: str
    citation: str
    members: Mapping[str, str] = field(default_factory=dict)  # path in the source's archive -> path in the folder
    aliases: tuple[str, ...] = ()  # what people also type; case, "_" and "-" make no difference
    verified: bool = False

    @property
    def parameters(self) -> int:
        """How many weights the encoder has, its pooler included."""
        return self.config.parameters

    @property
    def lower(self) -> bool:
        """Whether texts are lower-cased."""
        return self.casing == "uncased"

"""SeqEncoder of Eq. 2: three published backbones behind one signature.

    backbone(embedded (B, T, h), items (B, T)) -> states (B, T, h)

Sequences are padded on the right; state t stands for the user after the items 0..t and depends on nothing else, so it
equals the last state of that prefix alone. Padding comes last and therefore never reaches the state of a real item.
Another backbone is a file and an entry here.
"""

from __future__ import annotations

from torch import nn

from slim_app.recommenders.backbones.gru4rec import GRU4Rec
from slim_app.recommenders.backbones.sasrec import SASRec
from slim_app.recommenders.backbones.srgnn import SRGNN
from slim_app.recommenders.config import RecommenderConfig

BACKBONES: dict[str, type[nn.Module]] = {"sasrec": SASRec, "gru4rec": GRU4Rec, "srgnn": SRGNN}


def make_backbone(config: RecommenderConfig) -> nn.Module:
    """The backbone that a configuration names, with fresh weights."""
    return BACKBONES[config.backbone](config)

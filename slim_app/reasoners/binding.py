"""Who can be bound to a catalogue, and the grammars of the catalogues that were: each is built once."""

from __future__ import annotations

import threading
from weakref import WeakKeyDictionary

from slim_app.catalog import Catalog
from slim_app.errors import SlimError
from slim_app.reasoners.base import Reasoner
from slim_app.reasoners.catalogue_grammar import CatalogueGrammar
from slim_app.reasoners.llama_cpp import LlamaCppReasoner

MOST_TITLES = 20_000
"""Products of a catalogue to which a writer can be bound: with more, reading the grammar would hold up everybody."""


class Bindings:
    """Catalogue → grammar. A visitor's catalogue and its grammar are forgotten together."""

    def __init__(self) -> None:
        self._grammars: WeakKeyDictionary[Catalog, CatalogueGrammar] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def grammar(self, catalog: Catalog) -> CatalogueGrammar:
        """Built when it is first asked for.

        Raises:
            SlimError: the catalogue is too large, or no title of it can be written.
        """
        if len(catalog) > MOST_TITLES:
            raise SlimError(
                f"This catalogue has {len(catalog):,} products; a writer can be bound to at most {MOST_TITLES:,}. "
                "Let it write freely: what it names is then looked up in the catalogue."
            )
        with self._lock:
            if catalog not in self._grammars:
                self._grammars[catalog] = CatalogueGrammar.of(catalog)
            return self._grammars[catalog]

    def bind(self, reasoner: Reasoner, catalog: Catalog) -> LlamaCppReasoner:
        """The same writer, able to name products of this catalogue only.

        Raises:
            SlimError: the writer cannot be bound, or the catalogue cannot.
        """
        if not isinstance(reasoner, LlamaCppReasoner) or not reasoner.grammar:
            raise SlimError(
                f"“{reasoner.info.name}” cannot be bound to a catalogue as it runs here: only the embedded student and "
                "its untuned base can, when they write in the form of the three steps. Choose one of them, or let it "
                "write freely."
            )
        return reasoner.bound(self.grammar(catalog))


def can_bind(reasoner: Reasoner | None) -> bool:
    """Whether `Bindings.bind` takes this writer."""
    return isinstance(reasoner, LlamaCppReasoner) and reasoner.grammar

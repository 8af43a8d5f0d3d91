"""What the explain tab does: samples, own catalogues, runs. No layout; handlers return {component name: value}."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from slim_app.domain import Domain, build_domain
from slim_app.errors import SlimError
from slim_app.pipeline import explain
from slim_app.prompts import clean_title
from slim_app.recommenders.rank import rank
from slim_app.recommenders.rankers import choose_ranker
from slim_app.schema import Item, Shopper, State
from slim_app.services import Services
from slim_app.tables import items_from, read_table
from slim_app.ui import render, render_rationale, words
from slim_app.ui.escape import bdi, esc
from slim_app.ui.signs import StopSigns

log = logging.getLogger(__name__)
OWN = "own"
Update = dict[str, Any]


class Handlers:
    """Bound to one running app; holds nothing of any visitor (that lives in the page's states)."""

    def __init__(self, services: Services, signs: StopSigns) -> None:
        self.services = services
        self.signs = signs

    # -- choosing a domain and a sample ---------------------------------------------------------------

    def pick_domain(self, name: str, own: Domain | None) -> Update:
        """Another catalogue: its first sample, or an empty history for the visitor's own."""
        shoppers = self.services.samples(name)
        return {**self._with_sample(name, shoppers[0] if shoppers else None), **self._cleared()}

    def pick_sample(self, name: str, shopper_id: str) -> Update:
        """A sample shopper's purchases replace the history."""
        found = [s for s in self.services.samples(name) if s.shopper_id == shopper_id]
        return {**self._with_sample(name, found[0] if found else None), **self._cleared()} if found else {}

    def _with_sample(self, name: str, shopper: Shopper | None) -> Update:
        items = self.services.domain(name).history(shopper) if shopper else []
        return {
            "history": items,
            "history_view": render.history(items),
            "chips": render.chips(self.services.samples(name), shopper),
        }

    def _cleared(self) -> Update:
        return {
            "result": None,
            "reasoning": render_rationale.reasoning(None),
            "ranking": render.ranking(None),
            "lens": None,
            "message": "",
            "search": "",
            "hits": "",
        }

    # -- a visitor's own catalogue --------------------------------------------------------------------

    def upload_catalogue(self, file: str | None) -> Iterator[Update]:
        """Read and encode an uploaded catalogue with progress; it ends up in this visitor's state only."""
        if not file:
            return
        try:
            table = read_table(file)
            items, notices = items_from(table, clean_title(Path(file).name, 80))
            started = time.perf_counter()
            yield {"catalogue_view": render.progress(0, len(items), 0)}
            for step in build_domain(OWN, words.OWN_CATALOGUE, items, self.services.encoder):
                if isinstance(step, Domain):
                    lines = [words.CATALOGUE_READY.format(count=len(items)), *notices]
                    view = "".join(f'<p class="notice">{esc(line)}</p>' for line in lines)
                    yield {
                        "own": step,
                        "catalogue_view": view,
                        "history": [],
                        "history_view": render.history([]),
                        **self._cleared(),
                    }
                else:
                    yield {"catalogue_view": render.progress(step, len(items), time.perf_counter() - started)}
        except SlimError as error:
            yield {"catalogue_view": render.error(error)}
        except Exception:
            log.exception("catalogue upload")
            yield {"catalogue_view": render.error(words.FAULT)}

    # -- explaining -----------------------------------------------------------------------------------

    def run(
        self, history: list[Item], name: str, own: Domain | None, writer: str, ranker: str, k: int, session: str | None,
        bound: bool = False,
    ) -> Iterator[Update]:  # fmt: skip
        """Stream the states of one run into the page. `bound`: its products are bound to the catalogue."""
        sign = self.signs.begin(session)
        state: State | None = None
        ranked = None
        try:
            if name == OWN and own is None:
                raise SlimError("Upload your catalogue first: the products to rank come from it.")
            domain = self.services.domain(name, own)
            chosen = choose_ranker(ranker, domain)
            bind = domain.catalog if bound else None
            reasoner = self.services.reasoner(writer, name, bind) if chosen.uses_rationale else None
            yield {
                "prompt": render_rationale.prompt(reasoner.prompt(history) if reasoner else ""),
                "ranking": render.ranking(None),
                "lens": None,
                "message": "",
                "running": True,
            }
            for state in explain(history, domain, reasoner, chosen, self.services.encoder, k, sign):
                update: Update = {"reasoning": render_rationale.reasoning(state)}
                if state.recommendations is not ranked:
                    ranked = state.recommendations
                    update["ranking"] = render.ranking(state)
                yield update
            assert state is not None
            state = replace(state, writer=writer if reasoner else "")
            yield {
                "reasoning": render_rationale.reasoning(state),
                "ranking": self.finished(state),
                "lens": state,
                "result": state,
                "running": False,
            }
        except SlimError as error:
            yield {
                "reasoning": render.error(error) + render_rationale.reasoning(None),
                "ranking": render.ranking(None),
                "running": False,
            }
        except Exception:
            log.exception("run")
            kept = render_rationale.reasoning(state) if state else render_rationale.reasoning(None)
            yield {"reasoning": render.error(words.FAULT) + kept, "running": False}
        finally:
            self.signs.end(session, sign)

    def reweigh(self, state: State | None, weight: float | None) -> Update:
        """A fused list again, with another weight of the reasoning (0 to 1; None: the learned one); no language model.

        Lists of other rankers stay as they are.
        """
        if state is None or state.ranker != "fused":
            return {}
        domain, encoder = self.services.domain(state.domain), self.services.encoder
        ranker = choose_ranker("fused", domain)
        sides = ranker.sides(state.history, state.rationale, encoder)
        ranker = replace(ranker, weight=sides.nearly_learned(weight))
        notes = ranker.notes(state.history)
        if ranker.weight is not None:
            moved = words.LENS_MOVED.format(weight=100 * ranker.weight, learned=100 * sides.learned)
            notes = (*notes, moved)
        k = len(state.recommendations)
        found = rank(state.history, state.rationale, domain, encoder, ranker, k) if k else ()
        state = replace(state, recommendations=found, ranker_notes=notes)
        return {"ranking": self.finished(state), "result": state}

    def finished(self, state: State) -> str:
        """The list of a run that has ended, with what stands below it."""
        return render.ranking(state, self.below(state))

    def below(self, state: State) -> str:
        """What stands below the list of a run that has ended: the held-out purchase, and what can be done with it."""
        return self._held_out(state) + render.downloads(state)

    def _held_out(self, state: State) -> str:
        """For an unchanged sample: where its real next purchase stands."""
        ids = tuple(item.id for item in state.history)
        for shopper in self.services.samples(state.domain):
            if shopper.history == ids and shopper.next:
                domain = self.services.domains[state.domain]
                title = domain.catalog.items[domain.catalog.row_of_id[shopper.next]].title
                rank = next((r.rank for r in state.recommendations if r.id == shopper.next), None)
                if rank:
                    ranked = int((~domain.catalog.mask(state.history)).sum())
                    text = words.HELD_OUT.format(title=bdi(title), rank=rank, total=ranked)
                else:
                    text = words.HELD_OUT_BELOW.format(title=bdi(title), k=len(state.recommendations))
                return f'<p class="held-out">{text}</p>'
        return ""

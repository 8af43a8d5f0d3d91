"""The events of the compare tab: what its parts send to the handlers, and where the answers go.

All are private: the API has its own typed endpoint.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from slim_app.domain import Domain
from slim_app.recommenders.rankers import rankers_of
from slim_app.services import Services
from slim_app.ui import render_compare, words
from slim_app.ui import words_compare as said
from slim_app.ui.ballots import Ballots
from slim_app.ui.comparing import OWN, CompareHandlers, TeacherFields, Update
from slim_app.ui.explain_page import PRIVATE, ranker_choices

NO_READERS = ("history", "sequence")
"""Rankers that read no rationale: there would be nothing to compare."""
SAVE = """(file) => { if (!file) return; const a = document.createElement('a');
  a.href = file.url; a.download = file.orig_name || ''; document.body.append(a); a.click(); a.remove(); }"""

FOLLOW = """() => { const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  const show = () => document.querySelector('#compare-heads:has(section)')
    ?.scrollIntoView({ behavior: calm ? 'auto' : 'smooth' });
  setTimeout(show, 500); }"""
"""Brings the writers to the top of the window when they begin."""


def wire(
    c: dict[str, Any], handlers: CompareHandlers, ballots: Ballots, explain: dict[str, Any], tab: gr.Tab
) -> None:
    """`c`: the parts of the tab, by name; `explain`: those of the explain tab."""
    services = handlers.services
    _wire_choices(c, handlers, services, explain)
    _wire_runs(c, handlers, services, explain)
    _wire_votes(c, ballots, tab)


def writer_choices(writers: list[str]) -> list[tuple[str, str]]:
    """(label, id) of writers."""
    return [(words.WRITERS[writer], writer) for writer in writers]


def samples(services: Services, name: str) -> list[tuple[str, str]]:
    """(name, id) of a catalogue's sample shoppers."""
    return [(s.name, s.shopper_id) for s in services.samples(name)]


def rankers(domain: Domain | None) -> list[tuple[str, str]]:
    """(label, name) of the rankers that read a rationale."""
    return [(label, name) for label, name in ranker_choices(domain) if name not in NO_READERS]


def _wire_choices(c: dict[str, Any], handlers: CompareHandlers, services: Services, explain: dict[str, Any]) -> None:
    """Whose purchases and which writers."""

    def shows(name, items, picked, own=None, ranker="reasoning") -> dict[Any, Any]:
        """A history is chosen: what can be chosen besides follows."""
        can = handlers.writers(name, items)
        kept = [writer for writer in picked or () if writer in can]
        domain = services.domain(name, own)
        readers = [r for r in rankers_of(domain) if r not in NO_READERS]
        return {
            c["history"]: items,
            c["purchases"]: render_compare.purchases(items),
            c["writers"]: gr.update(
                choices=writer_choices(can), value=kept if len(kept) > 1 else handlers.preset(name, items)
            ),
            c["ranker"]: gr.update(choices=rankers(domain), value=ranker if ranker in readers else "reasoning"),
            c["message"]: "",
        }

    def pick_domain(name, picked, ranker):
        if name not in services.domains:
            return gr.skip()
        sample = handlers.sample(name)
        update = gr.update(
            choices=samples(services, name), value=sample.shopper_id if sample else None, visible=sample is not None
        )
        shown = shows(name, handlers.history_of(name, sample), picked, ranker=ranker)
        labels = [(d.label, d.name) for d in services.domains.values()]
        return {**shown, c["sample"]: update, c["domain"]: gr.update(choices=labels, value=name)}

    def pick_sample(name, shopper_id, picked, ranker):
        if name not in services.domains or not shopper_id:
            return gr.skip()
        return shows(name, handlers.history_of(name, handlers.sample(name, shopper_id)), picked, ranker=ranker)

    def take(items, name, own, picked, ranker):
        if not items or (name not in services.domains and own is None):
            return {c["message"]: f'<p class="notice">{said.TAKEN_NOTHING.format(tab=words.EXPLAIN_TAB)}</p>'}
        labels = [(d.label, d.name) for d in services.domains.values()]
        labels += [(words.OWN_CATALOGUE, OWN)] if name == OWN else []
        taken = f'<p class="notice" role="status">{said.TAKEN.format(tab=words.EXPLAIN_TAB)}</p>'
        return {
            **shows(name, items, picked, own, ranker),
            c["domain"]: gr.update(choices=labels, value=name),
            c["sample"]: gr.update(choices=samples(services, name), value=None, visible=name != OWN),
            c["message"]: taken,
        }

    def estimate(history, picked, url, model):
        return gr.update(visible="teacher" in picked), handlers.estimate(history, picked, url or "", model or "")

    changed = [c[n] for n in ("history", "purchases", "writers", "ranker", "message", "sample", "domain")]
    c["domain"].input(pick_domain, [c["domain"], c["writers"], c["ranker"]], changed, queue=False, **PRIVATE)
    explain["domain"].change(
        pick_domain, [explain["domain"], c["writers"], c["ranker"]], changed, queue=False, **PRIVATE
    )
    c["sample"].input(
        pick_sample, [c["domain"], c["sample"], c["writers"], c["ranker"]], changed, queue=False, **PRIVATE
    )
    c["take"].click(
        take, [explain["history"], explain["domain"], explain["own"], c["writers"], c["ranker"]], changed,
        queue=False, **PRIVATE,
    )  # fmt: skip
    gr.on(
        [c["writers"].change, c["url"].blur, c["model"].blur, c["purchases"].change], estimate,
        [c["history"], c["writers"], c["url"], c["model"]], [c["teacher"], c["estimate"]], queue=False, **PRIVATE,
    )  # fmt: skip


def _wire_runs(c: dict[str, Any], handlers: CompareHandlers, services: Services, explain: dict[str, Any]) -> None:
    """Compare, stop, word by word."""
    parts = [c[n] for n in ("message", "heads", "summary", "steps", "lists", "ballot", "keep", "run", "stop")]

    def run(history, name, own, picked, ranker, k, blind, diff, url, model, key, request: gr.Request):
        fields = TeacherFields(url or "", model or "", key or "")  # a field that was never shown sends None
        for update in handlers.run(
            history, name, own, picked, ranker, k, blind, diff, fields, request.session_hash
        ):
            yield on_page(c, update)

    def stop_all(request: gr.Request) -> None:
        handlers.stop(request.session_hash)

    def stop_one(request: gr.Request, event: gr.EventData) -> None:
        handlers.stop(request.session_hash, str(event._data.get("id"))[:1])

    def show_diff(diff, request: gr.Request):
        return on_page(c, handlers.show_diff(request.session_hash, diff))

    inputs = [c["history"], c["domain"], explain["own"]]
    inputs += [c[n] for n in ("writers", "ranker", "k", "blind", "diff", "url", "model", "key")]
    c["run"].click(run, inputs, parts, concurrency_limit=services.slots, concurrency_id="reasoner", **PRIVATE)
    c["run"].click(None, None, None, js=FOLLOW, api_visibility="private")
    c["stop"].click(stop_all, None, None, queue=False, **PRIVATE)
    c["heads"].click(stop_one, None, None, queue=False, **PRIVATE)
    c["diff"].input(show_diff, [c["diff"]], [c["steps"]], queue=False, **PRIVATE)


def _wire_votes(c: dict[str, Any], ballots: Ballots, tab: gr.Tab) -> None:
    """Verdicts, the tally, the files."""
    tally = [c["tallies"], c["pairs"], c["pair"]]

    def voter(verdict: str):
        def vote(comment, keep, request: gr.Request):
            return on_page(c, ballots.vote(request.session_hash, verdict, comment or "", bool(keep)))

        return vote

    def exporter(kind: str):
        def export(pairs, chosen):
            return on_page(c, ballots.export(kind, pairs[chosen] if chosen is not None and pairs else None))

        return export

    reveals = [c[n] for n in ("heads", "summary", "steps", "lists", "ballot", "comment")]
    for verdict in said.VERDICTS:
        c[verdict].click(
            voter(verdict), [c["comment"], c["keep"]], [*reveals, *tally], queue=False, **PRIVATE
        )
    for kind in said.EXPORTS:
        c[kind].click(
            exporter(kind), [c["pairs"], c["pair"]], [c["file"], c["export_message"]], queue=False, **PRIVATE
        ).then(None, [c["file"]], None, js=SAVE)
    tab.select(lambda: on_page(c, ballots.tally()), None, tally, queue=False, **PRIVATE)


def on_page(c: dict[str, Any], update: Update) -> Any:
    """Names → components; `running` is a word for the state of both buttons, `pairs` also fills their choice."""
    out = {c[name]: value for name, value in update.items() if name not in ("running", "keep", "pairs")}
    if "running" in update:
        out[c["run"]] = gr.update(interactive=not update["running"])
        out[c["stop"]] = gr.update(interactive=update["running"])
    if "keep" in update:
        out[c["keep"]] = gr.update(visible=update["keep"], value=False)
    if "pairs" in update:
        choices = [(f"{first} / {second}", n) for n, (first, second) in enumerate(update["pairs"])]
        out[c["pairs"]] = update["pairs"]
        out[c["pair"]] = gr.update(choices=choices, value=0 if choices else None)
    return out or gr.skip()

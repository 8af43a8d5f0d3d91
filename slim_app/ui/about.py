"""The tab that hides nothing: how it works, the exact prompts, versions and limits."""

from __future__ import annotations

from importlib.metadata import version

from slim_app.prompts import MAX_NEW_TOKENS, PROMPT_VERSION, STUDENT_TEMPLATE, TEACHER_TEMPLATE
from slim_app.schema import MAX_HISTORY, ModelInfo
from slim_app.services import Services, model_line
from slim_app.ui import words
from slim_app.ui.escape import esc

HOW = f"""
<h2>What happens when you press the button</h2>
<ol>
<li><b>A small language model reads your purchases</b> (the newest {MAX_HISTORY}) and writes three steps: what you
like, which categories or brands follow from it, which products to buy next.</li>
<li><b>Every sentence and every list entry becomes a point in a space of meanings</b>, and so does every product of
the catalogue. The closer two points, the more alike their meaning.</li>
<li><b>The catalogue is ranked by that text.</b> With “{words.RANKERS["reasoning"]}”, a product scores by the one
sentence or entry that is closest to it; that sentence is shown with it. What you already bought is left out.</li>
<li><b>“Without it” is not a story told afterwards.</b> The sentence is taken out and everything is ranked again: the
rank shown is exact.</li>
</ol>
<h2>The trained model and the fusion lens</h2>
<p>A catalogue may come with a recommender that was trained on purchase sequences. It reads the order of your purchases
and knows products by their number, so it can say nothing of a purchase in your own words. “Fused” adds to its score
what the reasoning says, with a weight that training has set for each person. The sum can be taken apart: the lens shows
each product’s rank by the purchases alone, by the reasoning alone and by both, and its slider weighs them anew.</p>
<p>The recommenders of the demo catalogues were trained on <b>simulated</b> shoppers with simulated rationales: made by
chance from popularity, tastes and the order of series. They show how fusion works, and prove nothing about people.</p>
<h2>What the marks mean</h2>
<dl>
<dt>↺ in your history</dt><dd>You bought it, or something of this brand, category or series.</dd>
<dt>✓ in the catalogue</dt><dd>It exists in the catalogue under this name.</dd>
<dt>≈ near match</dt><dd>Not under this name; the closest product, brand or category stands beside it with its
similarity (0 to 1).</dd>
<dt>✕ not found</dt><dd>Nothing like it is in the catalogue: the model may have made it up.</dd>
</dl>
<h2>Limits</h2>
<ul>
<li>The small student explains its list, but on real shoppers its text adds little to what the purchases say
themselves (its model card has the figures); compare with “{words.RANKERS["history"]}” under Options.</li>
<li>A model this small invents products. The marks show where; the ranking only ever shows products of the
catalogue.</li>
<li>Recorded rationales were written in advance by a large model that knew each sample shopper’s next purchase: they
show what a teacher’s reasoning looks like, and prove nothing about its accuracy.</li>
<li>The sample shoppers are invented; the product names are real. Nothing here is an offer or a price.</li>
<li>What you enter stays in this session’s memory and is forgotten when you leave; a vote keeps it only where you say
so.</li>
</ul>
"""


def about(services: Services) -> str:
    """The whole tab as HTML."""
    facts = [(words.WRITERS.get(key, key), _writer(reasoner.info)) for key, reasoner in services.reasoners.items()]
    facts += [("Text encoder", services.encoder.name), ("Prompt version", PROMPT_VERSION)]
    for domain in services.domains.values():
        size = f"{len(domain.catalog):,} products, {len(domain.shoppers)} sample shoppers."
        facts.append((f"Catalogue “{domain.label}”", f"{size} {domain.note}"))
        if domain.recommender:
            trained = words.TRAINED_ON.format(backbone=domain.recommender.backbone, what=domain.recommender.trained_on)
            facts.append((f"Recommender of “{domain.label}”", trained))
    facts += [(name, version(name)) for name in ("gradio", "sentence-transformers", "torch")]
    rows = "".join(f"<dt>{esc(name)}</dt><dd>{esc(value)}</dd>" for name, value in facts)
    return (
        f'<div class="about"><div>{HOW}</div><div><h2>Running here</h2><dl>{rows}</dl>{_card(services)}'
        f"<h2>The exact prompts</h2><p>At most {MAX_NEW_TOKENS} new tokens, greedy: the same purchases give the same "
        "text, except that words of nearly equal probability may change places while the model writes for others, too. "
        f"{esc('{history}')} stands for the purchases.</p>"
        f"<h3>To the student</h3><pre>{esc(STUDENT_TEMPLATE)}</pre>"
        f"<h3>To the teacher</h3><pre>{esc(TEACHER_TEMPLATE)}</pre>"
        "<h2>Source</h2><p>An open implementation of “Can Small Language Models be Good Reasoners for Sequential "
        "Recommendation?” (WWW 2024).</p></div></div>"
    )


def _writer(info: ModelInfo) -> str:
    parts = [model_line(info)]
    parts += [f"base {info.base}"] if info.base else []
    parts += [f"adapter {info.adapter}"] if info.adapter else []
    return " · ".join(parts)


def _card(services: Services) -> str:
    """The model card of the shipped student, folded."""
    if not services.student_card:
        return ""
    return f"<details><summary>{words.MODEL_CARD}</summary><pre>{esc(services.student_card)}</pre></details>"

"""Simulates shoppers over a catalogue: a dataset folder, and a rationale for each, to train a demo recommender on.

    python -m training.simulate_shoppers --domain assets/domains/games --out runs/demo/games
    python -m training.train_recommender --data runs/demo/games --rationales runs/demo/games/rationales.jsonl \\
        --backbone sasrec --variant gated --max-length 20 --out assets/domains/games/recommender

Nobody of them exists and nothing can be concluded from them about people: the app says "simulated" beside all that
was trained on them. `training/runs/demo.sh` makes the recommenders that are shipped. In place of the simulated
rationales the student may write some: `python -m training.generate_rationales --data runs/demo/games --out FILE`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from slim_app.domain import CATALOG_LIMIT, OWN_FILE
from slim_app.errors import SlimError
from slim_app.prompts import PROMPT_VERSION
from slim_app.rationale import format_rationale
from slim_app.schema import Item
from slim_app.tables import items_from, read_table
from training.positions import POSITIONS, upto_of
from training.simulated_rationales import MODEL, NOISE, write
from training.simulation import Parameters, World

NOTE = (
    "Simulated: no real person bought any of this. The rationales are templates, filled in with the shopper's own "
    "tastes, the catalogue and the purchases before the target."
)


def simulate(items: Sequence[Item], parameters: Parameters, noise: float) -> tuple[list[list[int]], list[dict]]:
    """(purchases of each shopper as catalogue rows, rationale rows for all positions of POSITIONS).

    Raises:
        SlimError: see `World`.
    """
    world = World(items, parameters)
    sequences, rationales = [], []
    for number in range(parameters.shoppers):
        shopper = world.shopper(number)
        bought = shopper.purchases()
        sequences.append(bought)
        for position in POSITIONS:
            upto = upto_of(position, len(bought))
            if upto >= 1:
                step1, step2, step3 = write(shopper, bought[:upto], noise)
                rationales.append({
                    "user_id": f"s{number}", "upto": upto, "prompt_version": PROMPT_VERSION, "model": MODEL,
                    "step1": step1, "step2": step2, "step3": step3, "text": format_rationale(step1, step2, step3),
                    "finish_reason": "stop",
                })  # fmt: skip
    return sequences, rationales


def save(folder: Path, items: Sequence[Item], sequences: Sequence[Sequence[int]], rationales: list[dict],
         meta: dict[str, Any]) -> None:  # fmt: skip
    """Writes the dataset folder; `meta.json` last, so that an interrupted run shows.

    Raises:
        SlimError: the folder is not writable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "meta.json").unlink(missing_ok=True)
        rows = ["item_id\ttitle\tbrand\tcategory"]
        rows += ["\t".join(" ".join(v.split()) for v in (i.id, i.title, i.brand, i.category)) for i in items]
        (folder / "items.tsv").write_text("\n".join(rows) + "\n", "utf-8")
        people = [f"s{n}\t{' '.join(items[row].id for row in bought)}" for n, bought in enumerate(sequences)]
        (folder / "sequences.tsv").write_text("\n".join(["user_id\titem_ids", *people]) + "\n", "utf-8")
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rationales]
        (folder / "rationales.jsonl").write_text("".join(lines), "utf-8")
        (folder / "meta.json").write_text(json.dumps(meta, indent=2, ensure_ascii=False) + "\n", "utf-8")
    except OSError as error:
        raise SlimError(f"Cannot write {folder} ({error.strerror}). Free some space or choose another --out.") from None


def read_items(domain: Path) -> list[Item]:
    """The catalogue of a domain folder, in its order.

    Raises:
        SlimError: no or a broken items.jsonl, or an id with a space (`sequences.tsv` could not hold it).
    """
    items, _ = items_from(read_table(domain / "items.jsonl", max_bytes=OWN_FILE), "items.jsonl", CATALOG_LIMIT)
    odd = [item.id for item in items if len(item.id.split()) != 1]
    if odd:
        raise SlimError(f"The id “{odd[0]}” in {domain / 'items.jsonl'} holds a space. Rename it.")
    return items


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.simulate_shoppers", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--domain", type=Path, required=True, help="domain folder with an items.jsonl")
    add("--out", type=Path, required=True, help="dataset folder to write")
    add("--noise", type=float, default=NOISE, help=f"share of popular taste in the rationales (default: {NOISE})")
    for name, text in (
        ("shoppers", "how many"), ("seed", "of everything: the same seed, the same shoppers"),
        ("shortest", "fewest purchases"), ("mean-length", "mean number of purchases"), ("longest", "most purchases"),
        ("popularity", "Zipf's exponent; 0 = all items alike"),
        ("category-focus", "Dirichlet concentration of a person's categories; small = few"),
        ("brand-taste", "standard deviation of the logarithm of brand tastes"),
        ("edition-focus", "as --category-focus, for editions: the console of a game"),
        ("stay", "how many times likelier the category of the purchase before is"),
        ("sequel", "how many times likelier the next part of a series is"),
        ("common-edition", "so many titles must share an ending for it to count"),
    ):  # fmt: skip
        value = getattr(Parameters, name.replace("-", "_"))
        add(f"--{name}", type=type(value), default=value, help=f"{text} (default: {value})")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = make_parser().parse_args(argv)
    parameters = Parameters(**{field.name: getattr(args, field.name) for field in fields(Parameters)})
    try:
        if parameters.shoppers < 1 or parameters.shortest < 4 or parameters.longest < parameters.shortest:
            raise SlimError("At least 1 shopper and 4 purchases are needed, and --longest not below --shortest.")
        if not 0 <= args.noise <= 1:
            raise SlimError(f"--noise is {args.noise}, but must be a share from 0 to 1.")
        items = read_items(args.domain)
        sequences, rationales = simulate(items, parameters, args.noise)
        lengths = [len(bought) for bought in sequences]
        meta = {
            "made_by": "training.simulate_shoppers", "simulated": True, "note": NOTE, "catalogue": args.domain.name,
            "items": len(items), "users": len(sequences), "interactions": sum(lengths),
            "rationales": len(rationales), "rationale_noise": args.noise, "parameters": parameters.as_dict(),
        }  # fmt: skip
        save(args.out, items, sequences, rationales, meta)
    except SlimError as error:
        sys.exit(str(error))
    mean = sum(lengths) / len(lengths)
    print(f"{args.out}: {len(sequences)} simulated shoppers, {sum(lengths)} purchases (mean {mean:.1f})")


if __name__ == "__main__":
    main()

"""The GBNF grammars that make the three-step form certain (llama.cpp's grammar language).

Form is the grammar's work, sense is the adapter's. A distilled student knows the form, so its grammar only holds the
frame; an untuned model gets a narrower one, since what it copies first is the prompt's own numbering ("0). A, 1). B").
Lengths are bounded so that a whole rationale fits the paper's 300 tokens almost always.
"""

from __future__ import annotations

CATEGORIES = 5
PRODUCTS = 5

TUNED = (
    "step1 ::= [A-Z] [^\\n<>]{40,360} [.!]",
    "category ::= [A-Za-z0-9] [^\\n<>]{2,58}",
    "product ::= [A-Za-z0-9] [^\\n<>]{3,112}",
)
UNTUNED = (
    # Left to choose its first word, it lists the history again. A comma leads to a word, not to a number.
    'step1 ::= "You " rest (" " [A-Z] rest)?',
    'rest ::= ([^\\n.,;:<>|()] | ", " [A-Za-z] | "." [0-9]){30,150} "."',
    'category ::= [A-Z0-9] ([^\\n,;:<>|()] | ", " [A-Za-z]){2,44}',
    'product ::= [A-Z0-9] ([^\\n,;<>|] | ", " [A-Za-z]){3,78}',
)


def rationale_grammar(
    tuned: bool, categories: int = CATEGORIES, products: int = PRODUCTS, product_rules: str = "", written: int = 0
) -> str:
    """`Step 1: <one or two sentences>`, then numbered lists of categories or brands and of products.

    Args:
        product_rules: what a product may be instead of free words, see `catalogue_grammar`.
        written: products that are there already: if any, what follows them is all that is left to write.
    """
    step2 = " ".join(f'"\\n{n}. " category' for n in range(1, categories + 1))
    step3 = " ".join(f'"\\n{n}. " product' for n in range(written + 1, products + 1))
    root = f"root ::= {step3}" if written else f'root ::= "Step 1: " step1 "\\nStep 2:" {step2} "\\nStep 3:" {step3}'
    rules = TUNED if tuned else UNTUNED
    if product_rules:
        rules = (*(rule for rule in rules if not rule.startswith("product ")), product_rules)
    return "\n".join((root, *rules))

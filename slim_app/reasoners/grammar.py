"""The GBNF grammar that makes the three-step form certain (llama.cpp's grammar language).

Form is the grammar's work, sense is the adapter's: an untuned model still repeats itself inside the form.
Lengths are bounded so that a whole rationale fits the paper's 300 tokens almost always.
"""

from __future__ import annotations

CATEGORIES = 5
PRODUCTS = 5
UNTUNED_OPENING = "You "
"""An untuned model given a free first word lists the history again; a tuned one chooses its own opening."""


def rationale_grammar(opening: str = "", categories: int = CATEGORIES, products: int = PRODUCTS) -> str:
    """`Step 1: <one or two sentences>`, then numbered lists of categories or brands and of products.

    `opening` is put at the start of Step 1.
    """
    step2 = " ".join(f'"\\n{n}. " category' for n in range(1, categories + 1))
    step3 = " ".join(f'"\\n{n}. " product' for n in range(1, products + 1))
    first = f'"{opening}" rest' if opening else "[A-Z] rest"
    return "\n".join(
        (
            f'root ::= "Step 1: " {first} (" " [A-Z] rest)? "\\nStep 2:" {step2} "\\nStep 3:" {step3}',
            # A sentence ends at its only full stop. A comma leads to a word, not to a number: the prompt's own
            # numbering ("0). A, 1). B") is what small models copy first.
            'rest ::= ([^\\n.,;:<>|()] | ", " [A-Za-z]){30,150} "."',
            'category ::= [A-Z0-9] ([^\\n,;:<>|()] | ", " [A-Za-z]){2,44}',
            'product ::= [A-Z0-9] ([^\\n,;<>|] | ", " [A-Za-z]){3,78}',
        )
    )

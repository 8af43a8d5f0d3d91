"""Every sentence of the panel that asks what other purchases would change."""

PANEL = "What if the purchases were others?"
LINK = "What if?"
INTRO = (
    "Change the purchases and see what becomes of the explanation, as the model wrote it, and of the list. "
    "What stands above stays as it is."
)

# -- what can be asked of the result above ----------------------------------------------------------------------------
NO_TEXT = "The list above was ranked by the purchases alone: no language model writes, only the lists are compared."
RECORDED = (
    "The explanation above was recorded in advance and cannot be written anew for other purchases. "
    "“{writer}” can write both: first about the purchases above, then about the changed ones."
)
OTHER_TEXT = (
    "The explanation above was not written here and now, so it cannot be written anew for other purchases. "
    "“{writer}” can write both: first about the purchases above, then about the changed ones."
)
UNFINISHED = "The explanation above was not finished, so it is written again first."
NO_WRITER = "Writing about other purchases needs a model that writes now, and none runs here. {why}"
LEARNED_WEIGHT = "All of this ranks with the learned weight of the reasoning, wherever the lens stands."

# -- other purchases --------------------------------------------------------------------------------------------------
CHANGE = ("Other purchases", "Take some out, add some, change their order.")
RUN = "Explain again"
RUN_BOTH = "Explain both"
RUN_HISTORY = "Rank again"
STOP = "Stop"
SEARCH_LABEL = "Add to the changed purchases"
SEARCH_HINT = "Type a product, Enter to add"
COPY_LABEL = "The changed purchases, oldest first"
NOTHING_LEFT = "No purchase is left. Add one, or go back to the purchases above."
UNCHANGED = "Nothing is changed yet."
TAKEN_OUT = "without {titles}"
ADDED = "with {titles}"
REORDERED = "in another order"
ADDED_TAG = "added"
BACK = "Back to the purchases above"

TEXTS = "Both explanations"
BEFORE, AFTER = "Before", "After"
AS_ABOVE = "the purchases above"
DIFF_LABEL = "Show word by word what has changed"
DIFF_HINT = "Struck through: only before. Underlined: only after."
ONLY_BEFORE, ONLY_AFTER = "only before:", "only after:"
EMPTY = "Change the purchases, then explain again: both explanations will stand here side by side."
EMPTY_LISTS = "Change the purchases, then rank again: both lists will be compared here."
WAITS = "Begins when the first text is written."
NOTHING_WRITTEN = "Nothing was written here."
STOPPED = "Stopped. What was written until then is kept."
WRITTEN_BY = "Written by {model}."

# -- the ranks --------------------------------------------------------------------------------------------------------
RANKS = "What becomes of the list"
CHART_LABEL = "Rank of each product before and after, joined by a line"
SUMMARY = {
    "came": ("▲", "{count} new among the first {k}"),
    "left": ("▼", "{count} no longer among them"),
    "": ("●", "{count} on both lists"),
}
"""What became of a product → its sign and words."""
BOUGHT = "bought"
BOUGHT_HOVER = "among the purchases"
RANK_HOVER = "rank {rank:,}"
RANK_FLOOR = "rank {rank:,} or lower"
HOVER = "{title}: {before} before, {after} after"
FIRST_ONLY = "The chart shows the first {most} of {k}; the table has all."
TABLE = "The same ranks as a table"
PRODUCT = "Product"

# -- three questions --------------------------------------------------------------------------------------------------
QUESTIONS = {
    "purchases": (
        "Which purchase mattered most?",
        "Each purchase is left out in turn, and the model writes and ranks again.",
        "Leave out each purchase",
    ),
    "order": (
        "Does the order matter?",
        "The same purchases in up to {orders} other orders, the same ones each time. Nothing else changes.",
        "Try other orders",
    ),
    "faith": (
        "How faithful is this explanation?",
        "Each product names what put it there. Does it leave the list without that, and does it stay by that alone? "
        "Computed exactly, without a language model.",
        "Test every product",
    ),
}
"""Question → its title, how it is answered, and its button."""
EMPTY_STUDY = {
    "purchases": "One row a purchase will appear here, the one that mattered most first.",
    "order": "One row an order will appear here, the one that changes most first.",
    "faith": "Three figures and one row a product will appear here.",
}
PROGRESS = "{done} of {total} done"
PROGRESS_TEXTS = "{done} of {total} texts written"
WRITING_FIRST = "Now about all purchases, to compare with."
WRITING_WITHOUT = "Now without {title}."
WRITING_ORDER = "Now: {order}."
SECONDS_LEFT = "about {seconds:.0f} s left"
STUDY_STOPPED = "Stopped: {done} of {total} done. What is known until then is shown."
WITHOUT = "Without {title}"
ORDER = "Order {number}"
LEAVE = {0: "no product leaves the list", 1: "1 of {k} products leaves the list"}
LEAVE_MANY = "{left} of {k} products leave the list"
SKIPPED = "No readable text: {labels}."
MEAN = {
    "purchases": "On average {left:.1f} of {k} products leave the list when one purchase is left out.",
    "order": "On average {left:.1f} of {k} products leave the list when only the order changes.",
}
THEN_WRITES = "Then it writes: {text}"
WOULD_LEAVE = "What leaves:"
THE_ORDER = "Oldest first:"
MOVES = "rank {before:,} → {after:,}"
DETAILS = "More"

NECESSARY = (
    "Necessary",
    "{count} of {n} products leave the first {k} when what put them there is taken away.",
    "PN, probability of necessity",
)
SUFFICIENT = (
    "Sufficient",
    "{count} of {n} products stay among the first {k} by what put them there alone.",
    "PS, probability of sufficiency",
)
FAITHFUL = (
    "Both together",
    "{f:.2f} on a scale from 0 to 1: high only when both are high.",
    "F, the harmonic mean of PN and PS",
)
FAITH_TABLE = "Rank of each product: as listed, without what put it there, by that alone. ✓ speaks for the explanation."
FAITH_HEADS = ("Product, and what put it there", "Rank", "Without", "Alone")
NOT_RANKED = "none"
AT_LEAST = "Products far from every sentence are not searched: very low ranks are lower bounds."

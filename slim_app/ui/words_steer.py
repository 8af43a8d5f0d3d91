"""Every sentence of steering by rationale, in one place."""

HINT = "Strike a sentence out, weigh it or reword it: the list follows at once."
NOT_READ = "There is nothing to edit: this ranking does not read any reasoning. Choose another one under Options."
COUNT = ("As written", "1 edit", "{count} edits")
"""By how many edits there are: none, one, more."""
HISTORY = {"undo": "Undo", "redo": "Redo", "reset": "Reset"}
RANKED = "Ranked again in {ms:,} ms, without the language model: {new} new, {moved} moved."
AS_BEFORE = "Ranked again in {ms:,} ms, without the language model: the list as it was written."
EDITED = "Edited by hand: {count}."
OTHER_TEXT = " The language model wrote another text."
WEIGHTS_IN_LENS = "The fusion lens below counts every sentence that is kept once."

STRIKE = "Strike out"
RESTORE = "Take in again"
MORE = "Weigh, reword, see what it does"
REWRITE = "Reword"
WEIGH = "Counts"
WEIGHTS = {0.5: "half", 1.0: "as written", 2.0: "double"}
OTHER_WEIGHT = "{weight:g} ×"
ADD = {1: "Add a sentence", 2: "Add a category or brand", 3: "Add a product"}
KEYS = "Enter keeps it, Escape drops it."
KEYS_TOUCH = "Enter keeps it, Undo takes it back."
TO_LIST = "See the list"
STRUCK = "struck out"
MARKS = {"added": "added", "rewritten": "reworded"}
WAS = "It said: {text}"

DOES = "What this does to the list"
WOULD = "What this would do to the list"
DOES_HELP = "The list is scored again without it (or with it), and the ranks are compared."
LIFTS = "lifts"
SINKS = "sinks"
NOTHING = "It moves none of these products."
ALONE = "Nothing else is left to rank by, so there is nothing to compare with."
COUNTING = "Counting …"
FROM_TO = '<span class="num-small">{before:,} → {after:,}</span>'

UP = "{count} up, was rank {before:,}"
DOWN = "{count} down, was rank {before:,}"
SAME = "same rank as before"
NEW = "new"
WAS_RANK = "was rank {before:,}"
WAS_RANK_FLOOR = "was rank {before:,} or lower"
LEFT = "No longer among the first {k}"
LEFT_ROW = "rank {before:,} → {after:,}"
LEFT_FLOOR = "rank {before:,} → {after:,} or lower"

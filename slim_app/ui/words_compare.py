"""Every sentence of the tab that compares writers."""

TAB = "Compare"
INTRO_TITLE = "Two or three writers, one history"
INTRO = (
    "Each writes its own reasoning about the same purchases, and each reasoning ranks the same catalogue. "
    "See where they agree, which one names products that exist, and what each costs."
)
WHOSE = ("Whose purchases", "A sample shopper, or the history that you built on the first tab.")
WHO = ("Who writes", "Two or three; each can be stopped alone.")
DOMAIN_LABEL = "Catalogue of the comparison"
SAMPLE_LABEL = "Sample shopper"
TAKE = "Take the history from “{tab}”"
TAKEN = "Taken from “{tab}”."
TAKEN_NOTHING = "The history of “{tab}” is empty. Add purchases there, or pick a sample shopper here."
PURCHASES = "{count:,} purchases, oldest first"
NO_HISTORY = "No purchases yet. Pick a sample shopper, or take the history from the first tab."
WRITERS_LABEL = "Writers to compare"
BLIND_LABEL = "Hide who is who until you have voted (two writers)"
BLIND_HINT = "The sides are shuffled; names, speed and cost appear after your vote."
TEACHER_OWN = (
    "Any OpenAI-compatible server. Your key is used for these calls alone: it is not stored, not logged, and is gone "
    "when you close the page."
)
TEACHER_DEFAULT = "Leave all fields empty to use the teacher of this app."
ESTIMATE = "One text will cost about ${usual:.5f}, at most ${most:.5f} ({source})."
ESTIMATE_UNKNOWN = "About {prompt:,} tokens to read and {answer:,} to write. {source}"
OPTIONS = "Options"
RUN = "Compare"
STOP_ALL = "Stop all"
STOP_ONE = "Stop"
STOP_SIDE = "Stop {key}"
DIFF_LABEL = "Show word by word how the others differ from A"
DIFF_HINT = "Struck through: only in A. Underlined: only here."
DIFF_LATER = "The words are compared when the texts are finished."
ONLY_IN_A, ONLY_HERE = "only in A:", "only here:"

STATUSES = {
    "waiting": "waits for its turn",
    "running": "writing …",
    "finished": "finished",
    "stopped": "stopped",
    "failed": "failed",
}
SIGNS = {"teacher": "◆", "student": "●", "base": "○", "hidden": "?"}
"""One sign for each kind of writer, so that its hue is never alone."""
LINES = {
    "recorded": "recorded in advance",
    "live": "live",
    "untuned": "untuned",
    "hidden": "the name appears after the vote",
}
TUNED = "distilled for this task"
LIVE_ON = "live on {device}"
VISITORS = "name given by you"
EMPTY_STEP = "What each writer says here will stand side by side."
NOTHING = "Nothing was written here."

SUMMARY = "At a glance"
SUMMARY_EMPTY = "The figures of both writers will stand here when their texts are finished."
SUMMARY_FAILED = "The texts are kept, but they could not be compared: {error}"
ROWS = {
    "held_out": ("What the person really bought next", "Rank of the held-out next purchase among all not bought yet."),
    "exist": ("Products that it names", "The five products of step ③, looked up in the history and the catalogue."),
    "valid": ("All three steps, complete", "Three steps, five categories or brands, five products, not cut off."),
    "repetition": ("Says the same thing again", "Share of the text’s runs of four words that had been there before."),
    "repeats": ("Suggests what was bought already", "Share of its products that are purchases of this history."),
    "first": ("First word after", "Seconds from the request to the first token."),
    "speed": ("Speed", "Tokens per second after the first one; a token is about three quarters of a word."),
    "tokens": ("Length", "Tokens of the whole text."),
    "cost": ("Cost of this text", "In US dollars."),
    "cost_1000": ("Cost for 1,000 people", "In US dollars, at the cost of this text."),
}
HELD_OUT = "The held-out next purchase is “{title}”."
RANK = "rank {rank:,} of {total:,}"
YES, NO = "yes", "no"
PERCENT = "{share:.0%}"
SECONDS = "{value:.2f} s"
PER_SECOND = "{value:.0f} tokens/s"
TOKENS = "{value:,} tokens"
DOLLARS = "${value:.6f}"
DOLLARS_1000 = "${value:,.4f}"
PENDING = "…"
UNKNOWN = "not known"
UNKNOWN_WHY = {
    "held_out": "no next purchase is known",
    "unreached": "not reached",
    "nothing": "nothing was written",
    "replay": "not measured: a replay",
    "hidden": "shown after the vote",
    "cost_replay": "not known: recorded",
    "unfinished": "not known: not finished",
    "price": "price not known",
    "usage": "not known: no token counts",
}
PAIR = "{first} and {second}"
COSINE = "{value:.2f} alike in meaning"
COSINE_HELP = "Cosine of both texts’ vectors: 1 for the same meaning, around 0 for unrelated texts."
TOP_SHARED = "{count} of the first {k} products in common"
CATEGORIES, PRODUCTS = "Categories and brands", "Products"
BOTH, ALL, ONLY = "Both", "in all lists", "Only {key}"
SHARE_LISTS = "What they share, and what only one of them names"
NONE = "none"
LISTS = "The first {k} products of each"

BALLOT = ("Which one is better?", "Between two writers, at any time, also while they write. One vote a comparison.")
VERDICTS = {"A": "A is better", "B": "B is better", "tie": "Equally good", "both_bad": "Both are bad"}
COMMENT_LABEL = "Why? (optional)"
KEEP_LABEL = "Keep my purchases and both texts with the vote (others can export them)"
KEEP_HINT = "Without it, only the verdict, the comment and the names are stored."
VOTED = "Counted: {verdict}. A was {a}, B was {b}."
NO_RUN = "There is nothing to vote on yet. Compare two writers first."
TALLY = "All votes"
TALLY_EMPTY = "No votes yet. Compare two writers and say which one is better."
TALLY_MORE = "{count:,} more pairs of writers are in the files."
TALLY_COLUMNS = ("Writers", "Names", "Votes", "First better", "Second better", "Equal", "Both bad", "First one’s share")
HIDDEN, SHOWN = "hidden", "shown"
SHARE = "{share:.0%} ({low:.0%} to {high:.0%})"
SHARE_HELP = "Share of the votes that decided for one of the two, with the 95 % interval after Wilson."
EXPORTS = {"csv": "Votes as CSV", "json": "Votes as JSON", "llm": "For LLM Comparator"}
PAIR_LABEL = "Pair of writers for LLM Comparator"
NO_PAIR = "There are no votes on a pair of writers yet. Compare two of them and vote first."
FAULT = "Something went wrong on our side (details are in the app’s log). Compare again, or reload the page."
NO_CATALOGUE = "Your catalogue is not there any more. Upload it again on the first tab, or pick a sample shopper."

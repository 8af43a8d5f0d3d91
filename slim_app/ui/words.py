"""Every sentence of the page, in one place: a stakeholder's words, not a researcher's."""

TITLE = "SLIM"
TAGLINE = "Recommendations that show their reasoning"
EXPLAIN_TAB = "Explain"
ABOUT_TAB = "How it works"
CATALOGUE = "Catalogue"
OWN_CATALOGUE = "Your catalogue"

BEATS = {
    1: ("What you bought", "The purchases that the model reads, oldest first."),
    2: ("What the model understands", "It writes three steps, from your taste to products."),
    3: ("What it puts in front of you", "The catalogue, ranked by that text."),
}
STEPS = {
    1: ("What you like", "Your taste, in a sentence or two."),
    2: ("Where to look", "Five categories or brands that follow from it."),
    3: ("What to buy next", "Five products inside those categories or brands."),
}
NUMERALS = {0: "↺", 1: "①", 2: "②", 3: "③"}
MARKS = {
    "history": ("↺", "in your history"),
    "catalogue": ("✓", "in the catalogue"),
    "near": ("≈", "near match"),
    "missing": ("✕", "not found"),
}
"""Grounding status → icon and words."""
COUNTS = "Names in the text"
FIGURES = ("{seconds:.1f} s", "{speed:.0f} tokens/s", "{tokens} tokens")

WRITERS = {
    "student": "Student",
    "free": "Student without the form",
    "base": "Untuned base",
    "teacher": "Teacher, live",
    "recorded": "Teacher, recorded for the samples",
}
WRITER_LABEL = "Who writes"
WRITER_HINT = "“Without the form” lets the model write freely, without the grammar that makes the three steps certain."
RANKERS = {
    "reasoning": "Reasoning",
    "reasoning+history": "Reasoning and purchases",
    "pooled": "Reasoning as one vector",
    "fused": "Reasoning and {backbone}, fused",
    "sequence": "{backbone} alone",
    "history": "Purchases only, no language model",
}
"""`{backbone}` is the catalogue's own trained model, e.g. SASRec."""
RANKER_HELP = {
    "reasoning": "Text matching: each sentence and list entry is compared with each product; the closest one decides.",
    "reasoning+history": "Text matching with your purchases as further texts: the closest of all decides.",
    "pooled": "Text matching as the paper has it: the whole text counts as one meaning.",
    "fused": "A trained model: {backbone} reads the order of your purchases, and the reasoning is added to its score.",
    "sequence": "The same trained model without any reasoning: which product people buy after the ones you bought.",
    "history": "Text matching of the purchases themselves: products whose meaning is nearest to their average.",
}
RANKER_LABEL = "What ranks the catalogue"
K_LABEL = "Products shown"

RUN = "Explain these recommendations"
RUN_HISTORY = "Rank by the purchases alone"
STOP = "Stop"
WAITING = "Waiting for a free place. The app writes for several visitors at once."
READING = "Reading the purchases …"
SEARCH_LABEL = "Add a product"
SEARCH_HINT = "Type to search {count:,} products, Enter to add"
SEARCH_LATER = "Upload a catalogue to search it"
SEARCH_NONE = "No product of this catalogue fits. Enter adds it in your own words."
ADD_OWN_WORDS = "Add “{text}” in your own words"
SAMPLES_LABEL = "Sample shoppers"
MORE_SAMPLES = "All {count} sample shoppers"
HISTORY_EMPTY = "Nothing here yet. Search for something you own, paste a list, or pick a sample shopper."
HISTORY_OLD = "{count:,} older purchases are kept out of the ranking but not read by the model."
OWN_WORDS = "own words"
MOVE_EARLIER = "Move earlier"
MOVE_LATER = "Move later"
REMOVE = "Remove"
TOO_MANY = "A history holds at most {most:,} purchases; this would make {count:,}. Remove some first."
ADDED = "{count:,} purchases added, {free:,} of them in your own words."
FAULT = "Something went wrong on our side (details are in the app’s log). Run it again, or reload the page."
CLEAR = "Clear all"
PASTE_PANEL = "Paste or upload a list"
PASTE_LABEL = "One purchase a line, oldest first"
PASTE_HINT = "Gran Turismo 7\nLogitech G29 wheel\n…"
PASTE_ADD = "Add these lines"
UPLOAD_HISTORY = "Upload a list (CSV or JSONL)"
OPTIONS_PANEL = "Options"
CATALOGUE_HINT = (
    "A CSV or JSONL file with a “title” column; “id”, “brand”, “category” and “description” are used when they are "
    "there. Up to 20,000 products, 20 MB. It is read for you alone and forgotten when you leave."
)
CATALOGUE_BUTTON = "Upload a catalogue (CSV or JSONL)"
CATALOGUE_READY = "{count:,} products ready. Build a purchase history from them, or in your own words."
ENCODING = "Reading the catalogue: {done:,} of {total:,} products"
ENCODING_LEFT = " · about {seconds:.0f} s left"

EMPTY_STEP = {
    1: "The model’s summary of your taste will appear here.",
    2: "Five categories or brands will appear here.",
    3: "Five products will appear here.",
}
UNFOLD = "Show all"
EMPTY_RANKING = "The ranked products will appear here, each with the sentence that put it there."
NO_REASONING = "No language model took part. The products on the right are ranked by the purchases alone."
STALE = "The purchases or options have changed since. Run it again to bring the result up to date."
PUT_HERE_BY = "put here by"
WITHOUT_IT = "without it: rank {rank}"
WITHOUT_FLOOR = "without it: rank {rank} or lower"
WITHOUT_NOTHING = "nothing else to rank by"
WITHOUT_SAME = "without it: still rank {rank}"
SIDES = "<span>purchases #{sequence:,}</span><span>reasoning #{reasoning:,}</span>"
SIDES_HELP = "Rank of this product by each side alone: by the order of the purchases, and by the reasoning."
MODEL_SCORE_HELP = "Score of the trained model. It has no unit: only the order counts."
SCORE_HELP = "Similarity between the sentence and the product, from 0 to 1 (cosine of their text vectors)."
POOLED_HELP = "Similarity between the whole text and the product, from 0 to 1 (cosine of their text vectors)."

LENS_PANEL = "Fusion lens: purchases and reasoning"
LENS_LINK = "Fusion lens"
LENS_INTRO = (
    "A fused list has two sides: what {backbone} reads from the order of the purchases, and what the reasoning adds. "
    "Move the slider to weigh them. Nothing is written or trained again."
)
TRAINED_ON = "{backbone} was trained on {what}."
LENS_OTHER = "The list above is ranked by text alone; this is what the fused model makes of the same text."
LENS_WEIGHT = "Weight of the reasoning, in percent"
LENS_ENDS = ("0: {backbone} alone", "100: reasoning alone")
LENS_LEARNED = "Back to the learned weight: {learned:.0f} %"
LENS_AT_LEARNED = "This is the weight that the model learned: {learned:.0f} %"
LENS_RULE = (
    "How the slider counts: both scores are put on one scale (in standard deviations over the catalogue) and added in "
    "these proportions. At {learned:.0f} %, which differs from person to person, the sum is exactly the score that the "
    "model learned."
)
LENS_MOVED = "Weighed by hand: reasoning {weight:.0f} % (learned: {learned:.0f} %)."
LENS_HERE = "Here"
LENS_PRODUCT = "Product"
LENS_REASONING = "Reasoning"
LENS_TABLE = "Rank of each product, of {total:,}"
RESCUED = ("▲", "Rescued by reasoning", "Among the first {k} here, but below {far} by {backbone} alone.")
HURT = ("▼", "Hurt by reasoning", "Among the first {k} by {backbone} alone, but below {far} here.")
NONE_MOVED = "None at this weight."
LENS_ROW = "{title}: rank {here:,} here, {sequence:,} by {backbone}, {reasoning:,} by the reasoning"
CHART_LABEL = "Three ranks of each product, joined by a line"
DOWNLOAD_CSV = "Download CSV"
DOWNLOAD_JSON = "Download JSON"
PROMPT_PANEL = "The exact words that the model reads"
EMPTY_PROMPT = "The prompt of the next run will appear here."
NO_PROMPT = "No prompt: this text was stored, or no language model took part."

REPLAYED = "replayed at reading pace"
INCOMPLETE = "incomplete"
STOPPED = "Stopped. What was written until then is kept and ranked."
NO_MATCHES = "Every product of this catalogue is already in the history."
HELD_OUT = "What this sample shopper bought next: {title} · rank {rank} of {total:,} here"
HELD_OUT_BELOW = "What this sample shopper bought next: {title} · not among the {k} shown"
UNTUNED_NOTE = (
    "This model has not been trained for the task: the three steps are kept by a grammar, the sense is its own. "
    "Compare with “{recorded}” under Options."
)
NO_MODEL_HERE = "No model runs here: recorded examples only"
MODEL_CARD = "The student’s model card"
THEME_BUTTON = "Switch between light and dark"

GUIDE_LABEL = "A first look in three steps"
GUIDE = {
    "run": f"<b>Press “{RUN}”.</b> A sample shopper’s purchases are there already.",
    "point": "<b>Point at a product</b> of the list, or tap it: the sentence that put it there lights up.",
    "change": "<b>Strike a sentence out:</b> the list moves at once, and says how.",
}
GUIDE_OVER = (
    "<b>That is the idea:</b> the text is not told afterwards, it ranks. Now try purchases of your own, or set "
    "teacher and student side by side under “Compare”."
)
GUIDE_CLOSE = "Hide this"

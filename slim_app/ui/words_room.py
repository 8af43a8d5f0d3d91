"""Every sentence of the evaluation room. `[[term]]` is a word that is explained on hover and focus."""

TAB = "Evaluation"
INTRO_TITLE = "How good is it? The measurements"
INTRO = (
    "Nothing here is computed in your browser or made up for the page: every figure is drawn from files that the "
    "project’s evaluation wrote, and says how it was measured. Click a bar or point to see what is behind it."
)
PICKER_LABEL = "Evaluation"
PICKER_NAMES = {"games": "Games", "food": "Food", "home": "Home", "ml-100k": "MovieLens 100k"}
PICKER = "{name} · {users:,} people"
PICKER_COMMON = "{name} · the {users:,} people whom the teacher wrote for, too"
MEASURE_LABEL = "What is measured"
MEASURES = {"ndcg@10": "NDCG@10", "hr@10": "HR@10", "hr@20": "HR@20"}
WHERE_LABEL = "Ranked among"
WHERE = {"101": "101 candidates, as in the paper", "full": "the whole catalogue"}
WHERE_TERMS = {"101": "101 candidates", "full": "the whole catalogue"}
"""The same as a word that is explained."""
NOVELTY_LABEL = "Which view of it"
NOVELTY = {
    "efd@10": "EFD@10", "epc@10": "EPC@10", "aplt@10": "Long tail", "coverage@10": "Coverage", "arp@10": "Popularity",
    "gini@10": "Gini",
}  # fmt: skip
SHOWN_LABEL = "Models in the two line charts"

TERMS = {
    "NDCG@10": "How high the product that the person really bought next stands among the first ten: 100 if always "
    "first, 0 if never among them. Further down counts less.",
    "HR@10": "Hit rate: for how many of 100 people the product that they bought next is among the first ten.",
    "HR@20": "Hit rate: for how many of 100 people the product that they bought next is among the first twenty.",
    "101 candidates": "The product that was bought next and 100 others drawn at random, which the person never "
    "touched. Easier than the whole catalogue, and what the paper does.",
    "the whole catalogue": "Every product that the person has not bought yet. Much harder, and what a shop does.",
    "±": "Standard deviation over repeated measurements: training runs with other seeds, and other draws of the "
    "candidates. Small means that chance matters little.",
    "interval": "95 % interval: if other people like these were measured, the true mean would lie in such a range "
    "95 times of 100.",
    "EFD@10": "Expected free discovery, in bits: rewards a hit the more, the fewer people bought that product.",
    "EPC@10": "Expected popularity complement, 0 to 1: rewards a hit by the share of people who did not buy it.",
    "Long tail": "Share of the ten listed products that do not belong to the best-sellers (those that together hold "
    "80 % of the purchases).",
    "Coverage": "Share of the catalogue that is on at least one person’s list.",
    "Popularity": "How many purchases a listed product has on average, in the training data.",
    "Gini": "0: all products are listed equally often. 1: always the same ones.",
    "teacher": "A large language model, called over the network. It writes the texts that the student learns from.",
    "student": "The small language model of this app, taught by the teacher’s texts.",
    "untuned base": "The same small model before it was taught.",
    "reasoning": "The three steps that the language model writes about a person: taste, categories, products.",
    "the paper": "Wang et al., “Can Small Language Models be Good Reasoners for Sequential Recommendation?”, WWW 2024.",
    "SASRec": "A recommender that reads the order of purchases with attention, and knows products by their number.",
    "GRU4Rec": "A recommender that reads the order of purchases with a recurrent network.",
    "SR-GNN": "A recommender that reads the purchases as a graph.",
}

BACKBONES = {"sasrec": "SASRec", "gru4rec": "GRU4Rec", "srgnn": "SR-GNN"}
BASELINES = {
    "popularity": "What most people buy",
    "last item": "Like the last purchase",
    "mean of the history": "Like the purchases on average",
    "nearest history item": "Like the nearest purchase",
    "history text": "Purchases as one text",
}
VARIANTS = {
    "id": "{backbone} alone",
    "spectral": "{backbone} alone, IDs from purchases",
    "plus": "{backbone} + titles",
    "fused": "{backbone} + reasoning",
    "gated": "{backbone} + reasoning, gated",
}
TEXT = {"pooled": "Reasoning as one vector", "late": "Reasoning, line by line"}
STEP = {1: "① What you like", 2: "② Where to look", 3: "③ What to buy next"}
ALL_STEPS = "①②③ together"
READS_AS = {"pooled": "one vector", "late": "line by line"}
ONLY_STEP = "{label}, step {step} alone"
BY_TEACHER = "{label} (teacher’s)"
KINDS = {
    "none": "without reasoning", "student": "student’s reasoning", "teacher": "teacher’s reasoning",
    "base": "untuned base", "other": "other",
}  # fmt: skip
PAPER = "the paper"
TRAINING = "Purchases in the training data"
WRITERS = {"teacher": "Teacher", "student": "Student", "base": "Untuned base"}
NO_GRAMMAR = "{label}, free"
NO_TEXT = "purchases alone"

FIGURES = {
    "accuracy": (
        "How often the next purchase is found",
        "Each model ranks products for people whose last purchase was hidden from it. Longer bars are better. "
        "Diamonds are what [[the paper]] reports for the same kind of model. Measured in [[{measure}]] among "
        "[[{where}]]; whiskers are [[±]].",
    ),
    "steps": (
        "Which step of the reasoning carries it",
        "The ranking by the whole [[reasoning]], and by one of its three steps alone, in [[{measure}]] among "
        "[[{where}]]. Diamonds are [[the paper]]’s, which has one vector for the whole text.",
    ),
    "sparsity": (
        "People with few purchases",
        "Everybody is sorted into five equal groups by the number of purchases, G1 the fewest. Does the [[reasoning]] "
        "help where little is known? [[{measure}]] among [[{where}]], with the [[interval]] of each group’s mean.",
    ),
    "popularity": (
        "Does it only recommend best-sellers?",
        "Products sorted from best-sellers (left) to rarely bought (right), in {bins} equal bins. The higher a line on "
        "the left, the more of the lists are best-sellers; the grey dashes are what people really bought.",
    ),
    "novelty": (
        "Hits on little-known products",
        "[[{novelty}]] of each model’s first ten products. Whiskers are [[±]] over training runs.",
    ),
    "cost": (
        "What the reasoning costs",
        "Time and money for the [[reasoning]] of 1,000 people, by the [[student]] on its own machine and by the "
        "[[teacher]] over the network. Shorter bars are better.",
    ),
    "quality": (
        "How good the texts are",
        "The [[teacher]], the [[student]] and the [[untuned base]] wrote about the same people. Each row is one "
        "property of their texts, in percent; ↓ marks the rows in which less is better.",
    ),
    "worth": (
        "What the texts are worth for ranking",
        "Nothing is trained here but the writer: products are ranked by the nearest line of its text and the nearest "
        "purchase together. [[{measure}]] among [[{where}]], whiskers are [[±]] over draws of the candidates; grey "
        "bars use no language model.",
    ),
    "differences": (
        "Is the difference more than chance?",
        "Difference between two writers on the same people, in points of [[NDCG@10]]. Where the [[interval]] crosses "
        "zero, these people are too few to tell; filled dots are clear of it.",
    ),
}
"""Title and explanation of each figure."""

QUALITY = {
    "valid": ("Complete form", "Three steps with all their parts, not cut off."),
    "products_catalogue": ("Names products that exist", "Suggested products found in the catalogue by name."),
    "products_near": ("Near match", "Suggested products with a very similar one in the catalogue."),
    "products_missing": ("Invented products ↓", "Suggested products with nothing like them in the catalogue."),
    "repeats_history": ("Suggests old purchases ↓", "Texts that suggest a product that the person has already."),
    "repeated_ngrams": ("Repeats itself ↓", "Runs of four words that had been there before."),
    "cosine_to_teacher": ("Meaning like the teacher’s", "Cosine of the two whole texts."),
    "product_cosine_to_teacher": ("Products like the teacher’s", "Mean cosine of each product and its nearest."),
    "top10_overlap_with_teacher": ("Same first ten as the teacher", "Share of the first ten products in common."),
}
"""Measure → its name, and what is counted."""
OF_TEACHER = ("cosine_to_teacher", "product_cosine_to_teacher", "top10_overlap_with_teacher")
"""Measures that say nothing of the teacher itself."""

# -- captions: the protocol of each figure ----------------------------------------------------------------------------
CAPTION_TEST = "Test: the last purchase of {users} people of “{dataset}” ({items:,} products)."
CAPTION_WHERE = {
    "101": "Ranked among 101 candidates: it and 100 products drawn at random, which the person never touched.",
    "full": "Ranked among all {items:,} products but those bought before.",
}
CAPTION_SEEDS = "Mean of {runs} training runs × {seeds} draws of the candidates; ± is the standard deviation over all."
CAPTION_SEEDS_FULL = "Mean of {runs} training runs; ± is the standard deviation over them."
CAPTION_NO_SD = "A bar without a whisker was measured once. Values × 100."
CAPTION_PAPER = "The paper: {title}, Tables 1 and 2, 101 candidates, 5 runs, {same}."
CAPTION_PAPER_8 = "The paper: {title}, Table 8, {same}."
SAME, OTHER = "the same people", "other people: compare differences, not values"
CAPTION_GROUPS = "Whiskers: 95 % interval of the group’s mean over its people; over training runs the mean is taken."
CAPTION_GROUPS_BARE = "This file holds no intervals of groups; evaluate again to get them."
CAPTION_TRAINED = "Models were trained on all people together (the paper trained on each group)."
CAPTION_CURVE = (
    "Share of all places in the lists of ten, whole catalogue, mean over training runs; popularity counted in the "
    "training purchases alone. No interval: the file holds means."
)
CAPTION_LISTS = "Lists of ten from the whole catalogue, one for each person."
CAPTION_HITS = {
    "101": "Counted on hits among 101 candidates.", "full": "Counted on hits in the whole catalogue.",
}  # fmt: skip
CAPTION_COST = "Measured once, without an interval."
CAPTION_PAPER_3 = "The paper: {title}, Table 3, one text after the other."
CAPTION_WRITERS = "{users:,} people of “{dataset}”, the same for all writers; catalogue of {items:,} products."
CAPTION_QUALITY = "Points are means over the people; bars 95 % intervals of the mean."
CAPTION_QUALITY_BARE = "Points are means over the people; this file holds no intervals: evaluate again to get them."
CAPTION_DRAWS = "Mean and ± (standard deviation) over {seeds} draws of the candidates."
CAPTION_ONCE = "Whole catalogue: one measurement, so no ±."
CAPTION_PAIRED = "Paired over the people; bars are 95 % bootstrap intervals. Ranked by “{ranker}”, 101 candidates."
SIMULATED = "Simulated: these purchases are invented by a program. Nothing can be concluded from them about people."
SIMULATED_TEXTS = "Simulated: the reasoning that runs read was written by a program that knows the person, not a model."
OLDER_TEXTS = (
    "The {writer}’s texts about {older} of {users} people were written before their latest purchases; a text that saw "
    "more has the advantage."
)
UNTUNED = "The base is untuned: the small model before it was taught. “Free”: no grammar holds the three steps."

# -- a figure without data ---------------------------------------------------------------------------------------------
NO_RESULTS = (
    "There are no evaluations yet: training/runs/tables.sh writes assets/results/recommenders_NAME.json and "
    "training/runs/games.sh the one of the texts."
)
MISSING = {
    "evaluation": "Not measured yet for this dataset: {command} writes assets/results/recommenders_{name}.json.",
    "rationales": "Not measured yet for this dataset: {command} writes assets/results/rationales_{name}.json.",
    "steps": "This evaluation holds no run that reads one step alone: training.train_recommender --variant text "
    "--steps 1 trains one, and training/runs/tables.sh all of them.",
    "cost": "This evaluation holds no costs: run training.evaluate with --student-meta (and --machine-price), and "
    "with --teacher and --teacher-model, to write them.",
}
COMMANDS = {
    "evaluation": "training/runs/tables.sh {name} DATASET",
    "rationales": "python -m training.evaluate_rationales",
}
NOT_THIS = "No file has this measure."
NO_FULL_PAPER = "The paper has no figures over the whole catalogue."

# -- below a figure ----------------------------------------------------------------------------------------------------
EXPORTS = {"png": "PNG", "svg": "SVG", "csv": "CSV"}
SAVE_AS = "Save “{title}” as {kind}"
TABLE = "The same figures as a table"
TABLE_OPEN = "what is behind it"
BEHIND = "Behind “{label}”"
BEHIND_EMPTY = "Click a bar or a point, or a row of the table, and what is behind it appears here."
CLOSE = "Close"
CASES = "Single people behind this bar"
CASES_GROUP = "Single people of this group"
CASES_BIN = "Single people whose next purchase is in this bin"
CASES_COLUMNS = ("Person", "Purchases", "Next one bought by", "Rank of 101", "Rank in the catalogue")
CASES_NOTE = (
    "A fixed sample of {count} people, spread over the five groups. Ranks are means over training runs and draws, 1 is "
    "best. “Bought by”: how many people bought that product in the training data. Numbers only: names of people and "
    "products of this dataset may not be published."
)
NO_CASE_HERE = "None of the {count} sample people of this file belongs here."
NO_CASES = "This file holds no single cases: it was written before they were kept. Evaluate again to get them."
NO_CASES_TEXTS = (
    "The file holds means over {users:,} people, no single texts: those name products of a dataset that may not be "
    "published. On the tab “{compare}” you can read teacher, student and base on open sample shoppers."
)
FACTS = {
    "value": "This bar", "users": "People", "with_rationale": "… with a text about them",
    "with_older_rationale": "… written from fewer purchases", "seeds": "Repeated",
    "training": "± between training runs alone", "reads": "Reads", "paper": "The paper’s row", "group": "This group",
    "interval": "95 % interval", "bin": "This bin", "share": "Share of the lists", "purchases": "Purchases of each",
    "trained": "Share of the training purchases", "protocol": "How it was measured", "source": "Source",
}  # fmt: skip
SEEDS = "{runs} training runs × {seeds} draws of the candidates"
SEEDS_UNTRAINED = "{seeds} draws of the candidates; nothing is trained"
READS = "texts by {model} ({writer})"
PAPER_ROW = "{row}: {value}"
TESTS = "Against the strongest other"
TEST = "{first} against {second}: {difference:+.2f} ({low:.2f} to {high:.2f}, p = {p:.2g}, Wilcoxon {wilcoxon:.2g})"
RANGE = "{low} to {high}"
OTHER_MEASURES = "All measures of “{label}”"
MEASURE_COLUMNS = ("Measure", "101 candidates", "Whole catalogue")
COST_ROWS = {"seconds": "Seconds for 1,000 people", "usd": "US dollars for 1,000 people"}
COST_STUDENT = "Student: {model}"
COST_TEACHER = "Teacher: {model}"
COST_SOURCE = "{engine} on {device}, {parts} side by side, {count:,} texts measured"
COST_PRICED = "price: {source}; {estimated}"
ESTIMATED, RECORDED = "tokens estimated from the texts, no usage recorded", "tokens as recorded"
UNKNOWN = "not recorded"
PAPER_COST = "Paper: {who}"
CHART = "{title}. The table below it has the same figures."
AXIS_GROUP = "{group}<br>{low}–{high}"
AXIS_GROUP_ONE = "{group}<br>{low}"
AXIS_PURCHASES = "purchases of each person"
AXIS_BINS = ("best-sellers", "rarely bought")
CASES_WHO = "{number} ({group})"
AXIS_POINTS = "points of NDCG@10"
AGAINST = "{first} vs {second}"

"""Sentences of report cards, permalinks and the catalogue-bound switch, in one place."""

REPORT_HTML = "Report (HTML)"
REPORT_JSON = "Report (JSON)"
REPORT_HELP = (
    "All of this case in one file: purchases, reasoning, list, evidence, versions. It opens without a network."
)
COPY_LINK = "Copy link"
LINK_HELP = "A link that brings this page back: purchases, reasoning, edits and list. It holds no key."
GROUP = "Keep or share this result"
LINK_LABEL = "Link to this result"
COPIED = "Copied. The link also stands in the address bar."
BY_HAND = "This browser does not let the page copy. The link is selected: copy it from here or from the address bar."
WEIGHT_LEFT_OUT = "The slider’s weight does not travel with the link: the list comes back with the learned weight."

RESTORED = "This page was rebuilt from a link. The text came with the link; no language model was asked for it."
RESTORED_LIST = "This page was rebuilt from a link. Its list was ranked now."
RESTORED_INPUT = "This page was rebuilt from a link. Press the button to run it."
FROM_LINK = "A text from a link"
FROM_LINK_NOTE = (
    "This text came with a link, which says that “{writer}” wrote it. That cannot be checked: run it again to have it "
    "written here."
)
FROM_LINK_BOUND = " It also says that the products were bound to the catalogue."
NOT_HERE = "The link’s catalogue “{name}” is not part of this app. Choose a catalogue and a sample shopper instead."
RANKER_CHANGED = "What ranked when the link was made (“{ranker}”) is not available here. The reasoning ranks instead."
WRITER_CHANGED = "Who wrote when the link was made (“{writer}”) is not available here."
UNBOUND = "The link’s text was bound to the catalogue, which nobody who writes here can be."

BOUND_LABEL = "Only products of this catalogue"
BOUND_HINT = "Step 3 can then name nothing else. For the embedded student and its untuned base."
MEASURED = (
    "Measured on {n:,} sample shoppers (invented), free → bound: {free_speed:.0f} → {bound_speed:.0f} tokens/s; "
    "products that are not in the catalogue {free_ood:.0f} → {bound_ood:.0f} %; next purchase among the first 10 of "
    "101 products {free_hr:.0f} → {bound_hr:.0f} %, of the whole catalogue {free_full:.0f} → {bound_full:.0f} %."
)

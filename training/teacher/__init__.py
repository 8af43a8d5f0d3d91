"""A teacher behind a server, live or in batches: what `collect_rationales` is made of."""

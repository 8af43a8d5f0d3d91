"""Public review data to a dataset folder: what `prepare_data` is made of."""

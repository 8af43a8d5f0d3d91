"""What `training.train_recommender` is made of."""

"""What a prediction is worth; never sees a model."""

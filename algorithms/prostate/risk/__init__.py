"""Risk from a case's features and clinical variables: losses, attention pooling, the model and what it is judged by."""

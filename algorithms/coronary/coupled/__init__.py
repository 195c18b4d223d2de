"""Flow in three dimensions inside the reduced tree: which part, how fine, what it loses, and the way back."""

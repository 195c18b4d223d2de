"""Risk groups and treatment suggestions as data: TOML files of conditions, and the little that evaluates them."""

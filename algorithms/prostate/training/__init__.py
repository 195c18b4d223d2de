"""How the models that ship with the prostate pipeline were made; nothing here runs on a case."""

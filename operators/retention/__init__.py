"""How long what identifies a person stays: originals in the inbox and in the archive, and cases that shall be forgotten."""

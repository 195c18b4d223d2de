"""What the report stage says: result.json, and the sections of the page."""

"""The results database: what was answered, by which results, with which numbers.

SQLite by default, PostgreSQL in production.
"""

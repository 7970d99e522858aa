"""Ranking records: entries, tables, intervals, differences, published numbers."""

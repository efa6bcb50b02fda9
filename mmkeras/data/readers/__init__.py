"""Readers: files in their public layout -> records."""

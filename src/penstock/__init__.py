"""Penstock: files in, searchable vectors out."""

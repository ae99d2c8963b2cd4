"""Transforms: real children, real files."""

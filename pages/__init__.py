"""The pages: read, lay out, call."""

"""The four stages wired to their topics: topics, keys and types only."""

"""What others send us, brought onto topics: over HTTP, and from the topics of a collector."""

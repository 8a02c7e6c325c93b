"""Records that no stage could read or count: put aside whole, listed, sent again or dropped.

A quarantined record keeps its key and its value; its headers come back under `llmopt-original-`,
beside the reason, the field and the origin. Its id is derived from the origin, so that a record put
aside twice is seen as one. What became of it (`redriven`, `dropped`) is a further record on the same
partition, a marker with the same id: nothing is ever changed in place, and both age out together.
"""

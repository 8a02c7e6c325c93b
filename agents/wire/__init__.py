"""Events on Kafka: their bytes, their topics, one reader and one publisher."""

"""The Kafka side: topics, message schemas, decoding, reading batches, publishing revisions, reading them back."""

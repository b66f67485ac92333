"""The Redis side: what is kept per Kafka partition, who may write it, and the feed of what changed.

Read in this order: `keys` (names), `ownership` (acquire, watch), `sequence` (deduplication), `aggregates` (one
partition's cells in memory), `flush` (the one atomic write), `load` (the read-only copy), `feed` (who follows).
Repair: `inspect` (all that may be wrong), `content` (what is right, and where they differ), `replace` (swap, restore).
"""

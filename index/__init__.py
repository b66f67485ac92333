"""The pure heart of Tidewatch: from integer cells to index values, growth and ranks.

Reads nothing and writes nothing: neither Kafka nor Redis nor a clock. The way of a change through these files: `cells`
(absolute rows become exact differences) > `cube` and `days` (integers of cities and groups) > `evaluate` (values of
touched rows) > `growth`, `todate` > `rank` > `board` (what differs from what was published). docs/formats.md is the law
they follow.
"""

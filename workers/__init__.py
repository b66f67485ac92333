"""Processes: ingest, index, the local servers, the feed, the demo, the command line.

May import every layer below.
"""

"""The pure heart of Tidewatch: from integer cells to index values, growth and ranks.

Reads nothing and writes nothing: neither Kafka nor Redis nor a clock. docs/formats.md is the law of these files.
The way of a change:

    cells      absolute rows become exact differences (`slots` flows and days, `stocks` levels)
    cube       integers of cities and groups by period (`columns` what is kept, `layout` rows, `mergers` where a merged
               code counts, `days` day profiles, `exact` no silent wrap)
    board      one system; a diff goes through the files below
    touch      values of touched rows: `evaluate` makes levels of amounts (`levels`), scores of levels (`normalise`,
               with the `populations` that relative scores compare with) and nodes of scores (`aggregate`); groups may
               be means of their `members`; `elementwise` holds log, pow and exact sums
    grow       growth between whole periods (`growth`); `growtodate` of open ones (`todate`)
    publish    what differs: updates (`updates`), ranks and tables (`tables`, `outline`, `rank`)
    sheet      what is published; `system` holds all of it

What is given: `catalogue`, `definition` (`tree` read by `tree_table`, `weights`, `leaves`, `grades`, `rankings`, single
values by `fields`), `periods`, `localtime`.
"""

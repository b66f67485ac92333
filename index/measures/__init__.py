"""The measures that a ranking can declare (docs/formats.md section 5): `table` lists them, the others compute them.

To add one: a function of a `View` (all places of one ranking in one period -> values and reasons), and an entry in
`table.MEASURES` with its parameters and the rows that it is for.
"""

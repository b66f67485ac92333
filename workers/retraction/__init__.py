"""`tidewatch retract`: taking back what a source sent, by events that compensate it exactly.

    selection   which events: a source, perhaps an indicator, perhaps a span of event time; whose compensation is whose
    ledger      the log read again: the accepted events of the selection, and what stands in their cells without them
    stocks      which levels must be set so that every period has the level that it would have without them
    changes     what each cell needs, in an order in which no running sum leaves its bound
    presence    which cells must end, and which come back
    plan        the compensating events, numbered, packed, and each judged as the workers will judge it
    send        read, plan and commit as one turn and one transaction; mend what came in between
    show        the plan for people and for machines
    effect      what would be published, on a board of the command's own

Nothing is remembered but the log: what is to be done is the difference between what counts now and what would count
without the selection, with all earlier compensations as a part of it. So a second run finds nothing, a run that died
has written nothing, and taking a retraction back is a retraction like any other.

The log is read with verify's `Judge`, not with the workers' own intake: it gives each accepted event as a row, and
what is planned on it is carried out by the intake, so a difference between the two cannot stay unseen.
"""

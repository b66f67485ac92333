-- The whole state, read-only, in one step.
return {'ok', snapshot(tag)}

"""Files ↔ records: each format becomes canonical records, one at a time."""

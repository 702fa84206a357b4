"""Study definitions that ship with lrsearch: data, found by name."""

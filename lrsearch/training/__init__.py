"""Training: programs, optimisers, the store of prefixes, and the trainer that workers call."""

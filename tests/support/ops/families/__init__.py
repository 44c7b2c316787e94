"""A file a family of ops: their inputs, and the table of the ops with their forms."""

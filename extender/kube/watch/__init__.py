"""List and watch: reflectors keep a sink equal to a collection."""

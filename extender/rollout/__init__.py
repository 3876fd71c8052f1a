"""A candidate policy answers for a part of the pods, and is taken back when that goes wrong."""

"""What tests of one subject share that is in several modules."""

"""A candidate policy beside the one in force: it judges the same pods and changes no answer."""

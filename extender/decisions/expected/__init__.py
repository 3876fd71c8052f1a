"""What a decision leaves behind: reservations and predictions, until the watch shows the pod."""

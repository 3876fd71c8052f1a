"""kube-scheduler with Railyard, pod after pod, on objects that nobody else sees."""

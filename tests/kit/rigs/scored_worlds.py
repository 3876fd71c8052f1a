"""What the tests of scorer share."""


def parts(judging, pod, names):
    judging.settle()
    return judging.score(pod.obj(), names).parts
